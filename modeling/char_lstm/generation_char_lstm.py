"""The one sampling loop and its decoder, in numpy: a saved checkpoint writes text without any framework.

`CharLstmDecoder` is the step of `cells_char_lstm` laid out for speed: the embedding and the input weights of the first
layer become one table look-up, every gate of a layer comes from one matrix product into a buffer that is used again,
and a sigmoid is half a tanh, sigmoid(x) = (1 + tanh(x / 2)) / 2, with the inner half folded into the weights.
"""

import secrets
import weakref
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import numpy as np

from .tokenization_char_lstm import normalise


def stream_text(
    model,
    tokenizer,
    prompt: str = "",
    *,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Iterator[str]:
    """Writes on from `prompt`, one new character at a time.

    Args:
        model: a `CharLstmForCausalLM` on any device, or a `CharLstmDecoder`.
        tokenizer: its tokenizer, or the `tokenizers.Tokenizer` inside it.
        prompt: any text; it is normalised as the corpus was. An empty one starts after a sentence end.
        max_new_tokens, temperature, top_k, top_p: what is left out comes from `model.generation_config`.
            `temperature=0` takes the likeliest character; `top_k=0` and `top_p=1` leave every character in.
        seed: the same seed writes the same text, whatever else runs; `None` draws one.

    Yields:
        one character at a time, `max_new_tokens` in all.

    Raises:
        ValueError: a setting out of its range.
    """
    decoder = as_decoder(model)
    settings = _settings(
        model.generation_config, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p
    )
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    prompt_ids = backend.encode(normalise(backend, prompt), add_special_tokens=False).ids
    for ids in sample(decoder, [prompt_ids or [model.config.bos_token_id]], settings, seed):
        yield backend.id_to_token(int(ids[0]))


def generate_text(model, tokenizer, prompt: str = "", **settings) -> str:
    """The characters of `stream_text`, joined: the new ones alone, without the prompt."""
    return "".join(stream_text(model, tokenizer, prompt, **settings))


def sample(decoder: "CharLstmDecoder", prompts: list[list[int]], settings, seed: int | None) -> Iterator[np.ndarray]:
    """The loop itself: reads each prompt, then draws `settings.max_new_tokens` ids, (batch,) at a time.

    Row r has its own draws, those that seed + r gives a text alone, so no row depends on its neighbours.
    """
    seed = secrets.randbits(32) if seed is None else seed
    draws = np.stack([np.random.default_rng(seed + row).random(settings.max_new_tokens) for row in range(len(prompts))])
    state = decoder.read(prompts)
    for uniform in draws.T:  # (batch,)
        ids = choose(decoder.logits(state), settings, uniform)  # (batch,)
        yield ids
        decoder.step(state, ids)


def choose(logits: np.ndarray, settings, uniform: np.ndarray) -> np.ndarray:
    """One id a row, (batch,), from logits (batch, vocab) and uniform draws (batch,) in [0, 1)."""
    logits[:, settings.suppress_tokens] = -np.inf
    if settings.temperature == 0:
        return logits.argmax(axis=1)
    logits /= settings.temperature
    if 0 < settings.top_k < logits.shape[1]:  # keep the k likeliest (Fan et al. 2018)
        smallest_kept = np.partition(logits, -settings.top_k, axis=1)[:, -settings.top_k, None]
        logits[logits < smallest_kept] = -np.inf
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))  # (batch, vocab), unnormalised
    if settings.top_p < 1:  # keep the fewest that hold top_p of the probability (Holtzman et al. 2020)
        ascending = np.sort(weights, axis=1)
        share_below = ascending.cumsum(axis=1) / ascending.sum(axis=1, keepdims=True)
        first_kept = (share_below <= 1 - settings.top_p).sum(axis=1, keepdims=True).clip(max=logits.shape[1] - 1)
        weights[weights < np.take_along_axis(ascending, first_kept, axis=1)] = 0
    cumulative = weights.cumsum(axis=1, dtype=np.float64)  # (batch, vocab)
    return (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(axis=1)


def _settings(defaults, **given) -> SimpleNamespace:
    """What `generation_config` says, overridden by what was given, checked."""
    chosen = {name: getattr(defaults, name, None) if value is None else value for name, value in given.items()}
    if given["temperature"] is None and not getattr(defaults, "do_sample", False):
        chosen["temperature"] = 0
    neutral = {"max_new_tokens": 500, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    settings = SimpleNamespace(**{name: neutral[name] if value is None else value for name, value in chosen.items()})
    settings.suppress_tokens = list(getattr(defaults, "suppress_tokens", None) or [])
    if settings.max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be 0 or more, got {settings.max_new_tokens}")
    if not 0 <= settings.temperature < float("inf"):
        raise ValueError(f"temperature must be 0 (greedy) or a positive number, got {settings.temperature}")
    if settings.top_k < 0:
        raise ValueError(f"top_k must be 0 (all) or more, got {settings.top_k}")
    if not 0 < settings.top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {settings.top_p}")
    return settings


class CharLstmDecoder:
    """A language model as numpy arrays, laid out once for one character at a time.

    Args:
        weights: the arrays of a checkpoint by their names, as saved by `CharLstmForCausalLM`.
        config: an object with the attributes of `CharLstmConfig`.
        generation_config: an object with the attributes of `GenerationConfig`.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], config, generation_config):
        self.config, self.generation_config = config, generation_config
        embedding = weights["model.embed_tokens.weight"]  # (vocab, input)
        self.hidden_size = config.hidden_size
        self.matrices, self.biases = [], []
        for index in range(config.num_hidden_layers):
            layer = {name: weights[f"model.layers.{index}.{name}_l0"] for name in PARTS}
            bias = layer["bias_ih"] + layer["bias_hh"]  # (4 * hidden,)
            if index == 0:
                self.table = _fold(embedding @ layer["weight_ih"].T + bias, axis=1)  # (vocab, 4 * hidden)
                self.matrices.append(_fold(layer["weight_hh"], axis=0))  # (4 * hidden, hidden)
            else:
                both = np.concatenate([layer["weight_ih"], layer["weight_hh"]], axis=1)
                self.matrices.append(_fold(both, axis=0))  # (4 * hidden, 2 * hidden)
            self.biases.append(_fold(bias, axis=0))
        head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
        self.head, self.head_bias = np.ascontiguousarray(weights[head]), weights["lm_head.bias"]

    def read(self, prompts: list[list[int]]) -> "DecoderState":
        """The state after each of the prompts (ids, none empty), whose lengths may differ."""
        state = DecoderState(len(prompts), self.hidden_size, len(self.matrices))
        for row, prompt in enumerate(prompts):
            alone = DecoderState(1, self.hidden_size, len(self.matrices))
            for character in prompt:
                self.step(alone, np.array([character]))
            state.output[row], state.cells[:, row] = alone.output[0], alone.cells[:, 0]
        return state

    def step(self, state: "DecoderState", ids: np.ndarray) -> None:
        """Reads one character a row, ids (batch,), into the state."""
        hidden = self.hidden_size
        for index, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            below = slice(max(index - 1, 0) * hidden, (index + 1) * hidden)  # output of the layer below and its own
            np.dot(state.output[:, below], matrix.T, out=state.gates)  # (batch, 4 * hidden)
            state.gates += self.table[ids] if index == 0 else bias
            np.tanh(state.gates, out=state.gates)
            state.sigmoids *= 0.5
            state.sigmoids += 0.5
            cell = state.cells[index]  # (batch, hidden)
            cell *= state.forget
            np.multiply(state.input, state.candidate, out=state.scratch)
            cell += state.scratch
            np.tanh(cell, out=state.scratch)
            np.multiply(state.scratch, state.show, out=state.output[:, index * hidden : (index + 1) * hidden])

    def logits(self, state: "DecoderState") -> np.ndarray:
        """Scores of the next character, (batch, vocab)."""
        return state.output[:, -self.hidden_size :] @ self.head.T + self.head_bias


class DecoderState:
    """The recurrent state of some texts, and the buffers of a step. All arrays are float32."""

    def __init__(self, batch: int, hidden: int, layers: int):
        self.output = np.zeros((batch, layers * hidden), np.float32)  # h of every layer, side by side
        self.cells = np.zeros((layers, batch, hidden), np.float32)  # c of every layer
        self.gates = np.empty((batch, 4 * hidden), np.float32)
        self.sigmoids = self.gates[:, : 3 * hidden]
        self.input, self.forget, self.show, self.candidate = np.split(self.gates, 4, axis=1)  # views
        self.scratch = np.empty((batch, hidden), np.float32)


PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _fold(weight: np.ndarray, axis: int) -> np.ndarray:
    """Gates in the order of `DecoderState`, those of a sigmoid halved: torch has input, forget, candidate, output."""
    input_, forget, candidate, output = np.split(weight.astype(np.float32), 4, axis=axis)
    return np.concatenate([input_ / 2, forget / 2, output / 2, candidate], axis=axis)


_LAID_OUT = weakref.WeakKeyDictionary()  # torch model -> (its tensors, their versions, its decoder)


def as_decoder(model) -> CharLstmDecoder:
    """The decoder of a model, laid out again only when the weights have changed."""
    if isinstance(model, CharLstmDecoder):
        return model
    tensors = [parameter.detach() for parameter in model.parameters()]  # held, so that no address is used again
    versions = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
    known = _LAID_OUT.get(model)
    if known is None or known[1] != versions:
        weights = {name: tensor.float().cpu().numpy() for name, tensor in model.state_dict().items()}
        known = tensors, versions, CharLstmDecoder(weights, model.config, model.generation_config)
        _LAID_OUT[model] = known
    return known[2]
