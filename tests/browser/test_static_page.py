"""The page that needs no server, in a real Chromium: the model in the tab is held to the one in Python."""

import base64
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from safetensors.torch import load_file, save_file

from char_lstm import (
    NoveltyIndex,
    build_tokenizer,
    generate_items,
    generate_text,
    inspect_text,
    load,
    load_decoder,
    measure_novelty,
    normalise,
)
from char_lstm.inspection.differences import compare_memories
from char_lstm.inspection.page import connectivity_at, record_of
from char_lstm.items import hash_item, save_items
from char_lstm.page.static import make_page
from char_lstm.tokenization_char_lstm import END_OF_ITEM, characters_lacking
from tests.conftest import ALICE

pytestmark = pytest.mark.browser

MODELS = ["alice", "alice_best", "alice_english", "alice_gru", "alice_rnn", "english"]
CLEF = "\N{MUSICAL SYMBOL G CLEF}"  # two units of UTF-16
READ = "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do."
DRAWS = {"temperature": 0.6, "top_k": 0, "top_p": 0.95}
SCRIPTS = [
    "The Queen said: “Off with her head!” Don't you—see?  \r\n\r\nMr. Smith left... and came… back. (He did.) [50% #1]",
    "L'eau d'été, aujourd'hui l’homme n'est pas là. Qu'est-ce que c'est ? Mme. Dupont : «oui!»",
    "Größe und Straße. „Nein!“ sagte Dr. Müller. İstanbul'da ısı.",
    "Привет, мир! Как дела? проф. Иванов, ул. Ленина.",
    "Γειά σου Κόσμε; ΟΔΥΣΣΕΥΣ ΣΑΣ. Τι κάνεις;",
    "مرحبا بالعالم؟ كَتَبَ الوَلَدُ. می‌خواهم",
    "שָׁלוֹם עוֹלָם! מה נשמע?",
    "नमस्ते दुनिया। क्या हाल है? क्‍ष",
    "হ্যালো বিশ্ব। কেমন আছ?",
    "வணக்கம் உலகம். நலமா?",
    "สวัสดีชาวโลก ก.ศ. ไหม!ดี",
    "你好，世界。今天好吗？是的！「好」",
    "こんにちは、世界。元気ですか？はい！",
    "안녕하세요 세계. 잘 지내요? 한국",
    "ជំរាបសួរ ពិភពលោក។ សុខសប្បាយ",
    "မင်္ဂလာပါ ကမ္ဘာလောက။ နေကောင်းလား",
    "བཀྲ་ཤིས་བདེ་ལེགས། ཨ་མ།",
    "გამარჯობა მსოფლიო. როგორ ხარ?",
    "Բարեւ աշխարհ։ Ինչպե՞ս ես",
    "ሰላም ልዑል። እንዴት ነህ፧",
    "ᠮᠣᠩᠭᠣᠯ᠎ᠠ ᠬᠡᠯᠡ",
    "😀👍🏽 ok 👨‍👩‍👧 fine ❤️ x² a\u00adb\u200bc\ufeff d\u2028e\x85f\tg\u00a0h  \n \n i \ud800 \uffff \ufdd0 e\u0301",
]
IMPORTS = """
const {Model, readSafetensors} = await import("./model.js"), {CharacterTokenizer} = await import("./tokenizer.js");
const {Generator, draw, reshape, softmax} = await import("./sampling.js");
const bytes = text => Uint8Array.from(atob(text), one => one.charCodeAt(0)).buffer;
const logitsOf = (model, ids, kept = []) => {
  const state = model.start();
  return ids.map(id => {
    kept.push(model.step(state, id, true));
    return Array.from(model.scores(state));
  });
};
"""
WROTE = """
const write = (model, tokenizer, {prompt, seed, count, settings, ends}) => {
  const ids = tokenizer.encode(tokenizer.normalise(prompt), {prompt: true}), state = model.start();
  const generator = new Generator(BigInt(seed));
  for (const id of ids.length ? ids : [model.bos]) model.step(state, id);
  let text = "";
  for (let at = 0; at < count; at++) {
    const id = draw(reshape(model.scores(state), settings), generator.random());
    if (ends.includes(id)) break;
    text += tokenizer.tokens[id];
    model.step(state, id);
  }
  return text;
};
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Makes a model's page and serves it: its address."""
    servers, addresses = [], {}

    def serve(model) -> str:
        if model not in addresses:
            folder = tmp_path_factory.mktemp("page")
            make_page(model, folder)
            servers.append(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)))
            threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
            addresses[model] = f"http://127.0.0.1:{servers[-1].server_port}/index.html"
        return addresses[model]

    yield serve
    for server in servers:
        server.shutdown()


