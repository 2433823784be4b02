"""The decoder of a torch model: its weights in numpy where that is provably the same computation, else itself.

It is the same where the model is what its configuration builds, module by module, and nothing of it was replaced,
wrapped or hooked. In every other case the model's own `forward` is asked for each character.
"""

import json
import weakref
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook  # private, as is the test for modes: neither has a public one

from .configuration_char_lstm import CharLstmConfig
from .decoder_char_lstm import CharLstmDecoder

# (class, name) -> a method that it has or inherits, as it was when the model's code was imported
_METHODS: dict[tuple[type, str], Any] = {}

# torch model -> (a copy of its weights, its decoder)
_LAID_OUT: weakref.WeakKeyDictionary[Any, tuple[dict[str, np.ndarray], CharLstmDecoder]] = weakref.WeakKeyDictionary()


class ModelDecoder:
    """A torch model with the methods of `CharLstmDecoder`: its own `forward` reads every character."""

    def __init__(self, model):
        self.model, self.config, self.generation_config = model, model.config, model.generation_config

    def encode_prompts(self, prompts: list[list[int]]) -> SimpleNamespace:
        """The state after each of the prompts (ids, none empty), whose lengths may differ."""
        longest = max(map(len, prompts))
        ids = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]  # (batch, time)
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        state = SimpleNamespace(past=None)
        self._read(state, torch.tensor(ids), attention_mask=torch.tensor(mask))
        return state

    def select(self, state: SimpleNamespace, rows: np.ndarray) -> SimpleNamespace:
        """The state of some of the texts, by their rows."""
        state.past.batch_select_indices(torch.from_numpy(rows))
        return SimpleNamespace(past=state.past, logits=state.logits[rows])

    def step(self, state: SimpleNamespace, ids: np.ndarray) -> None:
        """Reads one character a row, ids (batch,), into the state."""
        self._read(state, torch.from_numpy(ids)[:, None])

    def logits(self, state: SimpleNamespace) -> np.ndarray:
        """Scores of the next character, (batch, vocab)."""
        return state.logits

    @torch.no_grad()
    def _read(self, state: SimpleNamespace, ids: Tensor, **mask: Tensor) -> None:
        device = "cpu" if self.model.device.type == "meta" else self.model.device  # weights on a disk move themselves
        given = {name: tensor.to(device) for name, tensor in {"input_ids": ids, **mask}.items()}
        outputs = self.model(**given, past_key_values=state.past, use_cache=True)
        state.past, state.logits = outputs.past_key_values, outputs.logits[:, -1].float().cpu().numpy()


def as_decoder(model) -> Any:
    """A model on any device as a `CharLstmDecoder`, which reads its weights as float32, or as a `ModelDecoder`."""
    return lay_out(model) if is_as_built(model) else ModelDecoder(model)


def lay_out(model) -> CharLstmDecoder:
    """A model's weights as a decoder, laid out again only when one has changed, in whatever way."""
    weights = {name: tensor.detach().float().cpu().numpy() for name, tensor in model.state_dict().items()}
    known, decoder = _LAID_OUT.get(model, ({}, None))
    unchanged = known.keys() == weights.keys() and all(np.array_equal(known[name], weights[name]) for name in known)
    if decoder is None or not unchanged:
        copied = {name: weight.copy() for name, weight in weights.items()}
        decoder = CharLstmDecoder(copied, model.config, model.generation_config)
        _LAID_OUT[model] = copied, decoder
    return decoder


def is_as_built(model) -> bool:
    """Whether a model computes what its configuration builds: the same classes, settings and plain weights in the same
    places, no method replaced on a module or on its class, and no hook or mode of torch that looks on or steps in."""
    settings = {name: getattr(model.config, name, None) for name in CharLstmConfig.__annotations__}
    return (
        (type(model), "forward") in _METHODS
        and all(getattr(kind, name, None) == method for (kind, name), method in _METHODS.items())
        and not (_has_any_global_hook() or torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack())
        and not any(_is_touched(module) for module in model.modules())
        and not any(weight.is_meta for weight in model.parameters())
        and _anatomy(model) == _built_anatomy(json.dumps(settings))
    )


def remember_methods(*kinds: type) -> None:
    """Takes the methods of these classes, as they are now, for the unchanged ones."""
    named = {(kind, name): getattr(kind, name, None) for kind in kinds for name in dir(kind)}
    _METHODS.update({key: method for key, method in named.items() if callable(method)})


def _is_touched(module: nn.Module) -> bool:
    """Whether a module has a hook, or a method of its own in the place of its class's."""
    return any(
        value if "hooks" in name else callable(getattr(type(module), name, None))
        for name, value in vars(module).items()
    )


def _anatomy(model: nn.Module) -> list[tuple]:
    """Each module's name, class and settings, and which weights it uses, of which class, shape and layout."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    anatomy = []
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase):
            module._update_flat_weights()  # as its forward begins: a merged adapter leaves older ones there
        settings = [getattr(module, constant) for constant in getattr(module, "__constants__", ())]
        used = dict(module._parameters)
        used |= dict(enumerate(getattr(module, "_flat_weights", ())))  # what a recurrent layer really reads
        weights = {part: (names.get(id(w)), type(w), w.shape, w.layout) for part, w in used.items() if w is not None}
        anatomy.append((name, type(module), settings, weights))
    return anatomy


@lru_cache(maxsize=16)
def _built_anatomy(settings: str) -> list[tuple]:
    """The anatomy of a model that has just been built, without its memory."""
    from .modeling_char_lstm import CharLstmForCausalLM

    with torch.device("meta"):
        return _anatomy(CharLstmForCausalLM(CharLstmConfig(**json.loads(settings))))
