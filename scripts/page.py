"""`char-lstm page` from a checkout; `--help` explains it."""

from char_lstm.cli import run

if __name__ == "__main__":
    run("page")
