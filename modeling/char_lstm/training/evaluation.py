"""How well a model predicts the text of a corpus, in nats and bits per character."""

import hashlib
import math

import numpy as np
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

from ..corpus.build import load_corpus
from ..errors import CorpusError
from ..files import write_json
from ..loading import checkpoint_folder, hash_files, load, recorded_files
from ..tokenization_char_lstm import end_of_item, normalise
from .adaptation import Memory

CHUNK = 4096  # characters of one forward
ROWS = 64  # rows of one forward


@torch.inference_mode()
def score_carried(model, ids: list[int]) -> np.ndarray:
    """Nats of each character of a text given as ids, (time,): the state goes on from chunk to chunk."""
    text = torch.tensor([model.config.bos_token_id, *ids], device=model.device)
    state, nats = None, []
    for start in tqdm(range(0, len(ids), CHUNK), desc="carried", leave=False):
        read = text[start : start + CHUNK][: len(ids) - start].unsqueeze(0)  # (1, time)
        output = model(read, past_key_values=state, use_cache=True)
        state = output.past_key_values
        following = text[start + 1 : start + 1 + read.shape[1]]
        nats.append(cross_entropy(output.logits[0].double(), following, reduction="none").cpu().numpy())
    return np.concatenate(nats)


@torch.inference_mode()
def score_reset(model, rows: list[list[int]]) -> list[np.ndarray]:
    """Nats of each character of rows of ids, (time,) each, read from a newline and a fresh state, as an item is."""
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))  # rows of a batch about as long as each other
    scored: dict[int, np.ndarray] = {}
    for start in tqdm(range(0, len(rows), ROWS), desc="reset", leave=False):
        places = order[start : start + ROWS]
        batch = [torch.tensor([model.config.bos_token_id, *rows[place]], device=model.device) for place in places]
        padded = pad_sequence(batch, batch_first=True, padding_value=-100)  # (batch, time)
        logits = model(padded[:, :-1].clamp(min=0), use_cache=False).logits  # pads on the right change nothing before
        nats = cross_entropy(logits.double().transpose(1, 2), padded[:, 1:], reduction="none").cpu().numpy()
        scored.update((place, row[: len(rows[place])]) for place, row in zip(places, nats, strict=True))
    return [scored[place] for place in range(len(rows))]


def evaluate(model, tokenizer, split: Dataset, *, adapt: bool = False) -> dict:
    """The figures of one split; with `adapt` also those with a memory of the text read so far."""
    texts = list(split["text"])
    normalise(tokenizer, "".join(texts))  # warns, once for the whole split, of characters that the model lacks
    encodings = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    end = [tokenizer.eos_token_id] if end_of_item(tokenizer) else []
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


def evaluate_folder(
    model_id: str, dataset: str, split: str = "test", *, adapt: bool = False, json_path: str | None = None
) -> dict:
    """The figures of a model on a split of a corpus, with the hashes of what was measured; on a GPU where there is one.

    Raises:
        CheckpointError: the model cannot be loaded.
        CorpusError: there is no such split, or nothing of it is in the model's alphabet.
    """
    folder = checkpoint_folder(model_id, None)
    model, tokenizer = load(folder)
    corpus = load_corpus(dataset)
    if split not in corpus:
        raise CorpusError(f"{dataset} has no split {split}; it has {', '.join(corpus)}")
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    figures = {
        "parameters": model.num_parameters(only_trainable=True),
        "split": split,
        **evaluate(model, tokenizer, corpus[split], adapt=adapt),
        **{key: hash_files(files) for key, files in recorded_files(folder).items()},
    }
    if json_path:
        write_json(json_path, figures)
    return figures


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
