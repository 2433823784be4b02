"""What the stand-in answers: a route is a method, a pattern of the path, and a function of the request."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

import yaml

from .state import Blob, Hub, Refusal, Repo

LARGE = 10_000_000  # bytes from which a file has to be a large one
LARGE_NAMES = (".safetensors", ".parquet", ".onnx", ".npz", ".png")
LICENSES = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "other", "unknown")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
FREE_HARDWARE = ("cpu-basic", "zero-a10g")
PAID_HARDWARE = ("cpu-upgrade", "t4-small", "l4x1")

ROUTES: list[tuple[str, re.Pattern, Callable]] = []
KIND, ID = r"(?P<kind>models|datasets|spaces)", r"(?P<id>[^/]+/[^/]+)"
IN_REPO = rf"/api/{KIND}/{ID}"


def route(methods: str, pattern: str):
    def register(function):
        ROUTES.extend((method, re.compile(pattern), function) for method in methods.split("|"))
        return function

    return register


@dataclass
class Request:
    hub: Hub
    path: dict[str, str]  # the named parts of the path
    query: dict[str, list[str]]
    user: tuple[str, str] | None  # name and role
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    def signed_in(self, *, write: str | None = None) -> str:
        """The user's name; `write`: a repository that they must be allowed to write to."""
        if self.user is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        name, role = self.user
        if write and (role != "write" or write.split("/")[0] != name):
            raise Refusal(403, f"{name} has no right to write to {write}")
        return name

    def repo(self, *, write: bool = False) -> Repo:
        repo = self.hub.repos.get((self.path["kind"] or "models", self.path["id"]))
        owner = self.path["id"].split("/")[0]
        if repo is None or (repo.private and (self.user is None or self.user[0] != owner)):
            raise Refusal(404 if self.user else 401, "Repository not found", "RepoNotFound")
        if write:
            self.signed_in(write=repo.id)
        return repo


@route("GET", "/api/whoami-v2")
def whoami(request: Request):
    name = request.signed_in()
    return {"type": "user", "name": name, "orgs": [], "auth": {"accessToken": {"role": request.user[1]}}}


@route("POST", "/api/repos/create")
def create(request: Request):
    wanted, hub = request.json, request.hub
    kind = wanted.get("type", "model") + "s"
    repo_id = f"{wanted.get('organization') or request.signed_in()}/{wanted['name']}"
    request.signed_in(write=repo_id)
    if (kind, repo_id) in hub.repos:
        raise Refusal(409, "You already created this repo", url=f"{hub.url}/{repo_id}")
    if kind == "spaces" and wanted.get("sdk") not in ("gradio", "static", "docker"):
        raise Refusal(400, "a Space needs an sdk")
    if kind == "spaces" and wanted["sdk"] == "gradio" and not hub.paid_plan:
        raise Refusal(402, "Subscribe to PRO to create Gradio Spaces")
    repo = hub.repos[kind, repo_id] = Repo(kind, repo_id, wanted.get("visibility") == "private")
    hub.commit(repo, "initial commit", {".gitattributes": hub.store(b"*.safetensors filter=lfs\n", large=False)})
    return {"url": f"{hub.url}/{repo_id}"}


def check_card(content: str, kind: str) -> None:
    """Refuses front matter that the Hub would refuse."""
    found = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    try:
        data = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError as error:
        data, problems = {}, [f"not YAML: {error}"]
    else:
        problems = []
    if data.get("license", "other") not in LICENSES:
        problems.append(f'"license" must be one of {LICENSES}')
    if len(data.get("short_description", "")) > 60:
        problems.append('"short_description" length must be at most 60 characters')
    if kind == "space":
        problems += [f'"{key}" is not a colour' for key in ("colorFrom", "colorTo") if data.get(key) not in COLORS]
    for model in data.get("model-index", []):
        if not all({"task", "dataset", "metrics"} <= result.keys() for result in model["results"]):
            problems.append('"model-index" results need task, dataset and metrics')
    if problems:
        raise Refusal(400, json.dumps({"errors": [{"message": problem} for problem in problems], "warnings": []}))


@route("POST", "/api/validate-yaml")
def validate_yaml(request: Request):
    check_card(request.json["content"], request.json.get("repoType", "model"))
    return {"errors": [], "warnings": []}


@route("GET", rf"{IN_REPO}(/revision/(?P<revision>[^/]+))?")
def info(request: Request):
    repo = request.repo()
    commit = repo.commit_at(unquote(request.path["revision"] or "main"))
    siblings = [{"rfilename": name} for name in commit.files]
    return {"id": repo.id, "sha": commit.oid, "siblings": siblings, "tags": [], "private": repo.private} | {
        "lastModified": "2026-01-01T00:00:00.000Z",
        "cardData": {},
    }


@route("GET", rf"{IN_REPO}/refs")
def refs(request: Request):
    repo = request.repo()
    tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid} for tag, oid in repo.tags.items()]
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head.oid}
    return {"branches": [main], "tags": tags, "converts": []}


