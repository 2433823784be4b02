"""Follows the README line by line in a fresh clone: `python tests/newcomer.py`.

Each block of shell or Python runs as it stands, in the order of the page, up to the first that fails. The Hub is the
stand-in of tests/hub.py, by HF_ENDPOINT. What a fresh clone cannot run, and what would take hours, is told by the two
tables below; everything left out or shortened is listed at the end.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.stand_in import running_hub  # noqa: E402

PORT = "7869"
STORY = "tests/data/lighthouse.txt"
OF_THE_NEWCOMER = {"my.txt": STORY, "alice.txt": STORY, "texts/000.txt": STORY}  # texts that the page takes for granted
LEFT_OUT = {  # commands that need what a fresh clone has not: the pattern, and what they need
    r"#.*\bneeds?\b": "as the line says",
    r"^hf auth login": "somebody who types a token; HF_TOKEN holds one here",
    r"^hf (jobs|buckets)\b": "a paid account",
    r"^(ssh|scp|rsync)\b": "another machine",
    r"^(sky|sbatch|srun|modal|kubectl|gcloud|aws)\b": "a cloud or a cluster",
    r"^(torchrun|accelerate launch|docker|nvidia-smi)\b(?!.*--use_cpu)|\bcuda\b": "a GPU, or several",
    r"^#": "nothing: it is a comment",
}
SHORTENED = [  # commands that would take long, by what is put after them or in their place
    (r"^(make test)\b", r'\1 ARGS="tests/test_files.py tests/test_loading.py"'),
    (r'^(make train .*ARGS=")', r"\1--max_steps 3 "),
    (r"^(make train (?!.*ARGS).*)", r'\1 ARGS="--max_steps 3"'),
    (r"^(python scripts/train\.py .*--hidden_size 1024.*)", r"\1 --max_steps 1 --hidden_size 32 --row_length 1000"),
    (r"^(torchrun .*--use_cpu .*)", r"\1 --max_steps 3"),
    (r"^(python scripts/train\.py .*--teachers.*)", r"\1 --max_steps 3 --written_characters 10000"),
    (r"^(python scripts/train\.py .*)", r"\1 --dataset data/mine --max_steps 3"),
    (r"^(python scripts/classify\.py train .*)", r"\1 --max_steps 3"),
    (r"--dataset data/alice --dataset_repo_id \S+ --dataset_license \S+ ", ""),  # the book is no part of a clone
    (r"--dataset data/alice\b", "--dataset data/mine"),
    (r"^(python scripts/vanishing\.py .*)", r"\1 --positions 2"),
]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block that is a program."""
    found = re.findall(r"^( *)```(bash|python)\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    return [(language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)) for indent, language, text in found]


def commands(block: str) -> list[str]:
    """The lines of a shell block, those that go on joined, the names that are left to the reader filled in."""
    lines = block.replace("\\\n", " ").splitlines()
    return [line.strip().replace("USER/", "user/") for line in lines if line.strip()]


def needs(command: str) -> str | None:
    """What a command needs that a fresh clone has not."""
    return next((what for pattern, what in LEFT_OUT.items() if re.search(pattern, command)), None)


def shortened(command: str) -> str:
    command = re.sub(r"\s+# .*", "", command)
    for pattern, replacement in SHORTENED:
        if re.search(pattern, command):
            return re.sub(pattern, replacement, command, count=1)
    return command


class Newcomer:
    """Somebody in a fresh clone, who types what the page says."""

    def __init__(self, clone: Path, hub_url: str):
        self.clone, self.notes = clone, []
        path = f"{clone / '.venv/bin'}:{os.environ['PATH']}"  # as `. .venv/bin/activate` makes it
        home = {"HF_ENDPOINT": hub_url, "HF_TOKEN": "hf_write", "HF_HOME": str(clone.parent / "home")}
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "GRADIO_SERVER_PORT": PORT}
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.environment = kept | {"PATH": path} | home | quiet

    def type(self, command: str) -> None:
        if what := needs(command):
            return self.notes.append(f"left out:  {command}\n           needs {what}")
        wanted = shortened(command)
        if not command.startswith(wanted):
            self.notes.append(f"shortened: {command}\n           to {wanted}")
        if command.startswith("make space"):
            return self.open_page(wanted)
        self.run(["bash", "-c", wanted], wanted)
        if "--dry_run" in wanted:  # the page says what the same command does without it
            self.run(["bash", "-c", wanted.replace("--dry_run", "")], wanted.replace("--dry_run", ""))

    def run(self, arguments: list[str], shown: str) -> None:
        print(f"$ {shown}", flush=True)
        done = subprocess.run(arguments, cwd=self.clone, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\nthe README fails at\n{shown}")

    def open_page(self, command: str) -> None:
        """A page is up when it answers; then it is closed."""
        print(f"$ {command}", flush=True)
        log = self.clone.parent / "space.log"
        with log.open("w") as output:
            options = {"cwd": self.clone, "env": self.environment, "stdout": output, "stderr": output}
            server = subprocess.Popen(["bash", "-c", command], start_new_session=True, **options)
        try:
            while server.poll() is None:
                try:
                    assert httpx.get(f"http://127.0.0.1:{PORT}/", timeout=60).status_code == 200
                    return
                except httpx.TransportError:
                    signal.sigtimedwait([], 0.5)
            sys.exit(f"{log.read_text()}\nthe README fails at\n{command}")
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place / "clone")], check=True)
        (place / "hub").mkdir()
        with running_hub(place / "hub") as hub:
            newcomer = Newcomer(place / "clone", hub.url)
            for own, text in OF_THE_NEWCOMER.items():
                (newcomer.clone / own).parent.mkdir(exist_ok=True)
                shutil.copy(ROOT / text, newcomer.clone / own)
            for language, block in blocks((newcomer.clone / "README.md").read_text(encoding="utf-8")):
                if language == "python":
                    newcomer.run([".venv/bin/python", "-c", block.replace("USER/", "user/")], block)
                else:
                    for command in commands(block):
                        newcomer.type(command)
    print("\nThe whole page ran, but for this:", *newcomer.notes, sep="\n")


if __name__ == "__main__":
    main()
