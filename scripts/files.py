"""Results are there whole or not at all."""

import json
from pathlib import Path


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Writes a file beside its place, then puts it there; an older one stays until then.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
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
    write_whole(path, json.dumps(content, indent=2) + "\n")
