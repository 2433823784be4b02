"""What an intent classifier makes of a text, in numpy."""

import numpy as np
from tokenizers import Tokenizer

from .decoder_char_lstm import CharLstmDecoder, DecoderState


def trace_intents(decoder: CharLstmDecoder, tokenizer: Tokenizer, names: list[str], text: str) -> list[tuple]:
    """After each word: the word as the model reads it, the likeliest intent, and its probability.

    Args:
        decoder, tokenizer, names: what `load_classifier` returns.

    Raises:
        ValueError: a text without a word.
    """
    encoding = tokenizer.encode(text)
    if not encoding.ids:
        raise ValueError("the text holds no word that the model could read")
    steps, state = [], DecoderState(decoder, 1)
    for token, id in zip(encoding.tokens, encoding.ids, strict=True):
        decoder.step(state, np.array([id]))
        scores = decoder.logits(state)[0].astype(np.float64)  # (intents,)
        best = int(scores.argmax())
        steps.append((token, names[best], float(np.exp(scores[best] - np.logaddexp.reduce(scores)))))
    return steps
