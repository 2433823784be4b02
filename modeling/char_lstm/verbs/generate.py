"""Generates text with a trained model, by default 500 characters with the packaged Alice.

    char-lstm generate
    char-lstm generate --prompt "Alice was" --seed 7 --temperature 0.5
    char-lstm generate --model runs/mine --prompt_from_text my.txt --max_new_tokens 2000

Standard output holds the normalised prompt, the new characters and one newline; everything else goes to standard
error. It needs only numpy, safetensors and tokenizers, so it starts at once.
"""

import argparse
import random
import secrets
import sys
from pathlib import Path

from ..arguments import formatter
from ..corpus.decoding import decoded_lines, uncompressed
from ..corpus.text import Cleaning
from ..generation_char_lstm import stream_text
from ..loading import load_decoder
from ..paths import packaged_model
from ..tokenization_char_lstm import normalise


def read_command(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--model", help="a folder or an id on the Hub (default: the packaged Alice)")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt", default="", help="the text to continue (default: none)")
    prompt.add_argument("--prompt_from_text", type=Path, metavar="FILE", help="continue a random sentence from FILE")
    parser.add_argument("--seed", type=int, help="the same seed writes the same text (default: random, and shown)")
    parser.add_argument("--max_new_tokens", type=int, help="characters to write (default: the model's, 500)")
    parser.add_argument("--temperature", type=float, help="below 1 safer, above 1 wilder, 0 always the likeliest")
    parser.add_argument("--top_k", type=int, help="choose among the k likeliest characters; 0: among all")
    parser.add_argument("--top_p", type=float, help="choose among the likeliest that together have this probability")
    return parser.parse_args(argv)


def random_sentence(path: Path, tokenizer, seed: int) -> str:
    """One sentence of a text file, read as a corpus is and normalised, with its newline."""
    with path.open("rb") as file:
        text = "".join(Cleaning().blocks([decoded_lines(uncompressed(file), str(path))]))
    sentences = [line for line in normalise(tokenizer, text).splitlines(keepends=True) if line.strip()]
    if not sentences:
        raise ValueError(f"{path} contains no sentence")
    return random.Random(seed).choice(sentences)


def main(argv: list[str]) -> None:
    arguments = read_command(argv)
    model, tokenizer = load_decoder(arguments.model or packaged_model("alice"))
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    path, prompt = arguments.prompt_from_text, arguments.prompt
    prompt = random_sentence(path, tokenizer, seed) if path else normalise(tokenizer, prompt)
    sampling = {name: getattr(arguments, name) for name in ("max_new_tokens", "temperature", "top_k", "top_p")}
    characters = stream_text(model, tokenizer, prompt, seed=seed, **sampling)

    print(f"seed {seed}", file=sys.stderr)
    print(prompt, end="")
    for character in characters:
        print(character, end="", flush=True)
    print()
