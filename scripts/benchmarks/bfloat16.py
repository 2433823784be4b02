"""Training in float32 and in bfloat16 on this processor: how fast, beside a bare bfloat16 loop, and how well.

The recipe is that of `english`, its averages and its schedule apart.
"""

import itertools
import tempfile
from pathlib import Path

import torch
from datasets import load_from_disk
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from char_lstm import load
from char_lstm.training.evaluation import evaluate
from char_lstm.training.run import make_model, train
from char_lstm.training.trainer import CharTrainer
from char_lstm.verbs.train import read_command

from .common import UNDISTURBED, in_turn, now
from .training import STEPS, WARM, Clock

PRECISIONS = {"float32": False, "bfloat16": True}
LEARNT = 600  # steps after which the two are tested


def recipe_of(dataset: str, folder: str, bf16: bool, steps: int):
    """The recipe of `english` for so many steps, at one rate once it is warm."""
    schedule = {"lr_scheduler_type": "constant_with_warmup", "lr_scheduler_kwargs": "{}", "ema_decay": 0}
    settings = {"config": "english", "dataset": dataset, "output_dir": folder, "bf16": bf16, "max_steps": steps}
    settings |= {**schedule, "logging_strategy": "no", **UNDISTURBED}
    return read_command([f"--{name}={value}" for name, value in settings.items()])


def ours(dataset: str, bf16: bool) -> float:
    """Seconds of the timed steps by train.py's Trainer."""
    with tempfile.TemporaryDirectory() as folder:
        recipe, clock = recipe_of(dataset, folder, bf16, WARM + STEPS), Clock()
        reading = recipe.reading(recipe)
        callbacks = [clock, *reading.callbacks(None)]
        model = make_model(recipe, reading.tokenizer)
        CharTrainer(reading=reading, model=model, args=recipe, callbacks=callbacks).train()
    return clock.seconds


def bare(dataset: str) -> float:
    """Seconds of the timed steps by a loop that does nothing else: `nn.LSTM` in bfloat16, its weights in float32."""
    recipe = recipe_of(dataset, dataset, True, STEPS)
    reading = recipe.reading(recipe)
    vocab_size, hidden_size = len(reading.tokenizer), recipe.hidden_size
    lstm = nn.LSTM(vocab_size, hidden_size, recipe.num_hidden_layers, batch_first=True)
    head = nn.Linear(hidden_size, vocab_size)
    weights = [*lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step, batch in enumerate(itertools.islice(reading.loader(trainer=None), WARM + STEPS)):
        if step == WARM:
            start = now()
        half = {name: weight.bfloat16() for name, weight in lstm.named_parameters()}
        x = one_hot(batch["input_ids"], vocab_size).bfloat16()  # (batch, time, vocab)
        hidden = torch.func.functional_call(lstm, half, x)[0].float()  # (batch, time, hidden)
        cross_entropy(head(hidden).transpose(1, 2), batch["labels"][:, 1:]).backward()
        nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return now() - start


def learnt(dataset: str, bf16: bool) -> float:
    """Nats per character on the test split after `LEARNT` steps from one start."""
    with tempfile.TemporaryDirectory() as folder:
        train(recipe_of(dataset, folder, bf16, LEARNT))
        return evaluate(*load(Path(folder)), load_from_disk(dataset)["test"])["nats_per_char"]


def measure(repeats: int, dataset: str) -> dict:
    """Characters a second of both and of the bare loop, in turn on one thread, and what both then predict."""
    torch.set_num_threads(1)
    runs = {name: lambda bf16=bf16: ours(dataset, bf16) for name, bf16 in PRECISIONS.items()}
    recipe = recipe_of(dataset, dataset, True, STEPS)
    characters = STEPS * recipe.per_device_train_batch_size * recipe.row_length
    seconds = in_turn(repeats, **runs, bare=lambda: bare(dataset))
    nats = {name: learnt(dataset, bf16) for name, bf16 in PRECISIONS.items()}
    return {
        "steps": STEPS,
        "characters_a_second": {name: characters / each for name, each in seconds.items()},
        "nats_per_char": nats,
        "steps_before_the_test": LEARNT,
        "unit": "ratio",
        "figures": {
            "characters a second in bfloat16 to those in float32": seconds["float32"] / seconds["bfloat16"],
            "in bfloat16 to those of a bare bfloat16 nn.LSTM": seconds["bare"] / seconds["bfloat16"],
        },
    }
