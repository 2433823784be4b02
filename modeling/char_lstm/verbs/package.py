"""Packages a finished run in a folder that can be pushed as it is: weights, tokenizer, code, figures, card.

    char-lstm package --run runs/alice --dataset runs/alice/corpus --output_dir modeling/pretrained/alice

The run's folder holds the evaluation.json that char-lstm evaluate wrote; every figure in the card comes from it. With
the run's corpus, the model also carries an index that shows which passages of a text are copied from the training text.
"""

from ..arguments import parse
from ..hub.arguments import PackageArguments


def main(argv: list[str]) -> None:
    arguments = parse(PackageArguments, __doc__, argv)

    from ..hub.package import package

    package(arguments)