@route("POST", rf"{IN_REPO}/tag/(?P<revision>[^/]+)")
def tag(request: Request):
    repo = request.repo(write=True)
    if request.json["tag"] in repo.tags:
        raise Refusal(409, "Tag already exists")
    repo.tags[request.json["tag"]] = repo.commit_at(unquote(request.path["revision"])).oid
    return {}


@route("GET", rf"{IN_REPO}/commits/(?P<revision>[^/]+)")
def commits(request: Request):
    repo = request.repo()
    return [
        {"id": commit.oid, "title": commit.title, "message": "", "authors": [], "date": "2026-01-01T00:00:00.000Z"}
        for commit in reversed(repo.commits)
    ]


def entry(name: str, blob: Blob) -> dict:
    large = {"lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}} if blob.large else {}
    return {"type": "file", "path": name, "size": blob.size, "oid": blob.oid[:40]} | large


@route("GET", rf"{IN_REPO}/tree/(?P<revision>[^/]+)(/(?P<folder>.*))?")
def tree(request: Request):
    files = request.repo().commit_at(unquote(request.path["revision"])).files
    folder = f"{unquote(request.path['folder'])}/" if request.path["folder"] else ""
    below = {name: blob for name, blob in files.items() if name.startswith(folder)}
    if folder and not below:
        raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
    if request.query.get("recursive", ["false"])[0].lower() in ("1", "true"):
        return [entry(name, blob) for name, blob in below.items()]
    folders = {folder + name.removeprefix(folder).split("/")[0] for name in below} - below.keys()
    listed = [entry(name, blob) for name, blob in below.items() if "/" not in name.removeprefix(folder)]
    return [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)] + listed


