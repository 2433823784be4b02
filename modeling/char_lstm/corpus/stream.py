"""Text that is read as it is needed: cleaned, normalised and cut into rows on the fly by the stored corpus's code.

Each worker of each process is a reader. Where there are as many files as readers, each has files of its own; where
there are fewer, each reads everything but normalises, which is most of the work, only every n-th block. A reader holds
one block, about a million characters, however long the text.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import NamedTuple
from unicodedata import normalize

import torch
from transformers import PreTrainedTokenizerFast

from ..errors import CorpusError
from ..files import write_json
from ..tokenization_char_lstm import characters_lacking, list_some
from .decoding import logger
from .sequences import cut_rows, fold_in_place
from .sources import dataset_parts, file_parts, is_pattern
from .text import Cleaning, changes_in_words

REMOTE = {".txt": "text", ".parquet": "parquet", ".csv": "csv", ".jsonl": "json"}  # what reads a URL that ends so


class Place(NamedTuple):
    """Where a reader goes on."""

    reader: int
    times: int = 0  # that it has read everything
    file: int = 0
    block: int = 0
    batch: int = 0


class Documents:
    """A corpus as a stream of blocks.

    Args:
        name: files as `read_documents` takes them (a path or a pattern), or the URL of one, or else a dataset's id on
            the Hub or its folder, of which the split `train` is read.
        column: holds the text in a table.

    Raises:
        CorpusError: no such file or column, or what it holds is no text.
    """

    def __init__(self, name: str, column: str = "text"):
        self.name = name
        kind = next((REMOTE[suffix] for suffix in Path(name).suffixes if suffix in REMOTE), None)
        if "://" in name and kind:
            self.parts = dataset_parts(kind, column, data_files=name)
        elif Path(name).is_file() or (not Path(name).is_dir() and (kind or is_pattern(name))):
            self.parts = file_parts(name, column)
        else:
            self.parts = dataset_parts(name, column)
        self.files = len(self.parts)
        next(self.blocks(0), None)  # says now what is wrong

    def blocks(self, file: int, cleaning: Cleaning | None = None) -> Iterator[str]:
        """One file, cleaned as a text of its own or by its documents, in blocks."""
        yield from (cleaning or Cleaning()).blocks(document.lines for document in self.parts[file]())


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
        self.counts: Counter[str] = Counter()  # of what was trained on, as `count_losses` counts
        self.uncarried: Counter[str] = Counter()  # of what was read since
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
                    yield batch | {"place": here._replace(batch=number), "counts": self.carry()}
            if empty and times > place.times:
                raise CorpusError(
                    f"{self.documents.name} is too short for a stream: after what is held out, reader "
                    f"{place.reader + 1} of {self.readers} (the workers of every process) found nothing. "
                    "Use fewer readers, more files, or a corpus built by char-lstm build."
                )

    def rows(self, start: Place) -> Iterator[tuple[Place, list[str]]]:
        """The rows of a reader's blocks, from a place on to the end of the text; counts what is lost of each."""
        order = list(range(self.documents.files))
        Random(repr((self.seed, start.times))).shuffle(order)
        has_files, cleaning = len(order) >= self.readers, Cleaning()
        for place, file in islice(enumerate(order), start.file, None):
            if has_files and place % self.readers != start.reader:
                continue
            for block, text in enumerate(self.documents.blocks(file, cleaning)):
                is_own, changed = has_files or (place + block) % self.readers == start.reader, cleaning.take_counts()
                if (place, block) < (start.file, start.block) or not is_own:
                    continue
                self.count_losses(text, changed)
                batch = start.batch if (place, block) == (start.file, start.block) else 0
                is_held_out = self.hold_out and (file, block) == (0, 0)
                if not is_held_out and (rows := self.cut(text, block)):
                    yield Place(start.reader, start.times, place, block, batch), rows

    def cut(self, text: str, block: int) -> list[str]:
        """The rows of a block, by its number in its file."""
        normalise = self.tokenizer.backend_tokenizer.normalizer.normalize_str
        return cut_rows(fold_in_place(normalise, text, block), self.max_length)

    def count_losses(self, text: str, changed: Mapping[str, int]) -> None:
        """Counts a block's characters, what cleaning changed in it, and each character that the alphabet lacks."""
        composed = normalize("NFC", text)
        lacking = characters_lacking(self.tokenizer.backend_tokenizer, composed)
        self.uncarried.update({character: composed.count(character) for character in lacking})
        self.uncarried.update(changed, read=len(text))

    def carry(self) -> dict[str, int]:
        """What was counted since the last call, for a batch to bring to the process that trains."""
        counts, self.uncarried = self.uncarried, Counter()
        return dict(counts)

    def first_rows(self) -> list[str]:
        """The rows of the first block; says what the alphabet lacks of it."""
        text = next(self.documents.blocks(0), "")
        self.count_losses(text, {})
        losses = self.carry()
        if self.process == 0:
            self.say(f"the first {len(text):,} characters", losses)
        return self.cut(text, 0)

    def note(self, batch: dict) -> None:
        """Takes from a batch that is used what it says of its reader; workers have read some further ones."""
        self.places.append(batch.pop("place"))
        self.read += 1
        self.counts.update(batch.pop("counts"))

    def report(self) -> None:
        """Says what of the text that this process has read was changed or left out."""
        reader = f" by process {self.process + 1} of {self.processes}" if self.processes > 1 else ""
        self.say(f"{self.counts['read']:,} characters read{reader}", self.counts)

    def say(self, part: str, counts: Mapping[str, int]) -> None:
        changes, lacking = changes_in_words(counts), sorted(key for key in counts if len(key) == 1)
        if number := sum(counts[character] for character in lacking):
            changes.append(f"left out {number:,} characters that the alphabet lacks: {list_some(lacking, ' ')}")
        if changes:
            logger.warning("%s, %s: %s", self.documents.name, part, "; ".join(changes))

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
