"""An intent classifier: a recurrent network reads a request word by word, and a dense layer names what is wanted.

    python scripts/classify.py train --output_dir runs/intents
    python scripts/classify.py train --output_dir runs/from_alice --init_from modeling/pretrained/alice
    python scripts/classify.py predict "what time is it?"
    python scripts/classify.py predict "what time is it?" --trace

Training writes a folder that `pipeline("text-classification")` loads, and measures the model on phrasings it never saw,
beside a logistic regression on bags of words. To choose settings, hold out some of the training phrasings instead:
`--held_out 0.25`.
"""

import argparse
import csv
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from datasets import Dataset
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from transformers import (
    DataCollatorWithPadding,
    HfArgumentParser,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts know each other as scripts.x

from char_lstm import CharLstmConfig, CharLstmForSequenceClassification, build_tokenizer, load
from char_lstm.loading import CheckpointError
from scripts.files import write_json

HERE = Path(__file__).resolve().parent
PHRASINGS = HERE / "intents"
TEMPLATE = HERE / "templates" / "intents_card.md"
PACKAGED = HERE.parent / "modeling" / "pretrained" / "intents"
SHOWN = {" ": "␣", "\n": "↵"}  # characters that a trace could not show as they are

Phrasings = list[tuple[str, str]]  # text and intent


@dataclass
class Recipe(TrainingArguments):
    """A training run: the phrasings, the model, and everything the Trainer knows."""

    train_file: str = field(default=str(PHRASINGS / "train.csv"), metadata={"help": "A CSV file of text and intent."})
    test_file: str = field(default=str(PHRASINGS / "test.csv"), metadata={"help": "The same, of other phrasings."})
    held_out: float = field(
        default=0.0, metadata={"help": "Measure on this share of the training phrasings and leave the test file alone."}
    )
    unit: Literal["word", "char"] = field(default="word", metadata={"help": "What the model reads one by one."})
    init_from: str | None = field(
        default=None, metadata={"help": "Start from this language model (folder or id): its unit, sizes and weights."}
    )
    cell_type: Literal["lstm", "gru", "rnn"] = field(default="lstm", metadata={"help": "The recurrent cell."})
    embedding_size: int = field(default=128, metadata={"help": "Width of the word vectors; 0: one-hot."})
    hidden_size: int = field(default=128, metadata={"help": "Units of a layer."})
    num_hidden_layers: int = field(default=1, metadata={"help": "Recurrent layers."})
    input_dropout: float = field(default=0.5, metadata={"help": "Dropout on the input."})
    hidden_dropout: float = field(default=0.1, metadata={"help": "Dropout between the layers."})
    word_dropout: float = field(default=0.2, metadata={"help": "Share of the words that a batch makes unknown."})
    json: str | None = field(default=None, metadata={"help": "Write the figures to this file too."})

    output_dir: str | None = field(default="runs/intents", metadata={"help": "Where the model goes."})
    num_train_epochs: float = field(default=40, metadata={"help": "Times through the training phrasings."})
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Phrasings of a step."})
    learning_rate: float = field(default=3e-3, metadata={"help": "Peak learning rate of AdamW."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Shape of the learning rate."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps of rising rate; below 1 a share of all."})
    weight_decay: float = field(default=0.1, metadata={"help": "AdamW's, on matrices alone."})
    label_smoothing_factor: float = field(default=0.1, metadata={"help": "Share of the target given to all classes."})
    use_cache: bool = field(default=True, metadata={"help": "Saved with the model, which then returns its state."})
    save_strategy: str = field(default="no", metadata={"help": "A run is too short to be interrupted."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    report_to: str | None = field(default="none", metadata={"help": "Where the logs go."})


def parse(argv: list[str] | None) -> Recipe | argparse.Namespace:
    """The settings of the command: a recipe to train by, or what to predict."""
    summary, details = __doc__.split("\n\n", 1)
    parser = HfArgumentParser(description=summary, epilog=details, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", dataclass_types=Recipe, help="train a classifier and measure it")
    prediction = commands.add_parser("predict", help="name the intent of a text and its probability")
    prediction.add_argument("text", help="what somebody says")
    prediction.add_argument("--model", default=str(PACKAGED), help="a folder written by `train`")
    prediction.add_argument("--trace", action="store_true", help="show the prediction after every word")

    args = parser.parse_args(argv)
    if args.command == "train":
        (args,) = training.parse_dict(vars(args), allow_extra_keys=True)
    return args


# Phrasings


def read_phrasings(path: str) -> Phrasings:
    """The rows of a CSV file whose columns are text and intent."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != ["text", "intent"]:
            raise ValueError(f"{path}: its first line must be text,intent")
        return [(row["text"], row["intent"]) for row in rows]


def read_splits(recipe: Recipe) -> tuple[Phrasings, Phrasings]:
    """The phrasings to learn from and those to measure on: the test file's, or some held out of the training file."""
    phrasings = read_phrasings(recipe.train_file)
    if not recipe.held_out:
        return phrasings, read_phrasings(recipe.test_file)
    intents = [intent for _, intent in phrasings]
    return train_test_split(phrasings, test_size=recipe.held_out, stratify=intents, random_state=recipe.seed)


# Model


def start(recipe: Recipe, phrasings: Phrasings) -> tuple[CharLstmForSequenceClassification, PreTrainedTokenizerFast]:
    """The classifier to train, new or on top of a language model's layers, and its tokenizer."""
    names = sorted({intent for _, intent in phrasings})
    classes = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    if recipe.init_from:
        language_model, tokenizer = load(recipe.init_from)
        config = CharLstmConfig.from_dict(language_model.config.to_dict() | classes)
        model = CharLstmForSequenceClassification(config)
        model.model = language_model.model
        return model, tokenizer

    tokenizer = build_tokenizer([text for text, _ in phrasings], unit=recipe.unit)
    config = CharLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=recipe.embedding_size,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.num_hidden_layers,
        cell_type=recipe.cell_type,
        input_dropout=recipe.input_dropout,
        hidden_dropout=recipe.hidden_dropout,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.get_vocab().get("\n"),  # words have none
        **classes,
    )
    return CharLstmForSequenceClassification(config), tokenizer


@dataclass
class ForgetWords(DataCollatorWithPadding):
    """Pads a batch and makes a share of its words unknown, so that the model learns to do without any of them."""

    share: float = 0.0

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        batch = super().__call__(rows)
        if self.tokenizer.unk_token_id is not None:  # characters have none
            forgotten = (torch.rand(batch["input_ids"].shape) < self.share) & batch["attention_mask"].bool()
            batch["input_ids"] = batch["input_ids"].masked_fill(forgotten, self.tokenizer.unk_token_id)
        return batch


# Figures


def score(expected: list[str], predicted: list[str]) -> dict[str, float]:
    return {
        "macro_f1": f1_score(expected, predicted, average="macro"),
        "accuracy": accuracy_score(expected, predicted),
    }


def score_model(model, tokenizer, phrasings: Phrasings) -> dict[str, float]:
    """Macro-F1 and accuracy of the model as `pipeline` runs it."""
    texts, expected = zip(*phrasings, strict=True)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    return score(expected, [prediction["label"] for prediction in classify(list(texts))])


def share_of_unknown_words(known: Phrasings, phrasings: Phrasings) -> float:
    """How many of the words to measure on, repeated ones counted, no phrasing to learn from has."""
    vocabulary = build_tokenizer([text for text, _ in known], unit="word")
    ids = [index for row in vocabulary([text for text, _ in phrasings]).input_ids for index in row]
    return ids.count(vocabulary.unk_token_id) / len(ids)


def score_bag_of_words(known: Phrasings, phrasings: Phrasings) -> dict[str, float]:
    """The same of a logistic regression that counts words and does not see their order."""
    baseline = make_pipeline(CountVectorizer(token_pattern=r"\b\w+\b"), LogisticRegression(max_iter=1000))
    baseline.fit(*zip(*known, strict=True))
    texts, expected = zip(*phrasings, strict=True)
    return score(expected, baseline.predict(texts))


def measure(model, tokenizer, known: Phrasings, phrasings: Phrasings, recipe: Recipe) -> dict:
    """Everything that the card says."""
    return {
        "intents": list(model.config.label2id),
        "train_phrasings": len(known),
        "test_phrasings": len(phrasings),
        "unknown_words": share_of_unknown_words(known, phrasings),
        "unit": "char" if tokenizer.unk_token_id is None else "word",
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "epochs": recipe.num_train_epochs,
        "scores": {
            f"{model.config.cell_type} classifier": score_model(model, tokenizer, phrasings),
            "bag of words, logistic regression": score_bag_of_words(known, phrasings),
        },
    }


def print_table(figures: dict) -> None:
    title = f"{figures['test_phrasings']} phrasings never seen"
    print(f"{title:36} macro-F1  accuracy")
    for name, scores in figures["scores"].items():
        print(f"{name:36} {scores['macro_f1']:8.3f}  {scores['accuracy']:8.3f}")


# Commands


def render_card(figures: dict, name: str) -> ModelCard:
    """The model card, whose figures are those of `measure`."""
    own, baseline = figures["scores"].values()
    data = ModelCardData(
        language="en",
        license="mit",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["char-lstm", "intent-classification", "rnn"],
        metrics=["f1"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="text-classification",
                dataset_type="text",
                dataset_name="test phrasings",
                metric_type="f1",
                metric_name="macro-F1",
                metric_value=round(own["macro_f1"], 4),
            )
        ],
    )
    return ModelCard.from_template(data, template_path=str(TEMPLATE), title=name, own=own, baseline=baseline, **figures)


def save_result(model, tokenizer, figures: dict, recipe: Recipe) -> None:
    """Puts the model, its tokenizer, figures and card into the output folder, each file whole or not at all."""
    output_dir = Path(recipe.output_dir)
    with tempfile.TemporaryDirectory(dir=output_dir) as name:
        unfinished = Path(name)
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        write_json(unfinished / "evaluation.json", figures)
        render_card(figures, f"{output_dir.name}-char-lstm").save(unfinished / "README.md")
        for file in unfinished.iterdir():
            file.replace(output_dir / file.name)
    if recipe.json:
        write_json(recipe.json, figures)


def train(recipe: Recipe) -> dict:
    """Trains a classifier, leaves it in its output folder with its figures and its card, and returns the figures."""
    set_seed(recipe.seed)
    known, unseen = read_splits(recipe)
    model, tokenizer = start(recipe, known)
    rows = tokenizer([text for text, _ in known])
    trainer = Trainer(
        model=model,
        args=recipe,
        train_dataset=Dataset.from_dict({**rows, "label": [model.config.label2id[intent] for _, intent in known]}),
        data_collator=ForgetWords(tokenizer, share=recipe.word_dropout),
        processing_class=tokenizer,
    )
    trainer.train()
    figures = measure(model.eval(), tokenizer, known, unseen, recipe)
    print_table(figures)
    save_result(model, tokenizer, figures, recipe)
    return figures


def load_classifier(folder: str) -> tuple[CharLstmForSequenceClassification, PreTrainedTokenizerFast]:
    """A classifier in evaluation mode, and its tokenizer.

    Raises:
        CheckpointError: no such folder, or it holds something else, whose missing weights the library would make up.
    """
    if not (Path(folder) / "config.json").is_file():
        raise CheckpointError(f"{folder}: no such model folder")
    model, found = CharLstmForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    if wrong := {*found["missing_keys"], *found["unexpected_keys"]}:
        raise CheckpointError(f"{folder} holds no classifier: {', '.join(sorted(wrong))} missing or out of place")
    return model.eval(), PreTrainedTokenizerFast.from_pretrained(folder)


@torch.inference_mode()
def read(model, tokenizer, text: str) -> list[tuple[str, str, float]]:
    """What the model thinks after each word: the word as it reads it, the likeliest intent, and its probability.

    Raises:
        ValueError: a text without a word.
    """
    ids = tokenizer(text).input_ids
    if not ids:
        raise ValueError("the text holds no word that the model could read")
    hidden = model.model(torch.tensor([ids]), use_cache=False).last_hidden_state[0]  # (time, hidden)
    probability, intent = model.score(hidden).softmax(dim=1).max(dim=1)
    names = [model.config.id2label[index] for index in intent.tolist()]
    return list(zip(tokenizer.convert_ids_to_tokens(ids), names, probability.tolist(), strict=True))


def predict(args: argparse.Namespace) -> None:
    """Prints the intent and its probability; with `--trace`, those after each word."""
    steps = read(*load_classifier(args.model), args.text)
    if not args.trace:
        _, intent, probability = steps[-1]
        print(f"{intent} {probability:.3f}")
        return
    width = max(len(token) for token, _, _ in steps)
    for token, intent, probability in steps:
        print(f"{SHOWN.get(token, token):{width}}  {intent} {probability:.3f}")


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    try:
        train(args) if isinstance(args, Recipe) else predict(args)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"classify.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
