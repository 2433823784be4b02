"""Where a text comes from: files, standard input, a URL, a dataset on the Hub, or Alice when none is named."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from glob import glob
from io import BytesIO, StringIO
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote

from datasets import IterableDataset, load_dataset
from huggingface_hub import get_session
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from ..errors import CorpusError
from ..tokenization_char_lstm import list_some
from .decoding import decoded_lines, logger, reading, uncompressed

ALICE = "https://www.gutenberg.org/cache/epub/11/pg11.txt"
READ_AT_ONCE = 16  # documents of a dataset, which may be whole books


class Document(NamedTuple):
    """A text to be cleaned by itself: a file, or a row of a table."""

    name: str  # of its file
    lines: Iterable[str]  # with their line breaks, "\n", which the last may lack
    is_row: bool = False


Parts = list[Callable[[], Iterator[Document]]]  # the documents of each file


def read_documents(
    text: str | Path | None = None,
    dataset_name: str | None = None,
    text_column: str = "text",
    encoding: str | None = None,
) -> Iterator[Document]:
    """The documents of a source, each to be read before the next.

    Args:
        text: a file, a folder or a pattern of files, a URL, or `-` for standard input; gzipped or not. Each is a
            document, but of a table (CSV, TSV, JSON lines, Parquet) each row's `text_column` is. Of several files of
            both kinds, the texts or the tables are read, whichever are more. Alice by default.
        dataset_name: a dataset on the Hub instead, or its folder: the rows of its split `train`.
        encoding: of the files; None reads UTF-8, UTF-16 by its mark, or guesses.

    Raises:
        CorpusError: no such source or column, or what it holds is no text.
    """
    if text is not None and dataset_name is not None:
        raise CorpusError("give either --text or --dataset_name, not both")
    source = ALICE if text is None else text
    parts = dataset_parts(dataset_name, text_column) if dataset_name else file_parts(source, text_column, encoding)
    return (document for part in parts for document in part())


def read_items(**source: Any) -> Iterator[str]:
    """The rows of a source's tables and the lines of its other texts, without the line break at the end."""
    for document in read_documents(**source):
        yield from ["".join(document.lines)] if document.is_row else (line.rstrip("\n") for line in document.lines)


def file_parts(text: str | Path, text_column: str, encoding: str | None = None) -> Parts:
    return [partial(read_file, name, text_column, encoding) for name in names_of(str(text))]


def dataset_parts(builder: str, text_column: str, **options: Any) -> Parts:
    """Of the split `train` of a dataset on the Hub or in a folder, which is read as it is needed."""
    with naming_the_dataset(builder):
        dataset = load_dataset(builder, split="train", streaming=True, **options)
    return [partial(read_shard, dataset, number, builder, text_column) for number in range(dataset.num_shards)]


def names_of(source: str) -> list[str]:
    """The files that a path, a folder or a pattern means; hidden ones are left out."""
    if not source:
        raise CorpusError("--text is empty: name a file, a folder or a URL")
    path = Path(source)
    if path.is_file() or not (path.is_dir() or is_pattern(source)):
        return [source]
    root, pattern = (path, "**") if path.is_dir() else (Path(), source)
    names = sorted(str(root / name) for name in glob(pattern, root_dir=root, recursive=True) if (root / name).is_file())
    return of_one_kind(names, source)


def of_one_kind(names: list[str], source: str) -> list[str]:
    """The texts among files, or the tables where these are more; says what it takes and what it leaves out."""
    files: dict[str, list[str]] = {"texts": [], "tables": []}
    for name in names:
        files["tables" if kind_of(name) in TABLES else "texts"].append(name)
    (kind, taken), (other, stray) = sorted(files.items(), key=lambda item: -len(item[1]))
    if not taken:
        raise CorpusError(f"found no file in {source}")
    if len(stray) == len(taken):
        raise CorpusError(f"{source} holds as many texts as tables, {len(taken)}; name one kind, as in 'poems/*.txt'")
    left_out = f"; left out {len(stray)} {other}: {list_some([Path(name).name for name in stray])}" if stray else ""
    logger.warning("reading %d %s of %s, each by itself%s", len(taken), kind, source, left_out)
    return taken


def is_pattern(source: str) -> bool:
    return "://" not in source and bool(set(source) & set("*?["))


