"""Measures the project against baselines; runs scripts/benchmark.py of the checkout."""

import subprocess
import sys

from ..paths import in_checkout


def main(argv: list[str]) -> None:
    sys.exit(subprocess.call([sys.executable, str(in_checkout("scripts", "benchmark.py")), *argv]))
