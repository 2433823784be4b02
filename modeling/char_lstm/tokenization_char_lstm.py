"""The normaliser and the alphabet: a tokenizer of characters, or of words, made of `tokenizers` parts alone.

What the corpus forgets (case, punctuation), a prompt forgets too, because the normaliser lives inside the tokenizer.
`tokenizer.json` holds everything, so `AutoTokenizer` needs no code of ours.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache, partial

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.normalizers import Replace

logger = logging.getLogger(__name__)

PAD_TOKEN = "\uffff"  # id 0, in no text: Unicode and `_encodable` keep it out; also `eos_token`, which is never written
UNKNOWN_WORD = "<unk>"  # id 1 where the tokens are words
END_OF_ITEM = "\ufdd0"  # `eos_token`, id 2, where each row of the corpus is an item; in no text, as the pad
NEWLINE = "\n"  # ends a sentence; id 1 and `bos_token_id`, yet an ordinary character that `decode` keeps


def _regex(pattern: str) -> Regex:
    """In ASCII, for the engine's own `repr` cuts other characters in two."""
    return Regex("".join(one if one.isascii() else _code(one) for one in pattern))


def _code(character: str) -> str:
    return f"\\x{{{ord(character):X}}}"


# Every pattern takes time linear in the text: none begins twice in one run of the characters that it repeats. A
# lookbehind comes after the first character, for the engine searches faster for a character than for a place.
LINE_BREAK = _regex(r"\r\n|[\n\v\f\r\x{85}\x{2028}\x{2029}]")
IN_WORD = r"\p{L}\p{M}\p{N}"
JOINERS = "\u200c\u200d\u180e"  # Persian, Indic and Mongolian spelling has them between letters
INVISIBLE = _regex(  # hyphens, spaces, direction and byte-order marks that are not seen, and joiners elsewhere
    r"[\x{AD}\x{61C}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]++"
    rf"|[{JOINERS}](?:(?<=[{JOINERS}].)|(?<![{IN_WORD}].)|[{JOINERS}]*+(?![{IN_WORD}]))[{JOINERS}]*+"
)
FINAL_SIGMA = _regex(r"Σ(?<=[\p{L}\p{M}].)(?![\p{L}\p{M}])")

# What ends a sentence: Unicode's Sentence_Terminal, the ellipsis and, Tibetan's only ones, the shads.
TERMINAL = r"[\p{Sentence_Terminal}…\x{F0D}-\x{F11}]"
CLOSING = r"""["'＂＇\p{Pe}\p{Pf}\p{Pi}]"""  # German closes with what English opens with
# of East Asia, Tibet, Burma, Cambodia, Bali, Lanna and Java, which put no space after them
UNSPACED = r"[。｡！？︒︕︖﹒﹖﹗\x{F0D}-\x{F11}\x{104A}\x{104B}។៕\x{1AA8}-\x{1AAB}\x{1B5A}\x{1B5B}\x{1B5E}\x{1B5F}꧈꧉]"
UNSPACED_LETTER = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
SENTENCE_END = _regex(
    rf"{TERMINAL}(?<!{TERMINAL}.)(?:{TERMINAL}*+{CLOSING}*+(?=\s|\z)"
    rf"|(?:(?<={UNSPACED})|{TERMINAL}*?{UNSPACED}){TERMINAL}*+{CLOSING}*+)"
    rf"|[!?](?<={UNSPACED_LETTER}.)[!?]*+{CLOSING}*+(?={UNSPACED_LETTER})"
    rf"|[;\x{{37E}}](?<=\p{{Greek}}.|\p{{Greek}}\p{{Mn}}.){CLOSING}*+(?=\s|\z)"  # its question mark
)
# Titles, most of them from the sentence-break suppressions of Unicode's CLDR for English, German, French, Spanish,
# Italian, Portuguese and Russian. The others there end sentences too often ("to.", "all."), single letters among them.
TITLES = (
    "Mr|Mrs|Ms|Messrs|Dr|St|Prof|Rev|Capt|Col|Gen|Lt|Maj|Sgt|Pvt|Hon|Gov|Sen|Mt|vs|Mme|Mlle|Hr|Hrn|Frl|Fr|Nr"
    "|Sr|Sra|Srta|Sres|Dra|Dña|Sta|Sto|Sig|Dott|Avv|проф|ул"
)
AFTER_A_TITLE = "|".join(rf"\b{one}\." for one in f"M|MM|{TITLES}|{TITLES.lower()}|{TITLES.upper()}".split("|"))
WITHIN_A_SENTENCE = _regex(  # a title's dot, any in Thai, which ends no sentence with it, an ellipsis that goes on
    rf"\.(?<={AFTER_A_TITLE}|\p{{Thai}}\.)(?!\.)"
    rf"|[.…](?<![.…].|[.…][^\S\n].)(?:(?<=…)|[^\S\n]?\.)(?:[^\S\n]?[.…])*+{CLOSING}*+(?=[^\S\n]+\p{{Ll}})"
)


