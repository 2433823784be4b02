"""The Space as a visitor meets it: a real Chromium, at the width of a desk and of a phone, light and dark."""

import re
import threading
from itertools import pairwise
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urlsplit

import gradio as gr
import pytest

from tests.conftest import ALICE

pytestmark = pytest.mark.browser

WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def url():
    import app

    demo = app.build()
    yield demo.launch(prevent_thread_lock=True, quiet=True, **app.LOOKS, **app.SERVING)[1].rstrip("/")
    demo.close()


@pytest.fixture
def visit(chromium, url):
    """Opens the page in a fresh profile; when the test ends, it must have had no error and asked nothing of others."""
    contexts, trouble = [], []

    def open_page(width: str = "desk", query: str = ""):
        size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
        context = chromium.new_context(viewport=size, has_touch=width == "phone")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: is_ours(message) and trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: elsewhere(request.url) and trouble.append(request.url))
        page.goto(f"{url}/{query}")
        page.locator(".inspector .char").first.wait_for()  # from here on the page answers
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not trouble


def is_ours(message) -> bool:
    """Whether a line of the console is an error, but for the schema that gradio's panel of the API asks for in vain."""
    return message.type == "error" and not message.location["url"].endswith("/mcp/schema")


def elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https", "ws") and parts.hostname != "127.0.0.1"


def write(page, prompt: str = "Alice was") -> str:
    page.get_by_label("Begin with").first.fill(prompt)
    start(page)
    return finished(page)


def start(page):
    page.get_by_role("button", name="Write 500 characters", exact=True).click()
    page.locator("#inside .link").wait_for(state="hidden")


def finished(page) -> str:
    """The text with its prompt, once it is written."""
    page.locator("#inside .link").wait_for()
    return page.locator("#inside .text").text_content()


def look_inside(page):
    """The text as a listbox of letters, once it is one."""
    listbox = page.get_by_role("listbox", name="The text")
    listbox.wait_for()
    return listbox


def three_cells(page):
    page.get_by_role("button", name="More: three kinds of cells").click()
    page.get_by_role("button", name="with each").click()
    page.wait_for_function("[...document.querySelectorAll('.sheet .count')].filter(c => c.textContent).length >= 3")


def compare(page) -> list:
    """The two sheets beside each other, once both are written and marked."""
    page.locator("#compare").click()
    page.wait_for_function("[...document.querySelectorAll('#pair .verdict')].filter(v => !v.hidden).length === 2")
    return page.locator("#pair .sheet").all()


@pytest.mark.parametrize("width", WIDTHS)
def test_one_seed_is_written_after_one_book_and_after_many_beside_each_other(visit, width):
    from char_lstm import generate_text, load_decoder

    page = visit(width)
    text = write(page)
    page.wait_for_function("location.search")
    asked = {name: value for name, (value,) in parse_qs(urlsplit(page.url).query).items()}
    page.get_by_label("Begin with").first.fill("another prompt, not asked for yet")
    one, other = compare(page)
    assert one.locator(".written").text_content() == text
    many = load_decoder(ALICE.parent / "alice_english")
    wanted = generate_text(*many, "Alice was", seed=int(asked["seed"]), temperature=float(asked["temperature"]))
    assert other.locator(".text").text_content() == wanted
    for sheet in (one, other):
        assert re.search(r"\d nats per character", sheet.locator(".figures").text_content())
        assert "% new" in sheet.locator(".verdict").text_content()
    left, right = one.bounding_box(), other.bounding_box()
    if width == "desk":
        assert left["height"] == right["height"]
        assert (left["y"], left["x"] + left["width"] <= right["x"]) == (right["y"], True)
    else:
        assert (left["x"], left["y"] + left["height"] <= right["y"]) == (right["x"], True)


