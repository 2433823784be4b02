"""The free way to show a model: a static Space with the page that runs in the visitor's browser."""

import pytest
from huggingface_hub import RepoCard

from tests.hub.conftest import exit_status

MODEL, PAGE = ("models", "user/tiny"), ("spaces", "user/page")


@pytest.fixture
def publish(packaged, hub, untried):
    """Publishes the model with its static page, and returns the exit status."""
    return lambda *more: exit_status(
        ["--model", str(packaged), "--repo_id", "user/tiny", "--static_space_id", "user/page", *more]
    )


def card(hub, key):
    return RepoCard(hub.read(hub.repos[key].head.files["README.md"]).decode())


def test_the_page_is_a_static_space_in_one_commit_and_wants_no_paid_plan(publish, hub, packaged, capsys):
    hub.paid_plan = False
    assert publish("--tag", "v1") == 0
    shown = hub.repos[PAGE]
    assert [commit.title for commit in shown.commits] == ["initial commit", "Publish with char-lstm"]
    assert shown.tags == {"v1": shown.head.oid}
    assert {"README.md", "index.html", "app.js", "model.safetensors", "tokenizer.json"} < shown.head.files.keys()
    assert hub.read(shown.head.files["model.safetensors"]) == (packaged / "model.safetensors").read_bytes()
    assert b"<title>mine" in hub.read(shown.head.files["index.html"])
    assert not shown.variables
    assert "402" not in capsys.readouterr().out


def test_its_header_says_static_and_names_title_licence_and_model(publish, hub):
    publish()
    data = card(hub, PAGE).data
    assert (data.sdk, data.app_file, data.license) == ("static", "index.html", "mit")
    assert (data.title, data.models) == ("tiny", ["user/tiny"])
    assert "[user/tiny](https://huggingface.co/user/tiny)" in card(hub, PAGE).text


def test_the_models_card_links_the_page(publish, hub):
    publish()
    assert "https://huggingface.co/spaces/user/page" in card(hub, MODEL).text


def test_a_dry_run_lists_the_page_and_sends_nothing(publish, hub, capsys):
    assert publish("--dry_run", "--collection", "Tiny") == 0
    output = capsys.readouterr().out
    assert "space user/page -> " in output
    assert "index.html" in output
    assert "collection Tiny: model user/tiny, space user/page" in output
    assert hub.requests == []


def test_a_second_run_sends_nothing(publish, hub):
    publish()
    hub.requests.clear()
    assert publish() == 0
    assert not hub.asked("PUT|/commit/")


def test_the_page_and_the_gradio_space_cannot_be_one(publish, hub, capsys):
    assert publish("--space_id", "user/page") == 2
    assert "give each its own name" in capsys.readouterr().err
    assert hub.requests == []


def test_what_a_gradio_space_may_cost_is_said_before_anything_is_sent(command, hub, capsys):
    hub.fail("whoami", status=401, times=99)
    assert command() == 2
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "402" in line)
    assert "--static_space_id" in line
