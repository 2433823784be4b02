"""What every benchmark uses: candidates run in turn, the machine they ran on, a bar chart of the figures."""

import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

CELLS = {"LSTM": "alice", "GRU": "alice_gru", "RNN": "alice_rnn"}


def interleaved(repeats: int, **candidates: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each candidate, run in turn so that a drifting machine slows all alike."""
    seconds = {name: [] for name in candidates}
    for run in candidates.values():
        run()  # warm
    for _ in range(repeats):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def now(device: torch.device) -> float:
    """Seconds of a clock, read when the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def machine() -> dict:
    """What the figures depend on."""
    return {
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads used": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


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
