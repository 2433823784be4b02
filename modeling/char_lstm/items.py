"""Whole items, such as names, from a model whose texts end; and what of them stands in its training set."""

import logging
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from .generation_char_lstm import BATCH, draw_seed, encode_prompt, prepare_sampling, sample_texts
from .tokenization_char_lstm import normalise

logger = logging.getLogger(__name__)

FILE = "items.safetensors"  # in a checkpoint: the hashes of the items that it was trained on
PATIENCE = 1000  # tries in a row without a new item: with 95 % confidence less than 3 in 1000 would bring one


def hash_item(item: str) -> int:
    """64 bits of an item, so that among millions hardly two share theirs."""
    import hashlib  # with OpenSSL, and few models are of items

    return int.from_bytes(hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def save_items(items: Iterable[str], folder: str | Path) -> None:
    """Writes items.safetensors, eight bytes an item, in no order that tells of the text."""
    hashes = np.array(sorted(map(hash_item, items)), np.uint64)
    save_file({"hashes": hashes}, Path(folder) / FILE)


def load_items(path: Path) -> frozenset[int]:
    return frozenset(load_file(path)["hashes"].tolist())


def generate_items(
    model,
    tokenizer,
    number: int,
    *,
    prefix: str = "",
    unique: bool = False,
    seed: int | None = None,
    **settings,
) -> Iterator[str]:
    """Writes `number` whole items, the prefix included. Item k is what seed + k gives; one that reaches no end within
    `max_new_tokens`, or is empty, is passed over.

    Args:
        model, tokenizer: as for `stream_text`; the model's texts end in its `eos_token_id`.
        prefix: how each item begins; it is normalised as the corpus was.
        unique: none twice, and none that the model was trained on, where `load` found their hashes with it.
        settings: `max_new_tokens`, `temperature`, `top_k`, `top_p`, as for `stream_text`.

    After 1000 tries in a row that bring no item it stops, and logs how many it has found.

    Raises:
        ValueError: the model's texts never end, or a setting is out of its range.
    """
    known = getattr(model, "known_items", None)
    decoder, backend, sampling = prepare_sampling(model, tokenizer, **settings)
    if not sampling.eos_token_id:
        raise ValueError("this model writes running text, not items: build its corpus with --sequence item")
    if unique and known is None:
        logger.warning("the model came without the hashes of its training items: any of them may be written")
    prefix, seen = normalise(backend, prefix), set(known or ())
    prompt = encode_prompt(backend, prefix, model.config.bos_token_id)
    prompts = [prompt] * min(number, BATCH)
    seeds = count(draw_seed() if seed is None else seed, len(prompts))
    texts = chain.from_iterable(sample_texts(decoder, prompts, sampling, first) for first in seeds)
    found = tries = 0
    while found < number:
        if tries == PATIENCE:
            logger.warning("found %d of %d items: %d tries in a row brought no other", found, number, PATIENCE)
            return
        ids = next(texts)
        item, tries = prefix + "".join(map(backend.id_to_token, ids)), tries + 1
        if item and len(ids) < sampling.max_new_tokens and not (unique and hash_item(item) in seen):
            seen.add(hash_item(item))
            found, tries = found + 1, 0
            yield item
