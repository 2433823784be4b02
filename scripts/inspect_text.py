"""Shows on one page what a model does while it reads a text: surprise, predictions, gates, memory, connectivity.

    python scripts/inspect_text.py --text "Alice was beginning to get very tired" --output page.html
    python scripts/inspect_text.py --text "$(cat review.txt)" --model runs/mine --output page.html

The page needs no network: open it in a browser, choose a character by a click or the arrow keys. `page.html#42` opens
at the 43rd character.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts know each other as scripts.x

from char_lstm import inspector, load
from char_lstm.loading import CheckpointError
from scripts.files import write_whole

PACKAGED = Path(__file__).resolve().parent.parent / "modeling" / "pretrained" / "alice"
TEMPLATE = Path(__file__).resolve().parent / "templates" / "inspect.html"


def parse(argv: list[str] | None) -> argparse.Namespace:
    summary, commands = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=summary, epilog=commands, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", required=True, help=f"the text to read, at most {inspector.LONGEST} characters")
    parser.add_argument("--model", default=str(PACKAGED), help="a folder or an id on the Hub (default: Alice)")
    parser.add_argument("--output", required=True, type=Path, help="the page to write")
    return parser.parse_args(argv)


def render(data: dict) -> str:
    """The page. The text may hold anything: without `<` and `&` no tag or comment can end or open inside the JSON."""
    escaped = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c").replace("&", r"\u0026")
    page = TEMPLATE.read_text(encoding="utf-8")
    parts = {"html": inspector.HTML, "css": inspector.CSS, "js": inspector.JS, "inspection": escaped}
    for name, part in parts.items():  # the text comes last, so that nothing in it is replaced
        page = page.replace("{{ " + name + " }}", part)
    return page


def write_page(args: argparse.Namespace) -> None:
    if args.output.is_dir():
        raise ValueError(f"--output {args.output} is a folder; name the file to write, such as page.html")
    model, tokenizer = load(args.model)
    *_, data = inspector.read(model, tokenizer, args.text, Path(args.model).resolve().name)
    page = render(data)

    write_whole(args.output, page)
    print(f"{args.output}: {len(data['chars'])} characters, {len(page.encode()) / 1e3:.0f} kB")


def main(argv: list[str] | None = None) -> None:
    logging.basicConfig(format="%(message)s")
    try:
        write_page(parse(argv))
    except (CheckpointError, ValueError, OSError) as error:
        print(f"inspect_text.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
