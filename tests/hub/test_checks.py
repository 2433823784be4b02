"""What is checked before the first byte is sent."""

import json
import subprocess
import sys

import pytest

from char_lstm.errors import PublishError
from char_lstm.hub import assemble, checks
from char_lstm.hub.arguments import PublishArguments
from char_lstm.hub.repo import Repo
from tests.conftest import ALICE
from tests.hub.conftest import exit_status


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
        assert "char-lstm package" in capsys.readouterr().err

    def test_a_corpus_that_the_figures_are_not_of_is_refused(self, command, packaged, capsys):
        figures = json.loads((packaged / "evaluation.json").read_text())
        (packaged / "evaluation.json").write_text(json.dumps(figures | {"text_sha256": "0"}))
        assert command("--dry_run") == 2
        assert "give its own corpus" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [("--dataset", "d"), ("--space_hardware", "t4-small")])
    def test_arguments_that_belong_together_come_together(self, arguments, packaged):
        assert exit_status(["--model", str(packaged), "--repo_id", "user/tiny", *arguments]) == 2

    def test_a_trial_runs_without_the_token_and_the_port_in_use_and_says_what_went_wrong(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HF_TOKEN", "hf_write")
        monkeypatch.setenv("GRADIO_SERVER_PORT", "7860")
        asks = "import os, sys; sys.exit(str({'HF_TOKEN', 'GRADIO_SERVER_PORT'} & {*os.environ}))"
        with pytest.raises(PublishError, match=r"it broke: set\(\)"):
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