def _parts(character: str) -> str:
    """A letter, then its marks."""
    return unicodedata.normalize("NFD", character)


# French and Italian words elide a vowel before a vowel or h; no other apostrophe stands between two words.
LATIN = [*range(0x41, 0x250), *range(0x1E00, 0x1F00)]
VOWELS = "".join(one for one in map(chr, LATIN) if _parts(one)[0].lower() in "aeiouyæœøı")
APOSTROPHE_IN_A_WORD = _regex(
    rf"['’](?:(?<=[{VOWELS}].)(?<![Qq][Uu].)(?=\p{{Latin}})|(?<=\p{{Latin}}.)(?=[\p{{Latin}}&&[^{VOWELS}hH]]))"
)
MARKS = _regex(rf"[^{IN_WORD}\s{JOINERS}][\x{{FE00}}-\x{{FE0F}}\x{{20D0}}-\x{{20F0}}{JOINERS}]*+")  # emoji are several
BLANKS = _regex(r"[^\S\n]+")
BLANKS_WITH_A_NEWLINE = _regex(r" ?\n[ \n]*")
FEW = 100_000  # letters, among which fewer than one with an accent
CLASS_SIZE = 5000  # characters of a class: the engine refuses 10 000 ranges


def build_tokenizer(
    texts: Iterable[str],
    *,
    lowercase: bool = True,
    strip_punctuation: bool = True,
    strip_accents: bool = False,
    unit: str = "char",
    eos_token: str | None = None,
):
    """A fast tokenizer with one token a character, whose alphabet is that of the normalised `texts`, or one a word.

    It is a `PreTrainedTokenizerFast` that pads on the left. A character that the alphabet lacks is dropped; a word that
    the vocabulary lacks becomes `unk_token`. A special token that is added later is one id in any text.

    Args:
        texts: raw or normalised texts; the newline is always part of the alphabet.
        lowercase: fold upper case away.
        strip_punctuation: turn sentence ends into newlines and every other mark into a space, and compose letters with
            their marks (NFC); when false, characters stay as they are and only line breaks are unified.
        strip_accents: take every nonspacing mark off its letter. With punctuation stripped this is also done where
            fewer than one letter in 100 000 has one, and a warning says how many: they are of another language's words.
        unit: "char", or "word" for whatever stands between white space. Raises ValueError if it is another.
        eos_token: of characters: a special token, id 2, that ends each text of a list; a newline then starts each.
    """
    if unit not in ("char", "word"):
        raise ValueError(f'unit must be "char" or "word", got {unit!r}')
    fold_some = partial(fold, lowercase=lowercase, strip_punctuation=strip_punctuation)
    folded = [fold_some(text, strip_accents=strip_accents) for text in texts]
    if strip_punctuation and not strip_accents and accents_are_foreign(*count_accents("".join(folded))):
        folded, strip_accents = [fold_some(text, strip_accents=True) for text in folded], True
    if unit == "char":
        return tokenizer_of(
            set().union(*folded),
            lowercase=lowercase,
            strip_punctuation=strip_punctuation,
            strip_accents=strip_accents,
            eos_token=eos_token,
        )
    words = set().union(*(text.split() for text in folded))
    backend = Tokenizer(_word_level([PAD_TOKEN, UNKNOWN_WORD], words, unknown=UNKNOWN_WORD))
    backend.normalizer = _normalizer(lowercase, strip_punctuation, strip_accents)
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _wrapped(backend, eos_token=None, unk_token=UNKNOWN_WORD)


