"""How well a model predicts the text of a corpus, in nats and bits per character."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset

from .. import scoring
from ..corpus.build import load_corpus
from ..decoder_char_lstm import CharLstmDecoder, expected_shapes
from ..errors import CorpusError
from ..files import write_json
from ..loading import checkpoint_folder, count_parameters, hash_files, load, load_decoder, recorded_files
from ..tokenization_char_lstm import END_OF_ITEM, normalise
from .adaptation import Memory

SHORT = 20_000  # characters, which numpy has scored before torch is imported


def evaluate(model, tokenizer, split: Dataset, *, adapt: bool = False) -> dict:
    """The figures of one split, by a torch model or a decoder; with `adapt` also those with a memory of the text read
    so far."""
    score_carried, score_reset = scorers(model)
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    texts = list(split["text"])
    normalise(tokenizer, "".join(texts))  # warns, once for the whole split, of characters that the model lacks
    encodings = backend.encode_batch(texts, add_special_tokens=False)
    end = [id for id in [backend.token_to_id(END_OF_ITEM)] if id is not None]
    rows = [encoding.ids + end for encoding in encodings]
    ids = [character for row in rows for character in row]
    if not ids:
        raise CorpusError("the split has no characters in the alphabet of the model")
    reset = score_reset(model, rows)
    texts_read = list(zip(rows, reset, strict=True)) if end else [(ids, score_carried(model, ids))]
    nats = sum(scored.sum() for _, scored in texts_read)
    memory = Memory()
    adapted = (
        {"nats_per_char_adapted": sum(memory.read(*text).sum() for text in texts_read) / len(ids)} if adapt else {}
    )
    return {
        "characters": len(ids),
        "rows": len(rows),
        "nats_per_char": nats / len(ids),
        "bits_per_char": nats / len(ids) / math.log(2),
        "nats_per_char_reset": sum(scored.sum() for scored in reset) / len(ids),
        **adapted,
        **({"nats_per_item": nats / len(rows)} if end else {}),
        "text_sha256": hashlib.sha256("".join(texts).encode()).hexdigest(),
    }


def scorers(model) -> tuple[Callable, Callable]:
    """What scores a text through which a model carries its state, and rows that each start afresh."""
    if isinstance(model, CharLstmDecoder):
        return scoring.score_carried, scoring.score_reset
    from . import torch_scoring

    return torch_scoring.score_carried, torch_scoring.score_reset


def evaluate_folder(
    model_id: str,
    dataset: str,
    split: str = "test",
    *,
    adapt: bool = False,
    json_path: str | None = None,
    ignore_mismatched_hashes: bool = False,
) -> dict:
    """The figures of a model on a split of a corpus, with the hashes of what was measured. A short split is scored in
    numpy, a longer one in torch, on a GPU where there is one.

    Raises:
        CheckpointError: the model cannot be loaded.
        CorpusError: there is no such split, or nothing of it is in the model's alphabet.
    """
    folder = checkpoint_folder(model_id, None)
    corpus = load_corpus(dataset)
    if split not in corpus:
        raise CorpusError(f"{dataset} has no split {split}; it has {', '.join(corpus)}")
    is_short = sum(map(len, corpus[split]["text"])) <= SHORT
    load_it = load_decoder if is_short else load_on_device
    model, tokenizer = load_it(folder, ignore_mismatched_hashes=ignore_mismatched_hashes)
    figures = {
        "parameters": count_parameters(model.config, expected_shapes(model.config)),
        "split": split,
        **evaluate(model, tokenizer, corpus[split], adapt=adapt),
        **{key: hash_files(files) for key, files in recorded_files(folder).items()},
    }
    if json_path:
        write_json(json_path, figures)
    return figures


def load_on_device(folder: Path, **options) -> tuple:
    """`load`, on a GPU where there is one."""
    import torch

    model, tokenizer = load(folder, **options)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def in_words(figures: dict) -> str:
    """The figures as a person reads them."""
    nats = figures["nats_per_char"]
    if "nats_per_item" in figures:
        more = (
            f"{figures['nats_per_item']:.4f} nats per item; the end of each of the {figures['rows']:,} is a character"
        )
    else:
        more = f"{figures['nats_per_char_reset']:.4f} nats if each row starts from a fresh state"
    if "nats_per_char_adapted" in figures:
        more += f";\n{figures['nats_per_char_adapted']:.4f} nats if it remembers what it has read of the split so far"
    return (
        f"{figures['parameters']:,} parameters; on the {figures['characters']:,} characters of the {figures['split']} "
        f"split {nats:.4f} nats ({figures['bits_per_char']:.4f} bits) per character,\n"
        f"as if it chose evenly among {math.exp(nats):.1f} characters each time; {more}"
    )
