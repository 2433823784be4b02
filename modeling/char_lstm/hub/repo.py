"""A repository of the Hub and the folder that it will be, and the answers of the Hub explained."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml
from huggingface_hub import RepoCard, constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id

from ..errors import PublishError

Answer = TypeVar("Answer")
TROUBLE = (HTTPError, json.JSONDecodeError)  # what the client raises: a status, no answer, or an answer of a proxy's
WAITS = (2, 8)  # seconds before another try, where the Hub does not say how long
PASSING = (429, 500, 502, 503, 504)  # what goes away by itself
AGAIN = "run the same command again"


class Repo(NamedTuple):
    """A repository on the Hub and the folder that it will be."""

    kind: str  # model, dataset, space
    id: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(self.kind, '')}{self.id}"

    def files(self) -> dict[str, Path]:
        """Every file by its path in the repository."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}


def card_of(folder: Path) -> RepoCard:
    """The README.md of a folder, its header read."""
    try:
        return RepoCard.load(folder / "README.md")
    except yaml.YAMLError as error:
        raise PublishError(f"the header of {folder.name}/README.md is no YAML: {error}") from error


def check_ids(repo_ids: list[str]) -> None:
    """Each id is one, and says whose it is."""
    for repo_id in repo_ids:
        validate_repo_id(repo_id)
        if "/" not in repo_id:
            raise PublishError(f"{repo_id}: say whose it is, as in USER/{repo_id}")


def retried(call: Callable[..., Answer], *args, **options) -> Answer:
    """Calls, and calls again where the Hub is busy or the connection drops; the client does so for uploads alone."""
    for wait in WAITS:
        try:
            return call(*args, **options)
        except TROUBLE as error:
            if not passes(error):
                raise
            time.sleep(seconds_to_wait(error) or wait)
    return call(*args, **options)


def passes(error: Exception) -> bool:
    """Whether a failure goes away by itself: the Hub is busy or in trouble, or the connection dropped."""
    return not isinstance(error, HfHubHTTPError) or error.response.status_code in PASSING


def seconds_to_wait(error: Exception) -> int:
    """What the Hub asked for in Retry-After, 0 if nothing."""
    asked = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return int(asked) if asked.isdigit() else 0


@contextmanager
def explained(doing: str, published: list[str] | None = None) -> Iterator[None]:
    """Turns what the client raises into one sentence for people, with what is published by then."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PublishError("there is no token: run `hf auth login`, or set HF_TOKEN") from error
    except TROUBLE as error:
        done = f" Published so far: {', '.join(published)}." if published else ""
        raise PublishError(f"{doing}: {sentence(error)}.{done}", status=1 if passes(error) else 2) from error
    except (ConnectionError, RuntimeError) as error:  # what the Xet client, which uploads large files, raises
        raise PublishError(f"{doing}: the upload broke off ({error}): {AGAIN}", status=1) from error


SENTENCES = {
    401: "the Hub does not accept this token (401): run `hf auth login`, or mend HF_TOKEN",
    402: "the Hub wants a paid plan for this (402): subscribe or choose a --space_hardware that your plan has, and "
    f"{AGAIN}; `make space` runs the Space here in any case",
    403: "the token has no right to write there (403): give it the write role at https://huggingface.co/settings/tokens",
    412: f"someone else has just committed there (412): look at what they did, then {AGAIN}",
    429: f"the Hub has been asked too often (429): wait a few minutes and {AGAIN}",
}


def sentence(error: Exception) -> str:
    """What happened and what to do."""
    if not isinstance(error, HfHubHTTPError):
        return f"no answer of the Hub came through ({error or type(error).__name__}): {AGAIN}"
    status = error.response.status_code
    if status in SENTENCES:
        return SENTENCES[status]
    if passes(error):
        return f"the Hub is in trouble ({status}): {AGAIN} later"
    return f"the Hub refuses ({status}): {error.server_message or error.response.reason_phrase}"
