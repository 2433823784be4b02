"""Text that is read as it is needed: cleaned, normalised and cut into rows on the fly by the stored corpus's code.

Each worker of each process is a reader. Where there are as many files as readers, each has files of its own; where
there are fewer, each reads everything but normalises, which is most of the work, only every n-th block. A reader holds
one block, about a million characters, however long the text.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import datasets
import torch
from pyarrow import ArrowInvalid
from transformers import PreTrainedTokenizerFast

from ..errors import CorpusError
from ..files import write_json
from .sequences import cut_rows, fold_in_place
from .text import clean_blocks, cut_blocks, lines_of

FILES = {".txt": ("text", {"encoding": "utf-8-sig"}), ".parquet": ("parquet", {})}  # what reads a file of this name
READ_AT_ONCE = 16  # documents, which may be whole books


class Place(NamedTuple):
    """Where a reader goes on."""

    reader: int
    times: int = 0  # that it has read everything
    file: int = 0
    block: int = 0
    batch: int = 0


class Documents:
    """A text or Parquet corpus as a stream.

    Args:
        name: text or Parquet files (`.txt`, `.parquet`, these with `.gz`; a path, a pattern, or the URL of a
            gzipped one), or else a dataset's id on the Hub or its folder, of which the split `train` is read.
        column: holds the text, a line (text files) or a document (all others) a row.

    Raises:
        CorpusError: no such column, or a file that is broken or not UTF-8.
    """

    def __init__(self, name: str, column: str = "text"):
        self.name, self.column = name, column
        kind = next((FILES[suffix] for suffix in Path(name).suffixes if suffix in FILES), None)
        builder, options = (kind[0], kind[1] | {"data_files": name}) if kind else (name, {})
        with self.naming_the_text():
            self.rows = datasets.load_dataset(builder, split="train", streaming=True, **options)
            first: dict = next(self.rows.iter(1), {})
        self.files = self.rows.num_shards
        if column not in first:
            raise CorpusError(f"{name} has no column {column!r}; it has: {', '.join(first) or 'no row'}")

    @contextmanager
    def naming_the_text(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise CorpusError(f"{self.name} is not UTF-8; convert it, for example with iconv") from error
        except ArrowInvalid as error:
            raise CorpusError(f"{self.name} is broken: {error}") from error

    def blocks(self, file: int) -> Iterator[str]:
        """One file, cleaned as a text of its own, in blocks."""
        rows = self.rows.shard(self.files, file).select_columns(self.column)
        texts = (text for batch in rows.iter(READ_AT_ONCE) for text in batch[self.column])
        lines = (f"{line}\n" for line in texts) if self.rows.info.builder_name == "text" else lines_of(texts)
        with self.naming_the_text():
            yield from clean_blocks(cut_blocks(lines))


@dataclass(eq=False)
class TextStream(torch.utils.data.IterableDataset):
    """The batches of a training run that one process reads, each with the `place` at which its reader goes on.

    Every reader goes through its part of the text again and again, each time the files in another order. Unless
    everything is trained on, the first block of the first file is held out.
    """

    documents: Documents
    tokenizer: PreTrainedTokenizerFast
    batches_of: Callable[[list[str], int], Iterator[dict]]  # the batches of a block, from its rows and a seed
    _: KW_ONLY
    length: int  # batches of the whole run, for this process
    max_length: int  # as `cut_rows` takes it
    seed: int = 0
    workers: int = 0  # of this process's data loader
    processes: int = 1  # that read the text together
    process: int = 0  # this one among them
    hold_out: bool = True

    def __post_init__(self):
        own = max(self.workers, 1)
        self.readers, self.read = own * self.processes, 0
        self.places = deque((Place(self.process * own + worker) for worker in range(own)), maxlen=own)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict]:
        """The batches of the calling worker; their loader takes one of each in turn, the next in turn being first."""
        worker = torch.utils.data.get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker else (0, 1)
        return islice(self.read_on(self.places[turn]), len(range(self.read + turn, self.length, turns)))

    def read_on(self, place: Place) -> Iterator[dict]:
        for times in count(place.times):
            empty = True
            for here, rows in self.rows(place if times == place.times else Place(place.reader, times)):
                batches = self.batches_of(rows, Random(repr((self.seed, *here[1:4]))).getrandbits(32))
                for number, batch in islice(enumerate(batches, 1), here.batch, None):
                    empty = False
                    yield batch | {"place": here._replace(batch=number)}
            if empty and times > place.times:
                raise CorpusError(
                    f"{self.documents.name} is too short for a stream: after what is held out, reader "
                    f"{place.reader + 1} of {self.readers} (the workers of every process) found nothing. "
                    "Use fewer readers, more files, or a corpus built by build_corpus.py."
                )

    def rows(self, start: Place) -> Iterator[tuple[Place, list[str]]]:
        """The rows of a reader's blocks, from a place on to the end of the text."""
        order = list(range(self.documents.files))
        Random(repr((self.seed, start.times))).shuffle(order)
        has_files = len(order) >= self.readers
        for place, file in islice(enumerate(order), start.file, None):
            if has_files and place % self.readers != start.reader:
                continue
            for block, text in enumerate(self.documents.blocks(file)):
                is_own = has_files or (place + block) % self.readers == start.reader
                is_held_out = self.hold_out and (file, block) == (0, 0)
                if (place, block) < (start.file, start.block) or not is_own or is_held_out:
                    continue
                batch = start.batch if (place, block) == (start.file, start.block) else 0
                if rows := self.cut(text, block):
                    yield Place(start.reader, start.times, place, block, batch), rows

    def cut(self, text: str, block: int) -> list[str]:
        """The rows of a block, by its number in its file."""
        normalise = self.tokenizer.backend_tokenizer.normalizer.normalize_str
        return cut_rows(fold_in_place(normalise, text, block), self.max_length)

    def first_rows(self) -> list[str]:
        return self.cut(next(self.documents.blocks(0)), 0)

    def note(self, place: Place) -> None:
        """Remembers that the batch with this place has been used; workers have read some further ones."""
        self.places.append(place)
        self.read += 1

    def save(self, checkpoint: Path) -> None:
        state = {"files": self.documents.files, "readers": self.readers, "read": self.read, "places": list(self.places)}
        write_json(checkpoint / f"stream_{self.process}.json", state)

    def go_on_from(self, checkpoint: Path) -> None:
        """Reads on from where `save` was called.

        Raises:
            CorpusError: there were other files or another number of readers then.
        """
        state = json.loads((checkpoint / f"stream_{self.process}.json").read_text(encoding="utf-8"))
        for what, now in {"files": self.documents.files, "readers": self.readers}.items():
            if state[what] != now:
                raise CorpusError(
                    f"{checkpoint} was written when the stream had {state[what]} {what}, not {now}; resume with the "
                    "same number of processes, workers and files"
                )
        self.read = state["read"]
        self.places.extend(Place(*place) for place in state["places"])
