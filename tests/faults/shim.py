"""The C library with faults: compiled here, loaded into a fresh Python, armed in its forked children."""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
COMPILED = "CHAR_LSTM_SHIM"  # the variable that says where it lies
KILL = -1
FAULTS = {  # the error, and whether everything that needs room fails from then on
    "no space": (errno.ENOSPC, True),
    "no right": (errno.EACCES, False),
    "I/O error": (errno.EIO, False),
    "kill": (KILL, False),
}


def restart_with_shim(folder: Path) -> None:
    """Runs tests.faults.run again, with the shim before the C library, one thread, and the Hub's cache in the world."""
    shim = folder / "shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", shim, SOURCE, "-ldl"], check=True)
    settings = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HF_HUB_DISABLE_XET")}
    settings |= {"TOKENIZERS_PARALLELISM": "false", "HF_HOME": str(folder / "world" / "home"), "HF_TOKEN": "hf_write"}
    loaded = {"LD_PRELOAD": str(shim), COMPILED: str(shim)}
    os.execve(sys.executable, [sys.executable, "-m", "tests.faults.run", *sys.argv[1:]], os.environ | settings | loaded)


class Shim:
    """The shim in this process and in those that it forks."""

    def __init__(self):
        self.shim = ctypes.CDLL(os.environ[COMPILED])
        self.shim.failed_call.restype = ctypes.c_char_p

    def arm(self, folder: Path, target: int = 0, fault: str = "kill") -> None:
        """Counts below `folder` from now on; call number `target`, from 1, fails; 0: none."""
        error, stays = FAULTS[fault]
        self.shim.arm(os.fsencode(folder), target, error, stays)

    @property
    def counted(self) -> int:
        return self.shim.counted()

    @property
    def failed_call(self) -> str:
        return os.fsdecode(self.shim.failed_call())
