"""Atomic writes: a file or a folder is there whole or not at all, and an older one stays until then."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """A folder to fill, whose files then move into `output_dir`, each whole; other files there stay."""
    unfinished = output_dir / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a process that was killed
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for file in unfinished.iterdir():
            file.replace(output_dir / file.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def replaced_folder(output_dir: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `output_dir` at the end, or goes away if anything fails."""
    output_dir = output_dir.resolve()
    unfinished = output_dir.with_name(f".{output_dir.name}.{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        old = unfinished.with_name(f"{unfinished.name}.old")
        if output_dir.exists():
            output_dir.rename(old)
        unfinished.rename(output_dir)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
