"""Command lines from dataclasses: parsed by transformers' `HfArgumentParser`, helped without importing it."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any, get_origin

WIDTH = 112  # columns of a help text
USAGE = "%(prog)s [--NAME VALUE ...]"


def formatter(prog: str) -> argparse.HelpFormatter:
    """Keeps the line breaks of a description, so that the examples in it can be copied."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=34, width=WIDTH)


def parse(kind: Any, description: str, argv: Sequence[str], **defaults: Any) -> Any:
    """An instance of the dataclass `kind`: what `argv` says, else `defaults`, else the dataclass.

    Each field has its `help` in its metadata; `--help` shows `description` line by line as it stands.
    """
    help_if_asked(argv, [kind], description)
    from transformers import HfArgumentParser  # takes a second

    shown: Any = {"usage": USAGE, "description": description, "formatter_class": formatter}
    parser = HfArgumentParser(kind, allow_abbrev=False, **shown)
    parser.set_defaults(**defaults)
    arguments, unknown = parser.parse_args_into_dataclasses(argv, return_remaining_strings=True)
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    return arguments


def help_if_asked(argv: Sequence[str], groups: Sequence[type], description: str, epilog: str = "") -> None:
    """Prints the fields of some dataclasses, a group each under its docstring, and ends; if `argv` asks for help."""
    if not {"-h", "--help"} & set(argv):
        return
    parser = argparse.ArgumentParser(usage=USAGE, description=description, epilog=epilog, formatter_class=formatter)
    for kind in groups:
        group = parser if len(groups) == 1 else parser.add_argument_group(kind.__doc__)
        for field in dataclasses.fields(kind):
            shown = field.metadata["help"].replace("%", "%%") + _shown_default(field)
            group.add_argument(f"--{field.name}", metavar=_shown_type(field.type), help=shown)
    parser.parse_args(["--help"])


def _shown_type(annotation: Any) -> str:
    if str(get_origin(annotation)) == "typing.Literal":
        return "|".join(annotation.__args__)
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return {"bool": "true|false", "int": "N", "float": "X"}.get(name.removesuffix(" | None"), "VALUE")


def _shown_default(field: dataclasses.Field) -> str:
    if field.default is None or field.default is dataclasses.MISSING:
        return ""
    return f" (default: {str(field.default).lower() if isinstance(field.default, bool) else field.default})"
