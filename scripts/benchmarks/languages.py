"""Ten languages of ten scripts, each trained for as many steps by one recipe, beside what file compressors make of the
same text."""

import bz2
import gzip
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

from datasets import load_from_disk

from char_lstm.files import write_json

from .variants import run

LANGUAGES = {
    "fr": ("French", "Latin"),
    "ru": ("Russian", "Cyrillic"),
    "el": ("Greek", "Greek"),
    "ar": ("Arabic", "Arabic"),
    "he": ("Hebrew", "Hebrew"),
    "hi": ("Hindi", "Devanagari"),
    "ta": ("Tamil", "Tamil"),
    "th": ("Thai", "Thai"),
    "ko": ("Korean", "Hangul"),
    "zh": ("Chinese", "Han"),
}
COMPRESSORS = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
SETTINGS = {"config": "shakespeare.yaml", "max_steps": 6000, "ngram_smoothing": 0.8}


def added_bits(compress: Callable[[bytes], bytes], known: str, new: str) -> float:
    """Bits a character by which a compressed text grows when `new` is appended to what is `known`."""
    before, after = (len(compress(text.encode())) for text in (known, known + new))
    return 8 * (after - before) / len(new)


def measure_language(text: Path, folder: Path) -> dict:
    figures = run(SETTINGS, str(text), folder)
    corpus = load_from_disk(folder / "corpus")
    train, validation, new = ("".join(corpus[split]["text"]) for split in ("train", "validation", "test"))
    known = train + validation
    compressed = {name: added_bits(compress, known, new) for name, compress in COMPRESSORS.items()}
    return {**figures, "alphabet": len(set(known + new)), "compressed_bits_per_char": compressed}


def measure(text: str, json_path: Path) -> dict:
    """Each language of the folder `text`; those that stand in the file already are kept, so a run can go on.

    A compressor gets what the model gets: it has seen the training and validation text when the test text comes.
    """
    results = json.loads(json_path.read_text(encoding="utf-8"))["languages"] if json_path.exists() else {}
    for code in LANGUAGES:
        if code not in results:
            with tempfile.TemporaryDirectory() as folder:
                results[code] = measure_language(Path(text) / f"{code}.txt", Path(folder))
            write_json(json_path, {"languages": results})
    return {
        "languages": results,
        "unit": "bits per character, test split",
        "figures": {name: results[code]["bits_per_char"] for code, (name, _) in LANGUAGES.items()},
    }
