"""Texts of 10 MB, 100 MB and 1 GB read once as streams: what memory that takes, and how fast it goes."""

import resource
import tempfile
from collections import deque
from itertools import takewhile
from pathlib import Path

from char_lstm.corpus.stream import TextStream
from char_lstm.paths import PRETRAINED
from char_lstm.training.recipe import Recipe

from .common import in_fresh_process, now, seconds_of
from .scale import write_text

MEGABYTES = (10, 100, 1000)


def open_stream(path: str) -> TextStream:
    rows = {"max_steps": 1, "per_device_train_batch_size": 64, "train_split": "train+validation"}
    recipe = Recipe(streaming=True, dataset=path, tokenizer=str(PRETRAINED / "alice"), **rows)
    return recipe.reading(recipe).rows


def resident_megabytes() -> float:
    """The most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def read_once(path: str) -> dict[str, float]:
    """All batches of a text, one after the other, as a reader of train.py makes them."""
    stream = open_stream(path)
    before, start = resident_megabytes(), now()
    batches = takewhile(lambda batch: batch["place"].times == 0, stream.read_on(stream.places[0]))
    characters = sum(int(batch["attention_mask"][:, 1:].sum()) for batch in batches)
    return {
        "characters": characters,
        "seconds": now() - start,
        "resident_megabytes_before": before,
        "resident_megabytes": resident_megabytes(),
    }


def clean_once(path: str) -> float:
    """Seconds for the blocks alone, which readers that share a file all make of the whole of it."""
    documents = open_stream(path).documents
    return seconds_of(lambda: deque(documents.blocks(0), maxlen=0))


def measure() -> dict:
    """Each size is read once, in a process of its own."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        for megabytes in MEGABYTES:
            write_text(text, megabytes)
            sizes[megabytes] = in_fresh_process(read_once, str(text))
            if megabytes == MEGABYTES[1]:
                clean_seconds = in_fresh_process(clean_once, str(text))
    small, middle, large = sizes.values()
    return {
        "megabytes": sizes,
        "seconds_to_clean_100_megabytes": clean_seconds,
        "unit": "ratio",
        "figures": {
            "reading 1 GB, memory to that of 10 MB": large["resident_megabytes"] / small["resident_megabytes"],
            "reading 100 MB, memory to that of 10 MB": middle["resident_megabytes"] / small["resident_megabytes"],
            "reading 1 GB, gigabytes resident": large["resident_megabytes"] / 1e3,
            "reading 1 GB, million characters a second": large["characters"] / large["seconds"] / 1e6,
            "reading 100 MB without normalising, seconds to those with": clean_seconds / middle["seconds"],
        },
    }