@pytest.fixture
def visit(chromium):
    """Opens an address in a fresh profile; when the test ends, the page must have had no error."""
    contexts, trouble = [], []

    def open_page(address: str, width: int = 1280, scheme: str = "light"):
        context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
        context.set_default_timeout(240_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not trouble


def run(page, script: str, given=None):
    return page.evaluate(f"async given => {{ {IMPORTS}{WROTE}{script} }}", given)


def ids_read(tokenizer, text: str) -> list[int]:
    return [1, *tokenizer.backend_tokenizer.encode(normalise(tokenizer, text), add_special_tokens=False).ids]


def logits_of(model, ids) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def done(page) -> str:
    page.wait_for_selector("#text[data-state=done]")
    return page.text_content("#text")


@pytest.mark.parametrize("name", MODELS)
def test_a_packaged_model_scores_and_writes_in_the_tab_as_in_python(visit, served, name):
    model, tokenizer = load(name)
    asked = [{"prompt": "Alice was", "seed": "1", "count": 500, "settings": DRAWS | {"temperature": 0}}]
    for prompt, seed, changed in [
        ("", 7, {}),
        ("The Queen said: “Off", 2**40 + 3, {"temperature": 1.0}),
        ("so", 10**44, {"top_k": 5}),
    ]:
        asked.append({"prompt": prompt, "seed": str(seed), "count": 300, "settings": DRAWS | changed})
    for one in asked:
        one["settings"]["suppress_tokens"], one["ends"] = [0], []
    script = """
      const model = new Model(given.config, readSafetensors(await (await fetch("model.safetensors")).arrayBuffer()));
      const tokenizer = new CharacterTokenizer(await (await fetch("tokenizer.json")).json());
      return {logits: logitsOf(model, given.ids), texts: given.asked.map(one => write(model, tokenizer, one))};
    """
    ids = ids_read(tokenizer, READ)
    found = run(visit(served(name)), script, {"config": model.config.to_dict(), "ids": ids, "asked": asked})
    assert np.abs(np.array(found["logits"]) - logits_of(model, ids)).max() < 1e-4
    for one, text in zip(asked, found["texts"], strict=True):
        settings = {key: one["settings"][key] for key in DRAWS}
        python = generate_text(
            model, tokenizer, one["prompt"], seed=int(one["seed"]), max_new_tokens=one["count"], **settings
        )
        assert text == python, one["seed"]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(
    ("config", "dtype"),
    [
        ({"embedding_size": 6}, torch.float32),
        ({"embedding_size": 0}, torch.float16),
        ({"embedding_size": 16, "tie_word_embeddings": True, "num_hidden_layers": 3}, torch.bfloat16),
        ({"embedding_size": 5, "hidden_size": 15, "num_hidden_layers": 1}, torch.float64),
    ],
)
def test_every_cell_input_and_number_is_read(visit, served, make_model, tokenizer, tmp_path, cell, config, dtype):
    model = make_model(cell_type=cell, **config)
    if config["embedding_size"] == 0:
        with torch.no_grad():
            model.get_input_embeddings().weight.copy_(torch.eye(len(tokenizer)))
    model.to(dtype).float().save_pretrained(tmp_path)
    weights = {name: weight.to(dtype) for name, weight in load_file(tmp_path / "model.safetensors").items()}
    save_file(weights, tmp_path / "model.safetensors")
    model = model.to(dtype).float()
    seen = inspect_text(model, tokenizer, "The lamp was lit; the keeper")
    ids = [1, *tokenizer.convert_tokens_to_ids(seen.chars)]
    script = """
      const model = new Model(given.config, readSafetensors(bytes(given.weights))), kept = [];
      const logits = logitsOf(model, given.ids, kept), position = given.ids.length - 2;
      const sizes = model.sizesOfGradient(kept, given.ids.slice(1), position, softmax(logits[position]));
      return {logits, sizes: Array.from(sizes)};
    """
    held = base64.b64encode((tmp_path / "model.safetensors").read_bytes()).decode()
    given = {"config": model.config.to_dict(), "weights": held, "ids": ids}
    found = run(visit(served("alice")), script, given)
    assert np.abs(np.array(found["logits"]) - logits_of(model, ids)).max() < 1e-4
    sizes = seen.connectivity(len(seen.chars) - 1)[:-1]
    assert np.allclose(found["sizes"], sizes, rtol=1e-3, atol=1e-6 * sizes.max())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lowercase": False},
        {"strip_punctuation": False},
        {"strip_accents": True},
        {"strip_punctuation": False, "strip_accents": True},
        {"eos_token": END_OF_ITEM},
        "alice",
        "alice_english",
        "english",
    ],
    ids=str,
)
def test_a_text_of_any_script_is_read_in_the_tab_as_in_python(visit, served, settings):
    tokenizer = load(settings)[1] if isinstance(settings, str) else build_tokenizer(SCRIPTS, **settings)
    backend = tokenizer.backend_tokenizer
    script = """
      const tokenizer = new CharacterTokenizer(JSON.parse(given.tokenizer));
      return given.texts.map(text => {
        const read = tokenizer.normalise(text);
        return [read, tokenizer.lost(text), tokenizer.encode(read, {prompt: true})];
      });
    """
    found = run(visit(served("alice")), script, {"tokenizer": backend.to_str(), "texts": SCRIPTS})
    for text, (read, lost, ids) in zip(SCRIPTS, found, strict=True):
        assert read == normalise(tokenizer, text)
        known = text.replace("\ud800", "\ufffd").replace("\uffff", "\ufffd").replace("\ufdd0", "\ufffd")
        assert lost == characters_lacking(backend, known)
        assert ids == backend.encode(read).ids


