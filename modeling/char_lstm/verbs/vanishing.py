"""Shows how far back a gradient reaches in an RNN, an LSTM and a GRU, before and after training, and why.

    char-lstm vanishing --text alice.txt
    char-lstm vanishing --text mine.txt --models runs/rnn runs/lstm --json vanishing.json --png vanishing.png

Two figures: the size of the gradient of a prediction 1 to 200 characters back, and a value multiplied by 3 again and
again with and without tanh, with the gradient back to its start. "Before training" is a fresh model of the same
configuration: orthogonal recurrent weights, and a forget gate that starts open.
"""

from dataclasses import dataclass, field

from ..arguments import parse


@dataclass
class VanishingArguments:
    text: str = field(metadata={"help": "A text file; 600 characters of its middle are read."})
    models: list[str] | None = field(
        default=None,
        metadata={"help": "Trained models: folders or ids on the Hub (default: the packaged RNN, LSTM, GRU)."},
    )
    json: str = field(default="scripts/results/vanishing.json", metadata={"help": "Where the numbers go."})
    png: str = field(default="scripts/results/vanishing.png", metadata={"help": "The figure of the gradients."})
    times_three_png: str = field(
        default="scripts/results/times_three.png", metadata={"help": "The figure of a value multiplied by 3."}
    )
    positions: int = field(default=20, metadata={"help": "Predictions that the gradient is averaged over."})
    seed: int = field(default=0, metadata={"help": "The seed of the untrained weights."})


def main(argv: list[str]) -> None:
    arguments = parse(VanishingArguments, __doc__, argv)

    from ..inspection.gradients import report

    report(
        arguments.text,
        arguments.models,
        json_path=arguments.json,
        png_path=arguments.png,
        times_three_png_path=arguments.times_three_png,
        positions=arguments.positions,
        seed=arguments.seed,
    )
