"""What publishing promises: all or nothing on each repository, twice is once, and every fault ends in one sentence."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_from_disk
from huggingface_hub import HfApi, ModelCard, RepoCard
from huggingface_hub.errors import HfHubHTTPError

from char_lstm import cli, generate_text, load
from char_lstm.corpus.build import build_corpus
from char_lstm.errors import PublishError
from char_lstm.hub import assemble, checks, publish
from char_lstm.hub.arguments import PublishArguments
from char_lstm.hub.repo import Repo
from char_lstm.loading import NEEDED
from char_lstm.paths import PACKAGE
from tests.conftest import ALICE, CODE, ROOT, STORY
from tests.hub.test_package import finish
from tests.stand_in import running_hub

MODEL, DATASET, SPACE = ("models", "user/tiny"), ("datasets", "user/story"), ("spaces", "user/writes")
TO_THE_MODEL = "POST /api/models/.*/commit/"
APP = "import char_lstm\n"
HEADER = """---
title: Tiny
emoji: 🐇
colorFrom: green
colorTo: yellow
sdk: gradio
sdk_version: 6.31.0
app_file: app.py
license: mit
short_description: Writes
---
"""


@pytest.fixture
def packaged(saved, corpus, tmp_path):
    """The tiny model, as package.py makes it, tested on the corpus."""
    figures = json.loads((finish(saved) / "evaluation.json").read_text())
    text = "".join(load_from_disk(corpus)["test"]["text"])
    figures["text_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (saved / "evaluation.json").write_text(json.dumps(figures))
    cli.run("package", ["--run", str(saved), "--output_dir", str(tmp_path / "mine")])
    return tmp_path / "mine"


@pytest.fixture
def space(packaged, tmp_path, monkeypatch):
    """A Space's folder, with what must not travel in it too, and a model to compare."""
    folder = tmp_path / "space"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "app.pyc").touch()
    (folder / "app.py").write_text(APP)
    (folder / "README.md").write_text(HEADER)
    (folder / "requirements.txt").write_text("torch>=2.6\n")
    monkeypatch.setattr(assemble, "in_checkout", lambda *_: folder)
    shutil.copytree(packaged, tmp_path / "pretrained" / "alice_rnn")
    monkeypatch.setattr(assemble, "PRETRAINED", tmp_path / "pretrained")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "story"
    build_corpus(folder, text=STORY)
    return folder


@pytest.fixture
def command(packaged, corpus, space, hub, untried):
    """Publishes all three and returns the exit status; further arguments are appended."""
    arguments = ["--model", str(packaged), "--repo_id", "user/tiny", "--dataset", str(corpus)]
    arguments += ["--dataset_repo_id", "user/story", "--space_id", "user/writes", "--tag", "v1"]

    def command(*more: str) -> int:
        return exit_status([*arguments, *more])

    return command


def exit_status(argv: list[str]) -> int:
    try:
        cli.run("publish", argv)
    except SystemExit as stop:
        return stop.code
    return 0


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
        assert shown.keys() - compared - package == {".gitattributes", "app.py", "README.md", "requirements.txt"}
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
                    names = [module / alias.name for alias in node.names if not node.module] or [module]
                    for name in names:
                        assert package & {name.with_suffix(".py"), name / "__init__.py"}, f"{path} imports {name}"

    def test_links_to_code_are_published_as_the_files_that_they_lead_to(self, command, hub, packaged):
        for name in CODE:
            (packaged / name).unlink()
            (packaged / name).symlink_to(PACKAGE / name)
        assert command() == 0
        for name in CODE:
            assert hub.read(hub.repos[MODEL].head.files[name]) == (PACKAGE / name).read_bytes()

    def test_the_cards_name_each_other_and_pin_the_revision(self, command, hub):
        command()
        model, dataset, shown = (
            RepoCard(hub.read(hub.repos[key].head.files["README.md"]).decode()) for key in (MODEL, DATASET, SPACE)
        )
        assert 'from_pretrained("user/tiny", **where)' in model.text
        assert '"revision": "v1"' in model.text
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


