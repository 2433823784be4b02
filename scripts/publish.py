"""Publishes a packaged model on the Hub, its corpus and the Space that shows it, each in one commit.

    python scripts/publish.py --model modeling/pretrained/alice --repo_id USER/alice-char-lstm --tag v1 --dry_run
    python scripts/publish.py --model modeling/pretrained/alice --repo_id USER/alice-char-lstm --tag v1 \\
        --dataset data/alice --dataset_repo_id USER/alice --space_id USER/alice-writes

The token is the one of `hf auth login`, or HF_TOKEN. Everything is assembled and tried out here before the first byte
goes out. The same command run again sends only what is missing, so a run that was cut off is simply run again.

Exit status: 0 done; 1 the Hub or the connection failed, so run it again later; 2 something has to be put right first.
"""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml
from datasets import DatasetDict, DatasetInfo, SplitDict, SplitInfo, load_from_disk
from datasets.info import DatasetInfosDict
from huggingface_hub import (
    CommitOperation,
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetCard,
    DatasetCardData,
    HfApi,
    RepoCard,
    constants,
    get_token,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id
from huggingface_hub.utils.sha import git_hash
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from transformers import HfArgumentParser

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts know each other as scripts.x

from char_lstm import load
from char_lstm.loading import NEEDED, CheckpointError
from scripts.build_corpus import describe, lengths_of
from scripts.package import use_section

Answer = TypeVar("Answer")
TROUBLE = (HTTPError, json.JSONDecodeError)  # what the client raises: a status, no answer, or an answer of a proxy's

HERE = Path(__file__).resolve().parent
SPACE, PACKAGE = HERE.parent / "space", HERE.parent / "modeling" / "char_lstm"
SHOWN = HERE.parent / "modeling" / "pretrained"  # the Space compares cells with these
DATASET_TEMPLATE = HERE / "templates" / "dataset_card.md"
USE = re.compile(r"(?<=<!-- use -->\n).*?(?=<!-- end -->)", re.DOTALL)
LEFT_OUT = shutil.ignore_patterns(
    *(".*", "__pycache__", "test*"),
    "*.pyi",  # gradio leaves them
    "training_args.bin",  # a pickle of the settings, a token among them if one was given
)
PUBLIC_DOMAIN = {
    "license": "other",
    "license_name": "public-domain",
    "license_link": "https://creativecommons.org/publicdomain/mark/1.0/",
}
REQUIRED = {  # what a card has to say, by the kind of its repository
    "model": ("language", "license", "library_name", "pipeline_tag", "model-index"),
    "dataset": ("language", "license", "configs"),
    "space": ("title", "sdk", "sdk_version", "app_file", "short_description", "license"),
}
WAITS = (2, 8)  # seconds before another try, where the Hub does not say how long
PASSING = (429, 500, 502, 503, 504)  # what goes away by itself
START_LIMIT = 180  # seconds in which a Space has to be up
AGAIN = "run the same command again"


class PublishError(Exception):
    """Why publishing ended; the message says what to do. `status` is the exit status."""

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status


@dataclass
class PublishArguments:
    model: str = field(metadata={"help": "A folder written by package.py."})
    repo_id: str = field(metadata={"help": "Where the model goes: USER/NAME."})
    dataset: str | None = field(default=None, metadata={"help": "A folder written by build_corpus.py."})
    dataset_repo_id: str | None = field(default=None, metadata={"help": "Where the corpus goes: USER/NAME."})
    dataset_license: str = field(
        default="unknown", metadata={"help": "Of the text: public-domain, or as the Hub names licences (cc-by-4.0)."}
    )
    space_id: str | None = field(default=None, metadata={"help": "Where the Space goes: USER/NAME."})
    space_hardware: str | None = field(default=None, metadata={"help": "What the Space runs on, e.g. cpu-upgrade."})
    private: bool = field(default=False, metadata={"help": "Nobody else sees what is published."})
    tag: str | None = field(default=None, metadata={"help": "Tag what is published; the card pins this revision."})
    dry_run: bool = field(default=False, metadata={"help": "Assemble, check and list everything; send nothing."})


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


def publish(args: PublishArguments) -> None:
    check_arguments(args)
    api = HfApi()
    if not args.dry_run:
        check_access(api, ids_of(args))
    with tempfile.TemporaryDirectory() as place:
        repos = assemble(args, Path(place))
        check(repos)
        if args.dry_run:
            print("All checks passed. This was a dry run: nothing was sent.")
            return
        for repo in repos:
            with explained(f"checking the {repo}"):
                check_remote(api, repo, args)
        published = []
        for repo in repos:
            with explained(f"publishing the {repo}", published):
                send(api, repo, args)
            published.append(repo.url)


# Assembling


def check_arguments(args: PublishArguments) -> None:
    for name in ("README.md", "evaluation.json"):
        if not (Path(args.model) / name).is_file():
            raise PublishError(f"{args.model} has no {name}; scripts/package.py makes a folder that can be published")
    if (args.dataset is None) != (args.dataset_repo_id is None):
        raise PublishError("--dataset and --dataset_repo_id go together")
    if args.space_hardware and not args.space_id:
        raise PublishError("--space_hardware needs --space_id")
    check_ids(ids_of(args))


def ids_of(args: PublishArguments) -> list[str]:
    return [repo_id for repo_id in (args.repo_id, args.dataset_repo_id, args.space_id) if repo_id]


def check_ids(repo_ids: list[str]) -> None:
    """Each id is one, and says whose it is."""
    for repo_id in repo_ids:
        validate_repo_id(repo_id)
        if "/" not in repo_id:
            raise PublishError(f"{repo_id}: say whose it is, as in USER/{repo_id}")


def assemble(args: PublishArguments, place: Path) -> list[Repo]:
    """The folders as they will stand on the Hub, in the order in which they go out: none names one yet to come."""
    repos = []
    if args.dataset:
        repos.append(Repo("dataset", args.dataset_repo_id, place / "dataset"))
        assemble_dataset(repos[-1], args)
    repos.append(Repo("model", args.repo_id, place / "model"))
    assemble_model(repos[-1], args)
    if args.space_id:
        repos.append(Repo("space", args.space_id, place / "space"))
        assemble_space(repos[-1], args)
    return repos


def assemble_dataset(repo: Repo, args: PublishArguments) -> None:
    """Parquet, the tokenizer that `train.py` looks for, and the card."""
    corpus = load_from_disk(args.dataset)
    check_corpus(corpus, args)
    (repo.folder / "data").mkdir(parents=True)
    for name, split in corpus.items():
        split.to_parquet(repo.folder / "data" / f"{name}-00000-of-00001.parquet")
    for path in Path(args.dataset).glob("tokenizer*.json"):
        shutil.copy(path, repo.folder)
    render_dataset_card(corpus, repo, args).save(repo.folder / "README.md")


def check_corpus(corpus: DatasetDict, args: PublishArguments) -> None:
    """The figures on the model's card are of this corpus."""
    figures = json.loads((Path(args.model) / "evaluation.json").read_text(encoding="utf-8"))
    text = "".join(corpus[figures["split"]]["text"])
    if figures["text_sha256"] != hashlib.sha256(text.encode()).hexdigest():
        raise PublishError(f"{args.model} was tested on another text than {args.dataset} holds; give its own corpus")


def render_dataset_card(corpus: DatasetDict, repo: Repo, args: PublishArguments) -> DatasetCard:
    """The card of a corpus, with the numbers of its build."""
    characters = sum((lengths_of(split) - 1).sum() for split in corpus.values())  # a row starts with a newline
    data = DatasetCardData(
        language=card_of(Path(args.model)).data.language,
        pretty_name=repo.id.split("/")[1],
        task_categories=["text-generation"],
        source_datasets=["original"],
        size_categories=[size_category(sum(map(len, corpus.values())))],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*"} for name in corpus],
            }
        ],
        **(PUBLIC_DOMAIN if args.dataset_license == "public-domain" else {"license": args.dataset_license}),
    )
    splits = SplitDict()
    for name, split in corpus.items():
        splits.add(SplitInfo(name, split.data.nbytes, len(split)))
    info = DatasetInfo(features=corpus["train"].features, splits=splits)
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    return DatasetCard.from_template(
        data,
        template_path=str(DATASET_TEMPLATE),
        repo_id=repo.id,
        model_id=args.repo_id,
        revision=args.tag or "main",
        license=args.dataset_license,
        characters=characters,
        numbers=describe(corpus),
        max_length=len(corpus["train"][0]["input_ids"]),
    )


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if rows < limit:
            return name
    return "n>1M"


