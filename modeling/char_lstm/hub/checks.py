"""Checked locally before the first byte is sent: the cards, the model in a fresh process, the Space."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from ..errors import PublishError
from ..loading import load
from .repo import Repo, card_of

REQUIRED = {  # fields of a card's header, by the kind of its repository, or the SDK of its Space
    "model": ("language", "license", "library_name", "pipeline_tag", "model-index"),
    "dataset": ("language", "license", "configs"),
    "gradio": ("title", "sdk", "sdk_version", "app_file", "short_description", "license"),
    "static": ("title", "sdk", "app_file", "short_description", "license", "models"),
}
START_LIMIT = 180  # seconds within which a Space has to start


def list_files(repo: Repo) -> None:
    """Prints which files go where."""
    files = repo.files()
    sizes = {name: path.stat().st_size for name, path in files.items()}
    print(f"{repo} -> {repo.url}")
    for name, size in sizes.items():
        print(f"  {size:>12,}  {name}")
    print(f"  {sum(sizes.values()):>12,}  bytes in {len(files)} files")


def check(repos: list[Repo]) -> None:
    """Lists the files of each repository and tries out what runs; raises PublishError at the first fault."""
    by_kind = {repo.sdk or repo.kind: repo for repo in repos}
    for repo in repos:
        list_files(repo)
        check_card(repo)
    check_model(by_kind["model"])
    if "gradio" in by_kind:
        check_space(by_kind["gradio"], by_kind["model"])


def check_card(repo: Repo) -> None:
    """The header of a card has every field that its kind of repository needs."""
    data = card_of(repo.folder).data.to_dict()
    if lacking := [key for key in REQUIRED[repo.sdk or repo.kind] if not data.get(key)]:
        raise PublishError(f"the header of the {repo.kind}'s README.md lacks: {', '.join(lacking)}")
    if len(data.get("short_description", "")) > 60:
        raise PublishError("the Space's short_description is longer than the 60 characters that the Hub shows")


def check_model(repo: Repo) -> None:
    """The folder loads from the code that it carries and generates 500 characters, without this package."""
    load(repo.folder)
    print(f"loading the {repo} in a fresh process ...")
    run_alone([sys.executable, "-c", WRITE_500, str(repo.folder)], repo.folder, "the model does not generate")


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
    """The app starts with the assembled model."""
    app = [sys.executable, "-u", card_of(repo.folder).data["app_file"]]
    print(f"starting the {repo} ...")
    run_alone(app, repo.folder, "the Space does not start", up="Running on local URL", MODEL_ID=str(model.folder))


def run_alone(command: list[str], folder: Path, failure: str, *, up: str | None = None, **variables: str) -> None:
    """Runs a command in `folder`, offline, without a token or settings of gradio, and with an empty cache.

    Args:
        up: output that shows it is running and can be stopped; without it, the command has to end by itself.

    Raises:
        PublishError: it failed, or did not start in time; the message is `failure` and its last output.
    """
    with tempfile.TemporaryDirectory() as home:
        kept = {key: value for key, value in os.environ.items() if not re.search("TOKEN|GRADIO", key)}
        alone = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
        environment = kept | alone | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""} | variables
        said = []
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            limit = threading.Timer(START_LIMIT, process.kill)
            limit.start()
            for line in process.stdout or ():
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
