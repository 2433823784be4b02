"""The corpus of the base model `english`: a folder of books, mixed.

    python -m scripts.benchmarks.english_corpus --books texts/english texts/english_extra --output_dir data/english
    char-lstm train --config english --dataset data/english --output_dir runs/english

The books come in random order: every other one in the assignment's form, the rest by turns with a typewriter's quotes
and as they are printed, so that one model serves all three. Characters that stand in all of them fewer than 100 times
are left out. Four books are held out: the last tenth of each is the test split.
"""

import argparse
import logging
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from datasets import DatasetDict

from char_lstm.corpus.sequences import MAX_LENGTH, cut_rows, encoded_rows
from char_lstm.tokenization_char_lstm import build_tokenizer, fold

HELD_OUT = ("the-warden", "dracula", "five-children-and-it", "treasure-island")
RARE = 100  # times in all the books
TYPEWRITER = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "—": "--"})
VALIDATION = 0.002  # of the rows

logger = logging.getLogger("english_corpus")


def read_books(folders: list[Path], seed: int = 0) -> tuple[list[str], list[str]]:
    """The books to learn, in an order that the seed gives, and those held out, all without rare characters."""
    paths = sorted((path for folder in folders for path in folder.glob("*.txt")), key=lambda path: path.parts[-2:])
    held_out = [path for path in paths if path.stem.endswith(HELD_OUT)]
    learnt = [path for path in paths if path not in held_out]
    random.Random(seed).shuffle(learnt)
    texts = [path.read_text(encoding="utf-8") for path in learnt]
    counts = Counter(character for text in texts for character in text)
    rare = {character for character, times in counts.items() if times < RARE}
    logger.info("%d books; left out %d rare characters", len(texts), sum(counts[character] for character in rare))
    known = counts.keys() - rare
    kept = [_of(known, text) for text in texts]
    return kept, [_of(known, path.read_text(encoding="utf-8")) for path in held_out]


def _of(alphabet: set[str], text: str) -> str:
    return "".join(character for character in text if character in alphabet).strip() + "\n\n"


def in_form(number: int, text: str) -> str:
    """Book `number` in the form that is its turn."""
    return fold(text) if number % 2 else text if number % 4 else text.translate(TYPEWRITER)


def mix_books(books: list[str], held_out: list[str], form: Callable[[int, str], str], output_dir: str | Path) -> None:
    """Writes a corpus of the books, each in the form that its number gives it; the test split is the last tenth of each
    book held out."""
    learnt = [form(number, text) for number, text in enumerate(books)]
    tests = [form(number, text[-len(text) // 10 :]) for number, text in enumerate(held_out)]
    tokenizer = build_tokenizer(learnt, lowercase=False, strip_punctuation=False)
    rows = cut_rows("".join(learnt), MAX_LENGTH, "packed")
    end = int(len(rows) * (1 - VALIDATION))
    splits = {"train": rows[:end], "validation": rows[end:], "test": cut_rows("".join(tests), MAX_LENGTH, "packed")}
    corpus = DatasetDict({name: encoded_rows(rows, tokenizer, MAX_LENGTH) for name, rows in splits.items()})
    corpus.save_to_disk(output_dir)
    tokenizer.save_pretrained(output_dir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=Path, nargs="+", required=True, help="folders of texts in UTF-8")
    parser.add_argument("--output_dir", required=True, help="where the corpus goes")
    parser.add_argument("--seed", type=int, default=0, help="another order of the books, so most in another form")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    books, held_out = read_books(options.books, options.seed)
    mix_books(books, held_out, in_form, options.output_dir)


if __name__ == "__main__":
    main()
