"""What the normaliser and the alphabet promise, of any text at all."""

import logging
import string
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from char_lstm import build_tokenizer, normalise
from char_lstm.tokenization_char_lstm import fold

# Everything that a rule of the normaliser is about, beside what hypothesis thinks of.
TRICKY = st.text(st.one_of(st.characters(), st.sampled_from("aB .!?…'’\"”“—-_\n\r\t\u2028\x85\u0301ßİǅ𝔸ﬁ½²ʼ)]\ud800")))


@pytest.fixture(scope="module")
def full():
    """A tokenizer whose alphabet lacks no ASCII letter or digit."""
    return build_tokenizer([string.ascii_letters + string.digits])


def read(text: str, **mode) -> str:
    """`text` normalised by a tokenizer that knows all of its characters."""
    return normalise(build_tokenizer([text], **mode), text)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("Alice ran. Then she fell.", "alice ran\nthen she fell\n"),
        ("Off! with? her…head", "off\nwith\nher head"),
        ("“What?!” she said. Twice.", " what\nshe said\ntwice\n"),
        ("(It was late.) So", " it was late\nso"),
        ("don't isn’t o'clock", "dont isnt oclock"),
        ("‘tis the rabbits’ hole", " tis the rabbits hole"),
        ("rabbit—once rabbit--once rabbit-hole", "rabbit once rabbit once rabbit hole"),
        ("un_important _very_ end.Start", "un important very end start"),
        ("Café naïve ÅNGSTRÖM ﬁn x²", "café naïve ångström ﬁn x²"),
        ("cafe\u0301 И\u0306 H\u0331 \u1112\u1161\u11ab", "café й ẖ 한"),
        ("ΟΔΟΣ ΟΔΥΣΣΕΥΣ Σ", "οδος οδυσσευς σ"),
        ("İzmir ẞ", "i̇zmir ß"),
        ("tea 🫖 for two", "tea for two"),
        ("one\r\n\r\n two \n\tthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("a<pad>b", "a pad b"),
        ("tab\tand \u00a0 many   blanks", "tab and many blanks"),
        ("Привет, мир! 你好。", "привет мир\n你好\n"),
        ("3.14 and 10,000", "3 14 and 10 000"),
        ("co\u00adop a\u200bb \u200eשלום\u200f \ufeffx", "coop ab שלום x"),
        ("می\u200cخواهم\u200c ක්\u200dෂ 👩\u200d👧 x", "می\u200cخواهم ක්\u200dෂ x"),
        ("Hawaiʻi мʼята haƙa ʼya", "hawaiʻi мʼята haƙa ʼya"),
        ("", ""),
    ],
)
def test_each_rule_of_the_normaliser(written, normalised):
    assert read(written) == normalised


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("Mr. Holmes met Mrs. Hall and DR. Watson at St. Ives.", "mr holmes met mrs hall and dr watson at st ives\n"),
        ("mr. holmes: M. Bovary, проф. Иванов, Dña. Ana.", "mr holmes m bovary проф иванов dña ana\n"),
        ("well... then she… fell. So… The end. . . . Off", "well then she fell\nso\nthe end\noff"),
        ("where . . . she “was…” or not", "where she was or not"),
        ("यह है। वह क्या है? ठीक॥", "यह है\nवह क्या है\nठीक\n"),
        ("هل أنت؟ نعم۔ لا", "هل أنت\nنعم\nلا"),
        ("你好。“真的吗？”他说……不知道！对!好", "你好\n真的吗\n他说 不知道\n对\n好"),
        ("３．１４です。はい", "３ １４です\nはい"),
        ("ខ្ញុំ។អ្នក མིང།ཁྱེད တယ်။သူ", "ខ្ញុំ\nអ្នក མིང\nཁྱེད တယ်\nသူ"),
        ("ሰላም። ቃል Բարև։ Այո", "ሰላም\nቃል բարև\nայո"),
        ("พ.ศ. ๒๕๔๐ จริง! ใช่", "พ ศ ๒๕๔๐ จริง\nใช่"),
        ("Τι; Ναι\u037e όχι· a; b", "τι\nναι\nόχι a b"),
        ("a.b x!y", "a b x y"),
    ],
)
def test_a_sentence_ends_where_its_script_ends_it(written, normalised):
    assert read(written) == normalised


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("don't DON’T shan't I'd've o'clock ma'am ne'er O'Brien", "dont dont shant idve oclock maam neer obrien"),
        ("l'eau L'Été qu'il aujourd'hui d’œuvre n'y", "l eau l été qu il aujourd hui d œuvre n y"),
        ("dell'arte c'è un'ora l'ho perch'io", "dell arte c è un ora l ho perch io"),
        ("geht's re'en Doğu'ya", "gehts reen doğuya"),
        ("п'ять ג'ירפה απ'όλα 's a'", "п ять ג ירפה απ όλα s a "),
    ],
)
def test_an_apostrophe_goes_within_a_latin_word_and_parts_words_where_a_vowel_was_elided(written, normalised):
    assert read(written) == normalised


