"""The memory that a training step takes, by the length of its rows, with and without gradient checkpointing."""

import resource

import psutil
import torch

from char_lstm import CharLstmConfig, CharLstmForCausalLM

from .common import in_fresh_process, seconds_of

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
    seconds = seconds_of(lambda: learn(model, input_ids), device)
    height = torch.cuda.max_memory_allocated() if on_card else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"megabytes": max(0, height - before) / 1e6, "seconds": seconds}


def measure(sizes: dict = SIZES, lengths: tuple = LENGTHS) -> dict:
    """Each step once, in a fresh process."""
    steps, figures = {}, {}
    for name, size in sizes.items():
        steps[name] = {}
        for length in lengths:
            whole, segments = (in_fresh_process(step, *size, length, on) for on in (False, True))
            steps[name][length] = {"rows": size[2], "whole": whole, "segments": segments}
            for what in ("megabytes", "seconds"):
                if whole[what]:
                    figures[f"{name}, rows of {length}, {what} in segments to whole"] = segments[what] / whole[what]
    return {"steps": steps, "unit": "ratio", "figures": figures}
