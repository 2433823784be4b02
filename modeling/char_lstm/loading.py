"""The checked way from an id or a folder to a model and its tokenizer.

The library warns about a missing weight and goes on with a random one; here every disagreement is an error that names
the file. The checks need no framework, so both ways in share them.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from .generation_char_lstm import CharLstmDecoder, expected_shapes

NEEDED = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


class CheckpointError(ValueError):
    """A checkpoint whose parts are missing, broken, or disagree."""


def load(model_id: str | Path, *, revision: str | None = None):
    """A checked `CharLstmForCausalLM`, in evaluation mode, and its tokenizer.

    Args:
        model_id: a folder, or the id of a repository on the Hub.
        revision: a branch, tag or commit of that repository.

    Raises:
        CheckpointError: a file is missing or broken, weights are missing, of another shape or not finite, or the
            tokenizer's alphabet is not the model's.
    """
    from transformers import PreTrainedTokenizerFast

    from .modeling_char_lstm import CharLstmForCausalLM

    folder = checkpoint_folder(model_id, revision)
    _read_checked(folder)
    model = CharLstmForCausalLM.from_pretrained(folder)
    return model.eval(), PreTrainedTokenizerFast.from_pretrained(folder)


def load_decoder(model_id: str | Path, *, revision: str | None = None) -> tuple[CharLstmDecoder, Tokenizer]:
    """What `load` loads, without torch and transformers: enough to write text on a CPU. Raises the same errors."""
    config, generation_config, weights, tokenizer = _read_checked(checkpoint_folder(model_id, revision))
    tokenizer.encode_special_tokens = True  # as `split_special_tokens` in tokenizer_config.json
    return CharLstmDecoder(weights, config, generation_config), tokenizer


def checkpoint_folder(model_id: str | Path, revision: str | None) -> Path:
    """The folder of a checkpoint, brought from the Hub if it is none here. Raises CheckpointError if there is none."""
    if Path(model_id).is_dir():
        return Path(model_id)
    if Path(model_id).exists() or str(model_id).count("/") != 1 or str(model_id).startswith((".", "/")):
        raise CheckpointError(f"{model_id}: no such model folder")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(model_id), revision=revision))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{model_id} is no folder here, and not to be had from the Hub: {reason}") from error


def _read_checked(folder: Path):
    """Configuration, generation configuration, weights and tokenizer of a folder, once they are known to agree."""
    for name in NEEDED:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is missing")
    config = _read_json(folder / "config.json")
    generation_config = _read_json(folder / "generation_config.json")
    if getattr(config, "model_type", None) != "char_lstm":
        raise CheckpointError(f"{folder / 'config.json'}: model_type is not char_lstm")

    weights_file = folder / "model.safetensors"
    try:
        weights = load_file(weights_file)
    except SafetensorError as error:
        raise CheckpointError(f"{weights_file} is broken: {error}") from error
    _check_weights(weights, config, weights_file)

    tokenizer_file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{tokenizer_file} is broken: {error}") from error
    if tokenizer.get_vocab_size() != config.vocab_size:
        raise CheckpointError(
            f"{tokenizer_file} has {tokenizer.get_vocab_size()} tokens, but config.json says "
            f"vocab_size {config.vocab_size}: it belongs to another model"
        )
    return config, generation_config, weights, tokenizer


def _read_json(path: Path) -> SimpleNamespace:
    try:
        return SimpleNamespace(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is broken: {error}") from error


def _check_weights(weights: dict[str, np.ndarray], config: SimpleNamespace, path: Path) -> None:
    try:
        expected = expected_shapes(config)
    except (AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.with_name('config.json')} describes no model of ours: {error!r}") from error
    if missing := expected.keys() - weights.keys():
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}")
    if unknown := weights.keys() - expected.keys():
        raise CheckpointError(f"{path} holds {', '.join(sorted(unknown))}, which config.json has no place for")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise CheckpointError(f"{path}: {name} has shape {weights[name].shape}, but config.json wants {shape}")
        if not np.isfinite(weights[name]).all():
            raise CheckpointError(f"{path}: {name} holds values that are not finite")
