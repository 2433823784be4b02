"""Measures how well a model predicts the text of a corpus, in nats and bits per character.

    char-lstm evaluate --model modeling/pretrained/alice --dataset data/alice --json evaluation.json

Every character of the split counts once, newlines included; the first is predicted from a newline.
`nats_per_char` carries the state through the text in order; `nats_per_char_reset` resets it at each row. Items are each
scored from a newline to their end, which counts as a character: `nats_per_char`, `nats_per_item`. `--adapt` adds
`nats_per_char_adapted`: the same pass, mixed with an n-gram model that counts each character once it is scored.
"""

import argparse

from ..arguments import formatter


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="a folder or an id on the Hub")
    parser.add_argument("--dataset", required=True, help="a folder written by char-lstm build, or an id on the Hub")
    parser.add_argument("--split", default="test", help="the split to score (default: test)")
    parser.add_argument("--adapt", action="store_true", help="also score while remembering what was read of it so far")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file too")
    parser.add_argument(
        "--ignore_mismatched_hashes", action="store_true", help="score weights that evaluation.json was not measured on"
    )
    arguments = parser.parse_args(argv)

    from ..training.evaluation import evaluate_folder, in_words

    options = vars(arguments)
    print(in_words(evaluate_folder(options.pop("model"), json_path=options.pop("json"), **options)))
