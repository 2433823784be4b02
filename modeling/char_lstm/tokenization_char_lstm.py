"""The normaliser and the alphabet: a tokenizer of characters, or of words, made of `tokenizers` parts alone.

What the corpus forgets (case, punctuation), a prompt forgets too, because the normaliser lives inside the tokenizer.
`tokenizer.json` holds everything, so `AutoTokenizer` needs no code of ours.
"""

import logging
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.normalizers import Replace

logger = logging.getLogger(__name__)

PAD_TOKEN = "<pad>"  # id 0
UNKNOWN_WORD = "<unk>"  # id 1 where the tokens are words
END_OF_ITEM = "\ufdd0"  # `eos_token`, id 2, where a row of the corpus is an item; Unicode keeps it out of every text
NEWLINE = "\n"  # ends a sentence; id 1 and `bos_token_id`, yet an ordinary character that `decode` keeps

# Every pattern takes time linear in the text.
SENTENCE_END = Regex(r"""(?<![.!?…])[.!?…]+["'”’»›)\]]*(?=\s|\z)""")
APOSTROPHE_IN_A_WORD = Regex(r"(?<=\p{L})['’ʼ](?=\p{L})")
MARKS = Regex(r"[^\p{L}\p{N}\s]")  # punctuation, symbols, controls
LINE_BREAK = Regex(r"\r\n|[\n\v\f\r\x{85}\x{2028}\x{2029}]")
BLANKS = Regex(r"[^\S\n]+")
BLANKS_WITH_A_NEWLINE = Regex(r" ?\n[ \n]*")


def build_tokenizer(
    texts: Iterable[str],
    *,
    lowercase: bool = True,
    strip_punctuation: bool = True,
    unit: str = "char",
    eos_token: str | None = None,
):
    """A fast tokenizer with one token a character, whose alphabet is that of the normalised `texts`, or one a word.

    It is a `PreTrainedTokenizerFast` that pads on the left. A character that the alphabet lacks is dropped; a word that
    the vocabulary lacks becomes `<unk>`.

    Args:
        texts: raw or normalised texts; the newline is always part of the alphabet.
        lowercase: fold upper case away.
        strip_punctuation: turn sentence ends into newlines and every other mark into a space; when false, characters
            stay as they are and only line breaks are unified.
        unit: "char", or "word" for whatever stands between white space. Raises ValueError if it is another.
        eos_token: of characters: a special token, id 2, that ends each text of a list; a newline then starts each.
    """
    from transformers import PreTrainedTokenizerFast

    if unit not in ("char", "word"):
        raise ValueError(f'unit must be "char" or "word", got {unit!r}')
    folded = (fold(text, lowercase=lowercase, strip_punctuation=strip_punctuation) for text in texts)
    if unit == "char":
        alphabet = ({NEWLINE, " "} if strip_punctuation else {NEWLINE}).union(*folded)
        first = [PAD_TOKEN, NEWLINE, *filter(None, [eos_token])]
        backend = Tokenizer(_word_level(first, alphabet, unknown=PAD_TOKEN))  # no text is unknown
        backend.normalizer = _normalizer(lowercase, strip_punctuation, frozenset(alphabet))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
        backend.decoder = decoders.Fuse()
        if eos_token:
            backend.post_processor = processors.TemplateProcessing([NEWLINE, "$A"], special_tokens=[(NEWLINE, 1)])
    else:
        words = set().union(*(text.split() for text in folded))
        backend = Tokenizer(_word_level([PAD_TOKEN, UNKNOWN_WORD], words, unknown=UNKNOWN_WORD))
        backend.normalizer = _normalizer(lowercase, strip_punctuation)
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD_TOKEN,
        eos_token=eos_token,
        unk_token=None if unit == "char" else UNKNOWN_WORD,
        padding_side="left",
        split_special_tokens=True,  # "<pad>" in a text is five characters, not a pad
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def fold(text: str, *, lowercase: bool = True, strip_punctuation: bool = True) -> str:
    """`text` as a tokenizer made from it would normalise it: no character is outside the alphabet yet."""
    return _normalizer(lowercase, strip_punctuation).normalize_str(_encodable(text))


def normalise(tokenizer, text: str) -> str:
    """`text` as the tokenizer reads it: normalised, without the characters that its alphabet lacks.

    One warning names the characters that were dropped. The tokenizer is one made by `build_tokenizer`, or the
    `tokenizers.Tokenizer` inside it; the text is any, lone surrogates included.
    """
    normalize = getattr(tokenizer, "backend_tokenizer", tokenizer).normalizer.normalize_str
    text = _encodable(text)
    # a mark (M), such as an accent by itself, is folded away, not lacking
    if dropped := [one for one in set(text) if not normalize(one) and unicodedata.category(one)[0] != "M"]:
        shown = " ".join(sorted(dropped)[:20]) + (" ..." if len(dropped) > 20 else "")
        logger.warning("left out %d characters that the alphabet lacks: %s", len(dropped), shown)
    return normalize(text)


def _word_level(first: list[str], tokens: set[str], unknown: str) -> models.WordLevel:
    """Ids for the `first` tokens in their order, then for the others in theirs."""
    ordered = [*first, *sorted(tokens.difference(first))]
    return models.WordLevel({token: index for index, token in enumerate(ordered)}, unk_token=unknown)


@lru_cache(8)  # a list has thousands of short items
def _normalizer(
    lowercase: bool, strip_punctuation: bool, alphabet: frozenset[str] | None = None
) -> normalizers.Sequence:
    """Fold what a text forgets, drop what `alphabet` lacks, then collapse the white space that this leaves."""
    steps: list[normalizers.Normalizer] = [Replace(LINE_BREAK, NEWLINE)]
    if strip_punctuation:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if lowercase:
        steps += [normalizers.Lowercase()]
    if strip_punctuation:
        steps += [Replace(SENTENCE_END, NEWLINE), Replace(APOSTROPHE_IN_A_WORD, ""), Replace(MARKS, " ")]
    if alphabet:
        known = "".join(f"\\x{{{ord(character):x}}}" for character in sorted(alphabet))
        blanks = r"\s" if strip_punctuation else ""
        steps += [Replace(Regex(f"[^{known}{blanks}]"), "")]
    if strip_punctuation:
        steps += [Replace(BLANKS, " "), Replace(BLANKS_WITH_A_NEWLINE, NEWLINE)]
    return normalizers.Sequence(steps)


def _encodable(text: str) -> str:
    """`text` without lone surrogates, which no UTF-8 library takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
