"""Results are there whole or not at all."""

import json
from pathlib import Path


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Writes a file beside its place, then puts it there; an older one stays until then."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_bytes(content if isinstance(content, bytes) else content.encode())
    unfinished.replace(path)


def write_json(path: str | Path, content: dict) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")
