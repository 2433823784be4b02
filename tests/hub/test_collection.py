"""A collection groups what one command publishes."""

import pytest


@pytest.fixture
def grouped(command):
    return lambda *more: command("--static_space_id", "user/page", "--collection", "Tiny writes", *more)


def items(hub):
    (collection,) = hub.collections.values()
    return [(item["type"], item["id"]) for item in collection["items"]]


ALL = [("dataset", "user/story"), ("model", "user/tiny"), ("space", "user/writes"), ("space", "user/page")]


def test_it_holds_model_dataset_space_and_page(grouped, hub, capsys):
    assert grouped() == 0
    assert items(hub) == ALL
    assert f"{hub.url}/collections/user/tiny-writes" in capsys.readouterr().out


def test_a_second_run_adds_nothing_and_a_later_one_only_what_is_new(command, grouped, hub):
    command("--collection", "Tiny writes")
    assert items(hub) == ALL[:3]
    assert grouped("--tag", "v2") == 0
    hub.requests.clear()
    assert grouped("--tag", "v2") == 0
    assert items(hub) == ALL
    assert not hub.asked("POST .*/items")


def test_it_is_private_where_all_is(grouped, hub):
    grouped("--private")
    (collection,) = hub.collections.values()
    assert collection["private"]


@pytest.mark.parametrize(("trouble", "status"), [({"status": 403}, 2), ({"status": 503}, 1), ({"drop": "before"}, 1)])
@pytest.mark.parametrize("request_", ["POST /api/collections$", "/items"])
def test_trouble_ends_in_one_sentence_that_says_what_is_published(grouped, hub, trouble, status, request_, capsys):
    hub.fail(request_, times=99, **trouble)
    assert grouped() == status
    message = capsys.readouterr().err.splitlines()[-1]
    assert "grouping them in the collection Tiny writes: " in message
    assert f"{hub.url}/spaces/user/page." in message


def test_an_answer_that_was_lost_makes_no_second_collection(grouped, hub):
    hub.fail("POST /api/collections$", drop="after")
    hub.fail("/items", drop="after")
    assert grouped() == 0
    assert items(hub) == ALL
