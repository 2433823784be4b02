"""Measures the project against baselines; `--help` lists what."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.cli import main

if __name__ == "__main__":
    main()
