# /// script
# requires-python = ">=3.11"
# ///
"""`char-lstm train`, from a checkout or alone beside an installed char-lstm; `--help` explains it."""

from char_lstm.cli import run

if __name__ == "__main__":
    run("train")
