"""A laboratory: it forks a process for each command, lets one call fail in it, and looks at what is left."""

import atexit
import contextlib
import copy
import gc
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import datasets.io.generator
import datasets.io.parquet  # noqa: F401
import onnxscript  # noqa: F401
import torch
import torch.onnx._internal.exporter._core
import transformers.hf_argparser
import transformers.pipelines.text_classification
import transformers.trainer
from huggingface_hub import constants

import char_lstm.hub.package
import char_lstm.hub.publish
import char_lstm.inspection.differences
import char_lstm.page.static
import char_lstm.training.evaluation
import char_lstm.training.intents
import tests.killing  # noqa: F401  # what it imports, and these, the forked processes need
from char_lstm import cli, load
from char_lstm.hub.export import export_step
from char_lstm.training.run import plot_losses
from tests.stand_in import running_hub

from .shim import Shim
from .worlds import Trial, make_inputs, trials

LIMIT = 600  # seconds of a command, on a machine that others use too
UNFINISHED = re.compile(r"\.unfinished|\.lock$")
WEIGHTS = "model.safetensors"
KEYS = {"train": WEIGHTS, "classify": WEIGHTS, "export": "model.onnx", "page": "index.html"}  # without, no use
Tree = dict[str, str]  # relative path: the hash of its content, or "" for a folder

torch.set_num_threads(1)
gc.freeze()


def tree_of(folder: Path) -> Tree:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