class TestFaults:
    """A row of the table each: what the client retries, what we do, and what is final."""

    @pytest.mark.parametrize("trouble", [{"status": 503}, {"status": 429, "Retry_After": "1"}, {"drop": "during"}])
    def test_trouble_while_uploading_passes_by_itself(self, command, hub, trouble):
        for request in ("/preupload/", "/objects/batch", "PUT /lfs/", "/verify"):
            hub.fail(request, **trouble)
        assert command() == 0
        assert not any(fault.times for fault in hub.faults), "a fault was never met"

    @pytest.mark.parametrize("trouble", [{"status": 503}, {"status": 500}, {"drop": "before"}, {"drop": "during"}])
    def test_trouble_where_the_client_does_not_retry_is_retried_here(self, command, hub, trouble):
        for request in ("whoami", "validate-yaml", "/repos/create", "/tree/", "/refs", "/tag/", TO_THE_MODEL):
            hub.fail(request, **trouble)
        assert command() == 0
        assert not any(fault.times for fault in hub.faults), "a fault was never met"
        assert len(hub.repos[MODEL].commits) == 2

    def test_a_rate_limit_is_waited_for_as_long_as_the_hub_says(self, command, hub):
        hub.fail(TO_THE_MODEL, status=429, Retry_After="37")
        assert command() == 0
        assert 37 in hub.waits

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_trouble_that_does_not_pass_ends_in_one_sentence_and_leaves_main_as_it_was(
        self, command, hub, status, capsys
    ):
        hub.fail(TO_THE_MODEL, status=status, times=99)
        assert command() == 1
        message = capsys.readouterr().err.splitlines()[-1]
        assert message.startswith("char-lstm publish: publishing the model user/tiny: the Hub ")
        assert str(status) in message
        assert "run the same command again" in message
        assert f"Published so far: {hub.url}/datasets/user/story." in message
        assert list(hub.repos[MODEL].head.files) == [".gitattributes"]

    def test_a_commit_whose_answer_was_lost_is_not_made_twice(self, command, hub):
        for kind in ("models", "datasets", "spaces"):
            hub.fail(f"POST /api/{kind}/.*/commit/", drop="after")
        assert command() == 0
        assert [len(repo.commits) for repo in hub.repos.values()] == [2, 2, 2]

    @pytest.mark.parametrize("drop", ["before", "during", "after"])
    def test_a_run_cut_off_anywhere_can_be_run_again(self, command, hub, drop, capsys):
        steps = (
            "whoami",
            "/repos/create",
            "/preupload/",
            "/objects/batch",
            "PUT /lfs/",
            "/verify",
            "/commit/",
            "/tag/",
        )
        for step in steps:
            hub.fail(f"{step}", drop=drop, times=99)
            assert command() in (0, 1)
            hub.faults.clear()
        assert capsys.readouterr().err.count("run the same command again") >= len(steps) - 2
        assert command() == 0
        assert [len(repo.commits) for repo in hub.repos.values()] == [2, 2, 2]
        assert all(repo.tags == {"v1": repo.head.oid} for repo in hub.repos.values())

    @pytest.mark.parametrize("error", [ConnectionError, RuntimeError])
    def test_an_upload_by_xet_that_breaks_off_ends_in_one_sentence(self, command, hub, error, monkeypatch, capsys):
        def break_off(*_, **__):
            raise error("Network error: timed out")

        monkeypatch.setattr(HfApi, "create_commit", break_off)
        assert command() == 1
        assert "the upload broke off (Network error: timed out): run the same command" in capsys.readouterr().err

    def test_another_ones_commit_is_not_committed_over(self, command, hub, capsys):
        hub.fail(TO_THE_MODEL, status=412, times=99)
        assert command() == 2
        assert "someone else" in capsys.readouterr().err
        assert hub.asked(TO_THE_MODEL) == 1

    def test_a_commit_goes_on_top_of_the_revision_that_was_looked_at(self, command, hub, packaged):
        command()
        repo = Repo("model", "user/tiny", packaged)
        with pytest.raises(HfHubHTTPError) as refusal:
            publish.commit(HfApi(), repo, hub.repos[MODEL].commits[0].oid)
        assert refusal.value.response.status_code == 412

    @pytest.mark.parametrize(
        ("token", "sentence"),
        [
            ("hf_wrong", "the Hub does not accept this token (401)"),
            ("hf_read", "this token may only read"),
            ("hf_other", "user/tiny: this token is other's"),
            (None, "there is no token: run `hf auth login`"),
        ],
    )
    def test_a_token_that_will_not_do_is_said_before_anything_is_sent(
        self, command, hub, token, sentence, monkeypatch, capsys
    ):
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        assert command() == 2
        assert sentence in capsys.readouterr().err
        assert hub.requests == (["GET /api/whoami-v2"] if token else [])

    def test_a_token_without_a_right_is_told_what_it_lacks(self, command, hub, capsys):
        hub.fail("/repos/create", status=403, times=99)
        assert command() == 2
        assert "this token may not write there (403)" in capsys.readouterr().err

    def test_a_space_that_wants_a_paid_plan_leaves_the_model_published(self, command, hub, capsys):
        hub.paid_plan = False
        assert command() == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert "publishing the space user/writes: the Hub wants a paid plan for this (402)" in message
        assert f"Published so far: {hub.url}/datasets/user/story, {hub.url}/user/tiny" in message
        assert "`make space`" in message
        assert hub.repos[MODEL].tags == {"v1": hub.repos[MODEL].head.oid}
        hub.paid_plan = True
        assert command() == 0

    def test_hardware_that_wants_a_paid_plan_leaves_all_three_published(self, command, hub, capsys):
        command()
        hub.paid_plan = False
        assert command("--space_hardware", "l4x1") == 2
        assert "(402)" in capsys.readouterr().err

    @pytest.mark.parametrize("repo_id", ["no-owner", "user/a--b", "user/a/b", "user/-a"])
    def test_a_bad_repo_id_is_refused_before_anything_else(self, command, hub, repo_id, capsys):
        assert command("--repo_id", repo_id) == 2
        assert repo_id in capsys.readouterr().err
        assert hub.requests == []

    @pytest.mark.parametrize(
        ("old", "new"), [("license: mit", "license: my-own"), ("license: mit\n", ""), ("language: en", "a: [")]
    )
    def test_a_card_that_the_hub_refuses_is_refused_before_anything_is_sent(
        self,
        command,
        hub,
        packaged,
        old,
        new,
        capsys,
    ):
        card = packaged / "README.md"
        card.write_text(card.read_text().replace(old, new))
        assert command() == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("char-lstm publish: the ")
        assert hub.repos == {}

    def test_the_token_is_in_no_output_even_when_the_hub_says_it(self, command, hub, capfd, caplog, monkeypatch):
        monkeypatch.setenv("HF_TOKEN", "hf_write")
        hub.fail(TO_THE_MODEL, status=400, **{"X_Error_Message": "the token hf_write is not welcome"})
        assert command() == 2
        output = capfd.readouterr()
        assert "the token <token> is not welcome" in output.err
        assert "hf_write" not in output.out + output.err + caplog.text


