"""An intent classifier: a recurrent network reads a request word by word, and a dense layer names the intent.

    char-lstm classify train --output_dir runs/intents
    char-lstm classify train --output_dir runs/from_alice --init_from modeling/pretrained/alice
    char-lstm classify predict "what time is it?"
    char-lstm classify predict "what time is it?" --trace

Training writes a folder that `pipeline("text-classification")` loads, and measures the model on phrasings it never saw,
beside a logistic regression on bags of words. To choose settings, hold out some of the training phrasings instead:
`--held_out 0.25`.
"""

import argparse
from pathlib import Path

from ..arguments import formatter, help_if_asked, parse
from ..paths import packaged_model

SHOWN = {" ": "␣", "\n": "↵"}  # characters that a trace could not show as they are


def main(argv: list[str]) -> None:
    if argv[:1] == ["train"]:
        return train_intents(argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("train", formatter_class=formatter, help="train a classifier and measure it")
    prediction = commands.add_parser(
        "predict", formatter_class=formatter, help="name the intent of a text and its probability"
    )
    prediction.add_argument("text", help="what somebody says")
    prediction.add_argument("--model", help="a folder written by `train` (default: the packaged one)")
    prediction.add_argument("--trace", action="store_true", help="show the prediction after every word")
    return predict(parser.parse_args(argv))


def train_intents(argv: list[str]) -> None:
    from ..training.settings import INTENT_GROUPS

    help_if_asked(argv, INTENT_GROUPS, __doc__)

    from ..files import replaced_files, write_json
    from ..hub.cards import intents_card
    from ..training.intents import IntentRecipe, train_classifier

    recipe = parse(IntentRecipe, __doc__, argv)
    output_dir = Path(recipe.output_dir)
    with replaced_files(output_dir, "model.safetensors") as unfinished:
        figures = train_classifier(recipe, unfinished)
        intents_card(figures, f"{output_dir.name}-char-lstm").save(unfinished / "README.md")
    if recipe.json:
        write_json(recipe.json, figures)
    print(f"{figures['test_phrasings']} phrasings never seen".ljust(36), "macro-F1  accuracy")
    for name, scores in figures["scores"].items():
        print(f"{name:36} {scores['macro_f1']:8.3f}  {scores['accuracy']:8.3f}")


def predict(arguments: argparse.Namespace) -> None:
    from ..classifier import trace_intents
    from ..loading import load_classifier

    steps = trace_intents(*load_classifier(arguments.model or packaged_model("intents")), arguments.text)
    width = max(len(token) for token, _, _ in steps)
    for token, intent, probability in steps if arguments.trace else steps[-1:]:
        word = f"{SHOWN.get(token, token):{width}}  " if arguments.trace else ""
        print(f"{word}{intent} {probability:.3f}")
