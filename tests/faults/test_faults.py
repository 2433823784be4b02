"""A disk that fails, or a process that is killed, costs the time since the last whole result and nothing else."""

import shutil
import subprocess
import sys

import pytest

from char_lstm import cli
from tests.conftest import ROOT, STORY
from tests.faults.worlds import SMALL


@pytest.mark.slow
def test_whatever_call_fails_the_result_is_whole_or_the_older_one_and_the_next_run_succeeds():
    """A sample of the faults of each command that writes; `make faults` tries all."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    command = [sys.executable, "-m", "tests.faults.run", "--sample", "6", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout)  # it begins with the seed
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many kB, or changes its size."""
    place = tmp_path / "disk"
    place.mkdir()

    def resize(kilobytes: int):
        options = f"{'remount,' if place.is_mount() else ''}size={kilobytes}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted: {done.stderr.strip()}")
        return place

    yield resize
    if place.is_mount():
        subprocess.run(["umount", "--lazy", place], check=True)


def sentence_of_a_refused(verb: str, argv: list[str], capsys) -> str:
    """The last line of a command that fails, after checking that it shows no trace."""
    with pytest.raises(SystemExit) as stop:
        cli.run(verb, argv)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [16, 64, 128, 256])
def test_a_corpus_that_fills_the_disk_is_refused_and_the_older_one_stays(small_disk, tmp_path, capsys, kilobytes):
    output_dir = small_disk(4096) / "corpus"
    (tmp_path / "older.txt").write_text("One lamp. Two ships. Three rocks.")
    cli.run("build", ["--text", str(tmp_path / "older.txt"), "--output_dir", str(output_dir)])
    older = {file: file.read_bytes() for file in output_dir.rglob("*") if file.is_file()}
    used = sum(-(-file.stat().st_size // 4096) * 4 for file in older) + 20
    small_disk(used + kilobytes)
    build = ["--text", str(STORY), "--output_dir", str(output_dir)]
    said = sentence_of_a_refused("build", build, capsys)
    assert "No space left on device" in said
    assert str(output_dir) in said
    assert {file: file.read_bytes() for file in output_dir.parent.rglob("*") if file.is_file()} == older
    small_disk(4096)
    cli.run("build", build)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [48, 128, 200])
def test_a_training_that_fills_the_disk_goes_on_once_there_is_room(small_disk, corpus, capsys, kilobytes):
    output_dir = small_disk(kilobytes) / "run"
    train = ["--dataset", str(corpus), "--output_dir", str(output_dir), "--num_train_epochs", "2", *SMALL]
    said = sentence_of_a_refused("train", train, capsys)
    assert str(output_dir) in said
    assert not (output_dir / "model.safetensors").exists()
    small_disk(4096)
    cli.run("train", train)
    assert (output_dir / "model.safetensors").exists()
