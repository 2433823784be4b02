"""What publishing promises: all or nothing on each repository, twice is once, and every fault ends in one sentence."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import load_from_disk
from huggingface_hub import HfApi, ModelCard, RepoCard
from huggingface_hub.errors import HfHubHTTPError

from char_lstm import generate_text, load
from char_lstm.corpus.build import build_corpus
from char_lstm.hub.arguments import PublishArguments
from char_lstm.hub.assemble import notebook_for
from char_lstm.hub.cards import dataset_card
from char_lstm.items import save_items
from char_lstm.loading import NEEDED
from char_lstm.paths import PACKAGE
from tests.conftest import ALICE, CODE, ROOT
from tests.hub.conftest import APP
from tests.stand_in import running_hub

MODEL, DATASET, SPACE = ("models", "user/tiny"), ("datasets", "user/story"), ("spaces", "user/writes")


class TestPublishing:
    def test_one_command_publishes_model_dataset_and_space_each_in_one_commit_under_a_tag(
        self,
        command,
        hub,
        packaged,
        space,
    ):
        assert command() == 0
        assert list(hub.repos) == [DATASET, MODEL, SPACE]
        for repo in hub.repos.values():
            assert [commit.title for commit in repo.commits] == ["initial commit", "Publish with char-lstm"]
            assert repo.tags == {"v1": repo.head.oid}
        model, dataset, shown = (hub.repos[key].head.files for key in (MODEL, DATASET, SPACE))
        for path in packaged.iterdir():
            if path.name != "README.md":
                assert hub.read(model[path.name]) == path.read_bytes()
        assert {"data/train-00000-of-00001.parquet", "tokenizer.json", "README.md"} < dataset.keys()
        package = {name for name in shown if name.startswith("char_lstm/")}
        compared = {name for name in shown if name.startswith("pretrained/")}
        assert shown.keys() - compared - package == {
            ".gitattributes",
            "agents.md",
            "app.py",
            "README.md",
            "requirements.txt",
        }
        assert compared == {f"pretrained/alice_rnn/{name}" for name in (*NEEDED, "evaluation.json")}
        assert hub.repos[SPACE].variables == {"MODEL_ID": "user/tiny"}

    def test_the_space_gets_the_parts_of_the_package_that_it_uses(self, command, hub):
        command()
        files = hub.repos[SPACE].head.files
        package = {Path(name) for name in files if name.startswith("char_lstm/")}
        assert {path.name for path in package} > {*CODE, "loading.py", "inspector.js"}
        assert not {part for path in package for part in path.parts} & {"corpus", "training", "hub", "verbs", "recipes"}
        for path in package:
            for node in ast.walk(ast.parse(hub.read(files[str(path)]) if path.suffix == ".py" else "")):
                if isinstance(node, ast.ImportFrom) and node.level:
                    module = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                    own = hub.read(files[str(module / "__init__.py")]).decode() if not node.module else ""
                    names = [module / alias.name for alias in node.names if f"def {alias.name}(" not in own]
                    names = [module] if node.module else names
                    for name in names:
                        assert package & {name.with_suffix(".py"), name / "__init__.py"}, f"{path} imports {name}"

    def test_links_to_code_are_published_as_the_files_that_they_lead_to(self, command, hub, packaged):
        for name in CODE:
            (packaged / name).unlink()
            (packaged / name).symlink_to(PACKAGE / name)
        assert command() == 0
        for name in CODE:
            assert hub.read(hub.repos[MODEL].head.files[name]) == (PACKAGE / name).read_bytes()

    def test_the_lecture_travels_with_the_model_and_loads_it_from_there(self, command, hub):
        command()
        files = hub.repos[MODEL].head.files
        lecture = json.loads(hub.read(files["notebook.ipynb"]))
        code = [cell for cell in lecture["cells"] if cell["cell_type"] == "code"]
        assert 'MODEL, REVISION = "user/tiny", "v1"' in "".join(code[0]["source"])
        assert not any(cell["outputs"] for cell in code), "those of another model"
        card = hub.read(files["README.md"]).decode()
        assert "colab.research.google.com/#fileId=https%3A//huggingface.co/user/tiny/blob/main/notebook.ipynb" in card

    def test_the_packaged_alice_keeps_the_outputs_of_her_lecture(self):
        lecture = json.loads(notebook_for(PublishArguments(model=str(ALICE), repo_id="user/alice")))
        assert any(cell["outputs"] for cell in lecture["cells"] if cell["cell_type"] == "code")

    @pytest.mark.parametrize("name", ["base_model", "new_version"])
    def test_the_card_names_the_base_and_the_successor_that_were_published_before(self, command, hub, name):
        command(f"--{name}", "user/another")
        model = RepoCard(hub.read(hub.repos[MODEL].head.files["README.md"]).decode())
        assert model.data[name] == "user/another"

    def test_the_cards_name_each_other_and_pin_the_revision(self, command, hub):
        command()
        model, dataset, shown = (
            RepoCard(hub.read(hub.repos[key].head.files["README.md"]).decode()) for key in (MODEL, DATASET, SPACE)
        )
        assert 'from_pretrained("user/tiny", **where)' in model.text
        assert '"revision": "v1"' in model.text
        agents = hub.read(hub.repos[SPACE].head.files["agents.md"]).decode()
        assert agents == "user/writes answers at https://user-writes.hf.space"
        assert "huggingface.co/spaces/user/writes" in model.text
        assert model.data.datasets == shown.data.datasets == ["user/story"]
        assert shown.data.models == shown.data.preload_from_hub == ["user/tiny"]
        assert dataset.data.language == model.data.language == "en"
        assert "user/tiny" in dataset.text
        assert re.search(r"train +[\d,]+ +[\d,]+", dataset.text), "the numbers of the build"
        assert dataset.data.dataset_info["splits"][0]["name"] == "train"

    def test_a_second_run_sends_nothing(self, command, hub, capsys):
        command()
        hub.requests.clear()
        assert command() == 0
        assert not hub.asked("PUT|/commit/|/preupload/|POST .*/variables|/tag/")
        assert capsys.readouterr().out.count("nothing to send") == 3

    def test_only_what_changed_is_sent_and_what_is_gone_is_deleted(self, command, hub, packaged):
        (packaged / "old.txt").write_text("old")
        command()
        (packaged / "old.txt").unlink()
        (packaged / "new.txt").write_text("new")
        hub.requests.clear()
        assert command("--tag", "v2") == 0
        assert "old.txt" not in hub.repos[MODEL].head.files
        assert "new.txt" in hub.repos[MODEL].head.files
        assert not hub.asked("PUT")
        assert hub.repos[MODEL].tags["v1"] == hub.repos[MODEL].commits[1].oid

    def test_a_tag_is_never_left_on_another_content(self, command, hub, packaged, capsys):
        command()
        (packaged / "new.txt").write_text("new")
        hub.requests.clear()
        assert command() == 2
        assert "choose another --tag" in capsys.readouterr().err
        assert not hub.asked("PUT|/commit/|/repos/create")

    def test_private_means_that_nobody_else_reads_it(self, command, hub, capsys):
        assert command("--private") == 0
        assert all(repo.private for repo in hub.repos.values())
        assert "HF_TOKEN in its settings" in capsys.readouterr().out
        with pytest.raises(HfHubHTTPError):
            HfApi(token=False).repo_info("user/tiny")

    def test_what_is_public_already_is_not_taken_for_private(self, command, hub, capsys):
        command()
        assert command("--private") == 2
        assert "already public" in capsys.readouterr().err

    def test_the_hardware_is_asked_for_once(self, command, hub):
        assert command("--space_hardware", "cpu-upgrade") == 0
        assert hub.repos[SPACE].hardware == "cpu-upgrade"
        assert command("--space_hardware", "cpu-upgrade") == 0
        assert hub.asked("POST .*/hardware") == 1

    def test_a_dry_run_lists_everything_and_speaks_to_nobody(self, command, hub, monkeypatch, capsys):
        monkeypatch.delenv("HF_TOKEN")
        assert command("--dry_run") == 0
        assert hub.requests == []
        output = capsys.readouterr().out
        for line in ("model user/tiny -> ", "dataset user/story -> ", "space user/writes -> ", "model.safetensors"):
            assert line in output
        assert "nothing was sent" in output


PULL = """
import sys
from datasets import load_dataset
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM, AutoTokenizer
where = {"revision": "v1", "trust_remote_code": True}
model = AutoModelForCausalLM.from_pretrained("user/tiny", **where)
tokenizer = AutoTokenizer.from_pretrained("user/tiny", **where)
ids = model.generate(**tokenizer("the sea", return_tensors="pt"), do_sample=False, max_new_tokens=40)
assert "char_lstm" not in sys.modules
load_dataset("user/story", revision="v1").save_to_disk(sys.argv[1] + "/story")
snapshot_download("user/writes", repo_type="space", local_dir=sys.argv[1] + "/writes")
print(tokenizer.decode(ids[0]))
"""


def reaching(hub, tmp_path) -> dict[str, str]:
    """The environment of a process with an empty home, which reaches the stand-in alone."""
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    return os.environ | home | {"HF_TOKEN": "hf_write", "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": ""}


def elsewhere(hub, tmp_path, *command: str) -> str:
    """The output of a command in such a process."""
    done = subprocess.run(command, env=reaching(hub, tmp_path), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_published_is_what_comes_back(command, hub, packaged, corpus, space, tmp_path):
    command()
    there = elsewhere(hub, tmp_path, sys.executable, "-c", PULL, str(tmp_path)).strip("\n")
    model, tokenizer = load(packaged)
    here = generate_text(model, tokenizer, "the sea", max_new_tokens=40, temperature=0)
    assert there == ("the sea" + here).strip("\n")
    rows, expected = load_from_disk(tmp_path / "story"), load_from_disk(corpus)
    assert list(rows) == list(expected)
    for name, split in expected.items():
        assert rows[name].features == split.features
        assert rows[name].to_dict() == split.to_dict()
    assert (tmp_path / "writes" / "app.py").read_text() == APP
    assert (tmp_path / "writes" / "char_lstm" / "loading.py").exists()


LECTURE = """
import json, sys
import matplotlib
from huggingface_hub import hf_hub_download

