"""How well unseen text is predicted, by ours, by an n-gram model, and by a transformer with as many parameters and
minutes."""

import math
import tempfile

import numpy as np
import torch
from datasets import load_from_disk
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from char_lstm import load
from char_lstm.corpus.sequences import ids_of
from char_lstm.paths import PRETRAINED
from char_lstm.training.checkpoints import AverageWeights
from char_lstm.training.evaluation import evaluate
from char_lstm.training.ngram import KneserNey, nats_per_char
from char_lstm.training.readings import SentenceReading
from char_lstm.training.recipe import Recipe
from char_lstm.training.trainer import CharTrainer

from .common import UNDISTURBED, seconds_of

ORDERS = range(3, 11)
MODELS = ("alice", "alice_best")
SIZES = {"n_embd": 128, "n_layer": 4, "n_head": 4}  # as many parameters as two layers of 256 LSTM units
TRIAL = 20  # steps that are timed to know how many fit


def ngram_model(train: np.ndarray, validation: np.ndarray, test: np.ndarray, vocab_size: int) -> dict:
    """The n-gram model whose order does best on validation, on the test split after training and validation."""

    def nats(order: int, counted: np.ndarray, scored: np.ndarray) -> float:
        return nats_per_char(KneserNey(counted, vocab_size, order), np.concatenate([counted, scored]), len(counted))

    tried = {order: nats(order, train, validation) for order in ORDERS}
    order = min(tried, key=tried.get)
    nats_on_test = nats(order, np.concatenate([train, validation]), test)
    return {"order": order, "validation": tried, "nats_per_char": nats_on_test}


def train_transformer(dataset: str, tokenizer, minutes: float) -> tuple[GPT2LMHeadModel, dict]:
    """GPT-2's architecture, by the same Trainer, targets, average and schedule on the same rows."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"train_split": "train+validation", "learning_rate": 1e-3, "max_steps": TRIAL, **UNDISTURBED}
        recipe = Recipe(dataset=dataset, output_dir=folder, **settings)
        reading = SentenceReading(recipe)
        longest = int(reading.rows.lengths.max()) + 1 + recipe.row_length
        ends = {"bos_token_id": tokenizer.convert_tokens_to_ids("\n"), "eos_token_id": None}
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=longest, **SIZES, **ends)
        for _ in range(2):  # a trial, then as many steps as fit
            torch.manual_seed(recipe.seed)
            model = GPT2LMHeadModel(config)
            average = AverageWeights(recipe.ema_decay, checkpoint=None)
            trainer = CharTrainer(reading=reading, model=model, args=recipe, averaging=average)
            seconds, steps = seconds_of(trainer.train), recipe.max_steps
            recipe.max_steps = round(60 * minutes / seconds * steps)
    return model, {"seconds": seconds, "steps": steps, "epochs": trainer.state.epoch}


@torch.inference_mode()
def score_transformer(model: GPT2LMHeadModel, ids: np.ndarray, length: int) -> float:
    """Nats per character of a text, (time,), in windows of `length` that move by half: each character once, with
    half a window before it or more."""
    text = torch.tensor([model.config.bos_token_id, *ids])
    step, nats, scored = length // 2, 0.0, 0
    while scored < len(ids):
        start, end = max(0, scored - step), min(scored + step, len(ids))
        logits = model.eval()(text[None, start:end]).logits[0, scored - start :]
        nats += cross_entropy(logits.double(), text[scored + 1 : end + 1], reduction="sum").item()
        scored = end
    return nats / len(ids)


def measure(dataset: str, minutes: float) -> dict:
    """`nats_per_char` and `bits_per_char` on the test split; everything has learnt from training and validation."""
    corpus, tokenizer = load_from_disk(dataset), PreTrainedTokenizerFast.from_pretrained(dataset)
    train, validation, test = (ids_of(corpus[split], tokenizer) for split in ("train", "validation", "test"))
    counted = ngram_model(train, validation, test, len(tokenizer))
    results = {f"{counted['order']}-gram model": counted}
    for name in MODELS:
        model, its_tokenizer = load(PRETRAINED / name)
        parameters = model.num_parameters(only_trainable=True)
        results[name] = {"parameters": parameters, **evaluate(model, its_tokenizer, corpus["test"])}
    transformer, run = train_transformer(dataset, tokenizer, minutes)
    nats = score_transformer(transformer, test, Recipe().row_length)
    parameters = transformer.num_parameters(only_trainable=True)
    results["transformer"] = {"parameters": parameters, **run, "nats_per_char": nats}
    for result in results.values():
        result["bits_per_char"] = result["nats_per_char"] / math.log(2)
    return {
        "models": results,
        "unit": "nats per character, test split",
        "figures": {name: result["nats_per_char"] for name, result in results.items()},
    }