def kind_of(name: str) -> str:
    """The ending of a file's name, as of what it holds where it is gzipped."""
    return Path(name.removesuffix(".gz")).suffix.lower()


def read_file(name: str, text_column: str, encoding: str | None) -> Iterator[Document]:
    """The document that a file is, or of a table the documents in it."""
    kind = kind_of(name)
    with reading(name, ArrowException), uncompressed(open_bytes(name)) as file:
        content: Any = file if kind == ".parquet" else decoded_lines(file, name, encoding)
        if kind in TABLES:
            yield from read_rows(TABLES[kind](content), name, text_column)
        else:
            yield Document(name, content)


def open_bytes(name: str) -> IO[bytes]:
    """A file that can be read twice."""
    if name == "-":
        return BytesIO(sys.stdin.buffer.read())
    return (download(name) if name.startswith(("http://", "https://")) else Path(name)).open("rb")


def download(url: str) -> Path:
    """The file behind a URL, kept in ~/.cache/char_lstm from the first time on.

    Raises:
        CorpusError: it cannot be had, or not be kept.
    """
    kept = Path.home() / ".cache" / "char_lstm" / quote(url, safe="")
    if kept.exists():
        return kept
    try:
        response = get_session().get(url, follow_redirects=True, timeout=30)
        response.raise_for_status()
    except Exception as error:  # the client's errors have no common class in the versions we allow
        raise CorpusError(f"cannot download {url} ({_first_line(error)}); offline, pass a file: --text FILE") from error
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_bytes(response.content)
        return partial.replace(kept)
    except OSError as error:
        raise CorpusError(
            f"cannot keep {url} in {kept.parent} ({error.strerror}): set HOME to a folder that can be written, or "
            "download it yourself and pass it: --text FILE"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


# Tables


def read_csv(lines: Iterator[str]) -> csv.DictReader:
    """The rows of a table whose first line names its columns, parted by the mark that is most frequent there."""
    csv.field_size_limit(sys.maxsize)
    header = next(lines, "")
    mark = max(",;\t", key=header.count)
    return csv.DictReader(lines, next(csv.reader([header], delimiter=mark), []), delimiter=mark, strict=True)


def read_json_lines(lines: Iterator[str]) -> Iterator[dict]:
    """The objects of a file. Raises ValueError at a line that holds something else."""
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            if not isinstance(row := json.loads(line), dict):
                raise ValueError(f"line {number} is no JSON object")
            yield row


def read_parquet(file: IO[bytes]) -> Iterator[dict]:
    return (row for batch in ParquetFile(file).iter_batches(READ_AT_ONCE) for row in batch.to_pylist())


TABLES: dict[str, Callable] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".parquet": read_parquet,
}


def read_shard(dataset: IterableDataset, number: int, name: str, text_column: str) -> Iterator[Document]:
    """The documents of a part of a dataset: its rows, or where these are the lines of a file all of them."""
    rows = dataset.shard(dataset.num_shards, number)
    with naming_the_dataset(name):
        if dataset.info.builder_name == "text":
            yield Document(name, (f"{row['text']}\n" for row in rows))
        else:
            yield from read_rows(rows, name, text_column)


@contextmanager
def naming_the_dataset(name: str) -> Iterator[None]:
    try:
        yield
    except CorpusError:
        raise
    except Exception as error:  # the Hub, the network and each file format have errors of their own
        raise CorpusError(f"cannot load the dataset {name}: {_first_line(error)}") from error


def read_rows(rows: Iterable[dict], name: str, column: str) -> Iterator[Document]:
    """The documents in a column of a table; rows without a text are counted and left out."""
    empty = longer = 0
    for number, row in enumerate(rows):
        text = row.get(column)
        if not isinstance(text, str | None) or (number == 0 and column not in row):
            columns = ", ".join(key for key, value in row.items() if isinstance(value, str)) or "none"
            raise CorpusError(f"{name} has no text column {column!r}; it has: {columns}. Name one with --text_column")
        if text:
            yield Document(name, StringIO(text, newline=None), True)
        empty += not text
        longer += None in row  # where csv puts what is beyond the named columns
    if empty:
        logger.warning("left out %d rows of %s that have no text in the column %s", empty, name, column)
    if longer:
        logger.warning("left out the last cells of %d rows of %s, which has fewer columns: quote them", longer, name)