def tokenizer_of(
    alphabet: Iterable[str],
    *,
    lowercase: bool,
    strip_punctuation: bool,
    strip_accents: bool,
    eos_token: str | None = None,
):
    """The tokenizer that `build_tokenizer` makes of texts which, once folded, have this alphabet."""
    characters = ({NEWLINE, " "} if strip_punctuation else {NEWLINE}).union(alphabet)
    first = [PAD_TOKEN, NEWLINE, *filter(None, [eos_token])]
    backend = Tokenizer(_word_level(first, characters, unknown=PAD_TOKEN))  # no text is unknown
    backend.normalizer = _normalizer(lowercase, strip_punctuation, strip_accents, characters)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    if eos_token:
        backend.post_processor = processors.TemplateProcessing([NEWLINE, "$A"], special_tokens=[(NEWLINE, 1)])
    return _wrapped(backend, eos_token=eos_token or PAD_TOKEN, unk_token=None)


def _wrapped(backend: Tokenizer, **special_tokens: str | None):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD_TOKEN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **special_tokens,
    )


def end_of_item(tokenizer) -> str:
    """What ends each text of a tokenizer of items; nothing where texts run on."""
    return END_OF_ITEM if tokenizer.eos_token == END_OF_ITEM else ""


def fold(text: str, *, lowercase: bool = True, strip_punctuation: bool = True, strip_accents: bool = False) -> str:
    """`text` as a tokenizer made from it would normalise it: no character is outside the alphabet yet."""
    return whole_normalizer(lowercase, strip_punctuation, strip_accents).normalize_str(_encodable(text))


def count_accents(text: str) -> tuple[int, int]:
    """How many letters of a text have a nonspacing mark, or are one, and how many letters it has."""
    counts = Counter(text)
    accented = {one for one in counts if any(unicodedata.category(part) == "Mn" for part in _parts(one))}
    letters = sum(counts[one] for one in counts if unicodedata.category(one)[0] in "LM")
    return sum(counts[one] for one in accented), letters


def accents_are_foreign(accents: int, letters: int) -> bool:
    """Whether a text's letters have no accents, or so few that they are of another language's words, which is said."""
    foreign = accents * FEW < letters
    if foreign and accents:
        logger.warning("took the accents off %d of %d letters, too few to be learnt", accents, letters)
    return foreign


def normalise(tokenizer, text: str) -> str:
    """`text` as the tokenizer reads it: normalised, without the characters that its alphabet lacks.

    Tokens that were added to the tokenizer stay as they are. One warning names the characters that were dropped. The
    tokenizer is one made by `build_tokenizer`, or the `tokenizers.Tokenizer` inside it; the text is any, lone
    surrogates included.
    """
    return normalise_each(tokenizer, [text])[0]


