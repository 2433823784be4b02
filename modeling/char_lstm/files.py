"""Atomic writes: a file or a folder is there whole or not at all, and an older one stays until then."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import UserError, WriteError

UNFINISHED = ".unfinished"  # ends the name of what is not yet whole


def write_file(path: str | Path, content: str | bytes) -> None:
    """Writes a file beside its place, then puts it there. Raises OSError, which names `path`, if it cannot."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}{UNFINISHED}")
    try:
        unfinished.write_bytes(content if isinstance(content, bytes) else content.encode())
        unfinished.replace(path)
    except OSError as error:  # where the disk is full, it does not say of what file
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_json(path: str | Path, content: dict) -> None:
    """`write_file` of readable JSON."""
    write_file(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def replaced_files(output_dir: Path, key: str) -> Iterator[Path]:
    """A folder to fill, whose files take their places in `output_dir` at the end, or go away if anything fails; other
    files there stay. Without the file `key` the rest is of no use: a kill amid the moves leaves none. Raises WriteError
    if the disk is full, say, or another process does the same."""
    with _replaced(output_dir, output_dir, output_dir / UNFINISHED, key) as new:
        yield new


def was_cut_off(output_dir: Path) -> bool:
    """Whether a process was killed while it wrote into this folder by these functions."""
    return any(output_dir.glob(f"*{UNFINISHED}*"))


@contextmanager
def replaced_folder(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `output_dir` at the end, or goes away if anything fails. Raises
    WriteError if the disk is full, say, or another process does the same."""
    output_dir = output_dir.resolve()
    if output_dir.is_file():
        raise WriteError(f"cannot write {output_dir}: it is a file; name a folder")
    work = output_dir.with_name(f".{output_dir.name}{UNFINISHED}")
    with _replaced(output_dir, output_dir.parent, work, output_dir.name) as new:
        (new / output_dir.name).mkdir()
        yield new / output_dir.name


@contextmanager
def _replaced(result: Path, place: Path, work: Path, key: str) -> Iterator[Path]:
    """A folder in `work`, all of whose entries move into `place` at the end, or none. What they replace is kept until
    then, and put back after an error, or by the next run where this one is killed."""
    new, older, made = work / "new", work / "older", not place.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with sole_use(work.with_name(f"{work.name}.lock"), f"another process is writing {result}"):
            _put_back(older, place, key)
            shutil.rmtree(work, ignore_errors=True)
            try:
                new.mkdir(parents=True)
                older.mkdir()
                yield new
                _move(new, place, older, key)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except Exception as error:
        failure = None if isinstance(error, UserError) else failure_of_disk(error)
        names = [name for name in (failure.filename, failure.filename2) if name] if failure else []
        if failure and (not names or any(_is_written(Path(name), result, place, work) for name in names)):
            raise WriteError(f"cannot write {result}: {failure.strerror}") from error
        raise
    finally:
        if made:
            with suppress(OSError):  # it is not empty
                place.rmdir()


def _is_written(path: Path, result: Path, place: Path, work: Path) -> bool:
    """Whether a path belongs to what is written, and not to what is read for it."""
    return str(path).startswith(str(work)) or path.is_relative_to(result) or place.is_relative_to(path)


def failure_of_disk(error: BaseException | None) -> OSError | None:
    """The system's error behind another, if there is one: `datasets` hides it, safetensors and tokenizers quote it."""
    while error:
        if isinstance(error, OSError) and error.errno:
            return error
        if quoted := re.search(r"\(os error (\d+)\)", str(error)):
            return OSError(int(quoted[1]), os.strerror(int(quoted[1])))
        error = error.__cause__ or error.__context__
    return None


def _move(new: Path, place: Path, older: Path, key: str) -> None:
    """Moves what the entries of `new` replace from `place` into `older`, and then them into `place`; all or none. The
    `key` goes first and comes last."""
    entries, moved = _key_last(new, key), []
    try:
        for entry in reversed(entries):
            if (place / entry.name).exists():
                (place / entry.name).rename(older / entry.name)
        for entry in entries:
            entry.rename(place / entry.name)
            moved.append(entry)
        older.rename(older.with_name("replaced"))  # from here on nothing is put back
    except BaseException:
        for entry in reversed(moved):
            (place / entry.name).rename(entry)
        _put_back(older, place, key)
        raise


def _key_last(folder: Path, key: str) -> list[Path]:
    return sorted(folder.glob("*"), key=lambda entry: (entry.name == key, entry.name))


def _put_back(older: Path, place: Path, key: str) -> None:
    """Moves what was replaced to where it was, unless that is a whole folder already."""
    for entry in _key_last(older, key):
        if not (place / entry.name).is_dir():
            entry.replace(place / entry.name)


@contextmanager
def sole_use(lock: Path, otherwise: str) -> Iterator[None]:
    """Holds a lock until the block has ended, however it ends. Raises WriteError, which says `otherwise`, where another
    process holds it."""
    holder = FileLock(lock)
    try:
        holder.acquire(timeout=0)
    except Timeout:
        raise WriteError(otherwise) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        holder.release()
