"""Where a text comes from: a file, a URL, a dataset on the Hub, or Alice when none is named."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from datasets import load_dataset
from huggingface_hub import get_session

from ..errors import CorpusError
from .text import encoding_of, lines_of

ALICE = "https://www.gutenberg.org/cache/epub/11/pg11.txt"


def read_lines(text: str | Path | None, dataset_name: str | None, text_column: str) -> Iterator[str]:
    """The lines of a file, a URL or a dataset; of Alice when none is named."""
    if text is not None and dataset_name is not None:
        raise CorpusError("give either --text or --dataset_name, not both")
    if dataset_name is not None:
        return lines_of(read_documents(dataset_name, text_column))
    source = str(ALICE if text is None else text)
    try:
        path = download(source) if source.startswith(("http://", "https://")) else Path(source)
        return path.open(encoding=encoding_of(path, source))  # a line at a time, any line break
    except OSError as error:
        raise CorpusError(f"cannot read {source}: {error.strerror}") from error


def read_items(text: str | Path | None, dataset_name: str | None, text_column: str) -> Iterator[str]:
    """The documents of a dataset, or else the lines of a text, without the line break at the end."""
    if text is None and dataset_name is not None:
        return (document or "" for document in read_documents(dataset_name, text_column))
    return (line.rstrip("\n") for line in read_lines(text, dataset_name, text_column))


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


def read_documents(name: str, column: str) -> Iterable[str | None]:
    """The documents of the `train` split."""
    try:
        documents = load_dataset(name, split="train")
    except Exception as error:  # the Hub, the network and each file format have errors of their own
        raise CorpusError(f"cannot load the dataset {name}: {_first_line(error)}") from error
    columns = [key for key, kind in documents.features.items() if getattr(kind, "dtype", "").endswith("string")]
    if column not in columns:
        raise CorpusError(f"the dataset {name} has no text column {column!r}; it has: {', '.join(columns) or 'none'}")
    return documents[column]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
