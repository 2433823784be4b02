"""A character-level LSTM as a first-class Hugging Face model.

Importing this package is light: a name brings its module (and torch, where that module needs it) when first used.
The Auto classes know the model as soon as transformers has them.
"""

import importlib

from ._auto import register_when_needed

_MODULE_OF = {
    "CharLstmConfig": "configuration_char_lstm",
    "CharLstmModel": "modeling_char_lstm",
    "CharLstmForCausalLM": "modeling_char_lstm",
    "CharLstmForSequenceClassification": "modeling_char_lstm",
    "build_tokenizer": "tokenization_char_lstm",
    "normalise": "tokenization_char_lstm",
    "stream_text": "generation_char_lstm",
    "generate_text": "generation_char_lstm",
    "Inspection": "inspection.inspect",
    "inspect_text": "inspection.inspect",
    "Novelty": "novelty",
    "NoveltyIndex": "novelty",
    "measure_novelty": "novelty",
    "load": "loading",
    "load_decoder": "loading",
}
__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


register_when_needed()
