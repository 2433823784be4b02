"""The models that the Space offers, each loaded when it is first asked for."""

import os
import threading
from functools import cache
from pathlib import Path

import gradio as gr

from char_lstm import NoveltyIndex, load, load_decoder
from char_lstm.generation_char_lstm import sampling_settings
from char_lstm.loading import CheckpointError
from char_lstm.paths import PRETRAINED

CELLS = {"RNN": "alice_rnn", "GRU": "alice_gru", "LSTM": "alice"}


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
        return load(MODELS[name])


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
