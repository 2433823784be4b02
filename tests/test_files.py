"""A result is there whole or not at all."""

import errno
import json

import pytest

from char_lstm.files import write_file, write_json


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
