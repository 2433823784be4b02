"""Distillation: models and counting, mixed, write more of a text, with what they expect at every place of it.

A model that learns from this comes near to all of its teachers together, and is one model.

Sources: Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", for the text that is made up to learn from;
Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", for probabilities as targets.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
import torch
from datasets import Dataset, Features, List, Value
from tqdm.auto import trange
from transformers import PreTrainedTokenizerFast

from char_lstm import load_decoder
from char_lstm.loading import CheckpointError, checkpoint_folder
from scripts.build_corpus import FEATURES, cut_rows, encode_rows, ids_of
from scripts.ngram import NOTHING, KneserNey

LANES = 256  # texts that are written side by side
EXPECTED = List(Value("float16"))  # (characters of the row, vocab), flat


class Mixture:
    """Several decoders and counting as one, which expects of the next character what they do on average.

    Args:
        teachers: `CharLstmDecoder`s of one alphabet.
        counts: of the text that they were trained on.
        counting_share: of counting in the average; the teachers share the rest evenly.
        first: the id that each of the `LANES` texts begins after.
        never: the id that is never written, the pad's.
    """

    def __init__(self, teachers: list, counts: KneserNey, counting_share: float, first: int, never: int):
        self.teachers, self.counts, self.counting_share, self.never = teachers, counts, counting_share, never
        self.states = [teacher.encode_prompts([[first]] * LANES) for teacher in teachers]
        self.before = np.full((LANES, counts.order), NOTHING)  # what each text ends in
        self.before[:, -1] = first

    def expected(self) -> np.ndarray:
        """Probabilities of the next character of each text, (lanes, vocab)."""
        logits = [teacher.logits(state) for teacher, state in zip(self.teachers, self.states, strict=True)]
        by_teachers = torch.from_numpy(np.stack(logits)).softmax(-1).mean(0).numpy()  # (lanes, vocab)
        by_counting = self.counts.following(self.before)
        expected = (1 - self.counting_share) * by_teachers + self.counting_share * by_counting
        expected[:, self.never] = 0
        return expected / expected.sum(axis=1, keepdims=True)

    def read(self, ids: np.ndarray) -> None:
        """Goes on by one character a text, (lanes,)."""
        for teacher, state in zip(self.teachers, self.states, strict=True):
            teacher.step(state, ids)
        self.before = np.column_stack([self.before[:, 1:], ids])


def write(mixture: Mixture, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts that the mixture draws, (lanes, steps), and what it expected at each place, (lanes, steps, vocab)."""
    uniforms = np.random.default_rng(seed).random((steps, LANES, 1))
    written, expected = [], []
    for step in trange(steps, desc="the teachers write", leave=False):
        probabilities = mixture.expected()
        ids = (probabilities.cumsum(axis=1)[:, :-1] <= uniforms[step]).sum(axis=1)  # (lanes,)
        mixture.read(ids)
        written.append(ids)
        expected.append(probabilities.astype(np.float16))
    return np.stack(written, axis=1), np.stack(expected, axis=1)


def rows_of(
    mixture: Mixture, tokenizer: PreTrainedTokenizerFast, characters: int, max_length: int, seed: int
) -> Iterator[dict]:
    """The rows of a corpus that the mixture writes, each with its `expected`: whole sentences, if there are any."""
    for ids, expected in zip(*write(mixture, -(-characters // LANES), seed), strict=True):
        text = "".join(tokenizer.convert_ids_to_tokens(ids.tolist()))
        texts = cut_rows(text[: text.rfind("\n") + 1] or text, max_length)
        rows = Dataset.from_dict(encode_rows({"text": texts}, tokenizer, max_length), features=FEATURES)
        ends = np.cumsum([len(row) for row in texts])
        for row, its_own in zip(rows, np.split(expected[: ends[-1]], ends[:-1]), strict=True):
            yield row | {"expected": its_own.ravel()}


def written_by(
    teachers: list[str],
    rows: Dataset,
    tokenizer: PreTrainedTokenizerFast,
    *,
    order: int,
    counting_share: float,
    characters: int,
    seed: int,
) -> tuple[Dataset, np.ndarray]:
    """Rows that models and the n-grams of `rows` write, about `characters` in all, and what they expected at each
    place, (characters, vocab). The library keeps them for the next time.

    Args:
        teachers: folders or ids on the Hub, of models that were trained on these rows.

    Raises:
        CheckpointError: a teacher cannot be loaded, or its alphabet is not that of the rows.
    """
    max_length = len(rows[0]["input_ids"])
    settings = (order, counting_share, characters, max_length, seed)
    decoders, digest = [], hashlib.sha256(repr(settings).encode())
    for teacher in teachers:
        folder = checkpoint_folder(teacher, None)
        decoder, alphabet = load_decoder(folder)
        if alphabet.get_vocab() != tokenizer.get_vocab():
            raise CheckpointError(f"the teacher {teacher} has another alphabet than the text; train it on the same one")
        decoders.append(decoder)
        digest.update((folder / "model.safetensors").read_bytes())
    ids = ids_of(rows, tokenizer)
    digest.update(ids.tobytes())
    counts = KneserNey(ids, len(tokenizer), order)
    newline = tokenizer.convert_tokens_to_ids("\n")
    written = Dataset.from_generator(
        rows_of,
        features=Features(FEATURES | {"expected": EXPECTED}),
        gen_kwargs={
            "mixture": Mixture(decoders, counts, counting_share, newline, tokenizer.pad_token_id),
            "tokenizer": tokenizer,
            "characters": characters,
            "max_length": max_length,
            "seed": seed,
        },
        fingerprint=digest.hexdigest(),
    )
    expected = pc.list_flatten(written.data["expected"]).to_numpy().reshape(-1, len(tokenizer))
    return written.remove_columns("expected"), expected
