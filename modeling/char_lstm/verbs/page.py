"""Makes a page that needs no server: the model writes and is looked into in the visitor's own browser.

    char-lstm page --model runs/mine --output page
    char-lstm page --model alice --output alice.html --single_file

The first is a folder for any static host, index.html first; to try it, `python -m http.server --directory page`. The
second is one file that opens from a disk. `index.html?prompt=Once&temperature=0.5&seed=7&max_new_tokens=200&write=1`
writes at once.
"""

import argparse
from pathlib import Path

from ..arguments import formatter
from ..paths import packaged_model


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--model", help="a folder or an id on the Hub (default: the packaged Alice)")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the folder to write")
    parser.add_argument("--single_file", action="store_true", help="one HTML with everything inside, DIR/index.html")
    arguments = parser.parse_args(argv)

    from ..page.static import make_page

    make_page(arguments.model or packaged_model("alice"), arguments.output, single_file=arguments.single_file)
