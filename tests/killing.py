"""Runs a function in a process of its own that dies where a test wants it to.

The processes are forked from one that has done the imports and nothing else, so each starts at once.
"""

import gc
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401

import char_lstm.corpus.build
import char_lstm.training.run
import char_lstm.verbs.train  # noqa: F401, for the processes to have

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])
gc.freeze()  # what was imported until here need not be looked through in each of them

WRITING = os.O_WRONLY | os.O_RDWR
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}


def exit_code(function: Callable, *arguments, kill_after: float | None = None) -> int:
    """Runs a function to its end, or for so many seconds; negative if a signal ended it, by the signal's number."""
    process = FORKS.Process(target=function, args=arguments, daemon=True)
    process.start()
    process.join(kill_after)
    process.kill()
    process.join()
    return process.exitcode


def on_each_change(act: Callable[[int], None]) -> None:
    """From now on calls `act(n)` before this process makes, renames or removes a file or a folder for the n-th time."""
    made = 0

    def hear(event: str, details: tuple) -> None:
        nonlocal made
        if event in CHANGES or (event == "open" and isinstance(details[0], str) and details[2] & WRITING):
            made += 1
            act(made)

    sys.addaudithook(hear)


def count_changes(counted, function: Callable, *arguments) -> None:
    """Runs `function` and puts the number of its changes into `counted`, a shared integer."""

    def count(made: int) -> None:
        counted.value = made

    on_each_change(count)
    function(*arguments)


def killed_before_change(number: int, function: Callable, *arguments) -> None:
    """Runs `function` until it is about to change the disk for the `number`-th time."""
    on_each_change(lambda made: made == number and os.kill(os.getpid(), signal.SIGKILL))
    function(*arguments)


def killed_in_a_file(size: int, function: Callable, *arguments) -> None:
    """Runs `function` until it has written `size` bytes of a longer file, which is left torn."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    function(*arguments)