def assemble_model(repo: Repo, args: PublishArguments) -> None:
    """The packaged folder, its card told where it will stand."""
    shutil.copytree(args.model, repo.folder, ignore=LEFT_OUT)
    card = card_of(repo.folder)
    if args.dataset_repo_id:
        card.data.datasets = [args.dataset_repo_id]
    card.text = USE.sub(lambda _: use_section(args.repo_id, args.tag or "main", args.space_id), card.text)
    card.save(repo.folder / "README.md")


def assemble_space(repo: Repo, args: PublishArguments) -> None:
    """The app with the package beside it and models to compare, its header naming what it shows."""
    shutil.copytree(SPACE, repo.folder, ignore=LEFT_OUT)
    shutil.copytree(PACKAGE, repo.folder / PACKAGE.name, ignore=LEFT_OUT)
    for config in SHOWN.glob("alice*/config.json"):
        folder = repo.folder / SHOWN.name / config.parent.name
        folder.mkdir(parents=True)
        for path in (*map(config.with_name, (*NEEDED, "evaluation.json")), *config.parent.glob("novelty.*")):
            shutil.copy(path, folder)
    card = card_of(repo.folder)
    card.text = card.text.replace("USER/SPACE", repo.id)
    card.data.models = [args.repo_id]
    if not args.private:  # a private one is out of reach while the Space is built
        card.data.preload_from_hub = [args.repo_id]
    if args.dataset_repo_id:
        card.data.datasets = [args.dataset_repo_id]
    card.save(repo.folder / "README.md")


