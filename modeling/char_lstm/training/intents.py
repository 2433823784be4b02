"""An intent classifier: a recurrent network reads a request word by word, and a dense layer names what is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

from ..configuration_char_lstm import CharLstmConfig
from ..corpus.decoding import decoded_lines, reading
from ..corpus.sources import read_csv
from ..errors import CorpusError
from ..files import write_json
from ..loading import load
from ..modeling_char_lstm import CharLstmForSequenceClassification
from ..tokenization_char_lstm import build_tokenizer
from .recipe import model_config
from .settings import TEST_PHRASINGS, TRAIN_PHRASINGS, IntentRunSettings, IntentSettings

HELD_OUT = 0.2  # of the phrasings, where there are no others to measure on
Phrasings = list[tuple[str, str]]  # text and intent


@dataclass
class IntentRecipe(IntentSettings, IntentRunSettings, TrainingArguments):  # type: ignore[misc]  # report_to, as there
    """A training run: the phrasings, the model, and everything the Trainer knows."""


def read_phrasings(path: str) -> Phrasings:
    """The rows of a CSV file whose columns are text and intent.

    Raises:
        CorpusError: other columns, no row, or one with an empty cell.
    """
    with reading(path), open(path, "rb") as file:
        rows = read_csv(decoded_lines(file, path))
        if rows.fieldnames != ["text", "intent"]:
            raise CorpusError(f"{path}: its first line must be text,intent")
        phrasings = [(row["text"], row["intent"]) for row in rows]
    if not phrasings:
        raise CorpusError(f"{path} holds no phrasing below its first line")
    if gaps := [number for number, phrasing in enumerate(phrasings, 1) if not all(phrasing)]:
        raise CorpusError(f"{path} has rows without a text or an intent: {', '.join(map(str, gaps[:10]))}")
    return phrasings


def read_splits(recipe: IntentRecipe) -> tuple[Phrasings, Phrasings]:
    """The phrasings to learn from and those to measure on: the test file's, or some held out of the training file."""
    phrasings = read_phrasings(recipe.train_file)
    test_file = recipe.test_file or (TEST_PHRASINGS if recipe.train_file == TRAIN_PHRASINGS else None)
    if test_file and not recipe.held_out:
        return phrasings, read_phrasings(test_file)
    share, intents = recipe.held_out or HELD_OUT, [intent for _, intent in phrasings]
    return train_test_split(phrasings, test_size=share, stratify=intents, random_state=recipe.seed)


def new_classifier(
    recipe: IntentRecipe, phrasings: Phrasings
) -> tuple[CharLstmForSequenceClassification, PreTrainedTokenizerFast]:
    """The classifier to train, new or on top of a language model's layers, and its tokenizer."""
    names = sorted({intent for _, intent in phrasings})
    classes: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }
    if recipe.init_from:
        language_model, tokenizer = load(recipe.init_from)
        config = CharLstmConfig.from_dict(language_model.config.to_dict() | classes)
        model = CharLstmForSequenceClassification(config)
        model.model = language_model.model
        return model, tokenizer
    tokenizer = build_tokenizer([text for text, _ in phrasings], unit=recipe.unit)
    return CharLstmForSequenceClassification(model_config(recipe, tokenizer, **classes)), tokenizer


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


def score(labels: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    return {"macro_f1": f1_score(labels, predicted, average="macro"), "accuracy": accuracy_score(labels, predicted)}


def score_model(model, tokenizer, phrasings: Phrasings) -> dict[str, float]:
    """Macro-F1 and accuracy of the model as `pipeline` runs it."""
    texts, labels = zip(*phrasings, strict=True)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer)
    return score(labels, [prediction["label"] for prediction in classify(list(texts))])


def share_of_unknown_words(known: Phrasings, phrasings: Phrasings) -> float:
    """How many of the words to measure on, repeated ones counted, no phrasing to learn from has."""
    vocabulary = build_tokenizer([text for text, _ in known], unit="word")
    ids = [index for row in vocabulary([text for text, _ in phrasings]).input_ids for index in row]
    return ids.count(vocabulary.unk_token_id) / len(ids)


def score_bag_of_words(known: Phrasings, phrasings: Phrasings) -> dict[str, float]:
    """The same of a logistic regression on bags of words."""
    baseline = make_pipeline(CountVectorizer(token_pattern=r"\b\w+\b"), LogisticRegression(max_iter=1000))
    baseline.fit(*zip(*known, strict=True))
    texts, labels = zip(*phrasings, strict=True)
    return score(labels, baseline.predict(texts))


def measure(model, tokenizer, known: Phrasings, phrasings: Phrasings, recipe: IntentRecipe) -> dict:
    """The figures of the card."""
    return {
        "intents": list(model.config.label2id),
        "train_phrasings": len(known),
        "test_phrasings": len(phrasings),
        "unknown_words": share_of_unknown_words(known, phrasings),
        "unit": "char" if tokenizer.unk_token_id is None else "word",
        "parameters": model.num_parameters(only_trainable=True),
        "epochs": recipe.num_train_epochs,
        "scores": {
            f"{model.config.cell_type} classifier": score_model(model, tokenizer, phrasings),
            "bag of words, logistic regression": score_bag_of_words(known, phrasings),
        },
    }


def train_classifier(recipe: IntentRecipe, folder: Path) -> dict:
    """Trains a classifier, leaves it in `folder` with its figures, and returns these."""
    set_seed(recipe.seed)
    known, unseen = read_splits(recipe)
    model, tokenizer = new_classifier(recipe, known)
    rows, label_ids = tokenizer([text for text, _ in known]), model.config.label2id or {}
    trainer = Trainer(
        model=model,
        args=recipe,
        train_dataset=Dataset.from_dict({**rows, "label": [label_ids[intent] for _, intent in known]}),
        data_collator=ForgetWords(tokenizer, share=recipe.word_dropout),
        processing_class=tokenizer,
    )
    trainer.train()
    figures = measure(model.eval(), tokenizer, known, unseen, recipe)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / "evaluation.json", figures)
    return figures
