"""A result is there whole or not at all."""

import errno
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from char_lstm.errors import WriteError
from char_lstm.files import replaced_files, replaced_folder, was_cut_off, write_file, write_json


def test_a_file_and_its_folder_are_made(tmp_path):
    write_file(tmp_path / "new" / "page.html", "é")
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8") == "é"


def test_what_fails_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write_json(path, {"a": 1})

    def full(self, content):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_unfinished_is_left(tmp_path):
    write_json(tmp_path / "figures.json", {"a": 1})
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]


@pytest.fixture
def older(tmp_path):
    """A result of two files."""
    for name in "ab":
        write_file(tmp_path / "result" / name, "older")
    return tmp_path / "result"


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def replace_both(folder: Path) -> None:
    with replaced_files(folder, "a") as new:
        for name in "ab":
            (new / name).write_text("new")


def test_the_files_of_a_result_are_replaced_together_and_others_stay(older):
    (older / "mine").write_text("mine")
    replace_both(older)
    assert contents(older) == {"a": "new", "b": "new", "mine": "mine"}


@pytest.mark.parametrize("failing", range(1, 6))  # two renames a file, and the one that ends it
def test_files_that_cannot_all_take_their_places_leave_the_older_ones(older, monkeypatch, failing):
    renames, rename = iter(range(1, 99)), Path.rename

    def fail_once(path, target):
        if next(renames) == failing:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(WriteError, match=f"cannot write {older}: Input/output error"):
        replace_both(older)
    assert contents(older) == {"a": "older", "b": "older"}


@pytest.mark.parametrize("ending", range(1, 6))
def test_a_kill_amid_the_renames_leaves_one_result_or_none_that_is_of_use(older, monkeypatch, ending):
    renames, rename = iter(range(1, 99)), Path.rename

    def end_at_last(path, target):
        if next(renames) >= ending:  # and nothing is tidied up
            raise KeyboardInterrupt
        return rename(path, target)

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, end_at_last)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        replace_both(older)
    left = {file.name: file.read_text() for file in older.iterdir() if file.is_file()}
    assert len(set(left.values())) <= 1
    assert "a" not in left or len(left) == 2
    assert was_cut_off(older)


def test_what_a_killed_process_had_moved_away_is_put_back(older):
    (older / ".unfinished" / "older").mkdir(parents=True)
    (older / "a").rename(older / ".unfinished" / "older" / "a")
    (older / "a").write_text("new")
    with pytest.raises(ValueError, match="refused"), replaced_files(older, "a"):
        raise ValueError("refused")
    assert contents(older) == {"a": "older", "b": "older"}


def test_a_result_that_another_process_writes_is_left_alone(older):
    for replaced in (partial(replaced_files, key="a"), replaced_folder):
        with replaced(older), pytest.raises(WriteError, match="another process is writing"), replaced(older):
            pass


def test_a_full_disk_is_named_where_a_library_only_quotes_it(tmp_path):
    said = f"cannot write {tmp_path / 'result'}: No space left on device"
    with pytest.raises(WriteError, match=said), replaced_folder(tmp_path / "result"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    hidden = ValueError("I/O operation on closed file")
    hidden.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(WriteError, match=said), replaced_folder(tmp_path / "result"):
        raise hidden
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_stays(tmp_path):
    (tmp_path / "result").write_text("mine")
    with pytest.raises(WriteError, match="is a file"), replaced_folder(tmp_path / "result"):
        pass
    assert (tmp_path / "result").read_text() == "mine"
