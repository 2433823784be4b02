"""Shows how far back a gradient reaches in an RNN, an LSTM and a GRU, before and after training, and why.

    char-lstm vanishing --text alice.txt
    char-lstm vanishing --text mine.txt --models runs/rnn runs/lstm --json vanishing.json --png vanishing.png

Two figures: the size of the gradient of a prediction 1 to 200 characters back, and a value multiplied by 3 again and
again with and without tanh, with the gradient back to its start. "Before training" is a fresh model of the same
configuration: orthogonal recurrent weights, and a forget gate that starts open.
"""

from dataclasses import dataclass, field

from ..arguments import parse
from ..training.settings import setting


@dataclass
class VanishingArguments:
    text: str = field(metadata={"help": "A text file; 600 characters from its middle are read."})
    models: list[str] | None = field(
        default=None,
        metadata={"help": "Trained models: folders or ids on the Hub (default: the packaged RNN, LSTM, GRU)."},
    )
    json: str = setting("scripts/results/vanishing.json", "Where the numbers go.")
    png: str = setting("scripts/results/vanishing.png", "The figure of the gradients.")
    times_three_png: str = setting("scripts/results/times_three.png", "The figure of a value multiplied by 3.")
    positions: int = setting(20, "Predictions that the gradient is averaged over.")
    seed: int = setting(0, "The seed of the untrained weights.")


def main(argv: list[str]) -> None:
    arguments = parse(VanishingArguments, __doc__, argv)

    from ..inspection.gradients import report

    paths = {f"{name}_path": getattr(arguments, name) for name in ("json", "png", "times_three_png")}
    report(arguments.text, arguments.models, positions=arguments.positions, seed=arguments.seed, **paths)
