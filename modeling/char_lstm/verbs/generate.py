"""Generates text with a trained model, by default 500 characters with the packaged Alice.

    char-lstm generate
    char-lstm generate --prompt "Alice was" --seed 7 --temperature 0.5
    char-lstm generate --model runs/mine --prompt_from_text my.txt --max_new_tokens 2000
    char-lstm generate --prompt_file prompts.txt --num_return_sequences 3 --json
    char-lstm generate --model runs/names --items 20 --prefix Ma --unique

Standard output holds the normalised prompt, the new characters and one newline; or one item a line; or with --json one
object a line: `text`, `in_training_set` (of an item; null where nobody knows) and `nats`, what the whole text costs.
Everything else goes to standard error. It needs only numpy, safetensors and tokenizers, so it starts at once.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from ..arguments import formatter
from ..generation_char_lstm import BATCH, draw_seed, generate_texts, stream_text
from ..items import generate_items, hash_item
from ..loading import load_decoder
from ..paths import packaged_model
from ..scoring import nats_of_each
from ..tokenization_char_lstm import normalise, normalise_each

SAMPLING = ("max_new_tokens", "temperature", "top_k", "top_p")


def read_command(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--model", help="a folder or an id on the Hub (default: the packaged Alice)")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--prompt", default="", help="the text to continue (default: none)")
    begin.add_argument("--prompt_from_text", type=Path, metavar="FILE", help="continue a random sentence from FILE")
    begin.add_argument("--prompt_file", type=Path, metavar="FILE", help="continue each line of FILE; needs --json")
    begin.add_argument("--items", type=int, metavar="N", help="write N whole items with a model of items")
    parser.add_argument("--prefix", default="", help="how each item begins")
    parser.add_argument("--unique", action="store_true", help="no item twice, and none of the training set")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--num_return_sequences", type=int, default=1, metavar="N", help="texts per prompt, with --json"
    )
    parser.add_argument("--stop_strings", nargs="+", metavar="S", help="stop after the first of these that is written")
    parser.add_argument("--seed", type=int, help="the same seed writes the same text (default: random, and shown)")
    parser.add_argument("--max_new_tokens", type=int, help="characters to write (default: the model's, 500)")
    parser.add_argument("--temperature", type=float, help="below 1 safer, above 1 wilder, 0 always the likeliest")
    parser.add_argument("--top_k", type=int, help="choose among the k likeliest characters; 0: among all")
    parser.add_argument("--top_p", type=float, help="choose among the likeliest that together have this probability")
    parser.add_argument(
        "--ignore_mismatched_hashes", action="store_true", help="use weights that evaluation.json was not measured on"
    )
    arguments = parser.parse_args(argv)
    if arguments.items is None and (arguments.prefix or arguments.unique):
        parser.error("--prefix and --unique go with --items")
    if arguments.items is not None and (arguments.stop_strings or arguments.num_return_sequences != 1):
        parser.error("--items has its own number and end: leave out --num_return_sequences and --stop_strings")
    if not arguments.json and (arguments.num_return_sequences > 1 or arguments.prompt_file):
        parser.error("several texts need --json, which writes one object a line")
    return arguments


def read_lines(path: Path) -> list[str]:
    from ..corpus.decoding import decoded_lines, uncompressed

    with path.open("rb") as file:
        return list(decoded_lines(uncompressed(file), str(path)))


def random_sentence(path: Path, tokenizer, seed: int) -> str:
    """One sentence of a text file, read as a corpus is and normalised, with its newline."""
    from ..corpus.text import Cleaning

    text = normalise(tokenizer, "".join(Cleaning().blocks([read_lines(path)])))
    sentences = [line for line in text.splitlines(keepends=True) if line.strip()]
    if not sentences:
        raise ValueError(f"{path} contains no sentence")
    return random.Random(seed).choice(sentences)


def read_prompts(arguments: argparse.Namespace, tokenizer, seed: int) -> list[str]:
    """The texts to continue, normalised."""
    if arguments.prompt_from_text:
        return [random_sentence(arguments.prompt_from_text, tokenizer, seed)]
    if not arguments.prompt_file:
        return [normalise(tokenizer, arguments.prompt)]
    return normalise_each(tokenizer, (line.rstrip("\n") for line in read_lines(arguments.prompt_file)))


def texts_in_pieces(arguments: argparse.Namespace, model, tokenizer, seed: int) -> Iterator[Iterable[str]]:
    """Each text that is asked for; text k is what seed + k gives. One alone comes as it grows, several side by side."""
    sampling = {name: getattr(arguments, name) for name in SAMPLING}
    if arguments.items is not None:
        told = {"prefix": arguments.prefix, "unique": arguments.unique, "seed": seed}
        yield from ([item] for item in generate_items(model, tokenizer, arguments.items, **told, **sampling))
        return
    prompts = [one for one in read_prompts(arguments, tokenizer, seed) for _ in range(arguments.num_return_sequences)]
    told = {"seed": seed, "stop_strings": arguments.stop_strings}
    if len(prompts) == 1:
        yield chain(prompts, stream_text(model, tokenizer, prompts[0], **told, **sampling))
    else:
        yield from zip(prompts, generate_texts(model, tokenizer, prompts, **told, **sampling), strict=True)


def main(argv: list[str]) -> None:
    arguments = read_command(argv)
    model, tokenizer = load_decoder(
        arguments.model or packaged_model("alice"), ignore_mismatched_hashes=arguments.ignore_mismatched_hashes
    )
    seed = draw_seed() if arguments.seed is None else arguments.seed
    texts = texts_in_pieces(arguments, model, tokenizer, seed)
    print(f"seed {seed}", file=sys.stderr)
    if arguments.json:
        return print_objects(map("".join, texts), model, tokenizer)
    for pieces in texts:
        for piece in pieces:
            if arguments.items is not None and "\n" in piece:
                raise ValueError("an item holds a newline: --json writes such items, one object a line")
            print(piece, end="", flush=True)
        print()


def print_objects(texts: Iterator[str], model, tokenizer) -> None:
    """An object a line for each text: whether it is one of the training set's items (None where that is not known), and
    what it costs. As many are scored at once as are written at once."""
    while batch := list(islice(texts, BATCH)):
        for text, nats in zip(batch, nats_of_each(model, tokenizer, batch), strict=True):
            known = None if model.known_items is None else hash_item(text) in model.known_items
            told = {"text": text, "in_training_set": known, "nats": round(nats, 4)}
            print(json.dumps(told, ensure_ascii=False), flush=True)