def card_of(folder: Path) -> RepoCard:
    """The README.md of a folder, its header read."""
    try:
        return RepoCard.load(folder / "README.md")
    except yaml.YAMLError as error:
        raise PublishError(f"the header of {folder.name}/README.md is no YAML: {error}") from error


def show(repo: Repo) -> None:
    """Lists what goes where."""
    files = repo.files()
    sizes = {name: path.stat().st_size for name, path in files.items()}
    print(f"{repo} -> {repo.url}")
    for name, size in sizes.items():
        print(f"  {size:>12,}  {name}")
    print(f"  {sum(sizes.values()):>12,}  bytes in {len(files)} files")


# Checking here


def check(repos: list[Repo]) -> None:
    """Lists what goes where and tries it out; the dataset's parquet needs no trial, it was written a moment ago."""
    by_kind = {repo.kind: repo for repo in repos}
    for repo in repos:
        show(repo)
        check_card(repo)
    check_model(by_kind["model"])
    if "space" in by_kind:
        check_space(by_kind["space"], by_kind["model"])


def check_card(repo: Repo) -> None:
    """A card says all that its kind of repository needs."""
    data = card_of(repo.folder).data.to_dict()
    if lacking := [key for key in REQUIRED[repo.kind] if not data.get(key)]:
        raise PublishError(f"the {repo.kind}'s README.md says nothing of: {', '.join(lacking)}")
    if len(data.get("short_description", "")) > 60:
        raise PublishError("the Space's short_description is longer than the 60 characters that the Hub shows")


def check_model(repo: Repo) -> None:
    """The folder loads by the code that it carries and writes 500 characters, in a process that knows nothing of us."""
    load(repo.folder)
    print(f"trying the {repo} in a fresh process ...")
    run_alone([sys.executable, "-c", WRITE_500, str(repo.folder)], repo.folder, "the model does not write")