def test_500_characters_stream_in_and_what_appears_in_the_book_is_marked(visit):
    page = visit()
    page.evaluate("""() => {
        window.lengths = new Set();
        const text = document.querySelector("#inside .text");
        new MutationObserver(() => lengths.add(text.textContent.length)).observe(text, {childList: true});
    }""")
    text = write(page)
    assert text.startswith("alice was")
    assert len(text) == len("alice was") + 500
    assert page.evaluate("lengths.size") > 5
    assert re.fullmatch(r"500 characters, from seed \d+\.", page.locator("#inside .said").text_content())
    assert page.locator("#inside .note").text_content() == "Read as:"
    look_inside(page)
    assert "% new" in page.locator("#inside .verdict").text_content()
    assert page.locator("#inside .text").text_content() == text


def test_past_what_is_looked_into_the_text_goes_on_with_its_marks(visit, monkeypatch):
    import sheets

    found = {"spans": [(990, 1015), (1030, 1050)], "shortest": 20, "longest_copy": 25, "share_new": 0.9}
    monkeypatch.setattr(sheets, "mark_copies", lambda text, model: gr.update(novelty=found))
    page = visit(query="?" + urlencode({"seed": 7, "max_new_tokens": 1100}))
    page.get_by_text("Only the first 1000 characters are looked into.").wait_for()
    look_inside(page)
    text = page.locator("#inside .text").text_content()
    assert (len(text), page.locator("#inside .char").count()) == (1100, 1000)
    assert page.locator("#inside .char.copied").count() == 10
    assert page.locator("#inside .rest mark").all_text_contents() == [text[1000:1015], text[1030:1050]]


@pytest.fixture
def slowed(monkeypatch):
    """A text takes 20 seconds until `go_on` is set; `ended` counts those given up or finished."""
    import writing

    slowed = SimpleNamespace(go_on=threading.Event(), ended=threading.Semaphore(0))

    def slow_stream(*args, stream_text=writing.stream_text, **settings):
        try:
            for character in stream_text(*args, **settings):
                slowed.go_on.wait(20 / 500)
                yield character
        finally:
            slowed.ended.release()

    monkeypatch.setattr(writing, "stream_text", slow_stream)
    return slowed


def test_stop_ends_the_text_midway_and_it_is_called_unfinished(visit, slowed):
    page = visit()
    for _ in range(5):  # the next text, asked for at once, is not stopped with it
        start(page)
        page.wait_for_function("document.querySelector('#inside .text').textContent.length >= 20")
        page.get_by_role("button", name="Stop").click()
        stopped = finished(page)
        assert 20 <= len(stopped) < 250
        assert page.locator("#inside .said").text_content().startswith(f"Unfinished: {len(stopped)} of 500 characters")
        assert f"max_new_tokens={len(stopped)}" in page.locator("#inside .link").get_attribute("href")
    slowed.go_on.set()
    start(page)
    assert len(finished(page)) == 500


def test_a_new_text_takes_the_place_of_one_that_is_still_being_written(visit, slowed):
    page = visit()
    for _ in range(2):
        start(page)
        page.wait_for_function("document.querySelector('#inside .text').textContent.length >= 10")
    assert slowed.ended.acquire(timeout=5)
    slowed.go_on.set()
    assert len(finished(page)) == 500


def test_the_page_opens_with_a_finished_text_and_one_letter_explained(visit):
    page = visit()
    assert page.locator("#inside .said").text_content() == "500 characters, from seed 7."
    look_inside(page)
    assert page.locator(".char[aria-selected=true]").count() == 1


def test_the_address_writes_the_same_text_again_and_the_button_another(visit):
    page = visit()
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="Alice, one book: with a GRU").click()
    text = write(page, "“Why?” said the Hatter & so")
    page.wait_for_function("location.search")
    link = urlsplit(page.url).query
    assert page.locator("#inside .link").get_attribute("href") == f"?{link}"
    again = visit(query=f"?{link}")
    again.wait_for_function("text => document.querySelector('#inside .text').textContent === text", arg=text)
    assert again.get_by_label("Begin with").first.input_value() == "“Why?” said the Hatter & so"
    start(page)
    assert finished(page) != text


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("Seed", "-5", "The seed is -5"), ("Characters", "99999", "99999 characters were asked for")],
)
def test_a_number_out_of_range_is_said_in_words_and_the_text_stays(visit, field, value, says):
    page = visit()
    text = page.locator("#inside .text").text_content()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label(field).first.fill(value)
    page.locator("#write").click()
    page.get_by_text(says).wait_for()
    assert page.locator("#inside .text").text_content() == text


