"""What the stand-in keeps: repositories, their commits and files, and the faults it was told to have."""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path


class Refusal(Exception):
    """An answer that is no success. `code` is what the client goes by when the connection is not TLS."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | headers


@dataclass
class Blob:
    """A file's content: stored under its SHA-256, named by it if large and by git's hash if not."""

    sha256: str
    size: int
    oid: str
    large: bool


@dataclass
class Commit:
    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repo:
    kind: str  # models, datasets, spaces
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)  # of the main branch, the newest last
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def commit_at(self, revision: str) -> Commit:
        oid = self.head.oid if revision == "main" else self.tags.get(revision, revision)
        for commit in self.commits:
            if commit.oid == oid:
                return commit
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")


@dataclass
class Fault:
    """Something that goes wrong with the next requests that match: a status, or a dropped connection."""

    request: re.Pattern  # of "METHOD /path"
    times: int
    status: int | None
    drop: str | None  # before the request is read, during its body, after it has been carried out
    headers: dict[str, str]


class Hub:
    """The server's state; `requests` lists what was asked of it, as "METHOD /path"."""

    def __init__(self, place: Path):
        self.place = place
        self.repos: dict[tuple[str, str], Repo] = {}
        self.users = {"hf_write": ("user", "write"), "hf_read": ("user", "read"), "hf_other": ("other", "write")}
        self.paid_plan = True
        self.collections: dict[str, dict] = {}  # by their slug
        self.jobs: list[dict] = []  # what was asked for, the oldest first
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.announced: dict[str, int] = {}  # size by SHA-256 of large files that were promised
        self.lock = threading.RLock()
        self.url = ""

    def fail(self, request: str, *, status=None, drop=None, times=1, **headers: str) -> None:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(re.compile(request), times, status, drop, headers))

    def fault_of(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.request.search(request):
                fault.times -= 1
                return fault
        return None

    def asked(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def store(self, content: bytes, *, large: bool) -> Blob:
        sha256 = hashlib.sha256(content).hexdigest()
        (self.place / sha256).write_bytes(content)
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return Blob(sha256, len(content), sha256 if large else git, large)

    def read(self, blob: Blob) -> bytes:
        return (self.place / blob.sha256).read_bytes()

    def commit(self, repo: Repo, title: str, files: dict[str, Blob]) -> Commit:
        content = {name: blob.oid for name, blob in sorted(files.items())}
        parent = repo.head.oid if repo.commits else None
        oid = hashlib.sha1(json.dumps([repo.kind, repo.id, parent, title, content]).encode()).hexdigest()
        repo.commits.append(Commit(oid, title, files))
        return repo.head
