"""The memory that a training step takes, by the length of its rows, with and without gradient checkpointing."""

import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import psutil
import torch

from char_lstm import CharLstmConfig, CharLstmForCausalLM

from .common import now

SIZES = {"2 x 256": (2, 256, 8), "3 x 1024": (3, 1024, 1)}  # layers, units, rows
LENGTHS = (100, 1000, 10_000)  # characters of a row


def learn(model: CharLstmForCausalLM, input_ids: torch.Tensor) -> None:
    model(input_ids, labels=input_ids).loss.backward()


def step(layers: int, units: int, rows: int, length: int, checkpointing: bool) -> dict[str, float]:
    """Megabytes at the height of one step, forward and backward, beyond what there was before it, and its seconds.

    Has to be the only one of its process: what the process held at its height is never forgotten.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = CharLstmConfig(hidden_size=units, num_hidden_layers=layers)
    model = CharLstmForCausalLM(config).to(device).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    input_ids = torch.randint(1, config.vocab_size, (rows, length), device=device)
    learn(model, input_ids[:, :8])  # gradients and the library's buffers are there from now on
    on_card = device.type == "cuda"
    before = torch.cuda.memory_allocated() if on_card else psutil.Process().memory_info().rss
    start = now(device)
    learn(model, input_ids)
    seconds = now(device) - start
    height = torch.cuda.max_memory_allocated() if on_card else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"megabytes": max(0, height - before) / 1e6, "seconds": seconds}


def measure(sizes: dict = SIZES, lengths: tuple = LENGTHS) -> dict:
    """Each step once, in a fresh process."""
    steps = {}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
        for name, size in sizes.items():
            for length in lengths:
                whole, segments = (fresh.submit(step, *size, length, on).result() for on in (False, True))
                steps.setdefault(name, {})[length] = {"rows": size[2], "whole": whole, "segments": segments}
    return {
        "steps": steps,
        "unit": "ratio",
        "figures": {
            f"{name}, rows of {length}, {what} in segments to whole": at["segments"][what] / at["whole"][what]
            for name, by_length in steps.items()
            for length, at in by_length.items()
            for what in ("megabytes", "seconds")
            if at["whole"][what]
        },
    }
