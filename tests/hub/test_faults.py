"""What publishing promises when something goes wrong: nothing half, nothing twice, and one sentence."""

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from char_lstm.hub import publish
from char_lstm.hub.repo import Repo

MODEL = ("models", "user/tiny")
TO_THE_MODEL = "POST /api/models/.*/commit/"


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

    def test_offline_mode_is_named_and_is_not_for_trying_again(self, command, hub, monkeypatch, capsys):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert command() == 2
        assert "HF_HUB_OFFLINE is set: unset it" in capsys.readouterr().err
        assert not hub.requests

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
