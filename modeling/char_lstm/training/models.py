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
    """A new model of the recipe's sizes for the tokenizer's alphabet."""
    model = CharLstmForCausalLM(model_config(recipe, tokenizer))
    model.generation_config = new_generation_config(tokenizer)
    return model


def new_generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """The assignment's 500 characters, or items as they are drawn: a list should not be of the likeliest alone."""
    temperature, top_p = (1.0, 1.0) if end_of_item(tokenizer) else (0.6, 0.95)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": top_p, "max_new_tokens": 500}
    return GenerationConfig(**sampling, **generation_ids(tokenizer))


def generation_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What a generation configuration says of its tokenizer."""
    ids = {name: value for name, value in token_ids(tokenizer).items() if name != "vocab_size"}
    return ids | {"suppress_tokens": [tokenizer.pad_token_id]}


def load_to_tune(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> CharLstmForCausalLM:
    """The model to start from, with the recipe's dropout, fitted to the tokenizer's alphabet."""
    model, old = load(str(recipe.init_from))
    for name in DROPOUTS:
        setattr(model.config, name, getattr(recipe, name))
    logger.info("starting from %s, a model of %d parameters", recipe.init_from, model.num_parameters())
    return fit_alphabet(model, old, tokenizer)


@torch.no_grad()
def fit_alphabet(
    model: CharLstmForCausalLM, old: PreTrainedTokenizerFast, new: PreTrainedTokenizerFast
) -> CharLstmForCausalLM:
    """The model, whose alphabet is that of `old`, for the alphabet of `new`: a character of both keeps the weights that
    are its own, any other starts with fresh ones."""
    config: Any = copy.deepcopy(model.config)
    config.update({**token_ids(new), "alphabet_size": None})
    fitted = CharLstmForCausalLM(config)
    fitted.generation_config = new_generation_config(new)
    if end_of_item(old) == end_of_item(new):  # else the settings are those of another kind of text
        fitted.generation_config = copy.deepcopy(model.generation_config)
        fitted.generation_config.update(**generation_ids(new))

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
        "of the text's characters %d keep their weights and %d start fresh%s%s; %d of the model's others go",
        *(len(pairs) - 1, len(fresh), ": " * bool(fresh) + " ".join(fresh[:20]), " ..." if len(fresh) > 20 else ""),
        len(old.get_vocab().keys() - new.get_vocab().keys() - {old.pad_token, old.eos_token}),
    )
    return fitted
