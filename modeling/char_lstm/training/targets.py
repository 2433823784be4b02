"""Soft targets: what an n-gram model, or teachers mixed with it, give each character of the alphabet at each place."""

import logging

import numpy as np
from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedTokenizerFast

from ..corpus.sequences import ids_of, lengths_of
from ..errors import TrainingError
from .distillation import distil
from .ngram import cross_fitted

logger = logging.getLogger("train")

FOLDS = 40  # stretches of the text, each left out of the counts that score it
SMOOTHED_UP_TO = 2**26  # probabilities: characters of the text times those of the alphabet


def soft_targets(recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> tuple[Dataset, np.ndarray | None]:
    """The rows to train on and the soft targets of their characters, (characters, vocab), None where there are none.

    With teachers, the rows that these generate come after the text's own.

    Raises:
        TrainingError: there are teachers, but no soft targets.
    """
    targets = ngram_targets(recipe, rows, tokenizer)
    if not recipe.teachers:
        return rows, targets
    if targets is None:
        raise TrainingError("--teachers needs soft targets: set --ngram_smoothing above 0, or use a shorter text")
    generated, by_teachers = distil(recipe, rows, tokenizer)
    logger.info("the teachers generated %d characters", len(by_teachers))
    return concatenate_datasets([rows, generated]), np.concatenate([targets, by_teachers])


def ngram_targets(recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> np.ndarray | None:
    """The distribution that an n-gram model gives each character of the text, (characters, vocab)."""
    characters = int((lengths_of(rows) - 1).sum())
    if not recipe.ngram_smoothing:
        return None
    if characters * len(tokenizer) > SMOOTHED_UP_TO:
        logger.info(
            "no n-gram smoothing: %d characters times an alphabet of %d is too much", characters, len(tokenizer)
        )
        return None
    return cross_fitted(ids_of(rows, tokenizer), len(tokenizer), recipe.ngram_order, FOLDS)
