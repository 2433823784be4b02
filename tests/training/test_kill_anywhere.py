"""Whatever ends a run, and whenever: nothing half-made passes for whole, and the same command ends the same."""

import json
import random
import resource
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from datasets import load_from_disk

from char_lstm import cli
from char_lstm.training import checkpoints
from tests import killing
from tests.conftest import STORY
from tests.training.test_run import TINY

KILLS = 20
CUTS = {
    "record": 2_000,
    "code": 20_000,
    "weights": 25_000,
    "optimizer": 40_000,
    "curve": 60_000,
}  # bytes of a run's files


def building(output_dir: Path, text: Path = STORY) -> list[str]:
    return ["--text", str(text), "--output_dir", str(output_dir)]


def training(corpus: Path, output_dir: Path) -> list[str]:
    return ["--dataset", str(corpus), "--output_dir", str(output_dir), *TINY]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    cli.run("build", building(folder := tmp_path_factory.mktemp("corpus") / "built"))
    return folder


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """A run that nobody interrupted."""
    cli.run("train", training(corpus, folder := tmp_path_factory.mktemp("whole") / "run"))
    return folder


def curve(checkpoint: Path) -> list[dict]:
    """The trainer's log without what a clock says."""
    log = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
    return [{key: entry[key] for key in entry if not key.endswith(("runtime", "per_second"))} for entry in log]


def assert_same_run(output_dir: Path, expected: Path) -> None:
    """The same files; the same bytes of weights, samples and the loss curve's picture; the same log of the losses."""
    files = {str(file.relative_to(expected)): file for file in expected.rglob("*")}
    assert {str(file.relative_to(output_dir)) for file in output_dir.rglob("*")} == files.keys()
    for name, file in files.items():
        if file.is_dir():
            assert curve(output_dir / name) == curve(file)
        elif file.suffix == ".safetensors" or file.parent == expected:
            assert (output_dir / name).read_bytes() == file.read_bytes(), name


@pytest.mark.slow
def test_a_training_killed_twenty_times_anywhere_ends_as_if_never_interrupted(corpus, whole, tmp_path):
    """Half of the kills come before a random change of the disk, the others after a random time."""
    draw, kills, began, changes = random.Random(0), 0, monotonic(), killing.FORKS.Value("i", 0)
    assert (
        killing.exit_code(killing.count_changes, changes, cli.run, "train", training(corpus, tmp_path / "counted")) == 0
    )
    seconds = monotonic() - began
    while kills < KILLS:
        command = training(corpus, output_dir := tmp_path / f"after_{kills}_kills")
        while True:
            if draw.random() < 0.5:
                change = draw.randint(1, changes.value)
                ended = killing.exit_code(killing.killed_before_change, change, cli.run, "train", command)
            else:
                ended = killing.exit_code(cli.run, "train", command, kill_after=draw.uniform(0, seconds))
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
            kills += 1
        assert_same_run(output_dir, whole)


@pytest.mark.slow
@pytest.mark.parametrize("torn", CUTS)
def test_a_training_killed_in_the_middle_of_a_file_ends_as_if_never_interrupted(corpus, whole, tmp_path, torn):
    command = training(corpus, tmp_path / "run")
    assert killing.exit_code(killing.killed_in_a_file, CUTS[torn], cli.run, "train", command) == -signal.SIGXFSZ
    assert killing.exit_code(cli.run, "train", command) == 0
    assert_same_run(tmp_path / "run", whole)


@contextmanager
def disk_for_files_up_to(size: int):
    """A longer file cannot be written, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("torn", "complaint"),
    [
        ("record", "run.json"),
        ("weights", "cannot write a checkpoint into"),
        ("optimizer", "cannot write a checkpoint into"),
        ("curve", "cannot write the model into"),
    ],
)
def test_a_full_disk_is_one_clear_line_and_leaves_the_last_good_checkpoint(
    corpus, whole, tmp_path, capsys, torn, complaint
):
    output_dir = shutil.copytree(whole, tmp_path / "run")
    older, newer = sorted(output_dir.glob("checkpoint-*"))
    shutil.rmtree(newer)
    with disk_for_files_up_to(CUTS[torn]), pytest.raises(SystemExit) as stop:
        cli.run("train", training(corpus, output_dir))
    line = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2
    assert line.startswith("char-lstm train: ")
    assert complaint in line
    assert checkpoints.is_whole(older)
    if "cannot write" in line:
        assert f"Last good checkpoint: {checkpoints.last_whole_checkpoint(output_dir)}" in line
    cli.run("train", training(corpus, output_dir))
    assert_same_run(output_dir, whole)


def texts(corpus: Path) -> str:
    return "".join(text for split in load_from_disk(corpus).values() for text in split["text"])


@pytest.mark.slow
@pytest.mark.parametrize("older", [False, True])
def test_a_corpus_killed_anywhere_is_the_whole_one_or_the_older_one_or_none(corpus, tmp_path, older):
    (tmp_path / "older.txt").write_text("One lamp. Two ships. Three rocks.")
    place, draw, changes = tmp_path / "place" / "corpus", random.Random(0), killing.FORKS.Value("i", 0)
    if older:
        cli.run("build", building(place, tmp_path / "older.txt"))
    whole_ones = [texts(corpus), texts(place)] if older else [texts(corpus)]
    counted = building(tmp_path / "counted")
    assert killing.exit_code(killing.count_changes, changes, cli.run, "build", counted) == 0
    for change in [*draw.sample(range(1, changes.value - 10), 10), *range(changes.value - 10, changes.value + 1)]:
        ended = killing.exit_code(killing.killed_before_change, change, cli.run, "build", building(place))
        assert ended == -signal.SIGKILL
        looks_finished = [folder for folder in place.parent.iterdir() if not folder.name.startswith(".")]
        assert looks_finished in ([place], [])
        if looks_finished:
            assert texts(place) in whole_ones
    cli.run("build", building(place))
    assert texts(place) == texts(corpus)
