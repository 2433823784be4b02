"""Turns any text into a corpus: rows of characters in three contiguous splits, with their tokenizer.

    python scripts/build_corpus.py --output_dir data/alice
    python scripts/build_corpus.py --text my.txt --output_dir data/mine --sequence packed
    python scripts/build_corpus.py --dataset_name user/poems --text_column poem --output_dir data/poems

Without `--text` or `--dataset_name` it downloads Alice's Adventures in Wonderland from Project Gutenberg, once.
"""

import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
from datasets import Dataset, DatasetDict, Features, List, Value, load_dataset
from huggingface_hub import get_session
from transformers import HfArgumentParser, PreTrainedTokenizerFast

from char_lstm import build_tokenizer, normalise

logger = logging.getLogger("build_corpus")

ALICE = "https://www.gutenberg.org/cache/epub/11/pg11.txt"
FEATURES = Features(
    {
        "text": Value("string"),
        "input_ids": List(Value("int32")),
        "attention_mask": List(Value("int8")),
        "length": Value("int32"),
    }
)

LICENCE_ABOVE = re.compile(
    r"\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]*\*\*\*|\*END\*? ?THE SMALL PRINT![^\n]*", re.IGNORECASE
)
LICENCE_BELOW = re.compile(
    r"^[ \t]*(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg)",
    re.IGNORECASE | re.MULTILINE,
)
CREDITS = re.compile(r"\A\s*(?:Produced|E-?text prepared) by[^\n]*(?:\n[^\n]*\S[^\n]*)*")
ILLUSTRATION = re.compile(r"\[Illustration(?::[^\[\]]*)?\]", re.IGNORECASE)
FIRST_CHAPTER = re.compile(r"(?:CHAPTER|Chapter)\s+(?:I|1|ONE|One|THE FIRST|the First)\b")
PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[ \t]*\S[^\n]*)*")
SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]_]*\Z")
LINE = re.compile(r"[^\n]*\n+|[^\n]+")  # with the line break, and the blank lines, that end it

PROSE_WORDS = 20  # a paragraph this long that ends as a sentence is no title and no list
NARROWEST_WRAP = 40  # columns; shorter lines are names or verse


class CorpusError(ValueError):
    """No corpus can be made of this input or in this place; the message says why and what to do."""


@dataclass
class BuildArguments:
    output_dir: str = field(metadata={"help": "Where the corpus goes; an older corpus there is replaced."})
    text: str | None = field(default=None, metadata={"help": "A text file or a URL; default: Alice, downloaded."})
    dataset_name: str | None = field(default=None, metadata={"help": "A dataset on the Hub instead of a text."})
    text_column: str = field(default="text", metadata={"help": "The dataset's column of text."})
    sequence: Literal["sentence", "packed"] = field(
        default="sentence", metadata={"help": "A row holds one sentence, or as many whole ones as fit."}
    )
    max_length: int = field(default=512, metadata={"help": "Characters of a row, with the newline that starts it."})
    keep_punctuation: bool = field(default=False, metadata={"help": "Keep the text's marks; its lines are the rows."})
    keep_case: bool = field(default=False, metadata={"help": "Keep upper case apart from lower case."})


def build_corpus(
    output_dir: str | Path,
    *,
    text: str | Path | None = None,
    dataset_name: str | None = None,
    text_column: str = "text",
    sequence: str = "sentence",
    max_length: int = 512,
    keep_punctuation: bool = False,
    keep_case: bool = False,
) -> DatasetDict:
    """Builds a corpus and saves it with its tokenizer; `output_dir` appears whole or not at all.

    The arguments are those of the command line (`BuildArguments`). The texts of all rows of all splits, joined, are
    exactly `normalise(tokenizer, clean(text))`.

    Raises:
        CorpusError: the input cannot be read or is too short, or `output_dir` cannot be written.
    """
    if max_length < 2:
        raise CorpusError(f"--max_length {max_length}: a row needs at least 2, a newline and a character")
    with whole_folder(Path(output_dir)) as folder:
        cleaned = clean(read_source(text, dataset_name, text_column))
        tokenizer = build_tokenizer([cleaned], lowercase=not keep_case, strip_punctuation=not keep_punctuation)
        rows = cut_rows(normalise(tokenizer, cleaned), max_length, sequence)
        corpus = DatasetDict(
            {name: encode_rows(split, tokenizer, max_length) for name, split in split_rows(rows).items()}
        )
        corpus.save_to_disk(folder)
        tokenizer.save_pretrained(folder)
    return corpus


# Reading


