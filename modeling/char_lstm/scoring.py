"""What each character of a text costs, in numpy: short texts are scored without any framework."""

import numpy as np

from .decoder_char_lstm import CharLstmDecoder
from .generation_char_lstm import BATCH, prepare_sampling


def score_carried(decoder: CharLstmDecoder, ids: list[int]) -> np.ndarray:
    """Nats of each character of a text given as ids, (time,), read from a newline."""
    return score_reset(decoder, [ids])[0]


def score_reset(decoder: CharLstmDecoder, rows: list[list[int]]) -> list[np.ndarray]:
    """Nats of each character of rows of ids, (time,) each, read from a newline and a fresh state, as an item is."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))  # rows of a batch about as long as each other
    scored: list[np.ndarray] = [np.empty(0)] * len(rows)
    for start in range(0, len(rows), BATCH):
        places = order[start : start + BATCH]
        ids = np.zeros((len(places), len(rows[places[-1]])), int)  # (batch, time), whatever a row is filled up with
        for row, place in zip(ids, places, strict=True):
            row[: len(rows[place])] = rows[place]
        nats = _score_batch(decoder, ids)
        for row, place in zip(nats, places, strict=True):
            scored[place] = row[: len(rows[place])]
    return scored


def _score_batch(decoder: CharLstmDecoder, ids: np.ndarray) -> np.ndarray:
    """Nats of each of ids, both (batch, time)."""
    state, nats = decoder.encode_prompts([[decoder.config.bos_token_id]] * len(ids)), np.zeros(ids.shape)
    for time, column in enumerate(ids.T):
        scores = decoder.logits(state).astype(np.float64)  # (batch, vocab)
        nats[:, time] = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(ids)), column]
        decoder.step(state, column)
    return nats


def nats_of_each(model, tokenizer, texts: list[str]) -> list[float]:
    """What normalised texts cost, each from a newline on, and its end too where the model's texts end."""
    decoder, backend, settings = prepare_sampling(model, tokenizer)
    encoded = backend.encode_batch(texts, add_special_tokens=False)
    nats = score_reset(decoder, [encoding.ids + settings.eos_token_id[:1] for encoding in encoded])
    return [float(of_text.sum()) for of_text in nats]
