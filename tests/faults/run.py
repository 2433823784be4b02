"""Lets each call that opens for writing, writes, syncs, renames or removes fail, in every verb that writes.

    python -m tests.faults.run [NAMES ...] [--sample N --seed S] [--json FILE]

Afterwards each result is the whole new one, or the older one (or none) as it was, the person has read one sentence, and
the same command succeeds. Exit code 0 if that held for all of them.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.faults.shim import COMPILED, FAULTS, restart_with_shim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the commands to try (default: all)")
    parser.add_argument("--sample", type=int, help="try so many faults of each command (default: all)")
    parser.add_argument("--seed", type=int, help="of the sample (default: random, and shown)")
    parser.add_argument("--json", type=Path, help="write the counts to this file, beside those of other commands")
    arguments = parser.parse_args()
    if COMPILED not in os.environ:
        restart_with_shim(Path(tempfile.mkdtemp()).resolve())
    folder = Path(os.environ[COMPILED]).parent  # no TemporaryDirectory: the forks would remove it at their end
    try:
        sys.exit(try_all(folder, arguments) > 0)
    finally:
        shutil.rmtree(folder)


def try_all(folder: Path, arguments: argparse.Namespace) -> int:
    """Tries the faults that are asked for, and returns how many went wrong."""
    from char_lstm.files import write_json
    from tests.faults.trying import Laboratory  # imports all that the verbs need

    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    draw, wrong = random.Random(seed), 0
    with Laboratory(folder) as laboratory:
        laboratory.make_inputs()
        for name in arguments.names or laboratory.trials:
            counts = Counter()
            for counts in try_command(laboratory, name, arguments.sample, draw):
                if path := arguments.json:
                    known = json.loads(path.read_text(encoding="utf-8"))["commands"] if path.exists() else {}
                    write_json(path, {"faults": list(FAULTS), "commands": known | {name: counts}})
            print(f"{name}: {dict(counts)}", flush=True)
            wrong += counts["tried"] - counts["held"]
    return wrong


def try_command(laboratory, name: str, sample: int | None, draw: random.Random) -> Iterator[Counter]:
    """Tries all faults of a command, or a sample of them; after each the counts: of its calls, of the faults that they
    can have, of those tried, of those after which all held, and of each outcome."""
    points = laboratory.prepare(name)
    faults = [(point, fault) for point in range(1, points + 1) for fault in FAULTS]
    counts = Counter(calls=points, faults=len(faults), tried=0, held=0)
    for point, fault in draw.sample(faults, min(sample or len(faults), len(faults))):
        outcome, complaint = laboratory.try_fault(name, point, fault)
        counts.update(["tried", outcome] if complaint else ["tried", "held", outcome])
        if complaint:
            print(f"{name}, {fault} at {point} of {points}: {complaint}", flush=True)
        yield counts


if __name__ == "__main__":
    main()
