"""One script a verb; `python scripts/VERB.py --help` tells what each does."""
