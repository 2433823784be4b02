"""Makes a page that needs no server: the model writes and is looked into in the visitor's own browser.

    char-lstm page --model runs/mine --output page
    char-lstm page --model alice --output alice.html --single_file
    char-lstm page --model alice --compare_model_id alice_gru --compare_model_id alice_rnn --output page

The first is a folder for any static host, index.html first; to try it, `python -m http.server --directory page`. The
second is one file that opens from a disk. The third also compares how long each of the three remembers a letter.
`index.html?prompt=Once&temperature=0.5&seed=7&max_new_tokens=200&write=1` writes at once.
"""

import argparse
from pathlib import Path

from ..arguments import formatter
from ..paths import packaged_model


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--model", help="a folder or an id on the Hub (default: the packaged Alice)")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="the folder to write")
    parser.add_argument(
        "--compare_model_id",
        action="append",
        default=[],
        metavar="DIR_OR_ID",
        help="another model, whose memory the page compares with this one's; may be given several times",
    )
    parser.add_argument("--single_file", action="store_true", help="one HTML with everything inside, DIR/index.html")
    arguments = parser.parse_args(argv)

    from ..page.static import make_page

    make_page(
        arguments.model or packaged_model("alice"),
        arguments.output,
        compare_model_ids=arguments.compare_model_id,
        single_file=arguments.single_file,
    )