WRITE_500 = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
inputs = tokenizer("the ", return_tensors="pt")
ids = model.generate(**inputs, max_new_tokens=500)[0, inputs.input_ids.shape[1]:]
text = tokenizer.decode(ids)
if len(text) != 500:
    sys.exit(f"{len(text)} characters instead of 500")
"""


def check_space(repo: Repo, model: Repo) -> None:
    """Every import is the package's, Python's or a requirement's, and the app comes up with the assembled model."""
    check_imports(repo.folder)
    app_file = card_of(repo.folder).data.app_file
    print(f"starting the {repo} ...")
    run_alone(
        [sys.executable, "-u", app_file],
        repo.folder,
        "the Space does not start",
        up="Running on local URL",
        MODEL_ID=str(model.folder),
    )


def check_imports(folder: Path) -> None:
    """Every module that the Space imports is Python's, its own, in its requirements, or there on every Space."""
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].strip() for line in lines]
    required = {canonicalize_name(Requirement(line).name) for line in lines if line} | {"gradio", "spaces"}
    for path in folder.rglob("*.py"):
        for module in imported(path):
            if module in sys.stdlib_module_names or (folder / module).is_dir() or (folder / f"{module}.py").is_file():
                continue
            if not required & set(map(canonicalize_name, distributions().get(module, [module]))):
                name = path.relative_to(folder)
                raise PublishError(f"the Space's {name} imports {module}: add it to requirements.txt")


@cache
def distributions() -> dict[str, list[str]]:
    """Which installed distributions bring a module."""
    return packages_distributions()


def imported(path: Path) -> Iterator[str]:
    """The top-level modules that a file imports, save those that it can do without (`try: import ... except`)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    optional = {node for block in ast.walk(tree) if isinstance(block, ast.Try) for node in block.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and node not in optional:
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node not in optional and not node.level:
            yield node.module.split(".")[0]


def run_alone(command: list[str], folder: Path, failure: str, *, up: str | None = None, **variables: str) -> None:
    """Runs a command in `folder`, offline, without a token and with caches of its own.

    Args:
        up: a sign in its output that it is up and can be stopped; without one it has to end by itself.

    Raises:
        PublishError: it failed, or did not come up in time; `failure` and what it said last.
    """
    with tempfile.TemporaryDirectory() as home:
        kept = {key: value for key, value in os.environ.items() if "TOKEN" not in key}
        alone = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        environment = kept | alone | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""} | variables
        said = []
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            limit = threading.Timer(START_LIMIT, process.kill)
            limit.start()
            for line in process.stdout:
                said.append(line.strip())
                if up and up in line:
                    break
            came_up = bool(up and said and up in said[-1])
            if came_up:
                process.terminate()
            status = process.wait()
            limit.cancel()
    if not came_up and (up or status):
        raise PublishError(f"{failure}: {next((line for line in reversed(said) if line), f'status {status}')}")


# Checking there


def check_access(api: HfApi, repo_ids: list[str]) -> None:
    """The token may write, and in these namespaces."""
    with explained("asking the Hub whose token this is"):
        who = retried(api.whoami)
    role = who.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise PublishError("this token may only read; make one that writes at https://huggingface.co/settings/tokens")
    owners = [who["name"], *(organisation["name"] for organisation in who.get("orgs", []))]
    for repo_id in repo_ids:
        if repo_id.split("/")[0] not in owners:
            raise PublishError(f"{repo_id}: this token is {who['name']}'s and writes to {', '.join(owners)}")


def check_remote(api: HfApi, repo: Repo, args: PublishArguments) -> None:
    """The Hub takes the card, and what stands there does not contradict the command."""
    try:
        retried(card_of(repo.folder).validate, repo_type=repo.kind)
    except ValueError as error:
        raise PublishError(f"the Hub refuses the card of the {repo}: {error}") from error
    try:
        info = retried(api.repo_info, repo.id, repo_type=repo.kind)
    except RepositoryNotFoundError:
        return
    if args.private and not info.private:
        raise PublishError(f"the {repo} is public already; make it private in its settings, or leave out --private")
    tagged = tag_target(api, repo, args.tag)
    if tagged and (tagged != info.sha or changes(api, repo)):
        raise PublishError(f"the {repo} has a tag {args.tag} that means something else; choose another --tag")


def tag_target(api: HfApi, repo: Repo, tag: str | None) -> str | None:
    """The commit that a tag means, if there is such a tag."""
    tags = retried(api.list_repo_refs, repo.id, repo_type=repo.kind).tags if tag else []
    return next((ref.target_commit for ref in tags if ref.name == tag), None)


# Sending


def send(api: HfApi, repo: Repo, args: PublishArguments) -> None:
    """Makes the repository what its folder is. Whatever is so already is left alone."""
    is_space = repo.kind == "space"
    sdk = {"space_sdk": "gradio"} if is_space else {}
    retried(api.create_repo, repo.id, repo_type=repo.kind, private=args.private, exist_ok=True, **sdk)
    if is_space:
        show_model(api, repo, args)
    head = retried(api.repo_info, repo.id, repo_type=repo.kind).sha
    sent = retried(commit, api, repo, head)
    if args.tag and not tag_target(api, repo, args.tag):
        retried(api.create_tag, repo.id, tag=args.tag, repo_type=repo.kind, exist_ok=True)
    if is_space and args.space_hardware:
        request_hardware(api, repo, args.space_hardware)
    print(f"{repo}: {f'{sent} files sent' if sent else 'nothing to send, it is up to date'}: {repo.url}")


def commit(api: HfApi, repo: Repo, head: str) -> int:
    """Sends the changed files as one commit upon `head`; returns how many, 0 where none has changed.

    Tried again after a commit whose answer was lost, it finds nothing left to change and makes no second one.
    """
    operations = changes(api, repo)
    if operations:
        api.create_commit(
            repo.id, operations, repo_type=repo.kind, commit_message="Publish with char-lstm", parent_commit=head
        )
    return len(operations)


def changes(api: HfApi, repo: Repo) -> list[CommitOperation]:
    """What makes the repository's main revision equal to the folder."""
    tree = retried(lambda: list(api.list_repo_tree(repo.id, repo_type=repo.kind, recursive=True)))
    there = {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in tree if isinstance(file, RepoFile)}
    here = repo.files()
    added = [CommitOperationAdd(name, path) for name, path in here.items() if there.get(name) not in hashes(path)]
    deleted = [CommitOperationDelete(name) for name in there if name not in here and name != ".gitattributes"]
    return added + deleted