def test_a_text_of_ones_own_takes_the_place_and_nothing_more_of_the_one_being_written_comes(visit, slowed):
    page = visit()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("A text to look into").fill("The Hatter!")
    start(page)
    page.wait_for_function("document.querySelector('#inside .text').textContent.length >= 10")
    page.get_by_role("button", name="Look into it").click()
    page.locator("#inside .char").first.wait_for()
    assert slowed.ended.acquire(timeout=5)
    assert look_inside(page).text_content() == "the hatter\n"
    assert page.locator("#inside .note").text_content() == "Read as:"
    assert page.locator("#inside .said").text_content() == ""
    assert page.locator("#inside :is(.link, .copy, .fork):visible").count() == 0


def test_the_buttons_number_follows_the_field(visit):
    page = visit()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Characters").first.fill("40")
    page.get_by_role("button", name="Write 40 characters").wait_for()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("way", ["link", "address"])
def test_the_page_links_its_api(visit, width, way):
    page = visit(width, "?view=api" if way == "address" else "")
    if way == "link":
        page.get_by_role("button", name="Use via API").click()
    for name in ("/generate", "/compare", "/inspect"):
        page.get_by_role("dialog").get_by_text(name).first.wait_for()


def test_a_gate_is_held_shut_while_the_same_text_is_written_anew_and_let_go(visit):
    page = visit()
    text = write(page)
    look_inside(page)
    page.locator("#inside .more > summary").click()
    shut = page.get_by_role("button", name="forget gate shut")
    shut.click()
    page.get_by_text("Gates were held, so no link repeats it.").wait_for()
    other = look_inside(page).text_content()
    assert other.startswith("alice was")
    assert other != text
    assert shut.get_attribute("aria-pressed") == "true"
    assert "the forget gates kept 0% of the past in layer 1 and 0% in layer 2" in page.locator(".gates").text_content()
    page.get_by_text("Mostly on").wait_for()  # connectivity is the held model's too
    shut.click()
    assert finished(page) == text
    look_inside(page)
    assert shut.get_attribute("aria-pressed") == "false"


def test_a_prompt_is_typed_in_the_direction_of_its_script(visit):
    box = visit().get_by_label("Begin with").first
    assert box.evaluate("box => getComputedStyle(box).unicodeBidi") == "plaintext"
    assert box.evaluate("box => getComputedStyle(box).textAlign") == "start"


