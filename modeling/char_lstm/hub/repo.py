"""A repository on the Hub and its local folder; retries, and the Hub's errors explained."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml
from huggingface_hub import RepoCard, constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from ..errors import PublishError

Answer = TypeVar("Answer")
CLIENT_ERRORS = (HTTPError, json.JSONDecodeError)  # an error status, no answer, or the answer of some proxy
WAITS = (2, 8)  # seconds before each retry, unless the Hub says how long
TRANSIENT = (429, 500, 502, 503, 504)  # statuses that go away by themselves
AGAIN = "run the same command again"


class Repo(NamedTuple):
    """A repository on the Hub and the folder with its contents."""

    kind: str  # model, dataset, space
    id: str
    folder: Path
    sdk: str | None = None  # of a Space: gradio, static

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/{constants.REPO_TYPES_URL_PREFIXES.get(self.kind, '')}{self.id}"

    def files(self) -> dict[str, Path]:
        """The files of the folder by their path in the repository."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}


def card_of(folder: Path) -> RepoCard:
    """The README.md of a folder, with its header parsed."""
    try:
        return RepoCard.load(folder / "README.md")
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise PublishError(f"the header of {folder.name}/README.md is not YAML: {problem}") from error


def check_ids(repo_ids: list[str]) -> None:
    """Each id is valid and names its owner."""
    for repo_id in repo_ids:
        validate_repo_id(repo_id)
        if "/" not in repo_id:
            raise PublishError(f"{repo_id}: name its owner, as in USER/{repo_id}")


def retried(call: Callable[..., Answer], *args, **options) -> Answer:
    """Calls, and retries after a transient error; the client itself retries only uploads."""
    for wait in WAITS:
        try:
            return call(*args, **options)
        except CLIENT_ERRORS as error:
            if not is_transient(error):
                raise
            time.sleep(seconds_to_wait(error) or wait)
    return call(*args, **options)


def is_transient(error: Exception) -> bool:
    """Whether an error goes away by itself: the Hub is busy or failing, or the connection dropped."""
    return not isinstance(error, HfHubHTTPError) or error.response.status_code in TRANSIENT


def seconds_to_wait(error: Exception) -> int:
    """The Retry-After of the Hub's answer, 0 if there is none."""
    asked = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return int(asked) if asked.isdigit() else 0


@contextmanager
def explained(doing: str, published: list[str] | None = None) -> Iterator[None]:
    """Turns what the client raises into a `PublishError` of one sentence, with what has been published by then."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PublishError("there is no token: run `hf auth login`, or set HF_TOKEN") from error
    except OfflineModeIsEnabled as error:
        raise PublishError(f"{doing}: HF_HUB_OFFLINE is set: unset it, then {AGAIN}") from error
    except CLIENT_ERRORS as error:
        done = f" Published so far: {', '.join(published)}." if published else ""
        raise PublishError(f"{doing}: {explanation(error)}.{done}", status=1 if is_transient(error) else 2) from error
    except (ConnectionError, RuntimeError) as error:  # from the Xet client, which uploads large files
        raise PublishError(f"{doing}: the upload broke off ({error}): {AGAIN}", status=1) from error


EXPLANATIONS = {
    401: "the Hub does not accept this token (401): run `hf auth login`, or correct HF_TOKEN",
    402: "the Hub wants a paid plan for this (402): give --static_space_id instead of --space_id, a page that costs "
    f"nothing, or subscribe, or choose a --space_hardware that your plan has, and {AGAIN}; `make space` runs the Space "
    "on this machine in any case",
    403: "this token may not write there (403): give it the write role at https://huggingface.co/settings/tokens",
    412: f"someone else has just committed there (412): look at their commit, then {AGAIN}",
    429: f"the Hub limits how often it is asked (429): wait a few minutes, then {AGAIN}",
}


def explanation(error: Exception) -> str:
    """What happened and what to do about it."""
    if not isinstance(error, HfHubHTTPError):
        return f"no answer came from the Hub ({error or type(error).__name__}): {AGAIN}"
    status = error.response.status_code
    if status in EXPLANATIONS:
        return EXPLANATIONS[status]
    if is_transient(error):
        return f"the Hub has a transient error ({status}): {AGAIN} later"
    return f"the Hub refused this ({status}): {error.server_message or error.response.reason_phrase}"