def hashes(path: Path) -> tuple[str, str]:
    """What the Hub may call a file's content: git's hash, or the SHA-256 of a large file."""
    content = path.read_bytes()
    return git_hash(content), hashlib.sha256(content).hexdigest()


def show_model(api: HfApi, repo: Repo, args: PublishArguments) -> None:
    """Tells the Space which model to show."""
    variable = retried(api.get_space_variables, repo.id).get("MODEL_ID")
    if variable is None or variable.value != args.repo_id:
        retried(api.add_space_variable, repo.id, "MODEL_ID", args.repo_id)
    if args.private:
        print("  the Space reads a private model: give it a token that reads, as the secret HF_TOKEN in its settings")


def request_hardware(api: HfApi, repo: Repo, hardware: str) -> None:
    runtime = retried(api.get_space_runtime, repo.id)
    if hardware not in (runtime.hardware, runtime.requested_hardware):
        retried(api.request_space_hardware, repo.id, hardware)


# Failing


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


def without_token(message: str) -> str:
    """A message that can be shown and logged."""
    token = get_token()
    return message.replace(token, "<token>") if token else message


def main(argv: list[str] | None = None) -> None:
    (args,) = HfArgumentParser(PublishArguments, description=__doc__).parse_args_into_dataclasses(argv)
    try:
        publish(args)
    except (PublishError, CheckpointError, HFValidationError, ValueError, OSError) as error:
        message = " ".join(str(error).split())
        print(without_token(f"publish.py: {message}"), file=sys.stderr)
        sys.exit(getattr(error, "status", 2))


if __name__ == "__main__":
    main()