def test_copy_takes_prompt_and_text(visit):
    page = visit()
    text = write(page)
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_keyboard_walks_through_the_text_and_nothing_is_asked_of_the_server(visit, width):
    from char_lstm import inspect_text, load

    page = visit(width)
    text = write(page)
    listbox = look_inside(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    listbox.focus()
    page.keyboard.press("Home")
    third_space = [place for place, character in enumerate(text) if character == " "][2]
    for _ in range(third_space):
        page.keyboard.press("ArrowRight")

    seen = inspect_text(*load(ALICE), text)
    shown = [row.strip() for row in page.locator(".predictions b").all_text_contents()]
    signs = {" ": "␣", "\n": "↵"}
    assert shown[:5] == [signs.get(character, character) for character, _ in seen.top_predictions[third_space]]
    words, gates = page.locator(".words").text_content(), page.locator(".gates").text_content()
    surprise = re.search(r"([\d.]+) nats of surprise", words)[1]
    assert float(surprise) == pytest.approx(seen.surprisal[third_space], abs=0.006)  # rounded to 3 digits, then to 2
    kept = re.search(r"the forget gates kept (\d+)% of the past in layer 1 and (\d+)% in layer 2", gates).groups()
    means = [100 * layer[third_space].mean() for layer in seen.gates["forget"]]
    assert [int(share) for share in kept] == pytest.approx(means, abs=0.6)
    page.keyboard.press("ArrowDown")
    assert page.locator(".char[aria-selected=true]").get_attribute("id") != f"seen-{third_space}"
    page.keyboard.press("End")
    assert page.locator(".char[aria-selected=true]").get_attribute("id") == f"seen-{len(text) - 1}"
    page.locator("#seen-12").click()
    assert page.locator(".char[aria-selected=true]").get_attribute("id") == "seen-12"
    assert not asked


def test_nothing_is_wider_than_a_phone(visit):
    page = visit("phone")
    is_narrow = "document.documentElement.scrollWidth <= innerWidth"
    write(page)
    assert page.evaluate(is_narrow)
    look_inside(page)
    assert page.evaluate(is_narrow)
    compare(page)
    three_cells(page)
    assert page.evaluate(is_narrow)
    assert all(sheet.bounding_box()["width"] >= 300 for sheet in page.locator(".sheet:visible").all())


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(visit):
    page = visit()
    write(page)
    page.get_by_role("button", name="Settings").click()
    wanted = page.evaluate("""() => [...document.querySelectorAll("button, input, textarea, a, [role=listbox]")]
        .filter(control => control.checkVisibility() && !control.disabled && control.tabIndex >= 0)
        .map((control, index) => control.dataset.control = index).length""")
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(3 * wanted):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.control ?? document.activeElement.name ?? null"))
    unreached = page.evaluate(
        """reached => [...document.querySelectorAll("[data-control]")]
        .filter(control => !reached.includes(control.dataset.control) && control.type !== "radio")
        .map(control => control.outerHTML)""",
        list(reached),
    )
    assert wanted > 12
    assert not unreached


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, theme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(query=f"?__theme={theme}")

    def check():
        page.wait_for_timeout(400)  # until colours have faded to what they are
        found = Axe().run(page).response["violations"]
        serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        assert not [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in serious]

    check()
    write(page)
    page.get_by_role("button", name="Settings").click()
    check()
    look_inside(page)
    check()
    compare(page)
    three_cells(page)
    check()
    headings = page.locator("h1, h2, h3, h4, h5, h6").filter(visible=True)
    levels = headings.evaluate_all("all => all.map(heading => +heading.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


MARKUP = "<img src=x onerror='injected = 1'><script>injected = 1</script>"


def is_injected(page) -> bool:
    page.wait_for_timeout(300)  # in which an image would not be found
    return page.evaluate("'injected' in window || document.querySelector('img[src=x]') !== null")


def test_markup_in_a_prompt_and_in_a_text_is_shown_and_never_becomes_part_of_the_page(visit, tmp_path, monkeypatch):
    """By a model that keeps every mark and capital, since the packaged ones forget them."""
    from transformers import GenerationConfig

    import models
    from char_lstm import CharLstmConfig, CharLstmForCausalLM, build_tokenizer, load, load_decoder
    from char_lstm.inspection.telling import known_cells

    tokenizer = build_tokenizer([MARKUP], lowercase=False, strip_punctuation=False)
    model = CharLstmForCausalLM(CharLstmConfig(vocab_size=len(tokenizer), hidden_size=8))
    model.generation_config = GenerationConfig(
        do_sample=True, max_new_tokens=500, suppress_tokens=[0], pad_token_id=0, bos_token_id=1
    )
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(models, "decoder_of", lambda name: load_decoder(tmp_path))
    monkeypatch.setattr(models, "model_of", lambda name: load(tmp_path))
    monkeypatch.setattr(models, "cells_of", lambda name: known_cells(*load(tmp_path)))
    page = visit()
    page.get_by_label("Begin with").first.fill(MARKUP)
    start(page)
    assert finished(page).startswith(MARKUP)
    listbox = look_inside(page)
    assert listbox.text_content().startswith(MARKUP)
    listbox.focus()
    page.keyboard.press("End")
    assert not is_injected(page)


def test_markup_in_a_link_never_becomes_part_of_the_page(visit):
    page = visit(query=f"?{urlencode({'model': MARKUP, 'prompt': MARKUP, 'temperature': MARKUP, 'seed': 7})}")
    page.wait_for_function("new URLSearchParams(location.search).get('max_new_tokens') === '500'")
    # what a link says amiss is left as it was
    assert page.get_by_label("Model", exact=True).input_value().startswith("Alice, one book: the assignment")
    assert not is_injected(page)
