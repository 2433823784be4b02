"""Text that is read as it is needed: cleaned, normalised and cut into rows on the fly by the stored corpus's code.

A stream is dealt to its readers, each worker of each process being one. Where there are as many files as readers, each
has files of its own; where there are fewer, each has every n-th block, and all of them read everything but normalise
only their own, which is most of the work. A reader holds one block, about a million characters, however long the text.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
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
from .text import clean_blocks, cut_blocks

FILES = {".txt": ("text", {"encoding": "utf-8-sig"}), ".parquet": ("parquet", {})}  # what reads a file of this name
READ_AT_ONCE = 16  # documents, which may be whole books


class Place(NamedTuple):
    """Where a reader goes on: its number, the times it has read everything, the file, the block and the batch."""

    reader: int
    times: int = 0
    file: int = 0
    block: int = 0
    batch: int = 0


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Says of which text the complaint is."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name} is not UTF-8; convert it, say with iconv") from error
    except ArrowInvalid as error:
        raise CorpusError(f"{name} is broken: {error}") from error


class Documents:
    """A text or Parquet corpus as a stream.

    Args:
        name: text or Parquet files (`.txt`, `.parquet`, these with `.gz`; a path, a pattern, or the URL of a
            gzipped one), or else a dataset's id on the Hub or its folder, of which the split `train` is read.
        column: where the text stands, in a line (text files) or a document (all others) a row.

    Raises:
        CorpusError: no such column, or a file that is broken or not UTF-8.
    """

    def __init__(self, name: str, column: str = "text"):
        self.name, self.column = name, column
        kind = next((FILES[suffix] for suffix in Path(name).suffixes if suffix in FILES), None)
        builder, options = (kind[0], kind[1] | {"data_files": name}) if kind else (name, {})
        with naming(name):
            self.rows = datasets.load_dataset(builder, split="train", streaming=True, **options)
        self.files = self.rows.num_shards
        first = next(self._read(self.rows, 1), {})
        if column not in first:
            raise CorpusError(f"{name} has no column {column!r}; it has: {', '.join(first) or 'no row'}")

    def lines(self, file: int) -> Iterator[str]:
        """The lines of one file; a document ends its last line."""
        rows = self.rows.shard(self.files, file).select_columns(self.column)
        texts = (text for batch in self._read(rows, READ_AT_ONCE) for text in batch[self.column])
        if self.rows.info.builder_name == "text":
            return (f"{line}\n" for line in texts)
        return (line for text in texts if text for line in StringIO(f"{text}\n", newline=None))

    def _read(self, rows: datasets.IterableDataset, at_once: int) -> Iterator[dict[str, list]]:
        with naming(self.name):
            yield from rows.iter(at_once)

    def blocks(self, file: int) -> Iterator[str]:
        """One file, cleaned as a text of its own, in blocks."""
        return clean_blocks(cut_blocks(self.lines(file)))


class TextStream(torch.utils.data.IterableDataset):
    """The batches of a training run that one process reads, each with the `place` at which its reader goes on.

    Every reader goes through its part of the text again and again, each time the files in another order. Unless
    everything is trained on, the first block of the first file is held out.

    Args:
        batches_of: makes the batches of a block out of its rows and a seed.
        length: batches of the whole run, for this process.
        max_length: as `cut_rows` takes it.
        workers: of this process's data loader.
        processes: how many read the text together.
        process: which of them this one is.
        hold_out: leave the first block out.
    """

    def __init__(
        self,
        documents: Documents,
        tokenizer: PreTrainedTokenizerFast,
        batches_of: Callable[[list[str], int], Iterator[dict]],
        *,
        length: int,
        max_length: int,
        seed: int = 0,
        workers: int = 0,
        processes: int = 1,
        process: int = 0,
        hold_out: bool = True,
    ):
        self.documents, self.batches_of, self.max_length = documents, batches_of, max_length
        self.normalise = tokenizer.backend_tokenizer.normalizer.normalize_str
        self.length, self.seed, self.hold_out = length, seed, hold_out
        own = max(workers, 1)
        self.readers, self.process, self.read = own * processes, process, 0
        self.places = deque((Place(process * own + worker) for worker in range(own)), maxlen=own)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[dict]:
        """What the calling worker gives; their loader takes a batch of each in turn, so whose turn is next is first."""
        worker = torch.utils.data.get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker else (0, 1)
        return islice(self.read_on(self.places[turn]), len(range(self.read + turn, self.length, turns)))

    def read_on(self, place: Place) -> Iterator[dict]:
        """The batches from a place on, without end."""
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
                    "Take fewer of them, more files, or a corpus that build_corpus.py stores."
                )

    def rows(self, start: Place) -> Iterator[tuple[Place, list[str]]]:
        """The rows of a reader's blocks, from a place on to the end of the text."""
        order = list(range(self.documents.files))
        Random(repr((self.seed, start.times))).shuffle(order)
        has_files = len(order) >= self.readers
        for place in range(start.file, len(order)):
            file = order[place]
            if has_files and place % self.readers != start.reader:
                continue
            for block, text in enumerate(self.documents.blocks(file)):
                is_own = has_files or (place + block) % self.readers == start.reader
                if (place, block) < (start.file, start.block) or not is_own or self.is_held_out(file, block):
                    continue
                batch = start.batch if (place, block) == (start.file, start.block) else 0
                if rows := self.cut(text, block):
                    yield Place(start.reader, start.times, place, block, batch), rows

    def cut(self, text: str, block: int) -> list[str]:
        """The rows of a block, which stands at this number in its file."""
        return cut_rows(fold_in_place(self.normalise, text, block), self.max_length)

    def is_held_out(self, file: int, block: int) -> bool:
        return self.hold_out and (file, block) == (0, 0)

    def first_rows(self) -> list[str]:
        """The rows of the first block of all."""
        return self.cut(next(self.documents.blocks(0)), 0)

    # Checkpoints

    def note(self, place: Place) -> None:
        """Remembers that the batch with this place has been used; workers have read some further ones."""
        self.places.append(place)
        self.read += 1

    def _file(self, checkpoint: Path) -> Path:
        return checkpoint / f"stream_{self.process}.json"

    def save(self, checkpoint: Path) -> None:
        """Writes where this process's readers go on."""
        state = {"files": self.documents.files, "readers": self.readers, "read": self.read, "places": list(self.places)}
        write_json(self._file(checkpoint), state)

    def go_on_from(self, checkpoint: Path) -> None:
        """Reads on from where `save` was called.

        Raises:
            CorpusError: there were other files or another number of readers then.
        """
        state = json.loads(self._file(checkpoint).read_text(encoding="utf-8"))
        for what, now in {"files": self.documents.files, "readers": self.readers}.items():
            if state[what] != now:
                raise CorpusError(
                    f"{checkpoint} was written when the stream had {state[what]} {what}, not {now}; go on with as many "
                    "processes, workers and files as it began with"
                )
        self.read = state["read"]
        self.places.extend(Place(*place) for place in state["places"])
