"""What a person's environment may say: it neither reaches these tests nor changes what a command does."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import CLEAN, ROOT

THEIRS = {
    "HF_HUB_OFFLINE": "1",
    "HF_TOKEN": "wrong",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HOME": "/dev/null",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
    "MODEL_ID": "no/model",
    "GRADIO_SERVER_PORT": "1",
    "TRANSFORMERS_VERBOSITY": "debug",
    "OMP_NUM_THREADS": "7",
    "WORLD_SIZE": "2",
}


def said(environment, *command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_of_it_reaches_the_tests_and_their_home_goes_when_they_end():
    script = "import os, tests.conftest; print(os.listdir(os.environ['HOME']), *sorted(os.environ), os.environ['HOME'])"
    files, *names, home = said({"PATH": os.environ["PATH"]} | THEIRS, sys.executable, "-c", script).split()
    assert files == "[]"
    assert names == sorted({"HOME", "LANG", "OMP_NUM_THREADS", "PATH", "PIP_CONFIG_FILE", CLEAN})
    assert not Path(home).exists()


def test_a_command_writes_the_same_text_whatever_it_says():
    command = [
        sys.executable,
        "scripts/generate.py",
        "--prompt",
        "Alice était",
        "--seed",
        "7",
        "--max_new_tokens",
        "50",
    ]
    assert said(os.environ | THEIRS, *command) == said(os.environ, *command)
