"""One module a benchmark; `scripts/benchmark.py` is their command line."""