def read_source(text: str | Path | None, dataset_name: str | None, text_column: str) -> str:
    """The whole text of a file, a URL or a dataset; of Alice when none is named."""
    if text is not None and dataset_name is not None:
        raise CorpusError("give either --text or --dataset_name, not both")
    if dataset_name is not None:
        return read_dataset(dataset_name, text_column)
    source = str(ALICE if text is None else text)
    try:
        path = download(source) if source.startswith(("http://", "https://")) else Path(source)
        return decode(path.read_bytes(), source)
    except OSError as error:
        raise CorpusError(f"cannot read {source}: {error.strerror}") from error


def download(url: str) -> Path:
    """The file behind a URL, kept in ~/.cache/char_lstm from the first time on."""
    kept = Path.home() / ".cache" / "char_lstm" / quote(url, safe="")
    if kept.exists():
        return kept
    try:
        response = get_session().get(url, follow_redirects=True, timeout=30)
        response.raise_for_status()
    except Exception as error:  # the client's errors have no common class in the versions we allow
        raise CorpusError(f"cannot download {url} ({_first_line(error)}); offline, pass a file: --text FILE") from error
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(f"{kept.name}.{os.getpid()}")
    partial.write_bytes(response.content)
    return partial.replace(kept)


def read_dataset(name: str, column: str) -> str:
    """The `train` split's documents, a line break between each two."""
    try:
        documents = load_dataset(name, split="train")
    except Exception as error:  # the Hub, the network and each file format have errors of their own
        raise CorpusError(f"cannot load the dataset {name}: {_first_line(error)}") from error
    columns = [key for key, kind in documents.features.items() if getattr(kind, "dtype", "").endswith("string")]
    if column not in columns:
        raise CorpusError(f"the dataset {name} has no text column {column!r}; it has: {', '.join(columns) or 'none'}")
    return "\n".join(document for document in documents[column] if document)


def decode(data: bytes, source: str) -> str:
    """UTF-8, with or without a byte-order mark, or else Latin-1.

    Raises:
        CorpusError: the data are no text.
    """
    if b"\0" in data:
        raise CorpusError(f"{source} is binary, not text; if it is UTF-16, save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if re.search(rb"[\x01-\x08\x0e-\x19]", data):  # control characters that no text holds
            raise CorpusError(f"{source} is binary, not text") from error
        logger.warning("%s is not UTF-8 (byte %d); reading it as Latin-1", source, error.start)
        return data.decode("latin-1")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


# Cleaning


def clean(text: str) -> str:
    """The body of a text, its hard-wrapped lines joined, ending in exactly one newline.

    Leaves out Project Gutenberg's licence and credits, the title and the list of contents before "Chapter I", and the
    places of illustrations. A text that has none of these comes back as it is.
    """
    text = re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))
    text = ILLUSTRATION.sub("", cut_licence(text))
    text = CREDITS.sub("", text)
    return unwrap(cut_front_matter(text)).strip() + "\n"


def cut_licence(text: str) -> str:
    """What stands between Project Gutenberg's header and footer; both have changed their wording over the years."""
    if below := LICENCE_BELOW.search(text):
        text = text[: below.start()]
    start = max((above.end() for above in LICENCE_ABOVE.finditer(text)), default=0)
    return text[start:]


def cut_front_matter(text: str) -> str:
    """`text` from the last "Chapter I" heading before its first paragraph of prose: a contents list names it before.

    Where prose comes first (a preface, a text without chapters) nothing is cut.
    """
    start = 0
    for paragraph in PARAGRAPH.finditer(text):
        if FIRST_CHAPTER.match(paragraph[0]):
            start = paragraph.start()
        elif SENTENCE_END.search(paragraph[0]) and len(paragraph[0].split()) >= PROSE_WORDS:
            break
    return text[start:]


def unwrap(text: str) -> str:
    """One line a paragraph, if the text is hard-wrapped; lists, verse and dialogue keep their lines.

    It is hard-wrapped if most lines that go on in a next one had no room for its first word.
    """
    paragraphs = [paragraph[0].split("\n") for paragraph in PARAGRAPH.finditer(text)]
    lengths = [len(line.rstrip()) for lines in paragraphs for line in lines]
    width = np.percentile(lengths, 95) if lengths else 0
    full = [
        len(line.rstrip()) + 1 + len(after.split(maxsplit=1)[0]) > width
        for lines in paragraphs
        for line, after in pairwise(lines)
    ]
    if width < NARROWEST_WRAP or 2 * sum(full) <= len(full):
        return text
    return "\n\n".join(" ".join(line.strip() for line in lines) for lines in paragraphs)


# Rows


def cut_rows(text: str, max_length: int, sequence: str = "sentence") -> list[str]:
    """Cuts normalised text into rows which, joined, are the text again.

    Args:
        max_length: ids of a row, with the newline put before it: a row has at most `max_length - 1` characters.
        sequence: `sentence`: one line a row, one too long cut after a word; `packed`: as many of these as fit.
    """
    room = max_length - 1
    sentences = [piece for line in LINE.findall(text) for piece in _pieces(line, room)]
    return sentences if sequence == "sentence" else _pack(sentences, room)


