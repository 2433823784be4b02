"""Whether half precision pays where a run trains."""

import logging
import time

import torch

from ..layers_char_lstm import trains_in_bfloat16

logger = logging.getLogger("train")

PRODUCTS = 9  # timed in each precision, a millisecond or so each
SHAPE = (64, 512, 2048)  # a step of 64 rows through an LSTM of 512 units
WORTH_IT = 1.2  # conversions cost some of the gain


def bfloat16_speed() -> float:
    """How many times as fast as in float32 matrix products run in bfloat16 on one thread of this processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of which the clock is that of the thread, whatever other processes do
    rows, units, gates = SHAPE
    ones = {dtype: torch.ones(rows + gates, units, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in ones}
    for _ in range(PRODUCTS):
        for dtype, both in ones.items():
            start = time.thread_time()
            torch.mm(both[:rows], both[rows:].T)
            seconds[dtype].append(time.thread_time() - start)
    torch.set_num_threads(threads)
    return min(seconds[torch.float32]) / min(seconds[torch.bfloat16])  # the others were disturbed


def bfloat16_helps() -> bool:
    """Whether a large LSTM should train faster in bfloat16 on this processor."""
    return bfloat16_speed() >= WORTH_IT


def say_whether_bfloat16_helps(recipe, cell_type: str) -> None:
    """One line in the log, where `--bf16` is asked for on a CPU."""
    if not recipe.bf16 or recipe.device.type != "cpu":
        return
    if not trains_in_bfloat16(cell_type, recipe.device):
        logger.info("--bf16 will not help: on a CPU only an LSTM, and only with AVX-512, is trained in bfloat16")
        return
    speed = bfloat16_speed()
    logger.info(
        "bfloat16 matrix products run at %.1f times the speed of float32 on this processor: --bf16 %s",
        *(speed, "should help" if speed >= WORTH_IT else "will not help"),
    )