SMALL = {  # joiners, marks, jamo and punctuation that a rule, or NFC, makes of something else
    "marks": "a\u0308\u00ad\u200d'. \nЙΣ漢",
    "jamo": "\u1100\u1161\u11a8\u200c\u1112'.B \n",
    "punctuation": "aB.…\u037e;’\u0301。Σ \n",
    "symbols": "İ=\u0338\u0327\u200d🙂\ufe0ft' !",
}


@pytest.mark.parametrize("mode", [{}, {"strip_accents": True}, {"lowercase": False}], ids=str)
@pytest.mark.parametrize("characters", SMALL.values(), ids=SMALL)
def test_normalising_twice_is_normalising_once_for_every_string_over_a_small_alphabet(characters, mode):
    for known in (characters, "ba\u0308 q", "\u1100 \u1161 \u11a8", "B.1\u0301 ä"):
        normalize = build_tokenizer([known], **mode).backend_tokenizer.normalizer.normalize_str
        once = {normalize("".join(string)) for length in range(5) for string in product(characters, repeat=length)}
        assert [string for string in once if normalize(string) != string] == []


@settings(deadline=None)
@given(TRICKY)
def test_normalising_twice_is_normalising_once(full, text):
    own = build_tokenizer([text])
    assert normalise(own, normalise(own, text)) == normalise(own, text)
    assert normalise(full, normalise(full, text)) == normalise(full, text)


@settings(deadline=None)
@given(TRICKY)
def test_any_text_becomes_letters_and_digits_and_single_blanks(full, text):
    normalised = normalise(full, text)
    assert set(normalised) <= set(string.ascii_lowercase + string.digits + " \n")
    assert not any(pair in normalised for pair in ("  ", " \n", "\n ", "\n\n"))


@settings(deadline=None)
@given(TRICKY, st.booleans(), st.booleans())
def test_decoding_the_ids_gives_the_normalised_text(text, lowercase, strip_punctuation):
    tokenizer = build_tokenizer([text], lowercase=lowercase, strip_punctuation=strip_punctuation)
    normalised = normalise(tokenizer, text)
    ids = tokenizer(normalised).input_ids
    assert len(ids) == len(normalised)
    assert tokenizer.decode(ids, skip_special_tokens=True) == normalised


@settings(deadline=None)
@given(TRICKY)
def test_the_tokenizer_reads_raw_text_as_it_reads_normalised_text(full, text):
    encodable = text.encode("utf-8", "replace").decode().replace("\uffff", " ")  # the pad, which no text holds
    assert full(encodable).input_ids == full(normalise(full, encodable)).input_ids


def test_the_pad_is_id_0_and_the_newline_id_1_and_an_ordinary_character(tokenizer):
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("\uffff", 0)
    assert tokenizer.convert_tokens_to_ids("\n") == 1
    assert tokenizer.all_special_tokens == [tokenizer.pad_token]


def test_a_literal_pad_token_in_a_text_is_no_pad():
    tokenizer = build_tokenizer(["<pad>"], strip_punctuation=False)
    assert 0 not in tokenizer("a<pad>d").input_ids
    assert tokenizer.decode(tokenizer("<pad>").input_ids, skip_special_tokens=True) == "<pad>"


def test_the_ids_follow_the_order_of_the_alphabet_whatever_that_of_the_texts():
    vocabulary = build_tokenizer(["zyx wvu", "cab"]).get_vocab()
    assert sorted(vocabulary, key=vocabulary.get) == ["\uffff", "\n", " ", *"abcuvwxyz"]


def test_accents_go_where_they_are_asked_to():
    assert read("Café, Й, が", strip_accents=True) == "cafe и か"
    assert read("Café — Å", strip_accents=True, strip_punctuation=False, lowercase=False) == "Cafe — A"


def test_one_accent_in_a_hundred_thousand_letters_is_another_languages_and_said(caplog):
    long = "the lamp is lit " * 8334  # 100 008 letters
    assert "é" not in build_tokenizer([long, "café"]).get_vocab()
    assert "took the accents off 1 of 100012 letters" in caplog.text
    assert "é" in build_tokenizer([long, "café é"]).get_vocab()
    assert "é" in build_tokenizer([long, "café"], strip_punctuation=False).get_vocab()


def test_a_text_without_accents_reads_a_prompt_without_them(caplog):
    assert normalise(build_tokenizer(["cafe"]), "Café") == "cafe"
    assert not caplog.records
    assert normalise(build_tokenizer(["cafe ö"]), "Café") == "caf"
    assert "left out 1 characters that the alphabet lacks: é" in caplog.text