class TestChecks:
    def test_the_space_requires_exactly_what_it_imports(self, tmp_path):
        pytest.importorskip("deptry", reason="one environment of CI has no tools that lint")
        repo = Repo("space", "user/writes", tmp_path / "space")
        assemble.assemble_space(repo, PublishArguments(model=str(ALICE), repo_id="user/alice"))
        command = [sys.executable, "-m", "deptry", ".", "--per-rule-ignores", "DEP001=spaces"]  # there on ZeroGPU alone
        done = subprocess.run(command, cwd=repo.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_a_model_that_does_not_load_is_refused(self, command, packaged, capsys):
        (packaged / "model.safetensors").write_bytes(b"broken")
        assert command("--dry_run") == 2
        assert "model.safetensors is broken" in capsys.readouterr().err

    def test_a_folder_that_was_not_packaged_is_refused(self, command, packaged, capsys):
        (packaged / "README.md").unlink()
        assert command("--dry_run") == 2
        assert "scripts/package.py" in capsys.readouterr().err

    def test_a_corpus_that_the_figures_are_not_of_is_refused(self, command, packaged, capsys):
        figures = json.loads((packaged / "evaluation.json").read_text())
        (packaged / "evaluation.json").write_text(json.dumps(figures | {"text_sha256": "0"}))
        assert command("--dry_run") == 2
        assert "give its own corpus" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [("--dataset", "d"), ("--space_hardware", "t4-small")])
    def test_arguments_that_belong_together_come_together(self, arguments, packaged):
        assert exit_status(["--model", str(packaged), "--repo_id", "user/tiny", *arguments]) == 2

    def test_a_trial_runs_without_the_token_and_says_what_went_wrong(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HF_TOKEN", "hf_write")
        asks = "import os, sys; sys.exit('token' if 'HF_TOKEN' in os.environ else 'no token, gone wrong')"
        with pytest.raises(PublishError, match="it broke: no token, gone wrong"):
            checks.run_alone([sys.executable, "-c", asks], tmp_path, "it broke")

    def test_a_trial_that_comes_up_is_ended_and_one_that_does_not_is_an_error(self, tmp_path):
        stays = "import threading; print('it is up', flush=True); threading.Event().wait()"
        checks.run_alone([sys.executable, "-c", stays], tmp_path, "it broke", up="is up")
        with pytest.raises(PublishError, match="it broke: bye"):
            checks.run_alone([sys.executable, "-c", "print('bye')"], tmp_path, "it broke", up="is up")

    def test_the_program_of_the_trial_writes_500_characters_or_fails(self, packaged, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["trial", str(packaged)])
        exec(checks.WRITE_500, {})
        monkeypatch.setattr("transformers.PreTrainedTokenizerFast.decode", lambda *_, **__: "too short")
        with pytest.raises(SystemExit, match="9 characters instead of 500"):
            exec(checks.WRITE_500, {})


def test_the_model_card_tells_how_to_use_the_folder_that_it_lies_in(packaged):
    text = ModelCard.load(packaged / "README.md").text
    assert f'from_pretrained("{packaged}", **where)' in text
