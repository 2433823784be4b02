"""Training by train.py against a bare `nn.LSTM` loop on the same batches, and how much of a batch is padding."""

import itertools
import statistics
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

from .common import now

STEPS = 24  # timed, of each run
WARM = 4  # steps before them


class Clock(TrainerCallback):
    """Seconds from the end of the step `WARM` to the end of the last one."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == WARM:
            self.start = now(args.device)
        if state.global_step == state.max_steps:
            self.seconds = now(args.device) - self.start


class BareLstm(nn.Module):
    """One-hot characters, two LSTM layers with dropout as in the recipe, one dense layer; nothing of ours."""

    def __init__(self, vocab_size: int, recipe: Recipe):
        super().__init__()
        self.vocab_size = vocab_size
        self.input_dropout = nn.Dropout(recipe.input_dropout)
        self.lstm = nn.LSTM(
            vocab_size, recipe.hidden_size, recipe.num_hidden_layers, batch_first=True, dropout=recipe.hidden_dropout
        )
        self.head = nn.Linear(recipe.hidden_size, vocab_size)

    def forward(self, input_ids):
        return self.head(self.lstm(self.input_dropout(one_hot(input_ids, self.vocab_size).float()))[0])


def batches(sentences: Sentences, recipe: Recipe, row_length: int, batch_size: int) -> list[dict]:
    """The batches of one epoch, as the Trainer makes them."""
    spans = JoinedSentences(sentences.lengths, row_length, batch_size)
    return list(DataLoader(sentences, batch_sampler=spans, collate_fn=collate))


def characters(batch: dict) -> int:
    return int((batch["labels"][:, 1:] != -100).sum())


def padding(epoch: list[dict]) -> float:
    """Share of the computed positions that are padding."""
    return 1 - sum(int(batch["attention_mask"].sum()) for batch in epoch) / sum(
        batch["attention_mask"].numel() for batch in epoch
    )


def steps_only(folder: str, dataset: str, steps: int) -> Recipe:
    """The default recipe for `steps` timed steps that nothing interrupts."""
    return Recipe(
        output_dir=folder,
        dataset=dataset,
        ngram_smoothing=0,
        max_steps=WARM + steps,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


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
        recipe = steps_only(folder, dataset, steps)
        reading = SentenceReading(recipe)
        spans = JoinedSentences(reading.rows.lengths, recipe.row_length, recipe.per_device_train_batch_size)
        mean = int(reading.rows.lengths.sum()) / len(spans)  # real characters of a step
        return steps * mean / ours(reading)


def bare(recipe: Recipe, vocab_size: int, epoch: list[dict]) -> float:
    """Seconds of the timed steps by a loop that does nothing else, with the same optimiser and clipping."""
    model = BareLstm(vocab_size, recipe).to(recipe.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step, batch in enumerate(itertools.islice(itertools.cycle(epoch), WARM + STEPS)):
        if step == WARM:
            start = now(recipe.device)
        logits = model(batch["input_ids"].to(recipe.device))
        expected = batch["labels"][:, 1:].to(recipe.device)
        cross_entropy(logits[:, :-1].transpose(1, 2), expected).backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return now(recipe.device) - start


def measure(repeats: int, dataset: str) -> dict:
    """Characters a second of both, in turn, and the padding of the recipe's rows and of sentences alone."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = steps_only(folder, dataset, STEPS)
        reading = SentenceReading(recipe)
        sentences, vocab_size = reading.rows, len(reading.tokenizer)
        torch.manual_seed(recipe.seed)
        epoch = batches(sentences, recipe, recipe.row_length, recipe.per_device_train_batch_size)
        mean = statistics.mean(map(characters, epoch))  # real characters of a step
        seconds = [(ours(reading), bare(recipe, vocab_size, epoch)) for _ in range(repeats)]
        shares = {
            f"{name}, batch {size}": padding(batches(sentences, recipe, length, size))
            for name, length in (("joined rows", recipe.row_length), ("sentence rows", 0))
            for size in (16, 64)
        }
    speeds = [STEPS * mean / statistics.median(times) for times in zip(*seconds, strict=True)]
    return {
        "device": str(recipe.device),
        "corpus": Path(dataset).name,
        "batch": {"rows": recipe.per_device_train_batch_size, "real characters": mean},
        "characters_a_second": dict(zip(("train.py", "bare nn.LSTM loop"), speeds, strict=True)),
        "padding": shares,
        "unit": "ratio",
        "figures": {
            "train.py's characters a second to the bare loop's": speeds[0] / speeds[1],
            **{f"padding, {name}": share for name, share in shares.items()},
        },
    }
