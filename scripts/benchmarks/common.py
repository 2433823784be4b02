"""What the benchmarks share: clocks, candidates run in turn, fresh processes, the machine, a chart of the figures."""

import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

CELLS = {"LSTM": "alice", "GRU": "alice_gru", "RNN": "alice_rnn"}
UNDISTURBED = {"eval_strategy": "no", "save_strategy": "no", "report_to": "none", "disable_tqdm": True}  # of a recipe
CPU = torch.device("cpu")


def now(device: torch.device = CPU) -> float:
    """Seconds of a clock, read when the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(run: Callable[[], object], device: torch.device = CPU) -> float:
    start = now(device)
    run()
    return now(device) - start


def in_turn(repeats: int, **candidates: Callable[[], float]) -> dict[str, float]:
    """Median of what each candidate measures, taken in turn so that a drifting machine slows all alike."""
    rounds = [{name: measure() for name, measure in candidates.items()} for _ in range(repeats)]
    return {name: statistics.median(measured[name] for measured in rounds) for name in candidates}


def interleaved(repeats: int, **candidates: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each candidate, run in turn once all are warm."""
    for run in candidates.values():
        run()  # warm
    return in_turn(repeats, **{name: partial(seconds_of, run) for name, run in candidates.items()})


def in_fresh_process(function: Callable, *arguments: object) -> Any:
    """What a function returns in a process of its own, which has held no other memory."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return fresh.submit(function, *arguments).result()


def machine() -> dict:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return {
        "processor": found[1] if found else platform.processor() or platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads used": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }


def plot(results: dict, path: Path) -> None:
    """The figures as bars, each with its number."""
    from matplotlib.figure import Figure

    figures = results["figures"]
    figure = Figure(figsize=(9, 1 + 0.4 * len(figures)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(figures), list(figures.values()), color="#4477aa")
    axes.bar_label(bars, fmt="%.3g", padding=4)
    axes.invert_yaxis()
    axes.set(xlabel=f"{results['unit']} ({results['machine']['processor']})")
    if results["unit"] == "ratio":
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=0.8)
    axes.margins(x=0.15)
    figure.savefig(path, dpi=150)
