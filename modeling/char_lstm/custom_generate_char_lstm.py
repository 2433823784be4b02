"""transformers' `generate` on the decoder: the library's text at a fraction of its cost."""

import copy

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation import GenerateDecoderOnlyOutput, GenerationMode, StopStringCriteria

from .generation_char_lstm import decode_steps
from .state_char_lstm import RecurrentCache
from .torch_decoder_char_lstm import is_as_built, lay_out


class KnownStopStrings(StopStringCriteria):
    """The library's criterion, which reads "abcdef" before each token, for alphabets without some of these letters."""

    @staticmethod
    def clean_tokenizer_vocab(tokenizer, static_prefix="abcdef", stop_string_matching_mode=None):
        known = tokenizer.decode(tokenizer(static_prefix, add_special_tokens=False)["input_ids"])
        return StopStringCriteria.clean_tokenizer_vocab(tokenizer, known, stop_string_matching_mode)


def merge_settings(model, generation_config: GenerationConfig | None, kwargs: dict) -> GenerationConfig:
    """What `generate` is asked for: by its arguments, else by the given configuration, else by the model's."""
    asked = copy.deepcopy(generation_config) or GenerationConfig()
    asked.update(**model.generation_config.to_dict(), defaults_only=True, allow_custom_entries=True)
    asked.update(**kwargs)
    return asked


def replace_stop_strings(asked: GenerationConfig, kwargs: dict) -> None:
    """Hands stop strings to a criterion that works with any alphabet."""
    if asked.stop_strings and kwargs.get("tokenizer") is not None:
        criterion = KnownStopStrings(kwargs["tokenizer"], asked.stop_strings)
        kwargs["stopping_criteria"] = [*(kwargs.get("stopping_criteria") or ()), criterion]
        kwargs["stop_strings"] = None


def decoder_can_generate(model, asked: GenerationConfig, kwargs: dict) -> bool:
    """Whether the decoder gives what `generate` is asked for, as the model would.

    It gives text alone, on a CPU, in float32, without dropout, and only what the model computes as it was built.
    """
    mode = asked.get_generation_mode(kwargs.get("assistant_model"))
    others = ("custom_generate", "synced_gpus", "tokenizer")  # custom loops get no tokenizer
    return (
        mode in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)
        and asked.use_cache is not False
        and not (asked.output_scores or asked.output_logits or asked.output_hidden_states)
        and not any(kwargs.get(name) for name in others)
        and not model.training
        and all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in model.parameters())
        and not torch.is_autocast_enabled("cpu")
        and is_as_built(model)
    )


def start_empty_prompts(ids: Tensor, mask: Tensor, bos: int | None) -> tuple[Tensor, Tensor]:
    """Ids and mask, (batch, time) each, with bos as the last character of every row that had none.

    Raises ValueError where such a row has no bos to start from.
    """
    empty = mask.sum(dim=1) == 0  # (batch,)
    if not empty.any():
        return ids, mask
    if bos is None:
        raise ValueError("a prompt has no characters, and the configuration no bos_token_id to start it from")
    if ids.shape[1] == 0:
        ids, mask = ids.new_zeros(len(ids), 1), mask.new_zeros(len(ids), 1)  # (batch, 1)
    ids, mask = ids.clone(), mask.clone()
    ids[empty, -1], mask[empty, -1] = bos, 1
    return ids, mask


def decode_prompts(
    model, input_ids, logits_processor, stopping_criteria, generation_config, *, streamer=None, **model_kwargs
):
    """Greedy search and sampling on the decoder, called by `generate` as its `custom_generate`.

    Args:
        input_ids: (batch, time), the prompts.
        streamer: gets the ids of each step, (batch,), and is told of the end. The library keeps it from custom loops.

    Returns:
        (batch, time), the prompts and the new ids; with `return_dict_in_generate`, the state before the last ids too.
    """
    # private: it alone knows how much of the prompt a given state has already read
    prompt_state = model._prefill(input_ids, generation_config, model_kwargs).past_key_values
    decoder = lay_out(model)
    state = decoder.resume([(output.numpy(), cell_state.numpy()) for output, cell_state in prompt_state.states])
    text, ended = input_ids, torch.zeros(len(input_ids), dtype=torch.bool)  # (batch, time), (batch,)
    ends = [criterion.eos_token_id for criterion in stopping_criteria if hasattr(criterion, "eos_token_id")]
    pad = generation_config.pad_token_id
    after_end = ends[0][0] if ends and pad is None else pad

    def choose_ids(logits):  # (batch, vocab)
        nonlocal text, ended
        scores = logits_processor(text, torch.from_numpy(logits))
        drawn = generation_config.do_sample
        ids = scores.softmax(-1).multinomial(1)[:, 0] if drawn else scores.argmax(-1)  # (batch,)
        if ends:
            ids = torch.where(ended, after_end, ids)
        text = torch.cat([text, ids.unsqueeze(1)], dim=1)
        ended = ended | stopping_criteria(text, None)
        return ids.numpy()

    for ids in decode_steps(decoder, state, choose_ids):
        if streamer is not None:
            streamer.put(torch.from_numpy(ids))
        if ended.all():
            break
    if streamer is not None:
        streamer.end()
    if not generation_config.return_dict_in_generate:
        return text
    states = [(torch.from_numpy(part.output), torch.from_numpy(part.cell_state)) for part in state.buffers]
    seen = prompt_state.get_seq_length() + text.shape[1] - input_ids.shape[1] - 1
    return GenerateDecoderOnlyOutput(sequences=text, past_key_values=RecurrentCache(states, seen))
