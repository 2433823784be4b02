"""Follows the README and the pages of docs/ line by line: `python tests/newcomer.py`.

A fresh clone, and in it each block of shell or Python as it stands, in the order of PAGES, up to the first that fails.
The Hub is the stand-in of tests/stand_in, by HF_ENDPOINT. A comment above a block, in the page's source, says what a
reader does not see:

    <!-- needs: a GPU -->                               the block is left out, and counted
    <!-- short char-lstm train: --max_steps 3 -->        this goes after each of its commands that has `char-lstm train`
    <!-- in: a fresh environment -->                     from here to the end of the page, outside the clone's .venv

Everything left out or shortened is listed at the end.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md"]
PAGES += [
    f"docs/{name}.md"
    for name in (
        "own-text",
        "languages",
        "base-model",
        "streaming",
        "publish",
        "rented-gpu",
        "inside",
        "page",
        "lecture",
    )
]
PAGES += [f"docs/{name}.md" for name in ("works-with", "results", "experiments")]
PAGES += [f"docs/packaging{part}.md" for part in ("", "-tokens", "-training")]
RUN, SHOWN = ("bash", "python"), ("text", "yaml", "diff")  # languages of blocks: programs, and what is only read
PORT = "7869"
STORY = "tests/data/lighthouse.txt"
OF_THE_NEWCOMER = ("my.txt", "texts/000.txt")  # the texts that the pages take for granted

FENCED = re.compile(
    r"(?:^ *<!-- (?P<mark>(?:needs|short|in)\b[^\n]*) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
MARK = re.compile(r"(?P<kind>needs|short|in)(?: (?P<of>[^:]+))?: (?P<what>.+)")


@dataclass
class Block:
    """A fenced block of a page, and what the comment above it says."""

    language: str
    text: str
    needs: str | None = None  # what a fresh clone has not
    short: tuple[str, str] | None = None  # a piece of a command, and what goes after each command that has it
    fresh: bool = False  # from here on in an environment of its own

    def commands(self) -> list[str]:
        """The lines of a shell block without their comments, those that go on joined, USER filled in."""
        lines = [re.sub(r"(^|\s+)#\s.*", "", line) for line in self.text.replace("\\\n", " ").splitlines()]
        return [line.strip().replace("USER/", "user/") for line in lines if line.strip()]

    def shortened(self, command: str) -> str:
        of, what = self.short or ("", "")
        return f"{command} {what}" if of and of in command else command


def blocks(page: str) -> Iterator[Block]:
    """Each fenced block of a page."""
    for found in FENCED.finditer(page):
        block = Block(found["language"], re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE))
        mark = MARK.fullmatch(found["mark"]) if found["mark"] else None
        if found["mark"] and not mark:
            raise ValueError(f"a comment that is no mark: {found['mark']}")
        if mark and mark["kind"] == "needs":
            block.needs = mark["what"]
        elif mark and mark["kind"] == "short":
            block.short = mark["of"], mark["what"]
        elif mark:
            block.fresh = True
        yield block


class Newcomer:
    """Somebody in a fresh clone, who types what the pages say."""

    def __init__(self, clone: Path, hub_url: str):
        self.clone, self.left_out, self.shortened, self.ran = clone, [], [], 0
        self.page = ""
        home = {"HF_ENDPOINT": hub_url, "HF_TOKEN": "hf_write", "HF_HOME": str(clone.parent / "home")}
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "GRADIO_SERVER_PORT": PORT}
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.environment = kept | home | quiet
        self.use(clone / ".venv")

    def use(self, environment: Path) -> None:
        """Its programs come first, as after `. .venv/bin/activate`."""
        self.environment["PATH"] = f"{environment / 'bin'}:{os.environ['PATH']}"

    def read(self, page: str) -> None:
        self.page = page
        self.environment.pop("PIP_CONSTRAINT", None)
        self.use(self.clone / ".venv")
        for block in blocks((self.clone / page).read_text(encoding="utf-8")):
            if block.fresh:
                self.move_out()
            if block.language not in RUN:
                continue
            if block.needs:
                self.left_out.append(f"{page}: needs {block.needs}\n    " + "\n    ".join(block.text.splitlines()))
            elif block.language == "python":
                self.run(["python", "-c", block.text.replace("USER/", "user/")], block.text)
            else:
                for command in block.commands():
                    self.type(command, block.shortened(command))

    def move_out(self) -> None:
        """A new environment, with the pinned torch and whatever else is newest."""
        new = self.clone.parent / "fresh"
        subprocess.run([sys.executable, "-m", "venv", str(new)], check=True)
        pins = (self.clone / "constraints.txt").read_text(encoding="utf-8").splitlines()
        (self.clone.parent / "torch.txt").write_text("\n".join(pin for pin in pins if pin.startswith("torch==")))
        self.environment["PIP_CONSTRAINT"] = str(self.clone.parent / "torch.txt")
        self.use(new)

    def type(self, command: str, wanted: str) -> None:
        if wanted != command:
            self.shortened.append(f"{self.page}: {command}\n    by {wanted.removeprefix(command).strip()}")
        if command.startswith("make space"):
            return self.open_page(wanted)
        self.run(["bash", "-c", wanted], wanted)
        if "--dry_run" in wanted:  # the page says what the same command does without it
            self.run(["bash", "-c", wanted.replace("--dry_run", "")], wanted.replace("--dry_run", ""))

    def run(self, arguments: list[str], shown: str) -> None:
        print(f"$ {shown}", flush=True)
        self.ran += 1
        done = subprocess.run(arguments, cwd=self.clone, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{self.page} fails at\n{shown}")

    def open_page(self, command: str) -> None:
        """A page is up when it answers; then it is closed."""
        import httpx

        print(f"$ {command}", flush=True)
        self.ran += 1
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
            sys.exit(f"{log.read_text()}\n{self.page} fails at\n{command}")
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def main() -> None:
    from stand_in import running_hub  # which lies beside this file

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place / "clone")], check=True)
        (place / "clone" / "texts").mkdir()
        for text in OF_THE_NEWCOMER:
            shutil.copy(ROOT / STORY, place / "clone" / text)
        (place / "hub").mkdir()
        with running_hub(place / "hub") as hub:
            newcomer = Newcomer(place / "clone", hub.url)
            for page in PAGES:
                newcomer.read(page)
    print(f"\n{newcomer.ran} commands of {len(PAGES)} pages ran.")
    print(f"\n{len(newcomer.shortened)} were shortened:", *newcomer.shortened, sep="\n")
    print(f"\n{len(newcomer.left_out)} blocks were left out:", *newcomer.left_out, sep="\n")


if __name__ == "__main__":
    main()
