"""The inspector and the sheet show any script: its direction, its marks and its joined letters."""

import json

import pytest

from char_lstm import build_tokenizer
from char_lstm.inspection.page import inspector_data
from char_lstm.page import component
from char_lstm.page.offline import render_page
from char_lstm.tokenization_char_lstm import END_OF_ITEM

pytestmark = pytest.mark.browser

NIGHT = "يضيء المصباح Tom في الليل"
HINDI = "क्षमा की नदी"
CLEF = "\N{MUSICAL SYMBOL G CLEF}"  # two units of UTF-16


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    trouble = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    yield page
    page.close()
    assert not trouble


@pytest.fixture
def inspect(page, make_model):
    """Shows a text in the inspector, read by a model of its alphabet; returns what the page holds of it."""

    def show(text: str, **options) -> dict:
        tokenizer = build_tokenizer([text], strip_punctuation=False, lowercase=False, **options)
        *_, data = inspector_data(make_model(vocab_size=len(tokenizer)), tokenizer, text, "tiny")
        page.set_content(render_page(data))
        return data

    return show


def lefts(page, places) -> list[float]:
    return [page.locator(f"#seen-{place}").bounding_box()["x"] for place in places]


def test_a_right_to_left_text_runs_to_the_left_and_other_words_in_it_to_the_right(page, inspect):
    inspect(NIGHT)
    latin = NIGHT.index("T")
    assert lefts(page, range(4)) == sorted(lefts(page, range(4)), reverse=True)
    assert lefts(page, range(latin, latin + 3)) == sorted(lefts(page, range(latin, latin + 3)))
    assert page.locator(".strip").evaluate("table => getComputedStyle(table).direction") == "rtl"
    page.locator("#seen-2").click()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".char[aria-selected=true]").get_attribute("id") == "seen-3"


def test_arabic_letters_join_across_their_tints(page, inspect):
    inspect(NIGHT)
    word = NIGHT.split()[1]
    start = NIGHT.index(word)
    apart = sum(page.locator(f"#seen-{start + place}").bounding_box()["width"] for place in range(len(word)))
    together = page.locator(f"#seen-{start}").evaluate(
        """(letter, word) => {
            const whole = letter.cloneNode();
            whole.textContent = word;
            document.querySelector(".text").append(" ", whole);
            return whole.getBoundingClientRect().width;
        }""",
        word,
    )
    assert apart == pytest.approx(together, rel=0.02)


def test_a_letter_and_its_marks_have_one_tint_the_strongest_and_both_are_reached(page, inspect):
    surprisal = inspect(HINDI)["surprisal"]
    letters = page.locator(".text .char").all_text_contents()
    assert "की" in letters
    assert "".join(letters) == HINDI
    start = HINDI.index("की")
    letter = page.locator(f"#seen-{start}")
    shown = float(letter.evaluate("letter => letter.style.getPropertyValue('--v')"))
    assert shown == pytest.approx(min(1, max(surprisal[start : start + 2]) / 4), abs=1e-3)
    for place in (start, start + 1, start):
        letter.click()
        assert f"{surprisal[place]:.2f} nats of surprise" in page.locator(".words").text_content()
        assert f"{surprisal[place]:.2f} nats" in letter.get_attribute("title")
    assert "\u2068◌ी\u2069: " in letter.get_attribute("title")


def test_the_end_of_an_item_has_a_sign_and_a_name(page, inspect):
    inspect("emma", eos_token=END_OF_ITEM)
    page.locator(".text").focus()
    page.keyboard.press("End")
    assert page.locator(".text").text_content() == "emma"
    assert page.locator(".char").last.evaluate("end => getComputedStyle(end, '::before').content") == '"∎"'
    assert "the end" in page.locator(".words").text_content()
    assert "∎" in page.locator(".predictions b.came").text_content()


def test_a_line_of_a_script_without_spaces_is_broken_between_letters(page, inspect):
    page.set_viewport_size({"width": 390, "height": 844})
    inspect("漢字仮名交文" * 20)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def sheet(page, text: str, spans: list) -> None:
    html, css, js = component("sheet").values()
    novelty = {"spans": spans, "book_spans": [], "share_new": 0.5, "longest_copy": 20, "shortest": 20}
    props = json.dumps({"value": text, "prompt": "", "novelty": novelty})
    page.set_content(f"<style>{css}</style><div>{html}</div>")
    page.evaluate(f"(function (element, props, watch) {{{js}}})(document.querySelector('div'), {props}, () => {{}})")


def test_a_mark_on_the_sheet_counts_characters_and_takes_whole_letters(page):
    sheet(page, f"{CLEF} {HINDI}", [(2, 3), (2 + HINDI.index("ी"), 2 + HINDI.index("न"))])
    marked = page.locator("mark").all_text_contents()
    assert marked[1] == "की "
    assert marked[0].startswith("क")
    assert page.locator(".count").text_content() == f"{2 + len(HINDI)} characters"


def test_copies_that_meet_are_seen_to_be_two(page):
    sheet(page, "a" * 30 + "b" * 30 + "c" * 30, [(0, 30), (25, 60)])
    marks = page.locator("mark")
    assert marks.all_text_contents() == ["a" * 30, "b" * 30]
    edges = [mark.evaluate("mark => parseFloat(getComputedStyle(mark).borderInlineStartWidth)") for mark in marks.all()]
    assert edges == [0, 3]
    assert "A bar stands where one copy ends and the next begins." in page.locator(".copies").text_content()


@pytest.mark.parametrize(("text", "side"), [(NIGHT, "rtl"), ("nobody", "ltr")])
def test_a_sheet_reads_in_the_direction_of_its_script(page, text, side):
    sheet(page, text, [])
    assert page.locator(".written").evaluate("text => getComputedStyle(text).direction") == side
