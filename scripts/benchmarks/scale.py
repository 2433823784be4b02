"""Corpora of 1, 10 and 100 MB: what building them takes, and how fast training reads them."""

import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from char_lstm.paths import CHECKOUT

from .common import now
from .training import characters_a_second

STORY = CHECKOUT / "tests" / "data" / "lighthouse.txt"
MEGABYTES = (1, 10, 100)
STEPS = 200


def write_text(path: Path, megabytes: int) -> None:
    """The story's sentences, repeated and shuffled, five to a paragraph."""
    sentences = [sentence.strip() + "." for sentence in STORY.read_text(encoding="utf-8").split(".")]
    drawn, size = random.Random(0), 0
    with path.open("w", encoding="utf-8") as file:
        while size < 1e6 * megabytes:
            size += file.write(" ".join(drawn.choices(sentences, k=5)) + "\n\n")


def build(text: Path, folder: Path) -> dict[str, float]:
    """Seconds, processor seconds, and the most memory that build_corpus.py and its workers hold together."""
    command = [sys.executable, "scripts/build_corpus.py", "--text", str(text), "--output_dir", str(folder)]
    start, most, busy = now(), 0, {}
    process = psutil.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(psutil.Error):  # one has just ended
            family = [process, *process.children(recursive=True)]
            most = max(most, sum(member.memory_full_info().pss for member in family))
            busy |= {member.pid: sum(member.cpu_times()[:2]) for member in family}
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"seconds": now() - start, "processor_seconds": sum(busy.values()), "resident_megabytes": most / 1e6}


def measure() -> dict:
    """Each size is measured once; the sizes are each other's repeats."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in MEGABYTES:
            text, corpus = Path(folder) / f"{megabytes}.txt", Path(folder) / f"{megabytes}"
            write_text(text, megabytes)
            built = build(text, corpus)
            sizes[megabytes] = {**built, "training_characters_a_second": characters_a_second(str(corpus), STEPS)}
    small, middle, large = sizes.values()
    return {
        "megabytes": sizes,
        "unit": "ratio",
        "figures": {
            "building 100 MB, seconds to those of 10 MB": large["seconds"] / middle["seconds"],
            "building 10 MB, seconds to those of 1 MB": middle["seconds"] / small["seconds"],
            "building 100 MB, gigabytes resident": large["resident_megabytes"] / 1e3,
            "building 100 MB, cores kept busy": large["processor_seconds"] / large["seconds"],
            "training on 100 MB, characters a second to those on 1 MB": large["training_characters_a_second"]
            / small["training_characters_a_second"],
        },
    }