@route("POST", rf"{IN_REPO}/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Request):
    files = request.repo().commit_at(unquote(request.path["revision"])).files
    return [entry(name, files[name]) for name in parse_qs(request.body.decode()).get("paths", []) if name in files]


@route("POST", rf"{IN_REPO}/preupload/(?P<revision>[^/]+)")
def preupload(request: Request):
    files = request.repo(write=True).commit_at(unquote(request.path["revision"])).files

    def mode(file: dict) -> str:
        return "lfs" if file["path"].endswith(LARGE_NAMES) or file["size"] > LARGE else "regular"

    return {
        "files": [
            {
                "path": file["path"],
                "uploadMode": mode(file),
                "shouldIgnore": False,
                "oid": files[file["path"]].oid if file["path"] in files else None,
            }
            for file in request.json["files"]
        ]
    }


@route("POST", rf"/((?P<kind>datasets|spaces)/)?{ID}\.git/info/lfs/objects/batch")
def lfs_batch(request: Request):
    hub = request.hub
    request.repo(write=True)

    def answer(wanted: dict) -> dict:
        if (hub.place / wanted["oid"]).exists():
            return wanted
        hub.announced[wanted["oid"]] = wanted["size"]
        upload, verify = f"{hub.url}/lfs/{wanted['oid']}", f"{hub.url}/lfs/{wanted['oid']}/verify"
        return wanted | {"actions": {"upload": {"href": upload}, "verify": {"href": verify}}}

    return {"transfer": "basic", "objects": [answer(wanted) for wanted in request.json["objects"]]}


@route("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})")
def lfs_upload(request: Request):
    oid = request.path["oid"]
    if hashlib.sha256(request.body).hexdigest() != oid or len(request.body) != request.hub.announced.get(oid):
        raise Refusal(400, "what was uploaded is not what was announced")
    request.hub.store(request.body, large=True)
    return {}


@route("POST", r"/lfs/(?P<oid>[0-9a-f]{64})/verify")
def lfs_verify(request: Request):
    stored = request.hub.place / request.path["oid"]
    if not stored.exists() or stored.stat().st_size != request.json["size"]:
        raise Refusal(404, "no such object")
    return {}


@route("POST", rf"{IN_REPO}/commit/(?P<revision>[^/]+)")
def commit(request: Request):
    repo, hub = request.repo(write=True), request.hub
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = lines[0]["value"]
    if lines[0]["key"] != "header" or not header["summary"]:
        raise Refusal(400, "a commit starts with its header")
    if header.get("parentCommit") not in (None, repo.head.oid):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    files = dict(repo.head.files)
    for line in lines[1:]:
        CHANGES[line["key"]](hub, repo, files, line["value"])
    made = hub.commit(repo, header["summary"], files)
    return {"success": True, "commitOid": made.oid, "commitUrl": f"{hub.url}/{repo.id}/commit/{made.oid}"}


def add_file(hub: Hub, repo: Repo, files: dict[str, Blob], value: dict) -> None:
    content = base64.b64decode(value["content"])
    if len(content) > LARGE or value["path"].endswith(LARGE_NAMES):
        raise Refusal(400, f"{value['path']} has to be uploaded as a large file")
    if value["path"] == "README.md":
        check_card(content.decode(), repo.kind.removesuffix("s"))
    files[value["path"]] = hub.store(content, large=False)


def add_large_file(hub: Hub, repo: Repo, files: dict[str, Blob], value: dict) -> None:
    stored = hub.place / value["oid"]
    if value["algo"] != "sha256" or not stored.exists() or stored.stat().st_size != value["size"]:
        raise Refusal(400, f"LFS pointer of {value['path']} points to a file that does not exist")
    files[value["path"]] = Blob(value["oid"], value["size"], value["oid"], large=True)


def delete_file(hub: Hub, repo: Repo, files: dict[str, Blob], value: dict) -> None:
    if value["path"] not in files:
        raise Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
    del files[value["path"]]


CHANGES = {"file": add_file, "lfsFile": add_large_file, "deletedFile": delete_file}


@route("GET|HEAD", rf"/((?P<kind>datasets|spaces)/)?{ID}/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
def resolve(request: Request):
    found = request.repo().commit_at(unquote(request.path["revision"]))
    blob = found.files.get(unquote(request.path["name"]))
    if blob is None:
        raise Refusal(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": found.oid})
    return request.hub.read(blob), {
        "X-Repo-Commit": found.oid,
        "ETag": f'"{blob.oid}"',
        "X-Linked-Size": str(blob.size),
    }


@route("GET|POST|DELETE", r"/api/(?P<kind>spaces)/(?P<id>[^/]+/[^/]+)/variables")
def variables(request: Request):
    repo = request.repo(write=True)
    if request.body:
        repo.variables[request.json["key"]] = request.json["value"]
    return {key: {"key": key, "value": value} for key, value in repo.variables.items()}


@route("GET", r"/api/(?P<kind>spaces)/(?P<id>[^/]+/[^/]+)/runtime")
def runtime(request: Request):
    return {"stage": "RUNNING", "hardware": {"current": request.repo().hardware, "requested": request.repo().hardware}}


@route("POST", r"/api/(?P<kind>spaces)/(?P<id>[^/]+/[^/]+)/hardware")
def hardware(request: Request):
    repo, flavor = request.repo(write=True), request.json["flavor"]
    if flavor not in FREE_HARDWARE + PAID_HARDWARE:
        raise Refusal(400, f"no such hardware: {flavor}")
    if flavor in PAID_HARDWARE and not request.hub.paid_plan:
        raise Refusal(402, "this hardware needs a payment method")
    repo.hardware = flavor
    return runtime(request)


@route("POST", "/api/collections")
def create_collection(request: Request):
    wanted, known = request.json, request.hub.collections
    request.signed_in(write=f"{wanted['namespace']}/collection")
    slug = f"{wanted['namespace']}/{wanted['title'].lower().replace(' ', '-')}-{'0' * 24}"
    if slug in known:
        raise Refusal(409, "a collection of this title exists", slug=slug)
    owner = {"name": wanted["namespace"], "type": "user"}
    known[slug] = {"slug": slug, "title": wanted["title"], "private": wanted["private"], "owner": owner, "items": []}
    return collection(request, slug)


@route("GET", r"/api/collections/(?P<slug>[^/]+/[^/]+)")
def collection(request: Request, slug: str | None = None):
    kept = request.hub.collections[slug or request.path["slug"]]
    return kept | {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0, "theme": "green", "upvotes": 0}


@route("POST", r"/api/collections/(?P<slug>[^/]+/[^/]+)/items")
def collection_item(request: Request):
    slug, wanted = request.path["slug"], request.json["item"]
    request.signed_in(write=slug)
    items = request.hub.collections[slug]["items"]
    if (f"{wanted['type']}s", wanted["id"]) not in request.hub.repos:
        raise Refusal(404, "no such repository")
    if any((item["type"], item["id"]) == (wanted["type"], wanted["id"]) for item in items):
        raise Refusal(409, "it is in the collection already")
    items.append(wanted | {"_id": str(len(items)), "position": len(items)})
    return collection(request)


@route("POST", r"/api/buckets/(?P<id>[^/]+/[^/]+)")
def bucket(request: Request):
    request.signed_in(write=request.path["id"])
    return {"url": f"{request.hub.url}/buckets/{request.path['id']}"}


@route("POST", r"/api/jobs/(?P<namespace>[^/]+)")
def job(request: Request):
    """Starts nothing, but keeps what was asked for."""
    name, wanted = request.signed_in(write=f"{request.path['namespace']}/job"), request.json
    if wanted["flavor"] not in FREE_HARDWARE + PAID_HARDWARE:
        raise Refusal(400, f"no such hardware: {wanted['flavor']}")
    if wanted["flavor"] in PAID_HARDWARE and not request.hub.paid_plan:
        raise Refusal(402, "this hardware needs a payment method")
    request.hub.jobs.append(wanted)
    owner = {"id": name, "name": name, "type": "user"}
    return {"id": f"job{len(request.hub.jobs)}", "owner": owner, "status": {"stage": "RUNNING"}}
