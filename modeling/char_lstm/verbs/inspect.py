"""Shows on one page what a model does while it reads a text: surprise, predictions, gates, memory, connectivity.

    char-lstm inspect --text "Alice was beginning to get very tired" --output page.html
    char-lstm inspect --text "$(cat review.txt)" --model runs/mine --output page.html

The page needs no network: open it in a browser, and select a character with a click or the arrow keys.
`page.html#42` opens at the 43rd character.
"""

import argparse
from pathlib import Path

from ..arguments import formatter
from ..paths import packaged_model


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--text", required=True, help="the text to read, at most 1000 characters")
    parser.add_argument("--model", help="a folder or an id on the Hub (default: the packaged Alice)")
    parser.add_argument("--output", required=True, type=Path, help="the page to write")
    arguments = parser.parse_args(argv)

    from ..page.offline import write_page

    write_page(arguments.model or packaged_model("alice"), arguments.text, arguments.output)
