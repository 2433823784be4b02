"""500 characters at a time, on one CPU thread, against the bare matrix products and the library's loop."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from transformers import GenerationMixin

from char_lstm import CharLstmForCausalLM, load, load_decoder
from char_lstm.decoder_char_lstm import CharLstmDecoder
from char_lstm.generation_char_lstm import BATCH, generate_text, generate_texts
from char_lstm.items import generate_items
from char_lstm.paths import PRETRAINED
from char_lstm.torch_decoder_char_lstm import as_decoder

from .common import CELLS, interleaved

CHARACTERS = 500
ITEMS = 1000
SAMPLING = {"temperature": 0.8, "top_k": 20, "top_p": 0.95, "max_new_tokens": CHARACTERS}


class LibraryLoop(CharLstmForCausalLM):
    """The same model, whose `nn.LSTM`s the library's own sampling loop steps: the baseline."""

    _sample = GenerationMixin._sample


def bare_products(decoder: CharLstmDecoder, batch: int) -> Callable[[], None]:
    """The floor: only the matrix products of `CHARACTERS` steps, with every buffer made before."""
    matrices = [layer.matrix for layer in decoder.layers] + [decoder.head]
    inputs, outputs = ([np.ones((batch, matrix.shape[axis]), np.float32) for matrix in matrices] for axis in (1, 0))

    def run():
        for _ in range(CHARACTERS):
            for matrix, x, out in zip(matrices, inputs, outputs, strict=True):
                np.dot(x, matrix.T, out=out)

    return run


def items_written() -> tuple[Callable[[], object], int]:
    """What writes ITEMS sentences of Alice, as if they were the items of a list, and their characters with the ends."""
    decoder, tokenizer = load_decoder("alice")
    ends = {"eos_token_id": decoder.config.bos_token_id, **SAMPLING}
    decoder.generation_config = SimpleNamespace(**vars(decoder.generation_config) | ends)
    write = partial(generate_items, decoder, tokenizer, ITEMS, seed=0)
    return lambda: list(write()), sum(len(item) + 1 for item in write())


def measure(repeats: int) -> dict:
    """Seconds and ratios of generation with the packaged models."""
    torch.set_num_threads(1)
    model, tokenizer = load(PRETRAINED / "alice")
    baseline = LibraryLoop(model.config).eval()
    baseline.load_state_dict(model.state_dict())
    decoder = as_decoder(model)
    start = torch.tensor([[model.config.bos_token_id]])
    generate = {"inputs": start, "attention_mask": torch.ones_like(start), "do_sample": True, **SAMPLING}
    write = partial(generate_text, seed=0, **SAMPLING)
    library_loop = partial(baseline.generate, **generate)

    one = interleaved(
        repeats,
        ours=partial(write, model, tokenizer),
        bare_products=bare_products(decoder, 1),
        generate=partial(model.generate, **generate),
        library_loop=library_loop,
        library_loop_without_onednn=torch.backends.mkldnn.flags(enabled=False)(library_loop),
    )
    write_items, item_characters = items_written()
    many = interleaved(
        repeats,
        ours=lambda: list(generate_texts(model, tokenizer, [""] * BATCH, seed=0, **SAMPLING)),
        bare_products=bare_products(decoder, BATCH),
        items=write_items,
    )
    cells = interleaved(repeats, **{name: partial(write, *load(PRETRAINED / folder)) for name, folder in CELLS.items()})
    return {
        "seconds": {"one_text": one, f"{BATCH}_texts": many},
        "unit": "ratio",
        "figures": {
            "one text, to the bare products": one["ours"] / one["bare_products"],
            "one text, nn.LSTM in the library's loop to ours": one["library_loop"] / one["ours"],
            "the same with oneDNN off, which packs the weights anew at every step": one["library_loop_without_onednn"]
            / one["ours"],
            "one text, nn.LSTM in the library's loop to model.generate": one["library_loop"] / one["generate"],
            f"{BATCH} texts, to the bare products": many["ours"] / many["bare_products"],
            f"{BATCH} texts, characters a second to one text's": BATCH * one["ours"] / many["ours"],
            f"{ITEMS} items, characters a second to one text's": item_characters
            / many["items"]
            / (CHARACTERS / one["ours"]),
        },
        "characters_a_second": {name: CHARACTERS / seconds for name, seconds in cells.items()},
    }