def _pieces(line: str, room: int) -> Iterator[str]:
    start = 0
    while len(line) - start > room:
        end = line.rfind(" ", start, start + room) + 1 or start + room
        yield line[start:end]
        start = end
    yield line[start:]


def _pack(sentences: list[str], room: int) -> list[str]:
    rows, row, used = [], [], 0
    for sentence in sentences:
        if used + len(sentence) > room:
            rows.append("".join(row))
            row, used = [], 0
        row.append(sentence)
        used += len(sentence)
    return [*rows, "".join(row)]


def split_rows(rows: list[str]) -> dict[str, list[str]]:
    """Contiguous train, validation and test: 80, 10 and 10 percent of the characters, a row at least in each.

    Raises:
        CorpusError: there are fewer than three rows.
    """
    if not any(row.strip() for row in rows):
        raise CorpusError("nothing is left of the text after normalising: it holds no letter or digit")
    if len(rows) < 3:
        raise CorpusError(f"the text is too short: train, validation and test need a row each, it has {len(rows)}")
    ends = np.cumsum([len(row) for row in rows])
    train = min(int(np.searchsorted(ends, 0.8 * ends[-1])) + 1, len(rows) - 2)
    validation = min(max(int(np.searchsorted(ends, 0.9 * ends[-1])) + 1, train + 1), len(rows) - 1)
    return {"train": rows[:train], "validation": rows[train:validation], "test": rows[validation:]}


def encode_rows(rows: list[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> Dataset:
    """The rows as ids, padded on the right: `text, input_ids, attention_mask, length`.

    Each row starts with the newline that ends the sentence before it, so its first character has something to follow.
    `length` counts the ids that are no padding, that newline included.

    Args:
        rows: as `cut_rows` makes them, of text that this tokenizer normalised.
    """
    newline = tokenizer.convert_tokens_to_ids("\n")

    def encode(batch: dict[str, list]) -> dict[str, list]:
        ids = [[newline, *row] for row in tokenizer(batch["text"], add_special_tokens=False)["input_ids"]]
        padded = tokenizer.pad({"input_ids": ids}, padding="max_length", max_length=max_length, padding_side="right")
        return {**padded, "length": [len(row) for row in ids]}

    return Dataset.from_dict({"text": list(rows)}).map(encode, batched=True, features=FEATURES, desc="encoding")


# Writing


@contextmanager
def whole_folder(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `output_dir` at the end, or goes away if anything fails.

    Raises:
        CorpusError: `output_dir` holds something that is no corpus, or it cannot be written.
    """
    output_dir = output_dir.resolve()
    unfinished = output_dir.parent / f".{output_dir.name}.{os.getpid()}"
    try:
        if output_dir.exists() and not (output_dir / "dataset_dict.json").exists() and any(output_dir.iterdir()):
            raise CorpusError(f"{output_dir} holds something else than a corpus; choose another --output_dir")
        unfinished.mkdir(parents=True)
        yield unfinished
        old = unfinished.with_name(f"{unfinished.name}.old")
        if output_dir.exists():
            output_dir.rename(old)
        unfinished.rename(output_dir)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise CorpusError(f"cannot write {output_dir}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def describe(corpus: DatasetDict) -> str:
    """A table of the corpus: characters, rows, the longest row and the share of padding of each split; the alphabet."""
    lines = [f"{'split':<10} {'characters':>12} {'rows':>9} {'longest row':>12} {'padding':>8}"]
    alphabet = set()
    for name, split in corpus.items():
        lengths = np.array(split["length"])
        padding = 1 - lengths.mean() / len(split[0]["input_ids"])
        characters = (lengths - 1).sum()
        lines.append(f"{name:<10} {characters:>12,} {len(split):>9,} {lengths.max() - 1:>12,} {padding:>8.1%}")
        alphabet.update(*split["text"])
    lines.append(f"alphabet: {len(alphabet)} characters: {''.join(sorted(alphabet))!r}")
    return "\n".join(lines)


def parse(argv: list[str] | None) -> BuildArguments:
    parser = HfArgumentParser(BuildArguments, description=__doc__, allow_abbrev=False)
    return BuildArguments(**vars(parser.parse_args(argv)))


def main(argv: list[str] | None = None) -> None:
    logging.basicConfig(format="%(message)s")
    try:
        corpus = build_corpus(**vars(parse(argv)))
    except CorpusError as error:
        print(f"build_corpus: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(describe(corpus))


if __name__ == "__main__":
    main()