def test_an_alphabet_of_twenty_thousand_characters_that_are_no_neighbours_is_built_saved_and_loaded(tmp_path):
    from transformers import AutoTokenizer

    letters = sorted(set(fold("".join(map(chr, range(0x3400, 0x2FFFF, 2))))) - set(" \n"))
    letters = [one for one in letters if one.isalpha() and not ord(one) % 2][:20_000]
    text = "".join(letters)
    build_tokenizer([text]).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(letters) == 20_000
    assert loaded.decode(loaded(text).input_ids) == text
    assert normalise(loaded, letters[0] + chr(ord(letters[0]) + 1) + letters[-1]) == letters[0] + letters[-1]


def test_a_kept_blank_line_is_two_newlines():
    assert build_tokenizer(["a"], strip_punctuation=False)("a\n\na").input_ids == [2, 1, 1, 2]


@pytest.mark.parametrize("text", ["\ud800", "half \udc00 a pair \ud83d"])
def test_lone_surrogates_are_taken(full, text):
    assert set(normalise(full, text)) <= set("half pair")


def test_characters_that_the_alphabet_lacks_are_named_in_one_warning(caplog):
    tokenizer = build_tokenizer(["abc"])
    with caplog.at_level(logging.WARNING):
        assert normalise(tokenizer, "a你b 好c, 你") == "ab c "
    assert len(caplog.records) == 1
    assert "2 characters" in caplog.text
    assert "你" in caplog.text
    assert "好" in caplog.text


def test_a_text_within_the_alphabet_causes_no_warning(tokenizer, story, caplog):
    normalise(tokenizer, story + "“É—e\u0301…” 🫖 \u200b")
    assert not caplog.records


def test_kept_punctuation_leaves_a_text_as_it_is_but_for_its_line_breaks(story):
    kept = {"lowercase": False, "strip_punctuation": False}
    assert read(story, **kept) == story
    assert read("A  b —\r\n\r\n“É…”\t\u2028x", **kept) == "A  b —\n\n“É…”\t\nx"


def test_kept_punctuation_and_kept_case_are_two_choices():
    assert read("Oh! It’s É.", strip_punctuation=False) == "oh! it’s é."
    assert read("Oh! It’s É.", lowercase=False) == "Oh\nIts É\n"


@pytest.mark.parametrize("mode", [{}, {"lowercase": False, "strip_punctuation": False}])
def test_a_saved_tokenizer_loads_as_it_was_without_code_of_ours(story, tmp_path, mode):
    from transformers import AutoTokenizer

    tokenizer = build_tokenizer([story], **mode)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}
    assert loaded(story).input_ids == tokenizer(story).input_ids
    assert loaded("a<pad>b").input_ids == tokenizer("a<pad>b").input_ids
    assert (loaded.pad_token, loaded.pad_token_id, loaded.padding_side) == (tokenizer.pad_token, 0, "left")
    assert loaded(["a", "abc"], padding=True)["attention_mask"][0] == [0, 0, 1]


@pytest.fixture(scope="module")
def words():
    return build_tokenizer(["What time is it?", "it is late"], unit="word")


class TestWords:
    def test_the_vocabulary_is_the_words_of_the_normalised_texts_after_pad_and_unknown(self, words):
        vocabulary = words.get_vocab()
        assert sorted(vocabulary, key=vocabulary.get) == ["\uffff", "<unk>", "is", "it", "late", "time", "what"]
        assert (words.pad_token_id, words.unk_token_id) == (0, 1)

    def test_a_text_is_normalised_and_split_at_white_space(self, words):
        assert words.tokenize("What  TIME—is it?!\n") == ["what", "time", "is", "it"]
        assert words.decode(words("What TIME—is it?!").input_ids) == "what time is it"

    def test_an_unknown_word_stays_in_its_place_and_a_word_of_unknown_letters_too(self, words, caplog):
        assert words("is zebra 你好 late").input_ids == [2, 1, 1, 4]
        assert words("<unk> <pad>").input_ids == [1, 1]
        assert normalise(words, "zebra 你好") == "zebra 你好"
        assert not caplog.records

    @settings(deadline=None)
    @given(TRICKY)
    def test_any_text_has_as_many_tokens_as_its_normalised_text_has_words(self, words, text):
        normalised = normalise(words, text)
        assert len(words(normalised).input_ids) == len(normalised.split())

    def test_it_saves_and_loads_without_code_of_ours_and_pads_on_the_left(self, words, tmp_path):
        from transformers import AutoTokenizer

        words.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        batch = loaded(["late zebra", "what time is it"], padding=True)
        assert batch["input_ids"] == [[0, 0, 4, 1], [6, 5, 2, 3]]
        assert batch["attention_mask"] == [[0, 0, 1, 1], [1, 1, 1, 1]]

    def test_another_unit_is_refused(self):
        with pytest.raises(ValueError, match=r"unit must be .* got 'sentence'"):
            build_tokenizer(["a"], unit="sentence")
