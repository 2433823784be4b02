"""`char-lstm publish` from a checkout; `--help` explains it."""

from char_lstm.cli import run

if __name__ == "__main__":
    run("publish")
