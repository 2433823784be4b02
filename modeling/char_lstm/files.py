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


def write_file(path: str | Path, content: str | bytes) -> None:
    """Writes a file beside its place, then puts it there. Raises OSError, which names `path`, if it cannot."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
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
def replaced_files(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, whose files take their places in `output_dir` at the end, or go away if anything fails; other
    files there stay. Raises WriteError if the disk is full, say, or another process does the same."""
    with _replaced(output_dir, output_dir, output_dir / ".unfinished") as new:
        yield new


@contextmanager
def replaced_folder(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `output_dir` at the end, or goes away if anything fails. Raises
    WriteError if the disk is full, say, or another process does the same."""
    output_dir = output_dir.resolve()
    if output_dir.is_file():
        raise WriteError(f"cannot write {output_dir}: it is a file; name a folder")
    work = output_dir.with_name(f".{output_dir.name}.unfinished")
    with _replaced(output_dir, output_dir.parent, work) as new:
        (new / output_dir.name).mkdir()
        yield new / output_dir.name


@contextmanager
def _replaced(result: Path, place: Path, work: Path) -> Iterator[Path]:
    """A folder in `work`, all of whose entries move into `place` at the end, or none. What they replace is kept until
    then, and put back after an error, or by the next run where this one is killed."""
    new, older, made = work / "new", work / "older", not place.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with sole_use(work.with_name(f"{work.name}.lock"), f"another process is writing {result}"):
            _put_back(older, place)
            shutil.rmtree(work, ignore_errors=True)
            try:
                new.mkdir(parents=True)
                older.mkdir()
                yield new
                _move(new, place, older)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except Exception as error:
        failure = None if isinstance(error, UserError) else failure_of_disk(error)
        if failure and (failure.filename is None or _is_written(Path(failure.filename), result, place, work)):
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


def _move(new: Path, place: Path, older: Path) -> None:
    """Moves the entries of `new` into `place`, and what they replace into `older`; all or none."""
    moved = []
    try:
        for entry in sorted(new.iterdir()):
            target = place / entry.name
            if target.exists():
                target.rename(older / entry.name)
            entry.rename(target)
            moved.append(entry)
        older.rename(older.with_name("replaced"))  # from here on nothing is put back
    except BaseException:
        for entry in moved:
            (place / entry.name).rename(entry)
        _put_back(older, place)
        raise


def _put_back(older: Path, place: Path) -> None:
    """Moves what was replaced to where it was, unless that is a whole folder already."""
    for entry in older.glob("*"):
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