def normalise_each(tokenizer, texts: Iterable[str]) -> list[str]:
    """`normalise` of several texts, with one warning for them all."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    read_first = re.compile(f"({'|'.join(map(re.escape, _tokens_read_first(backend)))})")
    split = [read_first.split(_encodable(text)) for text in texts]  # every other piece is a token
    if dropped := characters_lacking(backend, "\n".join(piece for pieces in split for piece in pieces[::2])):
        logger.warning("left out %d characters that the alphabet lacks: %s", len(dropped), list_some(dropped, " "))
    for pieces in split:
        pieces[::2] = map(backend.normalizer.normalize_str, pieces[::2])
    return ["".join(pieces) for pieces in split]


def characters_lacking(backend: Tokenizer, text: str) -> list[str]:
    """The characters of a text, composed and each once, that normalising drops because the alphabet lacks them."""
    normalizer = backend.normalizer
    strip_accents = any(isinstance(step, normalizers.StripAccents) for step in normalizer)
    dropped = (one for one in set(unicodedata.normalize("NFC", text)) if not normalizer.normalize_str(one))
    return sorted(one for one in dropped if fold(one, strip_accents=strip_accents))


def list_some(words: list[str], between: str = ", ") -> str:
    """The first twenty words of a list that may be long."""
    return between.join([*words[:20], "..."] if len(words) > 20 else words)


def _tokens_read_first(backend: Tokenizer) -> list[str]:
    """What `backend` finds in a text before it normalises the rest, the longest first; the pad, which is in no text."""
    added = backend.get_added_tokens_decoder().values()
    found = [one.content for one in added if not (one.normalized or (one.special and backend.encode_special_tokens))]
    return sorted({PAD_TOKEN, *found}, key=len, reverse=True)


def _word_level(first: list[str], tokens: set[str], unknown: str) -> models.WordLevel:
    """Ids for the `first` tokens in their order, then for the others in theirs."""
    ordered = [*first, *sorted(tokens.difference(first))]
    return models.WordLevel({token: index for index, token in enumerate(ordered)}, unk_token=unknown)


def _normalizer(
    lowercase: bool, strip_punctuation: bool, strip_accents: bool, alphabet: set[str] | None = None
) -> normalizers.Sequence:
    """Fold what a text forgets, drop what `alphabet` lacks, then collapse the white space that this leaves."""
    steps: list[normalizers.Normalizer] = [Replace(LINE_BREAK, NEWLINE)]
    if strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    if strip_punctuation:
        steps += [Replace(INVISIBLE, ""), Replace(WITHIN_A_SENTENCE, " "), Replace(SENTENCE_END, NEWLINE)]
    if lowercase:
        steps += [Replace(FINAL_SIGMA, "ς"), normalizers.Lowercase()]
    if strip_punctuation or strip_accents:
        steps += [normalizers.NFC()]
    if strip_punctuation:
        steps += [Replace(APOSTROPHE_IN_A_WORD, ""), Replace(MARKS, " ")]
    if alphabet:
        steps += [Replace(_lacking(alphabet, strip_punctuation), "")]
    if strip_punctuation:
        steps += [Replace(BLANKS, " "), Replace(BLANKS_WITH_A_NEWLINE, NEWLINE)]
    return normalizers.Sequence(steps)


whole_normalizer = cache(_normalizer)  # of any alphabet: its patterns are compiled once


def _lacking(alphabet: set[str], strip_punctuation: bool) -> Regex:
    """What `alphabet` lacks, with the joiners, marks and jamo that would meet another letter in a composed text."""
    codes = [_code(character) for character in sorted(alphabet)]
    known = ["".join(codes[start : start + CLASS_SIZE]) for start in range(0, len(codes), CLASS_SIZE)]
    lacking = "".join(f"(?![{some}])" for some in known) + (r"\S" if strip_punctuation else r"[\s\S]")
    return _regex(rf"[{JOINERS}]*+{lacking}[\p{{M}}{JOINERS}\x{{1160}}-\x{{11FF}}]*+" if strip_punctuation else lacking)


def _encodable(text: str) -> str:
    """`text` with U+FFFD for lone surrogates, which no UTF-8 library takes, for our pad and the end of an item."""
    encodable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return encodable.replace(PAD_TOKEN, "\ufffd").replace(END_OF_ITEM, "\ufffd")