matplotlib.use("Agg")
names = {}
for cell in json.load(open(hf_hub_download("user/tiny", "notebook.ipynb", revision="v1"), encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(line for line in cell["source"] if not line.startswith("%pip")), names)
assert "char_lstm" not in sys.modules
print(len(names["written"]))
"""


@pytest.mark.slow
def test_the_lecture_on_a_published_model_runs_from_top_to_bottom(command, hub, tmp_path):
    command()
    assert elsewhere(hub, tmp_path, sys.executable, "-c", LECTURE).split()[-1] == "500"


@pytest.mark.slow
def test_the_packaged_alice_and_the_real_space_are_tried_here_published_and_answer_from_there(tmp_path):
    from gradio_client import Client

    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        script = [sys.executable, str(ROOT / "scripts" / "publish.py"), "--model", str(ALICE), "--tag", "v1"]
        script += ["--repo_id", "user/alice", "--space_id", "user/writes"]
        assert "nothing was sent" in elsewhere(hub, tmp_path, *script, "--dry_run")
        assert elsewhere(hub, tmp_path, *script).count("files sent") == 2
        hf = str(Path(sys.executable).with_name("hf"))
        elsewhere(hub, tmp_path, hf, "download", "user/writes", "--repo-type", "space", "--local-dir", "app")

        shown = {"MODEL_ID": hub.repos[SPACE].variables["MODEL_ID"]}
        with subprocess.Popen(
            [sys.executable, "-u", "app.py"],
            cwd=tmp_path / "app",
            env=reaching(hub, tmp_path) | shown,
            stdout=subprocess.PIPE,
            text=True,
        ) as app:
            try:
                url = next(found[0] for line in app.stdout if (found := re.search(r"http://[\d.:]+", line)))
                there = Client(url, verbose=False).predict("Alice was", seed=7, api_name="/generate")
            finally:
                app.terminate()
    assert there == generate_text(*load(ALICE), "Alice was", seed=7)


def test_the_model_card_tells_how_to_use_the_folder_that_it_lies_in(packaged):
    text = ModelCard.load(packaged / "README.md").text
    assert f'from_pretrained("{packaged}", **where)' in text


def test_the_card_of_a_list_speaks_of_a_list(packaged, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"anna{'b' * length}" for length in range(40)))
    corpus = build_corpus(tmp_path / "names", text=str(tmp_path / "names.txt"), sequence="item")
    save_items(corpus["train"]["text"], packaged)
    args = PublishArguments(model=str(packaged), repo_id="user/tiny", dataset=str(tmp_path / "names"))
    text = dataset_card(corpus, SimpleNamespace(id="user/names"), args).text
    assert "characters of a list" in text
    assert "Each line of the list, or each of its records, is an item" in text
    assert "sentence" not in text