class Laboratory(contextlib.ExitStack):
    """One world at a fixed place, put back before each command."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder, self.shim = folder, Shim()
        self.inputs, self.world, self.fresh = folder / "inputs", folder / "world", folder / "fresh"
        self.place, self.temporary = self.world / "place", self.world / "tmp"
        self.inputs.mkdir()
        (folder / "hub").mkdir()
        self.hub = self.enter_context(running_hub(folder / "hub"))
        self.trials: dict[str, Trial] = trials(self.inputs, self.place)

    def make_inputs(self) -> None:
        assert self.fork(make_inputs, self.inputs) == 0, self.said()
        plot_losses([{"epoch": 1, "loss": 3.0}], self.folder / "loss.png")  # it looks for fonts
        load(self.inputs / "run")
        gc.freeze()  # what was found out until here, the forked processes need not

    def export_once(self) -> None:
        """Lets the forked processes have the graphs that torch exports, which takes seconds and writes nothing."""
        export, programs = torch.onnx.export, {}

        def export_once(step, *arguments, **settings):
            key = step.lm_head.weight.sum().item()
            if key not in programs:
                programs[key] = export(step, *arguments, **settings)
            return programs[key]

        torch.onnx.export = export_once
        warm = self.folder / "warm"
        warm.mkdir()
        for run in ("run", "other_run"):
            export_step(*load(self.inputs / run), warm)

    def fork(self, function, *arguments) -> int:
        """Runs a function in a process of its own; its exit status, negative by a signal's number."""
        sys.stdout.flush()
        process = os.fork()
        if not process:
            self.become(function, *arguments)
        ends = time.monotonic() + LIMIT
        while not (ended := os.waitpid(process, os.WNOHANG))[0]:
            if time.monotonic() > ends:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return 124
            time.sleep(0.005)
        return os.waitstatus_to_exitcode(ended[1])

    def become(self, function, *arguments) -> None:
        """What a forked process does until its end."""
        status = 0
        try:
            said = os.open(self.folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            function(*arguments)
        except SystemExit as stop:
            status = stop.code or 0
        except BaseException:
            traceback.print_exc()
            status = 1
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            atexit._run_exitfuncs()
        os._exit(status)

    def said(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    def run(self, argv: list[str], verb: str, point: int = 0, fault: str = "kill") -> int:
        def command() -> None:
            tempfile.tempdir = str(self.temporary)
            constants.ENDPOINT = self.hub.url
            char_lstm.hub.checks.run_alone = lambda *_, **__: None  # seconds, and it only reads
            transformers.trainer.speed_metrics = lambda split, *_, **__: {f"{split}_runtime": 0.0}  # others each time
            self.shim.arm(self.world, point, fault)
            cli.run(verb, argv)

        return self.fork(command)

    def prepare(self, name: str) -> int:
        """Makes the world of a trial and what its command leaves there; the number of its calls."""
        trial = self.trials[name]
        if trial.verb == "export":
            self.export_once()
        shutil.rmtree(self.fresh, ignore_errors=True)
        self.published = {}
        self.reset()
        if trial.older:
            assert self.run(trial.older, trial.verb) == 0, self.said()
        shutil.rmtree(self.temporary)
        self.temporary.mkdir()
        shutil.copytree(self.world, self.fresh, symlinks=True)
        self.published = self.hub.repos
        self.before, started = self.results(), self.everything()
        self.reset()
        assert self.run(trial.argv, trial.verb) == 0, self.said()
        self.after = self.results()
        self.good = {started}  # worlds from which the command succeeds
        return self.shim.counted

    def reset(self) -> None:
        shutil.rmtree(self.world, ignore_errors=True)
        self.hub.repos = copy.deepcopy(self.published)
        if self.fresh.exists():
            shutil.copytree(self.fresh, self.world, symlinks=True)
        else:
            for folder in (self.place, self.temporary, self.world / "home"):
                folder.mkdir(parents=True)

    def results(self) -> Tree:
        """What is in the place for results, and on the Hub."""
        there = {
            f"{kind}:{id}/{name}": file.sha256
            for (kind, id), repo in self.hub.repos.items()
            for name, file in (repo.head.files.items() if repo.commits else ())
        }
        return tree_of(self.place) | there

    def everything(self) -> str:
        return str(sorted((tree_of(self.world) | self.results()).items()))

    def try_fault(self, name: str, point: int, fault: str) -> tuple[str, str]:
        """What a fault led to (refused, survived, killed), and what is wrong with that, if anything."""
        trial = self.trials[name]
        self.reset()
        status = self.run(trial.argv, trial.verb, point, fault)
        call, said = self.shim.failed_call, self.said()
        outcome = {0: "survived", -signal.SIGKILL: "killed"}.get(status, "refused")
        complaints = self.look(name, outcome, said) if status != 124 else ["it hangs"]
        if not complaints and not self.succeeds(trial):
            complaints.append(f"the next run fails: {self.said().strip().splitlines()[-1:]}")
        if complaints:
            complaints.append(said.strip()[-700:] if "trace" in str(complaints) else said.strip()[-200:])
        return outcome, f"({call}) {'; '.join(complaints)}" if complaints else ""

    def look(self, name: str, outcome: str, said: str) -> list[str]:
        """What is wrong with what a command said and left."""
        complaints, verb = [], self.trials[name].verb
        lines = [line for line in said.splitlines() if line.startswith(f"char-lstm {verb}: ")]
        if "Traceback" in said:
            complaints.append("a trace")
        if outcome == "refused" and (len(lines) != 1 or not said.strip().splitlines()[-1].startswith(lines[0])):
            complaints.append("no single last sentence")
        left, before, after = self.results(), self.before, self.after
        may_stay = outcome == "killed" or self.shim.failed_call.startswith("remove")  # what cannot be removed stays
        if may_stay:
            left = {path: content for path, content in left.items() if not UNFINISHED.search(path)}
        for top in sorted({path.split("/")[0] for path in left | before | after}):
            now, old, new = ({p: c for p, c in t.items() if p.split("/")[0] == top} for t in (left, before, after))
            if now == new or (now == old and outcome != "survived"):
                continue
            if outcome == "killed" and self.is_lacking(KEYS.get(verb), top, now, old, new):
                continue
            if name == "train" and self.is_partial(now, new):
                continue
            wrong = sorted(path for path in now | old if now.get(path) != old.get(path))
            complaints.append(f"{top} is neither the new nor the older result: {', '.join(wrong[:6])}")
        if not may_stay and (rest := list(self.temporary.iterdir())):
            complaints.append(f"{len(rest)} temporary files stay: {rest[0].name}")
        return complaints

    def is_lacking(self, key: str | None, top: str, now: Tree, old: Tree, new: Tree) -> bool:
        """Whether a kill left an empty folder, or, while files were moved, a part of one result that is of no use."""
        if not old and now == {top: ""}:
            return True
        part = now.items() <= old.items() or now.items() <= new.items()
        return part and self.shim.failed_call.startswith("rename") and (f"{top}/{key}" not in now if key else not now)

    def is_partial(self, now: Tree, new: Tree) -> bool:
        """Of a run, which the same command resumes: its files are the result's own; or there is no model yet."""
        model = {path for path in now if path.startswith("run/model")}
        return not model or all(new.get(path) == content for path, content in now.items())

    def succeeds(self, trial: Trial) -> bool:
        world = self.everything()
        if world in self.good:
            return True
        if self.run(trial.argv, trial.verb) or self.results() != self.after:
            return False
        self.good.add(world)
        return True
