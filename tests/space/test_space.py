"""The Space, asked over its API as any program would; what a person sees of it is tested in tests/browser."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from contextlib import suppress
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import gradio as gr
import httpx
import pytest
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError
from packaging.requirements import Requirement

import app
import limits
import models
import reading
import sheets
import writing
from char_lstm import (
    NoveltyIndex,
    build_tokenizer,
    generate_items,
    generate_text,
    load,
    load_decoder,
    measure_novelty,
)
from char_lstm.inspection.page import connectivity_rows, inspector_data
from char_lstm.items import save_items
from char_lstm.tokenization_char_lstm import END_OF_ITEM
from tests.conftest import ALICE, ROOT

SECONDS = 15  # that a test waits for what should come at once


@pytest.fixture(scope="module")
def launched():
    """The application and its addresses."""
    demo = app.build()
    yield demo.launch(prevent_thread_lock=True, quiet=True, **app.SERVING)
    demo.close()


@pytest.fixture(scope="module")
def url(launched):
    return launched[1]


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def alice():
    return load_decoder(ALICE)


class TestWriting:
    def test_a_seed_gives_the_500_characters_that_it_gives_anywhere(self, client, alice):
        written = client.predict("Alice was", seed=7, api_name="/generate")
        assert len(written) == 500
        assert written == generate_text(*alice, "Alice was", seed=7)
        assert written != client.predict("Alice was", seed=8, api_name="/generate")

    def test_without_a_seed_each_text_is_another(self, client):
        assert client.predict(api_name="/generate") != client.predict(api_name="/generate")

    def test_every_setting_reaches_the_model(self, client, alice):
        settings = {"temperature": 1.3, "top_k": 5, "top_p": 0.8, "seed": 3, "max_new_tokens": 40}
        assert client.predict("the ", **settings, api_name="/generate") == generate_text(*alice, "the ", **settings)

    def test_the_text_streams_in(self, client):
        so_far = list(client.submit(seed=7, api_name="/generate"))
        assert len(so_far) == writing.UPDATES
        assert all(after.startswith(before) for before, after in pairwise(so_far))

    def test_twenty_at_once_get_each_their_own_text(self, client, alice):
        jobs = [client.submit("she ", seed=seed, api_name="/generate") for seed in range(20)]
        assert [job.result(60) for job in jobs] == [generate_text(*alice, "she ", seed=seed) for seed in range(20)]

    def test_the_three_cells_write_from_one_prompt_and_seed(self, client):
        texts = client.predict("Alice was", temperature=0.6, seed=7, api_name="/compare")
        folders = [ALICE.parent / name for name in ("alice_rnn", "alice_gru", "alice")]
        assert list(texts) == [
            generate_text(*load_decoder(folder), "Alice was", temperature=0.6, seed=7) for folder in folders
        ]


class TestLimits:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"prompt": "a" * 1001}, "The prompt has 1001 characters; the limit is 1000."),
            ({"max_new_tokens": 0}, "0 characters were asked for; give a number from 1 to 5000."),
            ({"max_new_tokens": 99_999}, "99999 characters were asked for; give a number from 1 to 5000."),
            ({"temperature": 2.5}, "2"),
            ({"top_k": -1}, "0"),
            ({"top_p": 0}, "0.05"),
            ({"seed": -5}, "The seed is -5; give a number from 0 to 4294967295, or none."),
            ({"model": "shakespeare"}, "shakespeare"),
        ],
    )
    def test_a_setting_out_of_range_is_refused_with_a_clear_message(self, client, given, says):
        with pytest.raises((AppError, ValueError)) as refused:
            client.predict(**given, api_name="/generate")
        assert says in str(refused.value)
        assert "Traceback" not in str(refused.value)
        assert "verbose error reporting" not in str(refused.value)

    @pytest.mark.parametrize(
        ("text", "says"),
        [("", "the text holds no character"), ("漢字", "no character"), ("a" * 1001, "the text has 1001 characters")],
    )
    def test_a_text_that_cannot_be_shown_is_refused_with_a_clear_message(self, client, text, says):
        with pytest.raises(AppError, match=says):
            client.predict(text, api_name="/inspect")

    @pytest.mark.parametrize("endpoint", ["/inspect", "/generate"])
    def test_a_model_that_is_not_there_is_named(self, client, endpoint):
        with pytest.raises(AppError, match="shakespeare"):
            client.predict("a", model="shakespeare", api_name=endpoint)

    @pytest.mark.parametrize(
        ("endpoint", "given", "says"),
        [
            ("/generate", {"temperature": "warm"}, "`float`.*'warm'"),
            ("/generate", {"top_k": [1]}, r"`float`.*\[1\]"),
            ("/generate", {"seed": {"a": 1}}, "`float.*{'a': 1}"),
            ("/generate", {"model": ["alice"]}, r"Model has to be a text; \['alice'\] is none"),
            ("/compare", {"temperature": None}, "`float`.*None"),
            ("/inspect", {"text": "a", "model": ["alice"]}, "There is no model"),
            ("/inspect", {"text": 7}, "the text holds no character that the model knows"),
        ],
    )
    def test_a_value_of_a_wrong_type_is_named_and_leaves_no_trace_in_the_log(
        self, client, capsys, endpoint, given, says
    ):
        with pytest.raises((AppError, ValueError), match=f"(?s){says}"):
            client.predict(**given, api_name=endpoint)
        assert "Traceback" not in "".join(capsys.readouterr())

    def test_a_request_that_weighs_too_much_is_refused_unread(self, url):
        def status(characters: int) -> int:
            with suppress(httpx.TransportError):  # the connection may be closed before all is sent
                return httpx.post(f"{url}gradio_api/call/generate", json={"data": ["a" * characters]}).status_code
            return 413

        assert (status(limits.LARGEST_REQUEST - 100), status(limits.LARGEST_REQUEST)) == (200, 413)

    def test_few_sessions_are_remembered_and_few_streams_that_nobody_reads(self, launched):
        assert launched[0].state_holder.capacity == limits.SESSIONS
        streams = launched[0].get_blocks()._queue.pending_messages_per_session
        assert streams.max_size == limits.SESSIONS

    def test_the_page_on_the_service_says_what_is_kept(self):
        words = " ".join((ROOT / "docs/works-with.md").read_text(encoding="utf-8").split())
        assert f"more than {limits.LARGEST_REQUEST // 1000} KB is not read. {limits.SESSIONS} sessions" in words
        assert f"{limits.SESSIONS} streams that nobody reads, each a text in at most {writing.UPDATES} updates" in words
        assert f"{limits.QUEUE} requests wait" in words

    def test_the_longest_text_comes_in_as_few_updates_as_any(self, client):
        assert len(list(client.submit(max_new_tokens=5000, api_name="/generate"))) == writing.UPDATES

    @pytest.mark.parametrize(
        ("path", "sent", "says"),
        [
            ("call/generate", '{"data": [NaN]}', "not JSON"),
            ("call/generate", '{"data": [1e999]}', "not JSON"),
            ("reset", r'{"data": ["\ud800"]}', "not JSON"),
            ("call/generate", f'{{"data": [{"1" * 5000}]}}', "not JSON"),
            ("call/generate", "[" * 50_000, "not JSON"),
            ("call/nothing", '{"data": []}', "no function nothing"),
            ("queue/join", '{"data": [], "fn_index": 999, "session_hash": "a"}', "no function of this number"),
            ("queue/join", '{"data": [], "fn_index": [1], "session_hash": "a"}', "no function of this number"),
            ("component_server", '{"component_id": 9999}', "no component"),
        ],
    )
    def test_what_gradio_would_stumble_over_is_refused_before(self, url, path, sent, says):
        for kind in ("application/json", "application/json; charset=utf-8", "text/plain"):
            answer = httpx.post(f"{url}gradio_api/{path}", content=sent, headers={"Content-Type": kind})
            assert (answer.status_code, says in answer.text) == (422, True)

    def test_a_request_that_is_broken_off_leaves_no_trace(self, client, url, capsys):
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as half:
            half.sendall(b"POST /gradio_api/call/generate HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert len(client.predict("a", max_new_tokens=5, api_name="/generate")) == 5
        assert "Traceback" not in "".join(capsys.readouterr())

    def test_no_request_goes_around_the_queue(self, url):
        assert httpx.post(f"{url}gradio_api/run/generate", json={"data": ["a"] * 8}).status_code == 404

    @pytest.mark.parametrize(
        "asked",
        [
            *(7, {}, {"model": "alice", "held": {}, "text": 7, "position": 0}),
            *({"model": "alice", "held": held, "text": "a", "position": 0} for held in (7, {"a": 1}, {"candidate": 1})),
        ],
    )
    def test_a_letter_is_not_asked_about_in_nonsense(self, launched, url, asked):
        self.check_that_a_letter_is_refused(launched, url, asked)

    @pytest.mark.parametrize("position", [9, 1.5, None, "a"])
    def test_a_letter_that_is_not_there_is_refused_in_words(self, launched, url, position):
        self.check_that_a_letter_is_refused(
            launched, url, {"model": "alice", "held": {}, "text": "alice was", "position": position}
        )

    def check_that_a_letter_is_refused(self, launched, url, asked):
        numbers = (number for number, block in launched[0].get_blocks().blocks.items() if block.elem_id == "inside")
        sent = {"component_id": next(numbers), "fn_name": "connectivity", "session_hash": "a", "data": asked}
        answer = httpx.post(f"{url}gradio_api/component_server", json=sent)
        assert (answer.status_code, "a position in it" in answer.text) == (422, True)

    @pytest.mark.parametrize("function", ["end_text", "read_written", "read_own", "begin_text"])
    def test_a_value_that_the_page_would_never_send_is_refused_without_a_trace(self, launched, url, capsys, function):
        fn = next(fn for fn in launched[0].get_blocks().fns.values() if fn.name == function)
        sent = {"data": [None] * len(fn.inputs), "fn_index": fn._id, "session_hash": "a stranger"}
        if fn.queue:
            httpx.post(f"{url}gradio_api/queue/join", json=sent)
            words = httpx.get(f"{url}gradio_api/queue/data", params={"session_hash": "a stranger"}, timeout=60).text
        else:
            words = httpx.post(f"{url}gradio_api/run/predict", json=sent).text
        assert "has to be a text" in words
        assert "Traceback" not in "".join(capsys.readouterr())

    def test_gates_to_hold_that_the_page_would_never_name_are_refused_without_a_trace(self, launched, url, capsys):
        fn = next(fn for fn in launched[0].get_blocks().fns.values() if fn.name == "prepare")
        for number, event in enumerate((None, 7, {}, {"held": 7})):
            session = {"session_hash": f"gates{number}"}
            sent = {"data": [None], "fn_index": fn._id, "event_data": event} | session
            httpx.post(f"{url}gradio_api/queue/join", json=sent)
            words = httpx.get(f"{url}gradio_api/queue/data", params=session, timeout=60).text
            assert "No gates are named" in words
        assert "Traceback" not in "".join(capsys.readouterr())

    def test_the_longest_prompt_in_the_widest_letters_is_read(self, client):
        assert len(client.predict("𝔸" * 1000, seed=7, max_new_tokens=5, api_name="/generate")) == 5

    def test_the_longest_prompt_and_the_shortest_and_longest_text_are_written(self, client):
        assert len(client.predict("a" * 1000, max_new_tokens=1, api_name="/generate")) == 1
        assert len(client.predict(max_new_tokens=5000, api_name="/generate")) == 5000


class TestSlots:
    """On a model that takes 20 seconds a text, with every place taken."""

    @pytest.fixture
    def slowed(self, monkeypatch):
        """`pause` slows writing down until it is set; `ended` counts the texts given up or finished."""
        slowed = type("Slowed", (), {"pause": threading.Event(), "ended": threading.Semaphore(0), "written": 0})()

        def slow_stream(*args, **settings):
            try:
                for character in stream_text(*args, **settings):
                    slowed.pause.wait(20 / 500)
                    slowed.written += 1
                    yield character
            finally:
                slowed.ended.release()

        stream_text = writing.stream_text
        monkeypatch.setattr(writing, "stream_text", slow_stream)
        yield slowed
        slowed.pause.set()

    def check_that_places_are_free(self, slowed, client):
        for _ in range(limits.PLACES):
            assert slowed.ended.acquire(timeout=SECONDS)
        assert slowed.written < 500
        slowed.pause.set()
        assert len(client.submit(seed=1, api_name="/generate").result(SECONDS)) == 500

    def test_stopping_frees_the_place(self, slowed, client):
        jobs = [client.submit(seed=seed, api_name="/generate") for seed in range(limits.PLACES)]
        for job in jobs:  # every one runs before any is cancelled: the client would lose what had not begun
            next(iter(job))
        for job in jobs:
            job.cancel()
        self.check_that_places_are_free(slowed, client)

    def test_leaving_frees_the_place(self, slowed, client, url):
        (number,) = (d["id"] for d in client.config["dependencies"] if d["api_name"] == "generate")
        fields = ["", models.DEFAULT, 0.6, 0, 1, 7, 500, None]
        for place in range(limits.PLACES):
            session = {"session_hash": f"leaving{place}"}
            httpx.post(f"{url}gradio_api/queue/join", json={"data": fields, "fn_index": number} | session)
            with httpx.stream("GET", f"{url}gradio_api/queue/data", params=session, timeout=SECONDS) as events:
                next(line for line in events.iter_lines() if "process_generating" in line)
        self.check_that_places_are_free(slowed, client)


class TestInside:
    def test_the_inspection_is_the_packages(self, client):
        known = {"title": models.title_of("alice"), "nats": models.figures_of("alice")["nats_per_char"]}
        *_, wanted = inspector_data(*load(ALICE), "Alice was tired.", "alice", **known)
        assert client.predict("Alice was tired.", api_name="/inspect") == json.loads(json.dumps(wanted))

    def test_a_reading_computes_no_gradients_until_a_letter_is_asked_about(self, monkeypatch):
        asked, rows = [], connectivity_rows
        monkeypatch.setattr(
            reading, "connectivity_rows", lambda seen, wanted: asked.extend(wanted) or rows(seen, wanted)
        )
        text, _ = reading.read_own("alice was", "alice_gru", None)
        record = json.loads(text["record"])
        assert record["connectivity"] is None
        assert not asked
        found = reading.connectivity(
            {"model": "alice_gru", "held": {}, "text": "".join(record["chars"]), "position": 5}
        )
        assert (found["position"], len(found["thousandths"])) == (5, 5)
        assert asked == [5]

    def test_the_three_cells_are_compared_by_how_long_they_remember_a_letter(self):
        asked = {"model": "alice_gru", "held": {}, "text": "alice was beginning to get very tired of it all"}
        found = reading.differences(asked)
        assert (found["position"], found["was"], found["now"]) == (0, "a", "l")
        assert [curve["cell"] for curve in found["curves"]] == ["gru", "rnn", "lstm"]
        lasting = {curve["cell"]: curve["state"] or curve["output"] for curve in found["curves"]}
        assert lasting["lstm"][30] > 5 * max(lasting["gru"][30], lasting["rnn"][30])

    def test_a_text_is_looked_into_by_the_model_that_wrote_it(self):
        run = writing.Run()
        *_, text = writing.generate("Alice", "alice_gru", 0.5, 3, 0.9, seed=3, max_new_tokens=20, run=run)
        record = json.loads(reading.read_written(text, run)["record"])
        assert (record["model"], record["given"]) == ("alice_gru", len("alice"))
        assert record["settings"] == {"temperature": 0.5, "top_k": 3, "top_p": 0.9}
        assert "".join(record["chars"]) == "alice" + text

    @pytest.mark.parametrize(("model", "gate", "value"), [("alice", "forget", 0), ("alice_gru", "update", 1)])
    def test_a_gate_is_held_in_every_cell_while_a_text_is_written_and_looked_into(self, model, gate, value):
        run = writing.Run(3, {gate: value})
        settings = {"temperature": 0, "top_k": 0, "top_p": 1.0}
        *_, text = writing.generate("Alice was", model, **settings, max_new_tokens=20, run=run)
        record = json.loads(reading.read_written(text, run)["record"])
        assert record["held"] == {gate: value}
        assert all(mean == value for layer in record["means"][gate] for mean in layer)
        drawn = range(len("alice was"), len(record["chars"]))
        assert [record["top"][t][0][0] for t in drawn] == list(text)  # by the same model: each is the likeliest

    def test_what_is_asked_of_a_letter_is_of_the_model_with_its_gates_held(self):
        asked = {"model": "alice", "text": "alice was", "position": 8}
        free, held = (reading.connectivity(asked | {"held": held}) for held in ({}, {"forget": 0}))
        assert free["largest"] != held["largest"]
        free, held = (reading.differences(asked | {"held": held})["curves"][0] for held in ({}, {"forget": 0}))
        assert max(held["state"][5:]) < max(free["state"][5:])

    def test_a_reading_of_the_page_does_not_wait_for_one_over_the_api(self, launched):
        places = {fn.api_name: fn.concurrency_id for fn in launched[0].get_blocks().fns.values()}
        assert places["inspect"] not in {places["read_own"], places["read_written"]}

    def test_one_thread_reads(self):
        import torch

        torch.set_num_threads(2)
        models.model_of.__wrapped__("alice_gru")
        assert torch.get_num_threads() == 1

    def test_the_page_opens_with_a_finished_text_that_a_visitor_need_not_wait_for(self, launched):
        sheet = next(
            block for block in launched[0].get_blocks().blocks.values() if getattr(block, "label", "") == "Text"
        )
        assert len(sheet.value) == writing.CHARACTERS
        assert sheet.props["prompt"] == "alice was"
        assert sheet.props["novelty"]["share_new"] > 0


class TestSheet:
    def written(self, model="alice", stop_after=None, **asked) -> tuple[str, writing.Run]:
        """A text of the page, stopped after so many updates."""
        writes = writing.generate("Alice was", model, 0.7, 4, 0.9, 12, run=(run := writing.Run()), **asked)
        texts = []
        for text in writes:
            texts.append(text)
            if len(texts) == stop_after:
                run.stopped.set()
        return texts[-1], run

    def test_it_shows_the_prompt_as_the_model_reads_it(self):
        text, *_ = sheets.begin_text("“Off with her!”", "alice", 12, 500, None)
        assert (text["prompt"], text["note"], text["record"]) == (" off with her\n", "Read as:", "")
        assert sheets.blank_sheet("off with her", "alice")["note"] == ""

    def test_it_names_and_counts_the_letters_that_a_prompt_loses(self):
        sheet = sheets.blank_sheet("Привет alice", "alice")
        assert sheet["prompt"] == " alice"
        assert sheet["note"].endswith("П в е и р т (6). Read as:")
        assert "Nothing is left" in sheets.blank_sheet("漢字", "alice")["note"]

    @pytest.mark.parametrize(
        ("prompt", "seed", "length", "says"),
        [("a", -5, 500, "The seed is -5"), ("a", 5, 99_999, "99999 characters"), ("a" * 1001, 5, 500, "1001")],
    )
    def test_what_is_out_of_range_is_said_in_words_before_the_text_before_is_stopped(self, prompt, seed, length, says):
        run = writing.Run()
        with pytest.raises(gr.Error, match=says) as refused:
            sheets.begin_text(prompt, "alice", seed, length, run)
        assert not refused.value.print_exception
        assert not run.stopped.is_set()

    def test_its_link_holds_prompt_settings_and_seed(self):
        text, run = self.written()
        shown, link = sheets.end_text(text, run)
        assert shown["link"] == link
        assert shown["said"] == "500 characters, from seed 12."
        asked = {name: value for name, (value,) in parse_qs(link.removeprefix("?")).items()}
        wanted = ("Alice was", "alice", 0.7, 4, 0.9, 12, 500)
        assert asked == dict(zip(writing.FIELDS, map(str, wanted), strict=True))

    def test_a_stopped_text_is_called_unfinished_and_its_link_asks_for_what_was_written(self):
        text, run = self.written(stop_after=3)
        shown, link = sheets.end_text(text, run)
        assert shown["said"] == "Unfinished: 30 of 500 characters, from seed 12."
        assert link.endswith("&max_new_tokens=30")

    def test_of_a_text_too_long_to_be_looked_into_that_is_said(self):
        text, run = self.written(max_new_tokens=1010)
        assert sheets.end_text(text, run)[0]["said"].endswith(". Only the first 1000 characters are looked into.")

    def test_nothing_is_said_of_a_text_that_another_has_taken_the_place_of(self):
        for run in (writing.Run(), None):  # None: of a session that is forgotten
            assert [update["__type__"] for update in sheets.end_text("alice", run)] == ["update"] * 2
            assert reading.read_written("alice", run) == gr.skip()

    def test_a_seed_left_out_is_drawn_anew_each_time_and_one_that_is_set_stays(self):
        drawn = {sheets.begin_text("a", "alice", None, 500, None)[1] for _ in range(5)}
        assert len(drawn) > 1
        assert sheets.begin_text("a", "alice", 12, 500, None)[1] == 12

    def test_a_text_written_anew_keeps_its_seed_and_has_no_link(self):
        run = writing.Run(12, {"forget": 0})
        _, seed, same = sheets.begin_text("a", "alice", None, 10, run)
        assert (seed, same) == (12, run)
        *_, text = writing.generate("a", seed=12, max_new_tokens=10, run=run)
        shown, link = sheets.end_text(text, run)
        assert (shown["said"], link) == ("10 characters, from seed 12. Gates were held, so no link repeats it.", "")
        assert sheets.begin_text("a", "alice", 5, 10, run)[1:2] == (5,)

    def test_it_marks_what_appears_in_the_book(self, alice):
        text = generate_text(*alice, temperature=0)
        found = measure_novelty(text, NoveltyIndex.load(ALICE))
        assert sheets.mark_copies(text, "alice")["novelty"] == vars(found)
        assert sheets.mark_copies("", "alice")["novelty"] is None

    def test_without_an_index_it_says_why_nothing_is_marked(self, monkeypatch):
        monkeypatch.setattr(models, "novelty_index_of", lambda name: None)
        assert "without an index of its training text" in sheets.end_text(*self.written(max_new_tokens=10))[0]["said"]

    @pytest.fixture
    def names(self, make_model, tmp_path, monkeypatch):
        """A function that adds a model of items to those of the Space, and returns its folder."""

        def add(newlines: bool):
            tokenizer = build_tokenizer(["aeimv"], eos_token=END_OF_ITEM)
            model = make_model(vocab_size=len(tokenizer), eos_token_id=2)
            model.generation_config.update(eos_token_id=2, suppress_tokens=[0] if newlines else [0, 1])
            model.save_pretrained(tmp_path)
            tokenizer.save_pretrained(tmp_path)
            monkeypatch.setitem(models.MODELS, "names", str(tmp_path))
            for loaded in (models.decoder_of, models.model_of, models.cells_of, models.figures_of):
                loaded.cache_clear()
            return tmp_path

        return add

    @pytest.mark.parametrize("newlines", [False, True])
    def test_a_model_of_items_writes_a_list_and_marks_those_of_its_training_set(self, names, newlines):
        folder = names(newlines)
        items = list(generate_items(*load_decoder(folder), writing.ITEMS, prefix="a", seed=3))
        known = [next(item for item in items if ("\n" in item) == newlines), items[2]]
        save_items(known, folder)

        *_, text = writing.generate("A", "names", seed=3, max_new_tokens=8, run=(run := writing.Run()))
        assert text == "".join(f"{item}\n\n" if "\n" in item else f"{item}\n" for item in items)
        assert sheets.blank_sheet("A", "names")["prompt"] == ""
        found = sheets.end_text(text, run)[0]["novelty"]
        assert found["items"] == writing.ITEMS
        assert {text[start + len("a") : end + len("a")] for start, end in found["spans"]} == set(known)
        record = json.loads(reading.read_written(text, run)["record"])
        assert ("".join(record["chars"]), record["given"]) == (items[0] + END_OF_ITEM, len("a"))
        assert record["settings"]

    def test_of_a_list_that_is_stopped_only_the_items_shown_are_counted(self, names):
        names(newlines=True)
        writes = writing.generate("A", "names", seed=3, max_new_tokens=8, run=(run := writing.Run()))
        shown = [next(writes) for _ in range(3)][-1]
        run.stopped.set()
        assert not list(writes)
        assert shown == "".join(map(writing.lines_of, run.items))
        ended, _ = sheets.end_text(shown, run)
        assert ended["novelty"] == {"spans": [], "items": 3}
        assert ended["said"] == "Unfinished: 3 of 20 items, from seed 3."


class TestStart:
    def test_the_model_comes_from_the_environment_else_it_is_alice(self, monkeypatch):
        monkeypatch.delenv("MODEL_ID", raising=False)
        assert next(iter(models.available_models().items())) == ("alice", str(ALICE))
        monkeypatch.setenv("MODEL_ID", "someone/char-lstm-dickens")
        first, *others = models.available_models().items()
        assert first == ("char-lstm-dickens", "someone/char-lstm-dickens")
        assert ("alice_gru", str(ALICE.parent / "alice_gru")) in others

    def test_a_model_of_ones_own_brings_examples_title_and_figure(self, monkeypatch, saved):
        (saved / "evaluation.json").write_text('{"nats_per_char": 1.5}')
        monkeypatch.setitem(models.MODELS, "mine", str(saved))
        monkeypatch.setattr(models, "DEFAULT", "mine")
        models.figures_of.cache_clear()
        assert ("mine (1.50 nats)", "mine") in models.choices()
        assert app.examples_of("one two three four\n\nfive\none two three") == ["one two three", "five"]

    def test_models_are_named_in_words_and_called_by_their_names(self):
        words, name = models.choices()[0]
        assert words.startswith("Alice, one book: the assignment (1.27 nats")
        assert name == "alice"

    def test_transformers_is_imported_by_one_thread_alone(self, monkeypatch):
        inside, most = [], []

        def load(name: str):
            inside.append(name)
            most.append(len(inside))
            threading.Event().wait(0.01)  # lets the others come
            inside.remove(name)

        monkeypatch.setattr(models, "load", load)
        threads = [threading.Thread(target=models.model_of.__wrapped__, args=("alice",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 4

    def test_a_broken_model_gives_a_page_that_says_so(self, monkeypatch, saved):
        (saved / "model.safetensors").write_bytes(b"no weights")
        monkeypatch.setitem(models.MODELS, "broken", str(saved))
        monkeypatch.setattr(models, "DEFAULT", "broken")
        (words,) = (block["props"]["value"] for block in app.build().config["components"])
        assert "model.safetensors is broken" in words

    def test_the_page_needs_no_torch_and_runs_where_a_gpu_function_is_asked_for(self, tmp_path):
        (tmp_path / "spaces.py").write_text("def GPU(function): print('registered', function())")
        script = "import app; app.build(); import sys; print('torch' in sys.modules)"
        run = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT / "space",
            env=os.environ | {"SPACES_ZERO_GPU": "true", "PYTHONPATH": f"{tmp_path}:{ROOT / 'modeling'}"},
        )
        assert run.stdout.split("\n")[-3:] == ["registered None", "False", ""]

    def test_the_api_is_named_typed_and_documented(self, client):
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        assert set(endpoints) == {"/generate", "/compare", "/inspect"}
        for endpoint in endpoints.values():
            for parameter in endpoint["parameters"]:
                assert f"{parameter['parameter_name']}: " in endpoint["description"]
                assert parameter["python_type"]["type"] != "Any"


class TestOnTheHub:
    def test_agents_md_names_every_call_and_argument(self, client):
        words = (ROOT / "space/agents.md").read_text(encoding="utf-8")
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        for name, endpoint in endpoints.items():
            assert f"`{name}`" in words
            assert all(f"`{parameter['parameter_name']}`" in words for parameter in endpoint["parameters"])

    def test_the_readme_carries_a_whole_header(self):
        header = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", (ROOT / "space/README.md").read_text(), re.DOTALL)[1])
        assert header["sdk"] == "gradio"
        assert header["app_file"] == "app.py"
        assert {"title", "emoji", "colorFrom", "colorTo", "sdk_version", "python_version", "license"} <= header.keys()
        assert len(header["short_description"]) <= 60
        (gradio,) = (requirement for requirement in self.requirements() if requirement.name == "gradio")
        assert header["sdk_version"] in gradio.specifier

    def test_its_requirements_are_bounded_and_those_of_the_project(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        known = {*project["dependencies"], *project["optional-dependencies"]["space"]}
        for requirement in self.requirements():
            assert "<" in str(requirement.specifier)
            assert requirement in {Requirement(line) for line in known}

    def requirements(self) -> list[Requirement]:
        return [Requirement(line) for line in (ROOT / "space/requirements.txt").read_text().splitlines()]
