"""The one sampling loop, in numpy: a saved checkpoint writes text without any framework."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from types import SimpleNamespace

import numpy as np

from .decoder_char_lstm import CharLstmDecoder, DecoderState
from .tokenization_char_lstm import normalise

BATCH = 64  # texts that are written side by side
NEUTRAL = {"max_new_tokens": 500, "temperature": 1.0, "top_k": 0, "top_p": 1.0}  # where nothing else is said


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
    stop_strings: Sequence[str] | None = None,
) -> Iterator[str]:
    """Writes on from `prompt`, one new character at a time, up to `max_new_tokens`, a stop string, or the end that a
    model of items gives its text.

    Args:
        model: a `CharLstmForCausalLM` on any device, or a `CharLstmDecoder`. One that was changed, with an adapter or a
            hook say, writes what its own `forward` says, more slowly.
        tokenizer: its tokenizer, or the `tokenizers.Tokenizer` inside it.
        prompt: any text; it is normalised as the corpus was. An empty one starts after a sentence end.
        max_new_tokens, temperature, top_k, top_p: what is left out comes from `model.generation_config`.
            `temperature=0` takes the likeliest character; `top_k=0` and `top_p=1` leave every character in.
        seed: the same seed writes the same text, whatever else runs; `None` draws one.
        stop_strings: the text ends with the first of these that it comes to, read as a prompt is.

    Raises:
        ValueError: a setting out of its range, or a stop string without a character of the alphabet.
    """
    decoder, backend, settings = prepare_sampling(
        model, tokenizer, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p
    )
    prompt, stops = normalise(backend, prompt), normalise_stops(backend, stop_strings)
    written = sample(decoder, [encode_prompt(backend, prompt, model.config.bos_token_id)], settings, seed)
    return until_stop((backend.id_to_token(id) for id in until_end(written, settings)), stops, prompt)


def prepare_sampling(model, tokenizer, **given) -> tuple:
    """What the loop needs of a model and its tokenizer: a decoder, the `tokenizers.Tokenizer`, and the settings."""
    if isinstance(model, CharLstmDecoder):
        decoder = model
    else:
        from .torch_decoder_char_lstm import as_decoder  # imports torch

        decoder = as_decoder(model)
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    settings = sampling_settings(model.generation_config, **given)
    settings.suppress_tokens += range(backend.get_vocab_size(), model.config.vocab_size)  # ids that are no token
    return decoder, backend, settings


def encode_prompt(backend, prompt: str, bos_token_id: int) -> list[int]:
    """The ids of a normalised prompt; an item begins with the newline, and so does what follows nothing."""
    return backend.encode(prompt).ids or [bos_token_id]


def normalise_stops(backend, stop_strings: Sequence[str] | None) -> tuple[str, ...]:
    """Stop strings as a prompt is read. Raises ValueError if nothing is left of one."""
    stops = tuple(normalise(backend, stop) for stop in stop_strings or ())
    if "" in stops:
        raise ValueError(f"a stop string needs a character of the model's alphabet, got {stop_strings}")
    return stops


def until_end(written: Iterator[np.ndarray], settings) -> Iterator[int]:
    """The ids of a text sampled alone, without the one that ends it."""
    return takewhile(lambda id: id not in settings.eos_token_id, (int(ids[0]) for ids in written))


def until_stop(characters: Iterable[str], stops: tuple[str, ...], text: str) -> Iterator[str]:
    """Characters that go on from `text`, up to where it ends with one of `stops`."""
    longest = max(map(len, stops), default=0)
    for character in characters:
        yield character
        if stops and (text := (text + character)[-longest:]).endswith(stops):
            return


def generate_text(model, tokenizer, prompt: str = "", **settings) -> str:
    """The characters of `stream_text`, joined: the new ones alone, without the prompt."""
    return "".join(stream_text(model, tokenizer, prompt, **settings))


def generate_texts(
    model,
    tokenizer,
    prompts: Sequence[str],
    *,
    seed: int | None = None,
    stop_strings: Sequence[str] | None = None,
    **settings,
) -> Iterator[str]:
    """What `generate_text` makes of each of several normalised prompts, text k with seed + k: `BATCH` side by side."""
    decoder, backend, sampling = prepare_sampling(model, tokenizer, **settings)
    stops, seed = normalise_stops(backend, stop_strings), draw_seed() if seed is None else seed
    longest = max(map(len, stops), default=0)
    for first in range(0, len(prompts), BATCH):
        begun = prompts[first : first + BATCH]

        def stops_at(row: int, ids: list[int], begun=begun) -> bool:
            return (begun[row] + "".join(map(backend.id_to_token, ids[-longest:]))).endswith(stops)

        encoded = [encode_prompt(backend, prompt, model.config.bos_token_id) for prompt in begun]
        for ids in sample_texts(decoder, encoded, sampling, seed + first, stops_at if stops else None):
            yield "".join(map(backend.id_to_token, ids))


def sample(decoder: CharLstmDecoder, prompts: list[list[int]], settings, seed: int | None) -> Iterator[np.ndarray]:
    """Reads each prompt, then draws `settings.max_new_tokens` ids, (batch,) at a time.

    Row r has its own draws, those that seed + r gives a text alone, so no row depends on its neighbours.
    """
    uniforms = iter(draw_uniforms(len(prompts), settings, seed).T[:, :, None])  # a (batch, 1) for each step
    state = decoder.encode_prompts(prompts)
    written = decode_steps(decoder, state, lambda logits: choose(logits, settings, next(uniforms)))
    return islice(written, settings.max_new_tokens)


def draw_seed() -> int:
    """A seed that nobody chose, of 32 bits."""
    return int.from_bytes(os.urandom(4), "big")


def draw_uniforms(rows: int, settings, seed: int | None) -> np.ndarray:
    """The draws in [0, 1) of so many texts, (rows, max_new_tokens): row r's are those of seed + r alone."""
    seed = draw_seed() if seed is None else seed
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    return np.stack([np.random.default_rng(seed + row).random(settings.max_new_tokens) for row in range(rows)])


