"""Turns any text into a corpus: rows of characters in three contiguous splits, with their tokenizer.

    python scripts/build_corpus.py --output_dir data/alice
    python scripts/build_corpus.py --text my.txt --output_dir data/mine --sequence packed
    python scripts/build_corpus.py --dataset_name user/poems --text_column poem --output_dir data/poems

Without `--text` or `--dataset_name` it downloads Alice's Adventures in Wonderland from Project Gutenberg, once.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import quote

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features, List, Value, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError
from huggingface_hub import get_session
from transformers import HfArgumentParser, PreTrainedTokenizerFast

from char_lstm import build_tokenizer
from char_lstm.tokenization_char_lstm import fold

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

CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x19]")  # that no text holds

EMPTY = {name: [] for name in FEATURES}
ROWS_AT_ONCE = 1000
BLOCK = 2**20  # characters of a long text that are worked on at once
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
    folding = {"lowercase": not keep_case, "strip_punctuation": not keep_punctuation}
    with whole_folder(Path(output_dir)) as folder, TemporaryDirectory(dir=folder) as work:
        blocks = store_blocks(work, text=text, dataset_name=dataset_name, text_column=text_column)
        folded = in_parallel(blocks, fold_block, fn_kwargs=folding, with_indices=True)
        if not "".join(folded["alphabet"]).strip():
            raise CorpusError("nothing is left of the text after normalising: it holds no letter or digit")
        tokenizer = build_tokenizer(folded["alphabet"], **folding)
        rows = in_parallel(folded, cut_block, fn_kwargs={"max_length": max_length, "sequence": sequence})
        save_splits(split_rows(rows), rows, tokenizer, max_length, folder)
        tokenizer.save_pretrained(folder)
    return load_from_disk(output_dir)


# Reading


def read_lines(text: str | Path | None, dataset_name: str | None, text_column: str) -> Iterator[str]:
    """The lines of a file, a URL or a dataset; of Alice when none is named."""
    if text is not None and dataset_name is not None:
        raise CorpusError("give either --text or --dataset_name, not both")
    if dataset_name is not None:
        return read_dataset(dataset_name, text_column)
    source = str(ALICE if text is None else text)
    try:
        path = download(source) if source.startswith(("http://", "https://")) else Path(source)
        return path.open(encoding=encoding_of(path, source))  # a line at a time, any line break
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


def read_dataset(name: str, column: str) -> Iterator[str]:
    """The lines of the `train` split's documents, each of which ends its last line."""
    try:
        documents = load_dataset(name, split="train")
    except Exception as error:  # the Hub, the network and each file format have errors of their own
        raise CorpusError(f"cannot load the dataset {name}: {_first_line(error)}") from error
    columns = [key for key, kind in documents.features.items() if getattr(kind, "dtype", "").endswith("string")]
    if column not in columns:
        raise CorpusError(f"the dataset {name} has no text column {column!r}; it has: {', '.join(columns) or 'none'}")
    return (line for document in documents[column] if document for line in StringIO(f"{document}\n", newline=None))


def encoding_of(path: Path, source: str) -> str:
    """UTF-8, with or without a byte-order mark, or else Latin-1.

    Raises:
        CorpusError: the file holds no text.
    """
    decoder, is_utf8, has_controls = getincrementaldecoder("utf-8")(), True, False
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            if b"\0" in data:
                raise CorpusError(f"{source} is binary, not text; if it is UTF-16, save it as UTF-8")
            has_controls |= bool(CONTROLS.search(data))
            is_utf8 &= decodes(decoder, data)
    is_utf8 &= decodes(decoder, b"", final=True)
    if is_utf8:
        return "utf-8-sig"
    if has_controls:
        raise CorpusError(f"{source} is binary, not text")
    logger.warning("%s is not UTF-8; reading it as Latin-1", source)
    return "latin-1"


