"""Training by train.py against a bare `nn.LSTM` loop on the same batches, and how much of a batch is padding."""

import itertools
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from char_lstm.training.readings import SentenceReading
from char_lstm.training.readings.sentences import JoinedSentences, Sentences, collate
from char_lstm.training.recipe import Recipe
from char_lstm.training.run import make_model
from char_lstm.training.trainer import CharTrainer

from .common import UNDISTURBED, in_turn, now

STEPS = 24  # timed, of each run
WARM = 4  # steps before them


class Clock(TrainerCallback):
    """Seconds from the end of the step `WARM` to the end of the last one."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == WARM:
            self.start = now(args.device)
        if state.global_step == state.max_steps:
            self.seconds = now(args.device) - self.start


def open_corpus(dataset: str, folder: str, steps: int) -> SentenceReading:
    """A corpus as the default recipe reads it, for `steps` timed steps that nothing interrupts."""
    settings = {"ngram_smoothing": 0, "max_steps": WARM + steps, "logging_strategy": "no", **UNDISTURBED}
    return SentenceReading(Recipe(dataset=dataset, output_dir=folder, **settings))


def characters_a_step(reading: SentenceReading) -> float:
    """The mean number of real characters in a batch."""
    return int(reading.rows.lengths.sum()) / len(reading.loader(trainer=None))


def ours(reading: SentenceReading) -> float:
    """Seconds of the timed steps by train.py's Trainer."""
    clock = Clock()
    torch.manual_seed(reading.recipe.seed)
    model = make_model(reading.recipe, reading.tokenizer)
    CharTrainer(reading=reading, model=model, args=reading.recipe, callbacks=[clock]).train()
    return clock.seconds


def characters_a_second(dataset: str, steps: int) -> float:
    """What train.py reads of a corpus, in rows of near even length."""
    with tempfile.TemporaryDirectory() as folder:
        reading = open_corpus(dataset, folder, steps)
        return steps * characters_a_step(reading) / ours(reading)


def bare(recipe: Recipe, vocab_size: int, epoch: list[dict]) -> float:
    """Seconds of the timed steps by a loop that does nothing else, with the same dropout, optimiser and clipping.

    One-hot characters, the recipe's LSTM layers, one dense layer; nothing of ours.
    """
    dropout, head = nn.Dropout(recipe.input_dropout), nn.Linear(recipe.hidden_size, vocab_size)
    sizes = (vocab_size, recipe.hidden_size, recipe.num_hidden_layers)
    lstm = nn.LSTM(*sizes, batch_first=True, dropout=recipe.hidden_dropout)
    model = nn.ModuleList([dropout, lstm, head]).to(recipe.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step, batch in enumerate(itertools.islice(itertools.cycle(epoch), WARM + STEPS)):
        if step == WARM:
            start = now(recipe.device)
        logits = head(lstm(dropout(one_hot(batch["input_ids"].to(recipe.device), vocab_size).float()))[0])
        expected = batch["labels"][:, 1:].to(recipe.device)
        cross_entropy(logits[:, :-1].transpose(1, 2), expected).backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return now(recipe.device) - start


def batches(sentences: Sentences, row_length: int, batch_size: int) -> list[dict]:
    """The batches of one epoch, as the Trainer makes them."""
    spans = JoinedSentences(sentences.lengths, row_length, batch_size)
    return list(DataLoader(sentences, batch_sampler=spans, collate_fn=collate))


def padding(epoch: list[dict]) -> float:
    """Share of the computed positions that are padding."""
    masks = [batch["attention_mask"] for batch in epoch]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


def measure(repeats: int, dataset: str) -> dict:
    """Characters a second of both, in turn, and the padding of the recipe's rows and of sentences alone."""
    with tempfile.TemporaryDirectory() as folder:
        reading = open_corpus(dataset, folder, STEPS)
        recipe, vocab_size, mean = reading.recipe, len(reading.tokenizer), characters_a_step(reading)
        epoch = batches(reading.rows, recipe.row_length, recipe.per_device_train_batch_size)
        runs = {"train.py": lambda: ours(reading), "bare nn.LSTM loop": lambda: bare(recipe, vocab_size, epoch)}
        speeds = {name: STEPS * mean / seconds for name, seconds in in_turn(repeats, **runs).items()}
    shares = {
        f"{name}, batch {size}": padding(batches(reading.rows, length, size))
        for name, length in (("joined rows", recipe.row_length), ("sentence rows", 0))
        for size in (16, 64)
    }
    return {
        "device": str(recipe.device),
        "corpus": Path(dataset).name,
        "batch": {"rows": recipe.per_device_train_batch_size, "real characters": mean},
        "characters_a_second": speeds,
        "padding": shares,
        "unit": "ratio",
        "figures": {
            "train.py's characters a second to the bare loop's": speeds["train.py"] / speeds["bare nn.LSTM loop"],
            **{f"padding, {name}": share for name, share in shares.items()},
        },
    }