def sample_texts(
    decoder: CharLstmDecoder, prompts: list[list[int]], settings, seed: int | None, stops_at: Callable | None = None
) -> list[list[int]]:
    """What `sample` draws for each prompt, as a list a text: a text leaves the batch where it ends, and loses its end.

    Args:
        stops_at: tells of a row and its ids whether the text stops with the last of them.
    """
    draws, state = draw_uniforms(len(prompts), settings, seed), decoder.encode_prompts(prompts)
    texts: list[list[int]] = [[] for _ in prompts]
    rows = np.arange(len(prompts))  # those that go on
    for time in range(settings.max_new_tokens):
        ids = choose(decoder.logits(state), settings, draws[rows, time, None])  # (batch,)
        going_on = ~np.isin(ids, settings.eos_token_id)
        for place, (row, id) in enumerate(zip(rows, ids.tolist(), strict=True)):
            if going_on[place]:
                texts[row].append(id)
                going_on[place] = not (stops_at and stops_at(row, texts[row]))
        if not going_on.all():
            kept = going_on.nonzero()[0]
            rows, ids, state = rows[kept], ids[kept], decoder.select(state, kept)
        if not len(rows):
            break
        decoder.step(state, ids)
    return texts


def decode_steps(decoder: CharLstmDecoder, state: DecoderState, choose: Callable) -> Iterator[np.ndarray]:
    """The loop itself, without an end: `choose` makes ids, (batch,), of logits, (batch, vocab), and `state` goes on.

    A state is left before its last ids are read, as `generate` of transformers leaves it.
    """
    while True:
        ids = choose(decoder.logits(state))
        yield ids
        decoder.step(state, ids)


def choose(logits: np.ndarray, settings, uniform: np.ndarray) -> np.ndarray:
    """One id a row, (batch,), from logits (batch, vocab), which it overwrites, and draws (batch, 1) in [0, 1)."""
    logits[:, settings.suppress_tokens] = -np.inf
    if settings.temperature == 0:
        return logits.argmax(axis=1)
    ranked, cumulative, kept = shape_odds(logits, settings)
    drawn = (cumulative[:, :-1] <= uniform * kept).sum(axis=1, keepdims=True)  # (batch, 1), a rank
    return np.take_along_axis(ranked, drawn, axis=1)[:, 0]


def shape_odds(logits: np.ndarray, settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a temperature above 0, top_k and top_p make of logits, (batch, vocab).

    Returns:
        ids, the likeliest first, (batch, vocab); their odds added up, unnormalised, (batch, top_k or vocab); and the
        sum at which the ids that may be drawn end, (batch, 1).
    """
    rows = np.arange(len(logits))[:, None]  # (batch, 1)
    ranked = logits.argsort(axis=1)[:, ::-1]  # (batch, vocab) ids, the likeliest first
    scores = logits[rows, ranked]
    scores -= scores[:, :1]
    scores /= settings.temperature
    cumulative = np.exp(scores).cumsum(axis=1, dtype=np.float64)  # (batch, vocab), unnormalised
    if settings.top_k:  # keep the k likeliest (Fan et al. 2018)
        cumulative = cumulative[:, : settings.top_k]
    enough = settings.top_p * cumulative[:, -1:]  # keep the fewest that hold top_p (Holtzman et al. 2020)
    kept = cumulative.min(axis=1, keepdims=True, initial=np.inf, where=cumulative >= enough)  # (batch, 1)
    return ranked, cumulative, kept


def sampling_settings(defaults, **given) -> SimpleNamespace:
    """What was given of NEUTRAL's names, else what `generation_config` says, checked."""
    if not getattr(defaults, "do_sample", False):
        defaults = SimpleNamespace(**vars(defaults) | {"temperature": 0})
    suppressed = list(getattr(defaults, "suppress_tokens", None) or [])
    end = getattr(defaults, "eos_token_id", None)
    ends = [id for id in (end if isinstance(end, list) else [end]) if id not in (None, *suppressed)]
    settings = SimpleNamespace(suppress_tokens=suppressed, eos_token_id=ends)  # no end where texts run on
    for name, neutral in NEUTRAL.items():
        values = (given.get(name), getattr(defaults, name, None), neutral)
        setattr(settings, name, next(value for value in values if value is not None))
    if settings.max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be 0 or more, got {settings.max_new_tokens}")
    if not 0 <= settings.temperature < float("inf"):
        raise ValueError(f"temperature must be 0 (greedy) or a positive number, got {settings.temperature}")
    if settings.top_k < 0:
        raise ValueError(f"top_k must be 0 (all) or more, got {settings.top_k}")
    if not 0 < settings.top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {settings.top_p}")
    return settings
