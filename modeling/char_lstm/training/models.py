"""The model of a run: a new one, or a trained one, fitted to the alphabet of the text."""

import copy
import logging
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from ..loading import load
from ..modeling_char_lstm import CharLstmForCausalLM
from ..tokenization_char_lstm import end_of_item
from .recipe import DROPOUTS, Recipe, model_config, token_ids

logger = logging.getLogger("train")


def make_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> CharLstmForCausalLM:
    """A new model of the recipe's sizes for the tokenizer's alphabet; it generates the assignment's 500 characters, or
    items as they are drawn: a list should not be of the likeliest alone."""
    config = model_config(recipe, tokenizer)
    model = CharLstmForCausalLM(config)
    ids = {name: getattr(config, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    temperature, top_p = (1.0, 1.0) if end_of_item(tokenizer) else (0.6, 0.95)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": top_p, "max_new_tokens": 500}
    model.generation_config = GenerationConfig(**ids, suppress_tokens=[config.pad_token_id], **sampling)
    return model


def load_to_tune(recipe: Recipe) -> tuple[CharLstmForCausalLM, PreTrainedTokenizerFast]:
    """The model to start from, with the recipe's dropout, and its tokenizer."""
    known, tokenizer = load(str(recipe.init_from))
    for name in DROPOUTS:
        setattr(known.config, name, getattr(recipe, name))
    model = CharLstmForCausalLM(known.config)
    model.load_state_dict(known.state_dict())
    model.generation_config = known.generation_config
    return model, tokenizer


@torch.no_grad()
def fit_alphabet(
    model: CharLstmForCausalLM, old: PreTrainedTokenizerFast, new: PreTrainedTokenizerFast
) -> CharLstmForCausalLM:
    """The model, whose alphabet is that of `old`, for the alphabet of `new`: a character of both keeps the weights that
    are its own, any other starts with fresh ones."""
    config: Any = copy.deepcopy(model.config)
    config.update({**token_ids(new), "alphabet_size": None})
    fitted = CharLstmForCausalLM(config)
    fitted.generation_config = copy.deepcopy(model.generation_config)
    ids = {name: value for name, value in token_ids(new).items() if name != "vocab_size"}
    fitted.generation_config.update(**ids, suppress_tokens=[new.pad_token_id])

    places = old.get_vocab() | {str(new.pad_token): old.pad_token_id}
    pairs = [(index, places[token]) for token, index in new.get_vocab().items() if token in places]
    here, there = torch.tensor(pairs).T  # ids in `new` and in `old`, (tokens,)
    its_own = {"lm_head.weight": 0, "lm_head.bias": 0, "model.embed_tokens.weight": 0}  # and the axis of characters
    if not config.embedding_size:  # one-hot vectors stay; their columns are what is learnt
        del its_own["model.embed_tokens.weight"]
        its_own["model.layers.0.weight_ih_l0"] = 1
    learnt = model.state_dict()
    for name, weight in fitted.state_dict().items():
        if name in its_own:
            weight.index_copy_(its_own[name], here, learnt[name].index_select(its_own[name], there))
        elif weight.shape == learnt[name].shape:
            weight.copy_(learnt[name])
    fresh = sorted(new.get_vocab().keys() - places.keys() - {new.eos_token})
    logger.info(
        "of the text's characters %d keep their weights and %d start fresh: %s%s",
        *(len(pairs) - 1, len(fresh), " ".join(fresh[:20]), " ..." if len(fresh) > 20 else ""),
    )
    return fitted
