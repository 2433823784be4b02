"""Distillation: teachers and an n-gram model, mixed, generate more of a text, with soft targets at every place.

Sources: Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", for the generated text;
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

from ..corpus.sequences import FEATURES, cut_rows, encoded_rows, ids_of, max_length_of
from ..errors import CheckpointError
from ..loading import checkpoint_folder, hash_files, load_decoder, weight_files
from .ngram import NOTHING, KneserNey

TEXTS = 256  # generated side by side
SOFT_TARGETS = List(Value("float16"))  # (characters of the row, vocab), flat


class Mixture:
    """Several decoders of one alphabet and an n-gram model as one model, which predicts their weighted mean.

    Args:
        counting_share: weight of the n-gram model; the teachers share the rest evenly.
        first: the id that comes before each of the `TEXTS` texts.
        never: the id that is never generated, the pad's.
    """

    def __init__(self, teachers: list, counts: KneserNey, counting_share: float, first: int, never: int):
        self.teachers, self.counts, self.counting_share, self.never = teachers, counts, counting_share, never
        self.states = [teacher.encode_prompts([[first]] * TEXTS) for teacher in teachers]
        self.before = np.full((TEXTS, counts.order), NOTHING)  # what each text ends in
        self.before[:, -1] = first

    def probabilities(self) -> np.ndarray:
        """Of the next character of each text, (texts, vocab)."""
        logits = [teacher.logits(state) for teacher, state in zip(self.teachers, self.states, strict=True)]
        by_teachers = torch.from_numpy(np.stack(logits)).softmax(-1).mean(0).numpy()  # (texts, vocab)
        by_counts = self.counts.following(self.before)  # (texts, vocab)
        mixed = (1 - self.counting_share) * by_teachers + self.counting_share * by_counts
        mixed[:, self.never] = 0
        return mixed / mixed.sum(axis=1, keepdims=True)

    def step(self, ids: np.ndarray) -> None:
        """Reads one character of each text, (texts,)."""
        for teacher, state in zip(self.teachers, self.states, strict=True):
            teacher.step(state, ids)
        self.before = np.column_stack([self.before[:, 1:], ids])


def sample_mixture(mixture: Mixture, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts drawn from the mixture, (texts, steps), and its probabilities at each place, (texts, steps, vocab)."""
    uniforms = np.random.default_rng(seed).random((steps, TEXTS, 1))
    texts, soft_targets = [], []
    for step in trange(steps, desc="the teachers generate", leave=False):
        probabilities = mixture.probabilities()
        ids = (probabilities.cumsum(axis=1)[:, :-1] <= uniforms[step]).sum(axis=1)  # (texts,)
        mixture.step(ids)
        texts.append(ids)
        soft_targets.append(probabilities.astype(np.float16))
    return np.stack(texts, axis=1), np.stack(soft_targets, axis=1)


def generated_rows(
    mixture: Mixture, tokenizer: PreTrainedTokenizerFast, characters: int, max_length: int, seed: int
) -> Iterator[dict]:
    """The rows of a generated corpus, each with its `soft_targets`: whole sentences, if there are any."""
    for ids, targets in zip(*sample_mixture(mixture, -(-characters // TEXTS), seed), strict=True):
        text = "".join(tokenizer.convert_ids_to_tokens(ids.tolist()))
        texts = cut_rows(text[: text.rfind("\n") + 1] or text, max_length)
        rows = encoded_rows(texts, tokenizer, max_length)
        ends = np.cumsum([len(row) for row in texts])
        for row, its_own in zip(rows, np.split(targets[: ends[-1]], ends[:-1]), strict=True):
            yield row | {"soft_targets": its_own.ravel()}


def distil(recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> tuple[Dataset, np.ndarray]:
    """Rows that the recipe's teachers and an n-gram model of `rows` generate, and their soft targets,
    (characters, vocab). The cache of `datasets` keeps them for the next run.

    Raises:
        CheckpointError: a teacher cannot be loaded, or its alphabet is not that of the rows.
    """
    max_length = max_length_of(rows)
    order, share, characters, seed = recipe.ngram_order, recipe.counting_share, recipe.written_characters, recipe.seed
    settings = ("soft_targets", order, share, characters, max_length, seed)
    decoders, digest = [], hashlib.sha256(repr(settings).encode())
    for teacher in recipe.teachers:
        folder = checkpoint_folder(teacher, None)
        decoder, alphabet = load_decoder(folder)
        different = alphabet.get_vocab().items() ^ tokenizer.get_vocab().items()
        if any(index != tokenizer.pad_token_id for _, index in different):  # a pad may have another name
            raise CheckpointError(
                f"the teacher {teacher} has a different alphabet from the text; train it on this text"
            )
        decoders.append(decoder)
        digest.update(hash_files(weight_files(folder)).encode())
    ids = ids_of(rows, tokenizer)
    digest.update(ids.tobytes())
    counts, newline = KneserNey(ids, len(tokenizer), order), tokenizer.get_vocab()["\n"]
    generated = Dataset.from_generator(
        generated_rows,
        features=Features(FEATURES | {"soft_targets": SOFT_TARGETS}),
        gen_kwargs={
            "mixture": Mixture(decoders, counts, share, newline, tokenizer.pad_token_id),
            **{"tokenizer": tokenizer, "characters": characters, "max_length": max_length, "seed": seed},
        },
        fingerprint=digest.hexdigest(),
    )
    soft_targets = pc.list_flatten(generated.data["soft_targets"]).to_numpy().reshape(-1, len(tokenizer))
    return generated.remove_columns("soft_targets"), soft_targets
