"""Publishes a packaged model, its corpus and what shows it, each in one commit, and groups them in a collection.

Everything is assembled and checked before the first byte is sent. Running the same command again sends only what is
missing, so a run that was cut off is simply run again.
"""

import hashlib
import tempfile
from pathlib import Path

from huggingface_hub import CommitOperation, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from ..errors import PublishError
from .arguments import PublishArguments
from .assemble import assemble
from .checks import check
from .repo import Repo, card_of, check_ids, explained, retried

MAY_COST = "A Gradio Space may need a paid plan (the Hub answers 402); --static_space_id publishes a page for free."


def publish(args: PublishArguments) -> None:
    check_arguments(args)
    if args.space_id:
        print(MAY_COST)
    api = HfApi()
    if not args.dry_run:
        check_access(api, repo_ids(args))
    with tempfile.TemporaryDirectory() as place:
        repos = assemble(args, Path(place))
        check(repos)
        if args.dry_run:
            if args.collection:
                print(f"collection {args.collection}: {', '.join(map(str, repos))}")
            print("All checks passed. This was a dry run: nothing was sent.")
            return
        for repo in repos:
            with explained(f"checking the {repo}"):
                check_remote(api, repo, args)
        published: list[str] = []
        for repo in repos:
            with explained(f"publishing the {repo}", published):
                send(api, repo, args)
            published.append(repo.url)
        if args.collection:
            with explained(f"grouping them in the collection {args.collection}", published):
                group(api, repos, args)


def check_arguments(args: PublishArguments) -> None:
    for name in ("README.md", "evaluation.json"):
        if not (Path(args.model) / name).is_file():
            raise PublishError(f"{args.model} has no {name}; char-lstm package makes a folder that can be published")
    if (args.dataset is None) != (args.dataset_repo_id is None):
        raise PublishError("--dataset and --dataset_repo_id go together")
    if args.space_hardware and not args.space_id:
        raise PublishError("--space_hardware needs --space_id")
    if args.space_id and args.space_id == args.static_space_id:
        raise PublishError("--space_id and --static_space_id are two Spaces: give each its own name")
    check_ids([*repo_ids(args), *filter(None, [args.base_model, args.new_version])])


def repo_ids(args: PublishArguments) -> list[str]:
    return list(filter(None, [args.repo_id, args.dataset_repo_id, args.space_id, args.static_space_id]))


def check_access(api: HfApi, repo_ids: list[str]) -> None:
    """The token may write to these namespaces."""
    with explained("asking the Hub about the token"):
        who = retried(api.whoami)
    role = who.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise PublishError("this token may only read; make a write token at https://huggingface.co/settings/tokens")
    owners = [who["name"], *(organisation["name"] for organisation in who.get("orgs", []))]
    for repo_id in repo_ids:
        if repo_id.split("/")[0] not in owners:
            raise PublishError(f"{repo_id}: this token is {who['name']}'s and can write only to {', '.join(owners)}")


def check_remote(api: HfApi, repo: Repo, args: PublishArguments) -> None:
    """The Hub accepts the card, and what is already there does not contradict the command."""
    try:
        retried(card_of(repo.folder).validate, repo_type=repo.kind)
    except ValueError as error:
        raise PublishError(f"the Hub does not accept the card of the {repo}: {error}") from error
    try:
        info = retried(api.repo_info, repo.id, repo_type=repo.kind)
    except RepositoryNotFoundError:
        return
    if args.private and not info.private:
        raise PublishError(f"the {repo} is already public; make it private in its settings, or leave out --private")
    tagged = tag_target(api, repo, args.tag)
    if tagged and (tagged != info.sha or changes(api, repo)):
        raise PublishError(f"the {repo} already has a tag {args.tag} with other contents; choose another --tag")


def tag_target(api: HfApi, repo: Repo, tag: str | None) -> str | None:
    """The commit that a tag points to, if there is such a tag."""
    tags = retried(api.list_repo_refs, repo.id, repo_type=repo.kind).tags if tag else []
    return next((ref.target_commit for ref in tags if ref.name == tag), None)


def send(api: HfApi, repo: Repo, args: PublishArguments) -> None:
    """Makes the repository equal to its folder, and changes nothing that is already right."""
    kind = {"repo_type": repo.kind, "space_sdk": repo.sdk}
    retried(api.create_repo, repo.id, private=args.private, exist_ok=True, **kind)
    if repo.sdk == "gradio":
        set_model_id(api, repo, args)
    head = retried(api.repo_info, repo.id, repo_type=repo.kind).sha
    sent = retried(commit, api, repo, head)
    if args.tag and not tag_target(api, repo, args.tag):
        retried(api.create_tag, repo.id, tag=args.tag, repo_type=repo.kind, exist_ok=True)
    if repo.sdk == "gradio" and args.space_hardware:
        request_hardware(api, repo, args.space_hardware)
    print(f"{repo}: {f'{sent} files sent' if sent else 'nothing to send, it is up to date'}: {repo.url}")


def commit(api: HfApi, repo: Repo, head: str) -> int:
    """Commits the changed files on top of `head` and returns how many there are; without any, there is no commit.

    If a commit was applied but its answer lost, the retry finds nothing to change and makes no second commit.
    """
    operations = changes(api, repo)
    if operations:
        api.create_commit(
            repo.id, operations, repo_type=repo.kind, commit_message="Publish with char-lstm", parent_commit=head
        )
    return len(operations)


def changes(api: HfApi, repo: Repo) -> list[CommitOperation]:
    """What makes the main branch equal to the folder, known before anything is sent."""
    # Not by upload_folder, which splits large uploads into several commits and resends one whose answer was lost.
    tree = retried(lambda: list(api.list_repo_tree(repo.id, repo_type=repo.kind, recursive=True)))
    there = {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in tree if isinstance(file, RepoFile)}
    here = repo.files()
    gone = sorted(there.keys() - here.keys() - {".gitattributes"})
    added = (CommitOperationAdd(name, path) for name, path in here.items() if there.get(name) not in hashes(path))
    return [*added, *map(CommitOperationDelete, gone)]


def hashes(path: Path) -> tuple[str, str]:
    """The two hashes by which the Hub may know a file: git's, or SHA-256 for a large one."""
    content = path.read_bytes()
    return git_hash(content), hashlib.sha256(content).hexdigest()


def set_model_id(api: HfApi, repo: Repo, args: PublishArguments) -> None:
    """Tells the Space which model to load."""
    variable = retried(api.get_space_variables, repo.id).get("MODEL_ID")
    if variable is None or variable.value != args.repo_id:
        retried(api.add_space_variable, repo.id, "MODEL_ID", args.repo_id)
    if args.private:
        print("  the model is private: give the Space a token that can read it, as the secret HF_TOKEN in its settings")


def request_hardware(api: HfApi, repo: Repo, hardware: str) -> None:
    runtime = retried(api.get_space_runtime, repo.id)
    if hardware not in (runtime.hardware, runtime.requested_hardware):
        retried(api.request_space_hardware, repo.id, hardware)


def group(api: HfApi, repos: list[Repo], args: PublishArguments) -> None:
    """Makes the collection if there is none of this title, and adds what it does not hold yet."""
    title, owner = args.collection, args.repo_id.split("/")[0]
    collection = retried(api.create_collection, title, namespace=owner, private=args.private, exists_ok=True)
    held = {(item.item_type, item.item_id) for item in collection.items}
    for repo in repos:
        if (repo.kind, repo.id) not in held:
            retried(api.add_collection_item, collection.slug, repo.id, repo.kind, exists_ok=True)
    print(f"collection {title}: {len(repos)} in it: {collection.url}")
