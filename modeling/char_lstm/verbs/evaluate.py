"""Measures how well a model predicts the text of a corpus, in nats and bits per character.

    char-lstm evaluate --model modeling/pretrained/alice --dataset data/alice --json evaluation.json

Every character of the split counts once, newlines included; the first is predicted from a newline.
`nats_per_char` carries the state through the text in order; `nats_per_char_reset` resets it at each row. Items are each
scored from a newline to their end, which counts as a character: `nats_per_char`, `nats_per_item`. `--adapt` adds
`nats_per_char_adapted`: the same pass, mixed with an n-gram model that counts each character once it is scored.
"""

from dataclasses import dataclass, field

from ..arguments import parse
from ..training.settings import setting


@dataclass
class EvaluateArguments:
    model: str = field(metadata={"help": "A folder or an id on the Hub."})
    dataset: str = field(metadata={"help": "A folder written by char-lstm build, or an id on the Hub."})
    split: str = setting("test", "The split to score.")
    adapt: bool = setting(False, "Also score while remembering what was read of the split so far.")
    json: str | None = setting(None, "Write the figures to this file too.")


def main(argv: list[str]) -> None:
    arguments = parse(EvaluateArguments, __doc__, argv)

    from ..training.evaluation import evaluate_folder, in_words

    split, options = arguments.split, {"adapt": arguments.adapt, "json_path": arguments.json}
    print(in_words(evaluate_folder(arguments.model, arguments.dataset, split, **options)))
