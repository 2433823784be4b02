"""The inspector as a reader meets it: keyboard, mouse and finger, at the width of a desk and of a phone."""

import json
import math
import re
from itertools import pairwise

import pytest

from char_lstm.page import component, part
from char_lstm.page.offline import render_page

pytestmark = pytest.mark.browser

TEXT = list("the lamp was lit before the boat came home to the quiet rock again. ")
ODDS = [0.999, 0.6, 0.2, 0.0004]
HELD = 17  # where a cell remembers much and says nothing


def lstm_cell(unit: int, name: str | None = None) -> dict:
    """A cell that follows the rule of an LSTM along TEXT."""
    values = {name: [] for name in ("state", "hidden", "forget", "input", "candidate", "output")}
    c = 0.0
    for t in range(len(TEXT)):
        f, i, g = 0.95, (t * unit % 7) / 7, math.sin(t + unit)
        o = 0.02 if (t, unit) == (HELD, 3) else 0.5
        c = 3.0 if (t, unit) == (HELD, 3) else f * c + i * g
        for quantity, value in zip(values, (c, o * math.tanh(c), f, i, g, o), strict=True):
            values[quantity].append(round(value, 3))
    return {
        "layer": 0,
        "unit": unit,
        "why": "correlation 0.77" if name else "swings most",
        "name": name,
        "values": values,
    }


def record(**changes) -> dict:
    top, surprisal = [], []
    for t, character in enumerate(TEXT):
        p = ODDS[t % len(ODDS)]
        top.append(sorted([[character, p], ["q", (1 - p) * 0.7], ["x", (1 - p) * 0.3]], key=lambda pair: -pair[1]))
        surprisal.append(round(-math.log(p), 3))
    gates = ("forget", "input", "candidate", "output")
    return {
        **{"model": "tiny", "title": "Tiny", "nats": 1.25, "cell": "lstm", "layers": 1, "units": 16, "given": 4},
        **{"settings": {"temperature": 0.6, "top_k": 2, "top_p": 1.0}, "held": {}, "sentence": "", "chars": TEXT},
        **{"surprisal": surprisal, "top": top, "shaped": [[*row[:2], [row[2][0], 0]] for row in top]},
        "means": {gate: [[0.5] * len(TEXT)] for gate in gates},
        "quantities": ["state", "hidden", *gates],
        "cells": [lstm_cell(3), lstm_cell(5, "after a vowel")],
        "connectivity": None,
        "differences": None,
        "novelty": None,
    } | changes


@pytest.fixture(params=["desk", "phone"])
def width(request):
    return request.param


