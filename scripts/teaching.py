"""Text that no author wrote: counting and trained models write it together, and say what they expected at each place.

A small model that learns from it and from the real text learns what its teachers know together. Source: Hinton et al.
2015, "Distilling the knowledge in a neural network"; the text is sampled as in Kim and Rush 2016.
"""

import numpy as np
from tqdm import trange

from char_lstm.generation_char_lstm import CharLstmDecoder, choose, sampling_settings
from scripts.ngram import KneserNey

COUNTED = 0.4  # the weight of counting in what teachers expect together; the models share the rest evenly
LANES = 256  # texts that are written side by side


def expected_by(decoder: CharLstmDecoder, state) -> np.ndarray:
    """A model's distribution of the next character, (batch, vocab)."""
    logits = decoder.logits(state)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def sample_text(
    decoders: list[CharLstmDecoder], counting: KneserNey, characters: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whole sentences drawn from what teachers expect together.

    Args:
        decoders: models of one alphabet, whose newline is their `bos_token_id` and whose pad is never drawn.
        characters: about how many to draw in all; what each of the `LANES` texts writes after its last newline is cut.

    Returns:
        ids, (characters,), and the distribution that each was drawn from, (characters, vocab).
    """
    config = decoders[0].config
    newline = config.bos_token_id
    defaults = decoders[0].generation_config
    settings = sampling_settings(defaults, max_new_tokens=None, temperature=1.0, top_k=0, top_p=1.0)
    draws = np.random.default_rng(seed)
    states = [decoder.read([[newline]] * LANES) for decoder in decoders]
    steps = characters // LANES
    ids = np.full((counting.order + steps, LANES), newline)  # begins as if sentences had ended before
    expected = np.empty((steps, LANES, config.vocab_size), np.float16)
    for step in trange(steps, desc="teachers write", unit=f" x {LANES} characters"):
        place = counting.order + step
        models = np.mean([expected_by(*pair) for pair in zip(decoders, states, strict=True)], axis=0)
        together = COUNTED * counting.next_probabilities(ids[step:place]) + (1 - COUNTED) * models  # (LANES, vocab)
        expected[step] = together
        ids[place] = choose(np.log(together), settings, draws.random((LANES, 1)))
        for decoder, state in zip(decoders, states, strict=True):
            decoder.step(state, ids[place])
    written = ids[counting.order :]  # (steps, LANES)
    ends = [(np.flatnonzero(lane == newline) + 1)[-1:].sum() for lane in written.T]  # after each lane's last newline
    return (
        np.concatenate([lane[:end] for lane, end in zip(written.T, ends, strict=True)]),
        np.concatenate([expected[:end, lane] for lane, end in enumerate(ends)]),
    )