def test_numpys_generator_draws_the_same_numbers_from_any_seed(visit, served):
    seeds = [0, 1, 7, 2**32 - 1, 2**32, 2**64 + 5, 2**130 + 11, 10**39]
    script = """return given.map(seed => {
      const generator = new Generator(BigInt(seed));
      return [generator.random(), generator.random(), generator.random()];
    });"""
    found = run(visit(served("alice")), script, [str(seed) for seed in seeds])
    assert found == [np.random.default_rng(seed).random(3).tolist() for seed in seeds]


def test_an_address_writes_at_once_and_says_idle_then_writing_then_done(visit, served):
    query = urlencode({"prompt": "The Queen!", "temperature": 0.5, "seed": 8, "max_new_tokens": 120, "write": 1})
    page = visit("about:blank")
    page.add_init_script("""
      globalThis.states = [];
      addEventListener("DOMContentLoaded", () => {
        const text = document.getElementById("text"), note = () => states.push(text.dataset.state);
        note();
        new MutationObserver(note).observe(text, {attributes: true, attributeFilter: ["data-state"]});
      });""")
    page.goto(f"{served('alice')}?{query}")
    model, tokenizer = load(ALICE)
    expected = normalise(tokenizer, "The Queen!")
    expected += generate_text(model, tokenizer, "The Queen!", seed=8, temperature=0.5, max_new_tokens=120)
    assert done(page) == expected
    assert page.evaluate("states") == ["idle", "writing", "done"]
    assert {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()} == {
        "prompt": "The Queen!",
        "temperature": "0.5",
        "seed": "8",
        "max_new_tokens": "120",
        "write": "1",
    }