def decodes(decoder, data: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(data, final)
    except UnicodeDecodeError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


# Blocks: no more of a long text is in memory at once


def cut_blocks(lines: Iterable[str]) -> Iterator[str]:
    """The lines joined to blocks of `BLOCK` characters or somewhat more, cut between paragraphs, else between lines."""
    block, size = [], 0
    for line in lines:
        paragraph_ends = block and not block[-1].strip()
        if not line.isspace() and (size > 2 * BLOCK or (size > BLOCK and paragraph_ends)):
            yield "".join(block)
            block, size = [], 0
        block.append(line)
        size += len(line)
    yield "".join(block)


def read_blocks(**source) -> Iterator[dict[str, str]]:
    yield from ({"text": block} for block in clean_blocks(cut_blocks(read_lines(**source))))


def store_blocks(work: str, **source) -> Dataset:
    """The cleaned blocks of a source, on disk."""
    try:
        return Dataset.from_generator(read_blocks, gen_kwargs=source, cache_dir=work)
    except DatasetGenerationError as error:
        raise error.__cause__ from None


def in_parallel(blocks: Dataset, function: Callable, batch_size: int = 1, **options) -> Dataset:
    """`function` on each batch of blocks, on every core if there are several batches."""
    processes = min(-(-len(blocks) // batch_size), os.cpu_count())
    return blocks.map(
        function,
        batched=True,
        batch_size=batch_size,
        remove_columns=blocks.column_names,
        num_proc=processes if processes > 1 else None,
        desc=function.__name__.replace("_", " "),
        **options,
    )


def fold_block(batch: dict, indices: list[int], *, lowercase: bool, strip_punctuation: bool) -> dict:
    """A block as the tokenizer will normalise it, and its alphabet."""
    normalise = partial(fold, lowercase=lowercase, strip_punctuation=strip_punctuation)
    folded = fold_in_place(normalise, batch["text"][0], indices[0])
    return {"text": [folded], "alphabet": ["".join(sorted(set(folded)))]}


def fold_in_place(normalise: Callable[[str], str], block: str, number: int) -> str:
    """A block as `normalise` leaves it in the text: the line break that ends the block before may swallow white space.

    Args:
        number: of the block in its text, from 0.
    """
    return normalise(f"\n{block}")[1:] if number else normalise(block)


def cut_block(batch: dict, max_length: int, sequence: str) -> dict:
    """The rows of a folded block."""
    return {"text": cut_rows(batch["text"][0], max_length, sequence)}


# Cleaning


def clean(text: str) -> str:
    """The body of a text, its hard-wrapped lines joined, ending in exactly one newline.

    Leaves out Project Gutenberg's licence and credits, the title and the list of contents before "Chapter I", and the
    places of illustrations. A text that has none of these comes back as it is.
    """
    return "".join(clean_blocks(cut_blocks(StringIO(text.removeprefix("\ufeff"), newline=None))))


def clean_blocks(blocks: Iterable[str]) -> Iterator[str]:
    """`clean` block by block: the header and front matter can only be in the first, the footer ends them all, and each
    is hard-wrapped or not by itself."""
    body = gap = ""
    for number, block in enumerate(blocks):
        block, *footer = LICENCE_BELOW.split(block, maxsplit=1)
        if number == 0:
            block = cut_header(block)
        block = ILLUSTRATION.sub("", block)
        if number == 0:
            block = cut_front_matter(CREDITS.sub("", block))
        text = unwrap(block).rstrip() if number else unwrap(block).strip()
        if text and body:
            yield body + gap
        if text:
            body, gap = text, block[len(block.rstrip()) :]
        if footer:
            break
    yield body + "\n"


def cut_header(text: str) -> str:
    """What stands below Project Gutenberg's header, which has changed its wording over the years."""
    return text[max((above.end() for above in LICENCE_ABOVE.finditer(text)), default=0) :]


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
    return [*rows, "".join(row)] if row else rows


def split_rows(rows: Dataset) -> dict[str, range]:
    """Contiguous train, validation and test: 80, 10 and 10 percent of the characters, a row at least in each.

    Raises:
        CorpusError: there are fewer than three rows.
    """
    if len(rows) < 3:
        raise CorpusError(f"the text is too short: train, validation and test need a row each, it has {len(rows)}")
    ends = np.cumsum(pc.utf8_length(rows.data["text"]))
    train = min(int(np.searchsorted(ends, 0.8 * ends[-1])) + 1, len(rows) - 2)
    validation = min(max(int(np.searchsorted(ends, 0.9 * ends[-1])) + 1, train + 1), len(rows) - 1)
    return {"train": range(train), "validation": range(train, validation), "test": range(validation, len(rows))}


def load_corpus(source: str) -> DatasetDict:
    """The splits of a corpus: a folder that this script wrote, or an id on the Hub."""
    return load_from_disk(source) if Path(source).is_dir() else load_dataset(source)


def lengths_of(rows: Dataset) -> np.ndarray:
    """The column `length`, (rows,)."""
    return rows.with_format("numpy", columns=["length"])["length"][:]


def ids_of(rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """The text that the rows are cut from, as ids, (characters,)."""
    return np.array(tokenizer.convert_tokens_to_ids(list("".join(rows["text"]))))


def encode_rows(rows: dict, tokenizer: PreTrainedTokenizerFast, max_length: int) -> dict:
    """The rows as ids, padded on the right: `text, input_ids, attention_mask, length`.

    Each row starts with the newline that ends the sentence before it, so its first character has something to follow.
    `length` counts the ids that are no padding, that newline included.

    Args:
        rows: `text`, as `cut_rows` makes it of what this tokenizer normalised.
    """
    texts = rows["text"]
    ids = {ord(character): index for character, index in tokenizer.get_vocab().items() if len(character) == 1}
    id_of = np.zeros(max(ids) + 1, np.int32)
    id_of[list(ids)] = list(ids.values())
    length = np.array([1 + len(row) for row in texts], np.int32)  # (rows,)
    real = np.arange(max_length) < length[:, None]  # (rows, max_length)
    input_ids = np.full(real.shape, tokenizer.pad_token_id, np.int32)
    input_ids[real] = id_of[np.frombuffer("".join(f"\n{row}" for row in texts).encode("utf-32-le"), np.uint32)]
    return {"text": texts, "input_ids": input_ids, "attention_mask": real.astype(np.int8), "length": length}


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


def save_splits(
    splits: dict[str, range], rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int, folder: Path
) -> None:
    """Encodes the splits into `folder`, as `DatasetDict.save_to_disk` would lay them out.

    That would copy the padded rows, dozens of times as large as the text, through this process's memory; so it saves
    empty splits, and the files that the encoding wrote are put in their places.
    """
    DatasetDict({name: Dataset.from_dict(EMPTY, features=FEATURES, split=name) for name in splits}).save_to_disk(folder)
    for name, span in splits.items():
        options = {"fn_kwargs": {"tokenizer": tokenizer, "max_length": max_length}, "features": FEATURES}
        encoded = in_parallel(rows.select(span), encode_rows, ROWS_AT_ONCE, **options)
        state_file = folder / name / "state.json"
        state = json.loads(state_file.read_text(encoding="utf-8"))
        for number, written in enumerate(encoded.cache_files):
            filename = f"data-{number:05}-of-{len(encoded.cache_files):05}.arrow"
            Path(written["filename"]).rename(folder / name / filename)
            state["_data_files"].append({"filename": filename})
        state["_fingerprint"] = digest_of(rows.select(span), tokenizer, max_length)
        state_file.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def digest_of(rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> str:
    """What `datasets` knows a split by when it looks for results that it has kept: its content, not its place."""
    digest = hashlib.sha256(f"{max_length}{tokenizer.backend_tokenizer.to_str()}".encode())
    for batch in rows.iter(ROWS_AT_ONCE):
        digest.update("\0".join(batch["text"]).encode() + b"\0")
    return digest.hexdigest()[:16]


def describe(corpus: DatasetDict) -> str:
    """A table of the corpus: characters, rows, the longest row and the share of padding of each split; the alphabet."""
    alphabet = set()
    lines = [f"{'split':<10} {'characters':>12} {'rows':>9} {'longest row':>12} {'padding':>8}"]
    for name, split in corpus.items():
        lengths = lengths_of(split)
        padding = 1 - lengths.mean() / len(split[0]["input_ids"])
        characters = (lengths - 1).sum()
        lines.append(f"{name:<10} {characters:>12,} {len(split):>9,} {lengths.max() - 1:>12,} {padding:>8.1%}")
        for batch in split.select_columns("text").iter(1000):
            alphabet.update(*batch["text"])
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