@pytest.fixture
def show(chromium):
    """Opens the page of a record; what the component asks of the page is kept in `window.asked`."""
    pages, trouble = [], []

    def open_page(width: str = "desk", **changes):
        size = {"desk": (1280, 900), "phone": (390, 844)}[width]
        page = chromium.new_page(viewport=dict(zip(("width", "height"), size, strict=True)), has_touch=width == "phone")
        page.set_default_timeout(120_000)
        page.on("console", lambda message: message.type == "error" and trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.add_init_script("""window.asked = [];
            for (const name of ["fork", "want-connectivity", "want-differences", "hold-gate"])
                addEventListener(name, ({detail}) => asked.push([name, detail]));""")
        page.route("**/*", lambda route: route.fulfill(body=render_page(record(**changes)), content_type="text/html"))
        page.goto("http://page.test/")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not trouble


def chosen(page) -> str:
    return page.locator(".char[aria-selected=true]").get_attribute("id")


def words(page) -> str:
    return page.locator(".words").text_content()


def in_view(page, selector: str) -> bool:
    return page.locator(selector).evaluate("""element => {
        const {left, top, width} = element.getBoundingClientRect();
        const there = document.elementFromPoint(left + Math.min(width, 40) / 2, top + 4);
        return there !== null && (element.contains(there) || there.contains(element));
    }""")


def test_a_letter_is_chosen_and_explained_from_the_start_without_a_sideways_scroll(show, width):
    page = show(width)
    assert chosen(page) == "seen-3"  # the first of the most surprising
    assert "but the space came (under 0.1%)" in words(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_mouse_previews_and_a_click_pins(show):
    page = show()
    page.locator("#seen-9").hover()
    assert page.locator(".past").text_content() == "\u2068the lamp␣\u2069"
    assert chosen(page) == "seen-3"
    page.locator(".walk .place").hover()
    assert "but the space came" in words(page)
    page.locator("#seen-9").click()
    page.locator(".walk .place").hover()
    assert chosen(page) == "seen-9"
    assert page.locator(".past").text_content() == "\u2068the lamp␣\u2069"


def test_the_keys_walk_and_the_letter_is_scrolled_into_view(show, width):
    page = show(width, chars=TEXT * 12, surprisal=[1.0] * 12 * len(TEXT), given=4, **longer(12))
    page.locator(".text").focus()
    page.keyboard.press("End")
    last = 12 * len(TEXT) - 1
    assert chosen(page) == f"seen-{last}"
    assert in_view(page, f"#seen-{last}")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert chosen(page) == "seen-1"
    assert in_view(page, "#seen-1")


def longer(times: int) -> dict:
    usual = record()
    cells = [
        cell | {"values": {name: along * times for name, along in cell["values"].items()}} for cell in usual["cells"]
    ]
    means = {gate: [layer * times for layer in layers] for gate, layers in usual["means"].items()}
    return {"top": usual["top"] * times, "shaped": usual["shaped"] * times, "cells": cells, "means": means}


def test_what_a_letter_means_is_in_view_beside_it(show, width):
    page = show(width, chars=TEXT * 12, surprisal=[1.0] * 12 * len(TEXT), **longer(12))
    page.locator("#seen-800").scroll_into_view_if_needed()
    (page.locator("#seen-800").tap if width == "phone" else page.locator("#seen-800").click)()
    assert in_view(page, "#seen-800")
    assert in_view(page, ".words")


def test_the_sheet_of_a_phone_closes_and_a_tap_opens_it_again(show):
    page = show("phone")
    page.get_by_role("button", name="Close the explanation").click()
    assert not page.locator(".explanation").is_visible()
    page.locator("#seen-9").tap()
    assert page.locator(".explanation").is_visible()


def test_a_letter_that_is_tapped_is_explained_from_the_beginning(show):
    page = show("phone")
    explanation = page.locator(".explanation")
    assert explanation.evaluate("sheet => (sheet.scrollTop = 300)") == 300
    page.locator("#seen-5").tap()
    assert explanation.evaluate("sheet => sheet.scrollTop") == 0


def test_a_letter_is_wide_enough_for_a_finger(show):
    page = show("phone")
    boxes = [letter.bounding_box() for letter in page.locator(".char").all()[:12]]
    assert all(box["width"] >= 23.9 and box["height"] >= 24 for box in boxes)


def test_the_odds_stand_beside_those_that_were_drawn_from(show):
    page = show()
    page.locator("#seen-9").click()
    assert page.locator(".predictions b").all_text_contents() == [
        "a" if TEXT[9] == "a" else TEXT[9].strip() or "␣",
        "q",
        "x",
    ]
    shares = page.locator(".predictions output").all_text_contents()
    assert shares[:2] == ["60%", "60%"]
    assert shares[5] == "0%"
    assert "was drawn, at odds of 60% after temperature 0.6, top-k 2" in page.locator(".draw-words").text_content()
    reshaped = page.locator(".reshaped").text_content()
    assert "was 2.1 times as likely as “\u2068q\u2069”: temperature 0.6 makes it 3.6 times." in reshaped
    assert reshaped.endswith(" Top-k leaves out “\u2068x\u2069”.")
    page.locator("#seen-2").click()
    assert "was given, not drawn" in page.locator(".draw-words").text_content()
    page.locator("#seen-4").click()
    assert page.locator(".predictions output").first.text_content() == "over 99%"


def test_an_alternative_asks_for_a_fork_and_a_text_that_was_only_read_has_none(show):
    page = show()
    page.locator("#seen-9").click()
    page.get_by_role("button", name="Go on with “\u2068x\u2069” instead").click()
    assert page.evaluate("asked") == [["fork", {"position": 9, "character": "x"}]]
    page = show(settings=None, shaped=None)
    assert page.locator(".fork").count() == 0


def test_the_gradients_of_one_letter_are_asked_for_when_they_are_looked_at(show):
    page = show()
    assert page.evaluate("asked") == []
    page.locator(".more summary").click()
    page.locator(".depends").get_by_text("Not computed").wait_for()
    assert page.evaluate("asked[0]") == ["want-connectivity", {"position": 3}]
    answered = show(connectivity={"position": 3, "largest": 0.5, "thousandths": [10, 1000, 20]})
    answered.locator(".more summary").click()
    assert "Mostly on “\u2068h\u2069” 2 back" in answered.locator(".depends").text_content()
    assert answered.evaluate("asked") == []


def memories(**lasting) -> dict:
    """Of cells that remember a letter for so many letters."""
    curves = [
        {"title": cell, "cell": cell, "output": [1.0] * letters + [0.02, 0.0] + [0.0] * (40 - letters), "state": None}
        for cell, letters in lasting.items()
    ]
    return {"position": 4, "was": "l", "now": "a", "curves": curves}


def test_how_long_a_letter_is_remembered_is_asked_for_when_it_is_looked_at_and_said_in_letters(show):
    page = show()
    page.locator(".helps summary").click()
    page.locator(".remembers").get_by_text("Not computed").wait_for()
    assert page.evaluate("asked") == [["want-differences", None]]
    answered = show(differences=memories(rnn=10, gru=20, lstm=30))
    answered.locator(".helps summary").click()
    answered.locator(".memories:not([hidden])").wait_for()
    said = answered.locator(".remembers").text_content()
    assert "with “\u2068a\u2069” for “\u2068l\u2069”" in said
    assert "in h of the RNN for 10, in h of the GRU for 20, in h of the LSTM for 30 letters" in said
    assert said.endswith("Longest in h of the LSTM.")
    assert answered.locator(".memories .curve").count() == 3
    assert answered.evaluate("asked") == []


def test_where_the_cells_do_not_differ_the_page_says_so(show):
    page = show(differences=memories(rnn=19, gru=20, lstm=21))
    page.locator(".helps summary").click()
    page.locator(".memories:not([hidden])").wait_for()
    assert page.locator(".remembers").text_content().endswith("On this text the cells hardly differ.")


def test_a_gate_is_held_open_or_shut_and_let_go_where_the_page_can(show):
    page = show()
    page.locator(".more summary").click()
    assert not page.locator(".holds").is_visible()
    html, _, js = component("inspector").values()
    for held in ({}, {"forget": 1}):
        page.evaluate("html => { document.body.innerHTML = `<div>${html}</div>`; }", html)
        props = json.dumps({"value": json.dumps(record(held=held)), "holds": True})
        mount = f"(function (element, props, watch) {{{js}}})"
        page.evaluate(f"{mount}(document.querySelector('div'), {props}, () => {{}})")
        page.locator(".more summary").click()
        forget = page.get_by_role("button", name="forget gate open")
        assert forget.get_attribute("aria-pressed") == ("true" if held else "false")
        forget.click()
    asked = [detail for name, detail in page.evaluate("asked") if name == "hold-gate"]
    assert asked == [{"gate": "forget", "value": 1}, {"gate": "forget", "value": None}]


def test_step_and_play_walk_letter_by_letter_through_the_text(show):
    page = show()
    page.get_by_role("button", name="Step").click()
    assert chosen(page) == "seen-4"
    assert page.locator(".char.later").count() == len(TEXT) - 5
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector("#seen-7:not(.later)")
    page.locator("#seen-20").click()
    assert page.locator(".play").text_content() == "Play"
    assert chosen(page) == "seen-20"
    assert page.locator(".char.later").count() == 0


def numbers(page) -> dict:
    found = page.locator("svg:not([hidden]) [data-n]").evaluate_all("all => all.map(n => [n.dataset.n, n.textContent])")
    return {name: float(text.replace("−", "-").replace("×", "")) for name, text in found}


def test_the_two_states_are_worked_out_as_they_are_shown(show):
    page = show()
    for place in (1, 17, 40):
        page.locator(f"#seen-{place}").click()
        shown = numbers(page)
        if place != HELD:
            kept = shown["forget"] * shown["past"]
            assert shown["state"] == pytest.approx(kept + shown["input"] * shown["candidate"], abs=0.03)
        assert shown["tanh"] == pytest.approx(math.tanh(shown["state"]), abs=0.01)
        assert shown["hidden"] == pytest.approx(shown["output"] * shown["tanh"], abs=0.01)


def test_what_is_remembered_and_not_said_is_pointed_out(show):
    page = show()
    moment = page.locator(".moment")
    assert "holds c = +3.00" in moment.text_content()
    assert "h = +0.02" in moment.text_content()
    moment.click()
    assert chosen(page) == f"seen-{HELD}"
    assert page.locator(".cell-title").text_content() == "Inside cell L1·3"


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_the_other_cells_are_drawn_by_their_own_rule(show, cell):
    names = {"gru": ["state", "reset", "update", "candidate"], "rnn": ["state"]}[cell]
    along = {
        "state": [0.5] * len(TEXT),
        "reset": [0.3] * len(TEXT),
        "update": [0.8] * len(TEXT),
        "candidate": [0.5] * len(TEXT),
    }
    cells = [
        {"layer": 0, "unit": 1, "why": "swings most", "name": None, "values": {name: along[name] for name in names}}
    ]
    page = show(cell=cell, quantities=names, cells=cells, means={name: [along[name]] for name in names[1:3]})
    page.locator("#seen-9").click()
    assert page.locator("svg:not([hidden])").get_attribute("class") == cell
    assert numbers(page)["state"] == 0.5
    assert {"gru": "keeps 0.80 of it", "rnn": "No gate keeps"}[cell] in page.locator(".arithmetic").text_content()
    assert "No name found" in page.locator(".cell-name").text_content()


def test_a_cell_colours_the_whole_text_and_shows_its_strongest_passages(show):
    page = show()
    page.get_by_role("button", name="L1·5 after a vowel").click()
    along = record()["cells"][1]["values"]["state"]
    tints = [
        float(letter.evaluate("letter => letter.style.getPropertyValue('--v')"))
        for letter in page.locator(".char").all()
    ]
    assert tints == pytest.approx([math.tanh(value) for value in along], abs=1e-3)
    assert "It tracks: after a vowel" in page.locator(".cell-name").text_content()
    page.locator(".highest .passage").first.click()
    assert chosen(page) == f"seen-{along.index(max(along))}"


def test_headings_come_in_order(show):
    levels = show().locator("h1, h2, h3, h4").evaluate_all("all => all.map(heading => +heading.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_offline_page(show, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = show(width)
    page.emulate_media(color_scheme=scheme)
    page.locator(".more summary").click()
    found = Axe().run(page).response["violations"]
    serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert not [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in serious]


def test_a_component_is_one_script_without_modules():
    script = component("inspector")["js"]
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    for name in re.findall(r'from "\./(\w+)\.js"', part("inspector.js")):
        assert script.count(f"const {name}_js = ") == 1