def test_the_page_opens_with_a_finished_text_and_the_button_says_what_it_will_write(visit, served):
    page = visit(served("alice"))
    model, tokenizer = load(ALICE)
    assert page.text_content("#text") == generate_text(model, tokenizer, seed=7)
    assert page.get_attribute("#text", "data-state") == "idle"
    assert page.get_by_role("button", name="Write 500 characters", exact=True).is_visible()
    page.get_by_label("Length").fill("90")
    page.get_by_role("button", name="Write 90 characters", exact=True).click()
    first = done(page)
    assert len(first) == 90
    seed = parse_qs(urlsplit(page.url).query)["seed"][0]
    assert first == generate_text(model, tokenizer, seed=int(seed), max_new_tokens=90)
    page.get_by_role("button", name="Write 90 characters", exact=True).click()
    page.wait_for_function(f"!location.search.includes('seed={seed}&')")
    assert done(page) != first


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("seed", "-5", "Seed: a whole number of 0 or more"),
        ("max_new_tokens", "99999", "Length: a whole number from 1 to 10000"),
        ("temperature", "hot", "Temperature: 0 (always the likeliest) or a positive number"),
        ("top_p", "1.5", "top-p: a number above 0 and at most 1"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words_and_nothing_is_written(visit, served, field, value, words):
    page = visit(f"{served('alice')}?{field}={value}&write=1")
    page.wait_for_selector(".inspector:not(.waiting)")
    assert words in page.text_content("#trouble")
    assert value in page.text_content("#trouble")
    assert page.get_attribute("#text", "data-state") == "idle"


def test_what_a_prompt_loses_is_named_on_the_page(visit, served):
    page = visit(f"{served('alice')}?prompt={quote('Привет, Alice')}&max_new_tokens=5&seed=1&write=1")
    assert done(page).startswith(" alice")
    assert page.text_content("#lost").endswith("lacks: П в е и р т")


def test_a_stopped_text_is_called_unfinished_and_its_address_asks_for_no_more(visit, served):
    page = visit(f"{served('alice')}?max_new_tokens=10000&seed=3&write=1")
    page.get_by_role("button", name="Stop").click()
    text = done(page)
    assert 0 < len(text) < 10000
    assert page.text_content("#status").startswith("Stopped, so unfinished")
    assert parse_qs(urlsplit(page.url).query)["max_new_tokens"] == [str(len(text))]


LISTEN = """
const Real = Worker;
globalThis.Worker = class extends Real {
  set onmessage(hear) { super.onmessage = event => {
    if (event.data.type === "record") globalThis.lastRecord = event.data.record;
    hear(event);
  }; }
};
"""


RECORDS = "(globalThis.records ??= []).push(event.data.record.chars.join(''))"


def test_the_record_is_the_one_that_python_makes_and_answers_what_the_inspector_asks(visit, served):
    page = visit("about:blank")
    page.add_init_script(LISTEN)
    page.goto(f"{served('alice_gru')}?prompt=Alice&max_new_tokens=60&seed=5&temperature=0.8&write=1")
    text = done(page)
    page.wait_for_function("globalThis.lastRecord?.given === 5")
    found = page.evaluate("lastRecord")
    model, tokenizer = load("alice_gru")
    seen, settings = inspect_text(model, tokenizer, text), {"temperature": 0.8, "top_k": 0, "top_p": 0.95}
    known = {"title": found["title"], "nats": found["nats"], "given": 5, "settings": settings}
    expected = record_of(seen, model, tokenizer, "alice_gru", **known)
    assert found.keys() == expected.keys()
    for name in ("model", "cell", "layers", "units", "given", "settings", "chars", "quantities", "sentence"):
        assert found[name] == expected[name], name
    assert np.allclose(found["surprisal"], expected["surprisal"], atol=2e-3)
    for name in ("top", "shaped"):
        both = ([pair for row in record[name] for pair in row] for record in (found, expected))
        (ours, odds), (theirs, python) = (zip(*pairs, strict=True) for pairs in both)
        assert ours == theirs
        assert np.allclose(odds, python, atol=2e-3)
    for name, means in expected["means"].items():
        assert np.allclose(found["means"][name], means, atol=2e-3)
    for ours, theirs in zip(found["cells"], expected["cells"], strict=True):
        assert {**ours, "values": 0} == {**theirs, "values": 0}
        for name, values in theirs["values"].items():
            assert np.allclose(ours["values"][name], values, atol=2e-3), name

    ask(page, "want-connectivity", {"position": 40})
    page.wait_for_function("lastRecord.connectivity")
    answer, python = page.evaluate("lastRecord.connectivity"), connectivity_at(model, tokenizer, text, 40)
    assert answer["position"] == 40
    assert answer["largest"] == pytest.approx(python["largest"], rel=1e-2)
    assert np.allclose(answer["thousandths"], python["thousandths"], atol=2)

    ask(page, "want-differences", None)
    page.wait_for_function("lastRecord.differences")
    answer, python = (
        page.evaluate("lastRecord.differences"),
        compare_memories({found["title"]: (model, tokenizer)}, text),
    )
    assert {**answer, "curves": 0} == {**python, "curves": 0}
    assert python["curves"][0]["state"] is answer["curves"][0]["state"] is None
    assert np.allclose(answer["curves"][0]["output"], python["curves"][0]["output"], rtol=1e-2, atol=1e-4)

    ask(page, "hold-gate", {"gate": "update", "value": 1})
    page.wait_for_function("lastRecord.means.update[0].every(value => value === 1)")
    ask(page, "hold-gate", {"gate": "update", "value": None})
    page.wait_for_function("lastRecord.means.update[0][0] < 1")
    ask(page, "fork", {"position": 8, "character": "z"})
    page.wait_for_function("lastRecord.chars[8] === 'z'")
    assert page.text_content("#text").startswith(text[:8] + "z")


def test_a_new_text_cancels_the_reading_of_the_one_before(visit, served):
    page = visit("about:blank")
    page.add_init_script(LISTEN.replace("globalThis.lastRecord = event.data.record", RECORDS))
    page.goto(f"{served('alice')}?max_new_tokens=1000&seed=3&write=1")
    page.wait_for_selector("#text[data-state=done]")
    page.get_by_label("Begin with").fill("Once")
    page.get_by_label("Length").fill("20")
    page.get_by_role("button", name="Write 20 characters").click()
    page.wait_for_function("globalThis.records?.some(text => text.startsWith('once'))")
    page.wait_for_timeout(1000)
    assert [text[:4] for text in page.evaluate("records")] == ["once"]


@pytest.mark.parametrize("name", ["alice", "alice_english", "english"])
def test_the_copies_that_are_found_in_the_tab_are_those_of_python(visit, served, name):
    decoder, index = load_decoder(name), NoveltyIndex.load(name)
    texts = [generate_text(*decoder, seed=4, temperature=heat, max_new_tokens=400) for heat in (0.0, 0.4, 1.0)]
    texts += [
        "",
        "no copy",
        texts[0].upper().replace(" ", " -- ").replace("e", "é"),
        f"  {texts[1]}\n\n… {CLEF}{texts[0]}",
    ]
    script = """
      const {measureNovelty, readIndex} = await import("./novelty.js");
      const about = JSON.parse(document.getElementById("page").textContent);
      const files = await Promise.all(about.indexes.map(async ({name}) => (await fetch(name)).arrayBuffer()));
      const index = readIndex(files, about.forget);
      return given.map(text => measureNovelty(text, index));
    """
    found = run(visit(served(name)), script, texts)
    for text, ours in zip(texts, found, strict=True):
        expected = json.loads(json.dumps(vars(measure_novelty(text, index))))
        assert ours.pop("share_new") == pytest.approx(expected.pop("share_new"))
        assert ours == expected
    assert name == "english" or any(one["spans"] or one["book_spans"] for one in found)  # it hardly copies


def test_one_verdict_stays_in_sight_and_the_copies_are_marked_in_the_text_that_is_looked_into(visit, served):
    page = visit(f"{served('alice_rnn')}?prompt=The+Queen&temperature=0.4&seed=8&max_new_tokens=300&write=1")
    new = done(page).removeprefix("the queen")
    page.wait_for_selector(".verdict:not([hidden])")
    page.wait_for_selector("#text .copied")
    wanted = measure_novelty(new, NoveltyIndex.load("alice_rnn"))
    assert page.text_content(".share") == f"{(share := round(100 * wanted.share_new))}% new, {100 - share}% copied"
    marked = page.locator("#text .copied").evaluate_all("all => all.map(letter => +letter.id.slice('seen-'.length))")
    assert marked == sorted({9 + place for start, end in wanted.spans for place in range(start, end)})
    assert page.text_content("#text") == "the queen" + new


def test_the_text_stands_once_and_all_of_it_however_long(visit, served):
    page = visit(f"{served('alice_rnn')}?temperature=1&seed=8&max_new_tokens=1100&write=1")
    text = done(page)
    page.wait_for_selector("#text [role=option]")
    assert page.text_content("#text") == text
    assert len(text) == 1100
    assert page.locator("#text .char").count() == 1000
    assert page.locator(".text").count() == 1


def test_on_a_phone_what_is_written_and_its_verdict_are_in_sight_above_the_explanation(visit, served):
    page = visit(f"{served('alice_rnn')}?seed=8&write=1", 390)
    done(page)
    page.wait_for_selector(".verdict:not([hidden])")
    for seen in ("#seen-0", "#seen-40", ".share"):
        assert page.locator(seen).evaluate("""element => {
            const {left, top} = element.getBoundingClientRect();
            return element.contains(document.elementFromPoint(left + 4, top + 4));
        }"""), seen


def test_on_a_phone_the_button_brings_what_it_writes_into_sight(visit, served):
    page = visit(served("alice_rnn"), 390)
    page.wait_for_selector("#text [role=option]")
    page.evaluate("scrollTo(0, 250)")
    page.locator("#write").click()
    done(page)
    assert 0 <= page.locator("#text").evaluate("text => text.getBoundingClientRect().top") < 844 / 2


def test_a_model_without_an_index_says_that_its_copies_are_not_known(visit, served, saved):
    page = visit(f"{served(saved)}?seed=1&write=1")
    done(page)
    assert "What is copied is not known" in page.text_content("#status")


def ask(page, event: str, detail: dict) -> None:
    page.evaluate(
        f"document.querySelector('#inspector > *').dispatchEvent("
        f"new CustomEvent('{event}', {{bubbles: true, detail: {json.dumps(detail)}}}))"
    )


def test_one_file_works_from_a_disk(visit, tmp_path):
    make_page("alice_rnn", tmp_path / "alice.html", single_file=True)
    address = (tmp_path / "alice.html").as_uri()
    page = visit(f"{address}?prompt=Once&max_new_tokens=80&seed=4&write=1")
    model, tokenizer = load("alice_rnn")
    assert done(page) == "once" + generate_text(model, tokenizer, "Once", seed=4, max_new_tokens=80)
    page.wait_for_selector(".inspector:not(.waiting)")


def test_a_model_of_items_writes_one_up_to_its_end_and_then_a_list_in_which_each_is_known_or_new(
    visit, served, make_model, tmp_path
):
    tokenizer = build_tokenizer(["anna", "bob", "Élise"], eos_token=END_OF_ITEM)
    model = make_model(vocab_size=len(tokenizer), eos_token_id=2)
    model.generation_config.eos_token_id, model.generation_config.max_new_tokens = 2, 200
    model.save_pretrained(tmp_path / "names")
    tokenizer.save_pretrained(tmp_path / "names")
    model, tokenizer = load(tmp_path / "names")
    items = list(generate_items(model, tokenizer, 20, prefix="An", seed=6))
    save_items([*items[::3], "anna"], tmp_path / "names")
    page = visit(f"{served(tmp_path / 'names')}?prompt=An&seed=6&write=1")
    assert done(page) == "an" + generate_text(model, tokenizer, "An", seed=6)
    assert page.get_by_role("button", name="Write one, of at most 200 characters").is_visible()
    new = [item for item in items if item not in items[::3]]
    page.wait_for_function(f"document.getElementById('items-words').textContent.startsWith('{len(new)} of 20 new')")
    assert page.locator("#items bdi").all_text_contents() == items
    assert page.locator("#items li:not(.known) bdi").all_text_contents() == new


@pytest.mark.parametrize("item", ["", "emma", "Élise 漢字", "one\nlong item " * 40])
def test_an_item_has_the_same_hash_in_the_tab_as_in_python(visit, served, item):
    script = """const {hashItem} = await import("./hashing.js"); return String(hashItem(given));"""
    assert run(visit(served("alice_rnn")), script, item) == str(hash_item(item))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_everybody_can_use_it(visit, served, width, scheme):
    page = visit(f"{served('alice')}?max_new_tokens=200&seed=2&write=1", width, scheme)
    done(page)
    page.wait_for_selector(".verdict:not([hidden])")
    page.locator(".helps summary").click()
    page.wait_for_selector(".memories:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert Axe().run(page).response["violations"] == []


def test_the_gradients_of_the_network_that_learns_are_torchs(visit, served):
    torch.manual_seed(0)
    vocab, units = 7, 5
    lstm, head = torch.nn.LSTM(vocab, units), torch.nn.Linear(units, vocab)
    lanes = [[0, 1, 2, 3, 4, 5, 6, 1], [3, 3, 1, 0]]
    errors = []
    for ids in lanes:
        output, _ = lstm(torch.eye(vocab)[ids[:-1]])  # (time, units)
        errors.append(torch.nn.functional.cross_entropy(head(output), torch.tensor(ids[1:]), reduction="none"))
    loss = torch.cat(errors).mean()
    loss.backward()
    weights = {f"model.layers.0.{name}": weight for name, weight in lstm.named_parameters()}
    weights |= {f"lm_head.{name}": weight for name, weight in head.named_parameters()}
    script = """
      const {Learner} = await import("./learner.js"), {vocab, units, weights, lanes} = given;
      const tensors = Object.fromEntries(Object.entries(weights).map(([name, all]) => [name, Float64Array.from(all)]));
      const learner = new Learner(vocab, units, tensors);
      const lossOf = () => learner.lossOf(lanes.map(ids => ({ids, state: learner.model.start()})));
      const loss = lossOf();
      const gradients = Object.entries(learner.gradients).map(([name, all]) => [name, Array.from(all)]);
      learner.update();
      return {loss, gradients: Object.fromEntries(gradients), later: lossOf()};
    """
    flat = {name: weight.detach().flatten().tolist() for name, weight in weights.items()}
    flat["model.embed_tokens.weight"] = torch.eye(vocab).flatten().tolist()
    found = run(visit(served("alice")), script, {"vocab": vocab, "units": units, "lanes": lanes, "weights": flat})
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert found["later"] < found["loss"]
    for name, weight in weights.items():
        assert np.allclose(found["gradients"][name], weight.grad.flatten(), rtol=1e-3, atol=1e-6), name


def test_it_learns_when_it_is_asked_to_and_stops_and_goes_on(visit, served):
    page = visit("about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto(served("alice"))
    page.wait_for_selector(".inspector:not(.waiting)")
    assert "worker.js" in asked
    assert not {"learning.js", "learner.js"} & set(asked)
    page.get_by_text("Watch it learn").click()
    page.get_by_role("button", name="Learn", exact=True).click()
    assert "needs 200 characters" in page.text_content("#learn .told")
    page.get_by_role("button", name="numbers, counted").click()
    page.get_by_role("button", name="Learn", exact=True).click()
    page.wait_for_function("document.querySelector('#learn .line').points.numberOfItems >= 4")
    points = page.evaluate("Array.from(document.querySelector('#learn .line').points, ({y}) => y)")
    assert points[-1] > points[0]  # lower on the page, so lower in nats
    assert set(page.text_content("#learn .sample")) <= set("zerontwhufivsxg \n")
    page.locator("#learn").get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_timeout(500)
    told = page.text_content("#learn .told")
    page.wait_for_timeout(1500)
    assert page.text_content("#learn .told") == told
    page.get_by_role("button", name="Go on", exact=True).click()
    page.wait_for_function("told => document.querySelector('#learn .told').textContent !== told", arg=told)
    before, after = (int(words.split()[1]) for words in (told, page.text_content("#learn .told")))
    assert after > before
