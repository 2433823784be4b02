"""A character-level LSTM as a first-class Hugging Face model.

Importing this package is light: a name brings its module (and torch, where that module needs it) when first used.
The Auto classes know the model as soon as transformers has them.
"""

import importlib

from ._auto import register_when_needed

_NAMES = {
    "configuration_char_lstm": ["CharLstmConfig"],
    "modeling_char_lstm": ["CharLstmModel", "CharLstmForCausalLM", "CharLstmForSequenceClassification"],
    "tokenization_char_lstm": ["build_tokenizer", "normalise"],
    "generation_char_lstm": ["stream_text", "generate_text"],
    "items": ["generate_items"],
    "inspection.inspect": ["Inspection", "inspect_text"],
    "novelty": ["Novelty", "NoveltyIndex", "measure_novelty"],
    "loading": ["load", "load_decoder"],
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


register_when_needed()
