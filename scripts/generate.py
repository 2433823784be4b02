"""Writes characters with a trained model, by default 500 of them with the packaged Alice.

    python scripts/generate.py
    python scripts/generate.py --prompt "Alice was" --seed 7 --temperature 0.5
    python scripts/generate.py --model runs/mine --prompt_from_text my.txt --max_new_tokens 2000

Standard output holds the normalised prompt, the new characters and one newline; everything else goes to standard
error. Needs numpy, safetensors and tokenizers alone, so it starts at once.
"""

import argparse
import logging
import random
import re
import secrets
import sys
from pathlib import Path

from char_lstm import load_decoder, normalise, stream_text
from char_lstm.loading import CheckpointError

PACKAGED = Path(__file__).resolve().parent.parent / "modeling" / "pretrained" / "alice"


def parse(argv: list[str] | None) -> argparse.Namespace:
    summary, commands = __doc__.split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=summary, epilog=commands, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=str(PACKAGED), help="a folder or an id on the Hub (default: Alice)")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", default="", help="the text to write on from (default: none)")
    prompt.add_argument("--prompt_from_text", type=Path, metavar="FILE", help="write on from a random sentence of FILE")
    parser.add_argument("--seed", type=int, help="the same seed writes the same text (default: drawn and shown)")
    parser.add_argument("--max_new_tokens", type=int, help="characters to write (default: the model's, 500)")
    parser.add_argument("--temperature", type=float, help="below 1 safer, above 1 wilder, 0 always the likeliest")
    parser.add_argument("--top_k", type=int, help="choose among the k likeliest characters; 0: among all")
    parser.add_argument("--top_p", type=float, help="choose among the likeliest that hold this much probability")
    return parser.parse_args(argv)


def random_sentence(path: Path, tokenizer, seed: int) -> str:
    """One sentence of a text file, normalised, with its newline."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    text = re.sub(r"(?<=\S)[ \t]*\n(?=[ \t]*\S)", " ", text)  # a line break inside a paragraph ends no sentence
    sentences = normalise(tokenizer, text).splitlines(keepends=True)
    if not sentences:
        raise ValueError(f"{path} holds no sentence")
    return random.Random(seed).choice(sentences)


def write(args: argparse.Namespace) -> None:
    model, tokenizer = load_decoder(args.model)
    seed = secrets.randbits(32) if args.seed is None else args.seed
    if args.prompt_from_text:
        prompt = random_sentence(args.prompt_from_text, tokenizer, seed)
    else:
        prompt = normalise(tokenizer, args.prompt)
    sampling = {name: getattr(args, name) for name in ("max_new_tokens", "temperature", "top_k", "top_p")}
    characters = stream_text(model, tokenizer, prompt, seed=seed, **sampling)

    print(f"seed {seed}", file=sys.stderr)
    sys.stdout.write(prompt)
    for character in characters:
        sys.stdout.write(character)
        sys.stdout.flush()
    sys.stdout.write("\n")


def main(argv: list[str] | None = None) -> None:
    logging.basicConfig(format="%(message)s")
    try:
        write(parse(argv))
    except BrokenPipeError:  # the reader has enough
        sys.stderr.close()
    except (CheckpointError, ValueError, OSError) as error:
        print(f"generate.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
