"""Makes a folder that can be pushed as it is from a finished run: model, tokenizer, code, figures, loss curve, card.

    char-lstm package --run runs/alice --dataset runs/alice/corpus --output_dir modeling/pretrained/alice

The run's folder holds the evaluation.json that evaluate.py wrote; every figure of the card comes from it. With the
corpus of the run, the model carries an index that tells what of a text stands verbatim in what it was trained on.
"""

from ..arguments import parse
from ..hub.arguments import PackageArguments


def main(argv: list[str]) -> None:
    arguments = parse(PackageArguments, __doc__, argv)

    from ..hub.package import package

    package(arguments)
