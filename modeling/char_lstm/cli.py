"""`char-lstm VERB ...`: each verb is imported when it is called, and all end in the same way."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from .arguments import formatter
from .errors import UserError
from .verbs import VERBS

FOR_PEOPLE = (UserError, ValueError, OSError, ModuleNotFoundError)  # errors whose words a person can go by


def main() -> None:
    """The command `char-lstm`."""
    table = "\n".join(f"  {verb:10} {summary}" for verb, summary in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="char-lstm",
        description="A character-level recurrent model: train it on your own text, let it write, look inside, publish.",
        epilog=f"verbs:\n{table}\n\n`char-lstm VERB --help` explains one.",
        formatter_class=formatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="what to do; see below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the verb's own arguments")
    chosen = parser.parse_args()
    sys.argv = [f"char-lstm {chosen.verb}", *chosen.arguments]
    run(chosen.verb)


def run(verb: str, argv: Sequence[str] | None = None) -> None:
    """Runs a verb with its arguments, by default the process's; an error that people can fix ends in one sentence.

    Exit status: 0 done; 1 a transient failure, so try again later; 2 something has to be fixed first; 130
    interrupted.
    """
    logging.basicConfig(format="%(message)s")
    os.environ["RUST_BACKTRACE"] = "0"  # a panic in tokenizers ends in a sentence too
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal cannot show
    try:
        import_module(f".verbs.{verb}", __package__).main(sys.argv[1:] if argv is None else list(argv))
    except BrokenPipeError:  # whoever reads the output has enough
        sys.stderr.close()
    except KeyboardInterrupt as interrupt:
        print(f"char-lstm {verb}: interrupted{interrupt}", file=sys.stderr)
        sys.exit(130)
    except BaseException as error:
        if not isinstance(error, FOR_PEOPLE) and type(error).__name__ != "PanicException":  # of a library in Rust
            raise
        logging.getLogger().debug("the traceback of what follows", exc_info=error)
        with suppress(OSError):
            sys.stdout.flush()  # what was printed before stands before
        print(f"char-lstm {verb}: {sentence_of(error)}", file=sys.stderr)
        sys.exit(getattr(error, "status", 2))


def sentence_of(error: BaseException) -> str:
    """An error's own words: without a worker's traceback before them, and without the token in them."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; in a checkout, `pip install '.[train,export]'` brings it"
    from huggingface_hub import get_token

    words = str(error).rpartition(f"{type(error).__name__}: ")[2].strip()
    token = get_token()
    return words.replace(token, "<token>") if token else words
