"""Texts of every script: no letter, mark or digit is lost, and a model learns from them and writes."""

import logging
import unicodedata

import pytest

from char_lstm import cli, generate_text, load
from char_lstm.corpus.build import build_corpus
from char_lstm.corpus.sequences import cut_rows
from char_lstm.corpus.text import clean
from char_lstm.tokenization_char_lstm import fold
from tests.conftest import ROOT

DECLARATIONS = sorted((ROOT.parent / "shared" / "data" / "languages" / "udhr").glob("*.txt"))
LINES = """
The café is naïve. Łódź, smørrebrød, ﬁn!
Ο φάρος ανάβει; Ναι, ΚΑΘΕ ΒΡΑΔΥ ϊ.
Ещё чай? Мой ёж — в подъезде, Їжак.
Լույսը վառ է։ Նավը եկավ։
ჩირაღდანი ანთია. გემი მოვიდა.
המנורה דולקת. שָׁלוֹם לכולם!
المصباح مُضاء؟ نعم، مُحَمَّد. می‌خواهم
ܫܠܡܐ ܥܠܝܟܘܢ. ܢܘܗܪܐ܀
दीपक जल रहा है। हिन्दी में क्या लिखा है?
প্রদীপ জ্বলছে। নৌকা এলো।
ਦੀਵਾ ਜਗਦਾ ਹੈ। ਕਿਸ਼ਤੀ ਆਈ।
દીવો બળે છે. હોડી આવી.
விளக்கு எரிகிறது. கப்பல் வந்தது.
దీపం వెలుగుతోంది. పడవ వచ్చింది.
ದೀಪ ಉರಿಯುತ್ತಿದೆ. ಹಡಗು ಬಂತು.
വിളക്ക് കത്തുന്നു. കപ്പൽ വന്നു.
පහන දැල්වේ. ක්‍ෂණයක් ශ්‍රී.
ตะเกียงติดอยู่ ที่นี่ พ.ศ. ๒๕๖๘
ໂຄມໄຟ ແຈ້ງ ຢູ່ ນີ້
མར་མེ་འབར།གྲུ་སླེབས།
မီးအိမ် လင်းတယ်။လှေ ရောက်ပြီ။
ចង្កៀងភ្លឺ។ទូកមកដល់។
灯亮了。船来了！“真的吗？”
ランプが灯る。船がきた！ぱぴぷ
등불이 켜졌다. 배가 왔다.
መብራቱ በራ። ጀልባዋ መጣች።
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ. ᎣᏏᏲ.
ᠨᠠᠷᠠ ᠮᠠᠨᠳᠤᠪᠠ᠃
"""


def letters_of(text: str) -> list[str]:
    """The letters, marks and digits of a text."""
    return [one for one in text if unicodedata.category(one)[0] in "LMN"]


def expected_letters(text: str) -> list[str]:
    return letters_of(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower()))


def learn_and_write(text: str, place, caplog) -> tuple[list[str], str]:
    """The rows of the text's corpus, and what a model writes after two steps on it."""
    (place / "text.txt").write_text(text, encoding="utf-8")
    corpus = build_corpus(place / "corpus", text=place / "text.txt")
    tiny = "--hidden_size 16 --max_steps 2 --ngram_smoothing 0 --report_to none --disable_tqdm true --use_cpu true"
    with caplog.at_level(logging.INFO):
        cli.run("train", ["--dataset", str(place / "corpus"), "--output_dir", str(place / "run"), *tiny.split()])
    return [row for split in corpus.values() for row in split["text"]], generate_text(
        *load(place / "run"), max_new_tokens=100, seed=0
    )


def test_a_model_learns_and_writes_any_script_and_no_letter_or_mark_of_it_is_lost(tmp_path, caplog):
    rows, written = learn_and_write(LINES, tmp_path, caplog)
    assert letters_of("".join(rows)) == expected_letters(LINES)
    assert len(written) == 100
    assert set(written) <= set("".join(rows))
    model, tokenizer = load(tmp_path / "run")
    assert model.config.embedding_size == 128
    assert f"the alphabet is large ({len(tokenizer)})" in caplog.text


@pytest.mark.slow
def test_twenty_thousand_isolated_characters_are_learnt_saved_loaded_and_written(tmp_path, caplog, capsys):
    letters = [
        one for one in map(chr, range(0x3400, 0x20000)) if unicodedata.category(one) == "Lo" and fold(one) == one
    ]
    alphabet = "".join(letters[::2])[:20_000]  # so that hardly two are neighbours
    assert len(alphabet) == 20_000
    lines = [alphabet[start : start + 20] for start in range(0, len(alphabet), 20)]
    rows, written = learn_and_write("\n".join(lines), tmp_path, caplog)
    assert "".join(rows).split() == lines
    assert len(written) == 100
    assert set(written) <= {*alphabet, "\n", " "}
    model, tokenizer = load(tmp_path / "run")
    assert model.config.vocab_size == len(tokenizer) == 20_003
    assert tokenizer.decode(tokenizer(alphabet).input_ids) == alphabet
    capsys.readouterr()
    cli.run("generate", ["--model", str(tmp_path / "run"), "--prompt", alphabet[-9:], "--seed", "0"])
    assert capsys.readouterr().out.startswith(alphabet[-9:])


@pytest.mark.parametrize("sequence", ["sentence", "packed"])
@pytest.mark.parametrize("line", LINES.split("\n")[1:-1])
def test_a_row_never_begins_within_a_letter_and_its_marks(line, sequence):
    for text in (fold(line), fold(line).replace(" ", ""), unicodedata.normalize("NFD", line)):
        for max_length in (10, 11, 12):
            rows = cut_rows(text, max_length, sequence)
            assert "".join(rows) == text
            assert max(map(len, rows)) < max_length
            assert not any(unicodedata.category(row[0])[0] == "M" or row[0] == "\u200d" for row in rows)


@pytest.mark.real_data
@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.stem)
def test_every_letter_and_mark_of_every_declaration_survives(path):
    text = clean(path.read_text(encoding="utf-8"))
    assert letters_of(fold(text)) == expected_letters(text)
    assert fold(fold(text)) == fold(text)


def script_of(path) -> str:
    """The first word of the name of a text's middle letter: LATIN, CYRILLIC, CJK."""
    letters = letters_of(path.read_text(encoding="utf-8"))
    return unicodedata.name(letters[len(letters) // 2], "").split(" ")[0]


@pytest.mark.real_data
@pytest.mark.parametrize("path", {script_of(path): path for path in DECLARATIONS}.values(), ids=script_of)
def test_a_model_learns_and_writes_the_declaration_in_each_script(path, tmp_path, caplog):
    _, written = learn_and_write(path.read_text(encoding="utf-8"), tmp_path, caplog)
    assert len(written) == 100
