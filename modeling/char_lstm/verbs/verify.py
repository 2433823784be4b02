"""Recomputes the hashes and figures of a packaged model and its card, and says what differs.

    char-lstm verify alice
    char-lstm verify alice --dataset data/alice
    char-lstm verify runs/mine/packaged --dataset runs/mine/corpus --record

Without the corpus it checks hashes, sizes and what the card shows; with it also every figure. `--rebuilt` compares with
a model that was trained anew: the same weights, else the same nats per character to 0.003. A classifier's corpus is its
file of test phrasings.

Exit status: 0 all that was checked is as recorded; 2 something differs.
"""

import argparse

from ..arguments import formatter


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter, allow_abbrev=False)
    parser.add_argument("model", help="a packaged folder, the name of a packaged model or an id on the Hub")
    parser.add_argument("--dataset", help="the corpus that it was measured on, to measure it again")
    parser.add_argument("--rebuilt", metavar="RUN", help="a model trained anew by the same recipe, to compare with")
    parser.add_argument("--record", action="store_true", help="if nothing differs, add the hashes that are missing")
    arguments = parser.parse_args(argv)

    from ..hub.verify import verify

    verify(arguments.model, arguments.dataset, arguments.rebuilt, record=arguments.record)
