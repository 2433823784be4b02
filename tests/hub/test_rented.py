"""What training elsewhere promises: a wheel of our own is enough, and one command trains and publishes."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.cli.hf import app

from char_lstm import cli, load
from char_lstm.verbs.train import read_command
from tests.conftest import ROOT
from tests.training.test_run import TINY

SCRIPT = ROOT / "scripts" / "train.py"
SHORT = [*TINY, "--num_train_epochs", "1"]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
WHEEL = f"char_lstm-{VERSION}-py3-none-any.whl"
SOURCES = (  # of a package to install
    r"git\+\S+",
    r"\S*\s?@ ?\w+://\S+",
    r"https?://\S+\.(?:zip|whl|tar\.gz)\b",
    r"pip install [^\n]*https?://\S+",
    r"curl [^\n]*\| *(?:ba)?sh\b",
    r"pip install (?:--user )?uv(?!==)\b",
    r"--(?:extra-)?(?:index-url|find-links)\b",
    r"(?:pip install|uvx|--from|--with) (?:-\S+ )*[\"']?char[-_]lstm\b(?!\S* @ file).*",
)


def page_command(beginning: str) -> list[str]:
    """The command of docs/rented-gpu.md that begins so, as the shell would hand it on."""
    page = (ROOT / "docs" / "rented-gpu.md").read_text(encoding="utf-8").replace("\\\n", " ")
    line = re.search(rf"^{beginning} .*$", page, re.MULTILINE)[0].replace("$REVISION", "3f1280e")
    return shlex.split(line, comments=True)


JOB = page_command("hf jobs uv run")


class TestOneLine:
    @pytest.fixture(autouse=True)
    def at_the_root(self, monkeypatch):
        monkeypatch.chdir(ROOT)

    def test_the_command_of_the_page_is_one_that_the_client_takes(self, capsys):
        app.main(["jobs", "uv", "run", "--dry-run", *JOB[4:]], standalone_mode=False)
        said = capsys.readouterr().out
        for what in ("with", "flavor", "timeout", "secrets", "volumes", "attempts"):
            assert f"\n  {what} " in said
        assert "Job not submitted" in said

    def test_it_asks_the_hub_for_a_gpu_a_token_and_a_place_that_lasts(self, hub, monkeypatch):
        sent = []
        monkeypatch.setattr(HfApi, "batch_bucket_files", lambda self, bucket_id, add, token: sent.extend(add))
        app.main(["jobs", "uv", "run", "--detach", "--namespace", "user", *JOB[4:]], standalone_mode=False)
        ((script, place),), (asked,) = sent, hub.jobs
        assert script.read_bytes() == SCRIPT.read_bytes()
        assert asked["command"][:2] == ["uv", "run"]
        assert asked["command"][2:5] == ["--with", JOB[JOB.index("--with") + 1], "/data/train.py"]
        assert asked["flavor"] == "l4x1"
        assert asked["timeoutSeconds"] > 1800, "longer than the Hub's default"
        assert asked["secrets"] == {"HF_TOKEN": "hf_write"}
        mounted = {volume["mountPath"]: volume for volume in asked["volumes"]}
        assert place == f"{mounted['/data']['path']}/train.py"
        recipe = read_command(asked["command"][5:])
        assert any(recipe.output_dir.startswith(f"{folder}/") for folder in mounted.keys() - {"/data"})
        assert recipe.push_to_hub
        assert recipe.hub_model_id == "USER/alice-char-lstm"

    def test_the_package_is_the_wheel_of_this_version_in_the_bucket_that_the_job_mounts(self):
        _, _, _, wheel, bucket = page_command("hf buckets cp")
        assert wheel == f"dist/{WHEEL}"
        volume, _, folder = JOB[JOB.index("--volume") + 1].rpartition(":")
        there = bucket.replace(volume, folder) + WHEEL
        assert JOB[JOB.index("--with") + 1] == f"char-lstm[train] @ file://{there}"
        assert "3f1280e" in there, "a folder of its own for each revision"

    def test_the_skypilot_file_trains_by_a_command_that_the_package_has(self):
        path = ROOT / "scripts" / "skypilot.yaml"
        task = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert len(path.read_text(encoding="utf-8").splitlines()) < 20
        assert task["file_mounts"][f"~/{WHEEL}"] == f"dist/{WHEEL}"
        command = shlex.split(task["run"])
        assert command[:4] == ["~/.local/bin/uvx", "--from", f"char-lstm[train] @ file://$HOME/{WHEEL}", "char-lstm"]
        recipe = read_command(command[5:])
        assert any(recipe.output_dir.startswith(f"{folder}/") for folder in task["file_mounts"])
        assert recipe.push_to_hub


def foreign_sources(text: str) -> list[str]:
    """What in a file is installed from a place that is neither the reader's own nor a package index's pinned name."""
    found = [match[0] for pattern in SOURCES for match in re.finditer(pattern, text)]
    return [source for source in found if not re.search(r"@ file://|hf://buckets/USER/|/USER/", source)]


class TestSources:
    """Nothing that we do not own is installed: not a URL, and not our name from an index."""

    @pytest.mark.parametrize(
        "line",
        [
            'pip install "char-lstm @ git+https://host/someone/char-lstm"',
            "--with char-lstm@https://host/file",
            "pip install https://host/char_lstm",
            "curl -LO https://host/char_lstm-0.2.0-py3-none-any.whl",
            "pip install --extra-index-url https://host/simple torch",
            "pip install char-lstm[train]",
            "uvx char-lstm generate",
            "uv run --with char-lstm train.py",
            "curl -LsSf https://host/install.sh | sh",
            "pip install --user uv",
        ],
    )
    def test_a_foreign_source_is_recognised(self, line):
        assert foreign_sources(line)

    @pytest.mark.parametrize(
        "line",
        [
            '--with "char-lstm[train] @ file:///runs/wheels/3f1280e/char_lstm-0.2.0-py3-none-any.whl"',
            "hf buckets cp char_lstm.whl hf://buckets/USER/runs/wheels/",
            "pip install .",
            "pip install --constraint constraints.txt numpy",
        ],
    )
    def test_a_source_of_the_readers_own_is_let_through(self, line):
        assert not foreign_sources(line)

    def test_no_tracked_file_names_a_foreign_source(self):
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in tracked.split("\0"):
            path = ROOT / name
            if path.is_file() and path != Path(__file__) and path.suffix not in (".safetensors", ".png"):
                assert not foreign_sources(path.read_text(encoding="utf-8")), name

    def test_the_header_of_the_script_names_no_source_at_all(self):
        header = re.match(r"# /// script\n(.*?)# ///\n", SCRIPT.read_text(encoding="utf-8"), re.DOTALL)[1]
        assert list(tomllib.loads(re.sub("^# ?", "", header, flags=re.MULTILINE))) == ["requires-python"]


class TestTrainingAndPublishing:
    @pytest.fixture
    def publish(self, corpus, tmp_path):
        """Trains an epoch and publishes, by one command."""

        def publish(*arguments: str) -> None:
            command = ["--dataset", str(corpus), "--output_dir", str(tmp_path / "run"), *SHORT]
            cli.run("train", [*command, "--push_to_hub", "--hub_model_id", "user/mine-char-lstm", *arguments])

        return publish

    def test_one_command_leaves_a_model_on_the_hub_whose_card_says_what_was_measured(
        self, publish, hub, untried, corpus, tmp_path
    ):
        publish()
        repo = hub.repos["models", "user/mine-char-lstm"]
        assert [commit.title for commit in repo.commits] == ["initial commit", "Publish with char-lstm"]
        for name, blob in repo.head.files.items():
            if name not in ("README.md", ".gitattributes"):
                (tmp_path / name).write_bytes(hub.read(blob))
        load(tmp_path)
        figures = json.loads((tmp_path / "evaluation.json").read_text())
        card = ModelCard(hub.read(repo.head.files["README.md"]).decode())
        reported = {result.metric_type: result.metric_value for result in card.data.eval_results}
        assert reported["nats_per_char"] == round(figures["nats_per_char"], 4)
        assert card.data.model_name == "mine-char-lstm"
        assert corpus.name in card.data.eval_results[0].dataset_name

        before = list(hub.requests)
        publish()  # the same line again, as after an interruption
        assert not [request for request in hub.requests[len(before) :] if "/commit/" in request]

    @pytest.mark.parametrize(
        ("token", "arguments", "complaint"),
        [
            ("hf_read", (), "this token may only read"),
            ("hf_other", (), "can write only to other"),
            ("hf_write", ("--hub_model_id", "mine"), "name its owner"),
            ("hf_write", ("--hub_model_id", ""), "needs --hub_model_id"),
        ],
    )
    def test_what_would_keep_it_from_publishing_is_said_before_training(
        self, publish, hub, monkeypatch, capsys, tmp_path, token, arguments, complaint
    ):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(SystemExit) as stop:
            publish(*arguments)
        assert stop.value.code == 2
        assert complaint in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools would pack what an older build left there
    subprocess.run([*PIP, "wheel", str(ROOT), "--no-deps", "--wheel-dir", str(folder)], check=True)
    return folder / WHEEL


@pytest.mark.slow
class TestWheel:
    def test_it_holds_the_package_alone_with_its_data(self, wheel):
        names = [Path(name) for name in ZipFile(wheel).namelist() if ".dist-info/" not in name]
        assert {name.parts[0] for name in names} == {"char_lstm"}
        package = ROOT / "modeling" / "char_lstm"
        expected = {path.relative_to(package.parent) for path in package.rglob("*") if path.is_file()}
        assert set(names) == {path for path in expected if "__pycache__" not in path.parts}
        assert {name.suffix for name in names} >= {".typed", ".yaml", ".csv", ".md", ".html", ".css", ".js"}

    def test_the_script_alone_trains_with_it(self, wheel, corpus, tmp_path):
        subprocess.run([*PIP, "install", str(wheel), "--no-deps", "--target", str(tmp_path / "installed")], check=True)
        (tmp_path / "train.py").write_bytes(SCRIPT.read_bytes())
        libraries = sysconfig.get_path("purelib")  # without site, so that an editable install stays out of sight
        environment = {"PYTHONPATH": f"{tmp_path / 'installed'}:{libraries}", "PATH": "", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-S", "train.py", "--dataset", str(corpus), "--output_dir", "run", *SHORT]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        load(tmp_path / "run")
