"""The models that the Space offers, each loaded when it is first asked for."""

import json
import os
import threading
from functools import cache, lru_cache
from pathlib import Path

import gradio as gr

from char_lstm import NoveltyIndex, load, load_decoder
from char_lstm.decoder_char_lstm import CharLstmDecoder
from char_lstm.generation_char_lstm import sampling_settings
from char_lstm.inspection.telling import known_cells
from char_lstm.loading import CheckpointError, checkpoint_folder
from char_lstm.page.static import TITLES
from char_lstm.paths import PRETRAINED

CELLS = {"RNN": "alice_rnn", "GRU": "alice_gru", "LSTM": "alice"}
PAIR = ("alice", "alice_english")  # of one book, and of the same book after others


def available_models() -> dict[str, str]:
    """Names and ids: first the one that MODEL_ID names, or Alice, then the other packaged ones."""
    first = os.environ.get("MODEL_ID") or str(PRETRAINED / "alice")
    packaged = {path.parent.name: str(path.parent) for path in sorted(PRETRAINED.glob("alice*/config.json"))}
    return {Path(first).name: first} | {name: id for name, id in packaged.items() if name != Path(first).name}


MODELS = available_models()
DEFAULT = next(iter(MODELS))
IMPORTING = threading.Lock()  # of transformers: a thread that meets another's half-done import finds names missing


@cache
def decoder_of(name: str):
    """A model's decoder and tokenizer, which write without torch."""
    return load_decoder(MODELS[name])


@cache
def model_of(name: str):
    """The torch model and its tokenizer, for the inspector."""
    with IMPORTING:
        import torch

        torch.set_num_threads(1)  # readings run side by side; two threads each are slower on a busy machine
        return load(MODELS[name])


@lru_cache(maxsize=4)
def held_model(name: str, held: tuple[tuple[str, float], ...]):
    """`model_of` with gates held open or shut: their names, each with 1 or 0."""
    from char_lstm.inspection.holding import hold_gates  # imports torch

    model, tokenizer = model_of(name)
    return hold_gates(model, dict(held)), tokenizer


def reader_of(name: str, held: dict[str, float]):
    """What reads a text: the torch model, of which gates may be held, and its tokenizer."""
    return held_model(name, tuple(sorted(held.items()))) if held else model_of(name)


def writer_of(name: str, held: dict[str, float]):
    """What writes a text: the decoder, of which gates may be held, and its tokenizer."""
    decoder, tokenizer = decoder_of(name)
    if held:
        weights = {part: tensor.numpy() for part, tensor in reader_of(name, held)[0].state_dict().items()}
        decoder = CharLstmDecoder(weights, decoder.config, decoder.generation_config)
    return decoder, tokenizer


@cache
def cells_of(name: str) -> list[dict]:
    """The cells that the inspector shows, the same for every text."""
    return known_cells(*model_of(name))


@cache
def figures_of(name: str) -> dict:
    """What was measured of a model: its evaluation.json, if it has one."""
    file = checkpoint_folder(MODELS[name], None) / "evaluation.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def is_packaged(name: str) -> bool:
    """Whether a model is one of this repository's."""
    return Path(MODELS[name]).resolve().parent == PRETRAINED


def title_of(name: str) -> str:
    """A model's name in words."""
    return TITLES.get(name, name) if is_packaged(name) else name


def choices() -> list[tuple[str, str]]:
    """Each model in words, with its test figure, and the name that programs call it by."""
    nats = {name: figures_of(name).get("nats_per_char") for name in MODELS}
    return [(title_of(name) + (f" ({nats[name]:.2f} nats)" if nats[name] else ""), name) for name in MODELS]


@cache
def novelty_index_of(name: str) -> NoveltyIndex | None:
    """Hashes of the text that the model was trained on, or None if they were not saved with it."""
    try:
        return NoveltyIndex.load(MODELS[name])
    except CheckpointError:
        return None


def writes_items(name: str) -> bool:
    """Whether a model's texts end, so that it writes a list."""
    return bool(sampling_settings(decoder_of(name)[0].generation_config).eos_token_id)


def default_settings():
    """The sampling settings in the default model's generation_config."""
    return sampling_settings(decoder_of(DEFAULT)[0].generation_config)


def check_model(name: str) -> None:
    if name not in list(MODELS):  # a list, because a value from the API need not be hashable
        raise visible_error(f"There is no model {name}; choose one of {', '.join(MODELS)}.")


def visible_error(reason: object) -> gr.Error:
    """An error that is shown on the page and over the API, and not logged."""
    return gr.Error(str(reason), print_exception=False)
