"""The checked way from an id or a folder to a model and its tokenizer.

The library warns about a missing weight and goes on with a random one; here every disagreement is an error that names
the file. The checks need no framework, so both ways in share them.
"""

import json
import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from safetensors import deserialize
from tokenizers import Tokenizer

from .decoder_char_lstm import GATES, CharLstmDecoder, expected_shapes
from .errors import CheckpointError
from .generation_char_lstm import choose, sampling_settings
from .items import FILE as ITEMS
from .items import load_items
from .paths import local_model
from .tokenization_char_lstm import JOINERS, NEWLINE

LEAST = {"vocab_size": 1, "embedding_size": 0, "hidden_size": 1, "num_hidden_layers": 1, "bos_token_id": 0}
NEEDED = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
CHOICES: dict[str, list] = {"cell_type": list(GATES), "tie_word_embeddings": [False, True]}
INDEX = "model.safetensors.index.json"  # which shard holds which weight
MOST_LABELS = 10_000  # transformers makes a name for each
NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # of safetensors, in numpy


def load(model_id: str | Path, *, revision: str | None = None, ignore_mismatched_hashes: bool = False):
    """A checked `CharLstmForCausalLM`, in evaluation mode and float32, and its tokenizer.

    Args:
        model_id: a folder, the name of a packaged model, or the id of a repository on the Hub.
        revision: a branch, tag or commit of that repository.
        ignore_mismatched_hashes: load weights and a tokenizer that are not those that evaluation.json was measured on.

    Raises:
        CheckpointError: a file is missing, broken, or not the one that evaluation.json was measured on; a setting makes
            no sense; weights are of another shape or not finite; the tokenizer's alphabet is not the model's.
    """
    from transformers import PreTrainedTokenizerFast

    from .modeling_char_lstm import CharLstmForCausalLM

    folder = checkpoint_folder(model_id, revision)
    _, generation_config, _, _ = _read_checked(folder, ignore_mismatched_hashes)
    try:
        model = CharLstmForCausalLM.from_pretrained(folder, dtype="float32")
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # of any class: whatever the library trips over in a value that it alone reads
        names = "config.json, generation_config.json or tokenizer_config.json"
        raise CheckpointError(f"{folder}: transformers cannot use {names}: {error}") from error
    model.generation_config.suppress_tokens = generation_config.suppress_tokens
    model.known_items = _known_items(folder)  # type: ignore[assignment]  # the library takes it for a tensor
    return model.eval(), tokenizer


def load_decoder(
    model_id: str | Path, *, revision: str | None = None, ignore_mismatched_hashes: bool = False
) -> tuple[CharLstmDecoder, Tokenizer]:
    """What `load` loads, without torch and transformers: enough to write text on a CPU. Raises the same errors."""
    folder = checkpoint_folder(model_id, revision)
    config, generation_config, weights, tokenizer = _read_checked(folder, ignore_mismatched_hashes)
    decoder = CharLstmDecoder(weights, config, generation_config)
    decoder.known_items = _known_items(folder)
    return decoder, tokenizer


def load_classifier(model_id: str | Path) -> tuple[CharLstmDecoder, Tokenizer, list[str]]:
    """An intent classifier as a decoder whose logits, (batch, intents), score the intents after what was read; its
    tokenizer; and the names of the intents.

    Raises:
        CheckpointError: no such folder, or it holds no classifier or a broken one.
    """
    folder = local_model(model_id)
    if folder is None:
        raise CheckpointError(f"{model_id}: no such model folder")
    config = _read_json(folder / "config.json")
    _check_config(config, folder / "config.json", LEAST.keys() - {"bos_token_id"})  # words have none
    if not hasattr(config, "id2label"):
        raise CheckpointError(f"{folder} holds no classifier: its config.json names no id2label")
    labels = config.id2label
    names = read_part(folder / "config.json", lambda _: [labels[str(id)] for id in range(len(labels))])
    weights = _read_checked_weights(folder, config, partial(classifier_shapes, labels=len(names)))
    weights |= {"lm_head.weight": weights["score.weight"], "lm_head.bias": weights["score.bias"]}
    config.tie_word_embeddings = False
    return CharLstmDecoder(weights, config, None), _read_tokenizer(folder), names


def classifier_shapes(config, labels: int) -> dict[str, tuple[int, ...]]:
    """Every weight of a `CharLstmForSequenceClassification` as it is saved, and its shape."""
    shapes = {name: shape for name, shape in expected_shapes(config).items() if not name.startswith("lm_head")}
    return shapes | {"score.weight": (labels, config.hidden_size), "score.bias": (labels,)}


def count_parameters(config, shapes: dict[str, tuple[int, ...]]) -> int:
    """How many weights of these names and shapes training may change: all but the one-hot characters."""
    fixed = () if config.embedding_size else ("model.embed_tokens.weight",)
    return sum(math.prod(shape) for name, shape in shapes.items() if name not in fixed)


def _known_items(folder: Path) -> frozenset[int] | None:
    """The hashes of the items that a model was trained on, None where none were saved."""
    return read_part(folder / ITEMS, load_items) if (folder / ITEMS).exists() else None


def checkpoint_folder(model_id: str | Path, revision: str | None) -> Path:
    """The folder of a checkpoint: an existing folder, else a packaged model, else brought from the Hub. Raises
    CheckpointError if there is none."""
    if folder := local_model(model_id):
        return folder
    if Path(model_id).exists() or str(model_id).count("/") != 1 or str(model_id).startswith((".", "/")):
        raise CheckpointError(f"{model_id}: no such model folder, packaged model or id on the Hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(model_id), revision=revision))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{model_id} is not a local folder and could not be loaded from the Hub: {reason}"
        ) from error


def _read_checked(folder: Path, ignore_mismatched_hashes: bool):
    """Configuration, generation configuration, weights and tokenizer of a folder, once they are known to agree."""
    _check_code(folder)
    config = _read_json(folder / "config.json")
    _check_config(config, folder / "config.json")
    weights = _read_checked_weights(folder, config, expected_shapes)
    tokenizer = read_part(folder / "tokenizer.json", lambda path: _checked_tokenizer(path, config))
    tokenizer_config = _read_json(folder / "tokenizer_config.json")
    tokenizer.encode_special_tokens = getattr(tokenizer_config, "split_special_tokens", False)
    generation_config = _read_json(folder / "generation_config.json")
    _check_generation_config(generation_config, config, folder / "generation_config.json")
    surplus = range(tokenizer.get_vocab_size(), config.vocab_size)  # ids of a resized model that are no token
    generation_config.suppress_tokens = [*(getattr(generation_config, "suppress_tokens", None) or []), *surplus] or None
    if (folder / "evaluation.json").exists() and not ignore_mismatched_hashes:
        _check_record(_read_json(folder / "evaluation.json"), folder)
    return config, generation_config, weights, tokenizer


def _check_code(folder: Path) -> None:
    """Code in a folder of this repository is a link, which git without symlinks checks out as the path in a file."""
    for path in folder.glob("*_char_lstm.py"):
        if path.read_bytes().startswith(b"../"):
            raise CheckpointError(
                f"{path} holds the path of the code instead of the code, because git made no symbolic links: run "
                "`git config core.symlinks true`, then check out again"
            )


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of a checkpoint: model.safetensors, else the shards that its index names.

    Raises:
        CheckpointError: the index is broken.
    """
    if (folder / "model.safetensors").exists() or not (folder / INDEX).exists():
        return [folder / "model.safetensors"]
    index = read_part(folder / INDEX, lambda path: dict(json.loads(path.read_text(encoding="utf-8"))["weight_map"]))
    return [folder / name for name in sorted({Path(str(shard)).name for shard in index.values()})]  # all beside it


def recorded_files(folder: Path) -> dict[str, list[Path]]:
    """The files of which evaluation.json keeps a hash, by its name there."""
    return {"weights_sha256": weight_files(folder), "tokenizer_sha256": [folder / "tokenizer.json"]}


def hash_files(files: list[Path]) -> str:
    """The sha256 of files, one after another."""
    import hashlib  # with OpenSSL, and a classifier has no hash

    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read_checked_weights(folder: Path, config: SimpleNamespace, shapes_of: Callable[..., dict]) -> dict:
    """The arrays of a checkpoint by name, once they are known to have the shapes that its configuration needs."""
    files = weight_files(folder)
    path = files[0] if len(files) == 1 else folder / INDEX
    weights = {name: weight for file in files for name, weight in read_part(file, _read_weights).items()}
    if config.num_hidden_layers > len(weights):
        raise CheckpointError(f"{path} holds {len(weights)} arrays, too few for the layers in config.json")
    _check_weights(weights, shapes_of(config), path)
    return weights


def _read_tokenizer(folder: Path) -> Tokenizer:
    return read_part(folder / "tokenizer.json", lambda path: Tokenizer.from_file(str(path)))


def _read_weights(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file. A bfloat16, which numpy lacks, is the upper half of a float32."""
    weights = {}
    for name, part in deserialize(path.read_bytes()):
        if (kind := part["dtype"]) not in NUMBERS:
            raise TypeError(f"{name} holds numbers of type {kind}; save the model in float32")
        numbers = np.frombuffer(part["data"], NUMBERS[kind]).reshape(part["shape"])
        weights[name] = (numbers.astype("<u4") << 16).view("<f4") if kind == "BF16" else numbers
    return weights


def read_part(path: Path, read: Callable[[Path], Any]) -> Any:
    """What `read` makes of a file of a checkpoint. Raises CheckpointError if the file is missing or broken."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    try:
        return read(path)
    except (OSError, CheckpointError, KeyboardInterrupt):  # it says what it is
        raise
    except BaseException as error:  # tokenizers raises bare Exception, and its panics are not even that
        raise CheckpointError(f"{path} is broken: {error}") from error


def _read_json(path: Path) -> SimpleNamespace:
    return read_part(path, lambda path: SimpleNamespace(**json.loads(path.read_text(encoding="utf-8"))))


def _check_config(config: SimpleNamespace, path: Path, numbers: Iterable[str] = LEAST) -> None:
    if getattr(config, "model_type", None) != "char_lstm":
        raise CheckpointError(f"{path}: model_type is not char_lstm")
    for name in numbers:
        value = getattr(config, name, None)
        if type(value) is not int or value < LEAST[name]:
            raise CheckpointError(f"{path}: {name} should be a whole number of at least {LEAST[name]}, got {value!r}")
    for name, known in CHOICES.items():
        value = getattr(config, name, None)
        if type(value) is not type(known[0]) or value not in known:
            raise CheckpointError(f"{path}: {name} should be one of {known}, got {value!r}")
    labels = getattr(config, "num_labels", 0)
    if type(labels) is not int or labels > MOST_LABELS:
        raise CheckpointError(f"{path}: num_labels should be at most {MOST_LABELS}, got {labels!r}")


def _check_generation_config(generation_config: SimpleNamespace, config: SimpleNamespace, path: Path) -> None:
    """It is tried on one draw."""
    try:
        settings = sampling_settings(generation_config)
        if type(settings.max_new_tokens) is not int:
            raise ValueError(f"max_new_tokens must be a whole number, got {settings.max_new_tokens!r}")
        choose(np.zeros((1, config.vocab_size)), settings, np.zeros((1, 1)))
    except (ValueError, TypeError, IndexError) as error:
        raise CheckpointError(f"{path} cannot be used for sampling: {error}") from error


def _check_weights(weights: dict[str, np.ndarray], expected: dict[str, tuple[int, ...]], path: Path) -> None:
    if missing := expected.keys() - weights.keys():
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}")
    if unknown := weights.keys() - expected.keys():
        raise CheckpointError(f"{path} holds {', '.join(sorted(unknown))}, which config.json has no place for")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise CheckpointError(f"{path}: {name} has shape {weights[name].shape}, but config.json needs {shape}")
        if weights[name].dtype.kind != "f" or not np.isfinite(weights[name]).all():
            raise CheckpointError(f"{path}: {name} holds values that are not finite numbers")


def _check_record(record: SimpleNamespace, folder: Path) -> None:
    """The figures that lie beside a model are its own."""
    for key, files in recorded_files(folder).items():
        measured, found = getattr(record, key, None), hash_files(files)
        if measured not in (None, found):
            raise CheckpointError(
                f"{', '.join(map(str, files))} is not the file that evaluation.json was measured on (sha256 "
                f"{found[:12]}, was {str(measured)[:12]}): download it again; if the change was intended, measure it "
                f"again (char-lstm evaluate --ignore_mismatched_hashes --json {folder / 'evaluation.json'}), or load "
                "it with ignore_mismatched_hashes"
            )


def _checked_tokenizer(path: Path, config: SimpleNamespace) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    vocabulary = tokenizer.get_vocab()
    resized_from = getattr(config, "alphabet_size", None)
    least = resized_from if type(resized_from) is int else config.vocab_size
    if not least <= len(vocabulary) <= config.vocab_size or set(vocabulary.values()) != set(range(len(vocabulary))):
        raise CheckpointError(
            f"{path} has {len(vocabulary)} tokens, but config.json says "
            f"vocab_size {config.vocab_size}: it belongs to another model"
        )
    if vocabulary.get(NEWLINE) != config.bos_token_id:
        raise CheckpointError(f"{path}: config.json says bos_token_id {config.bos_token_id}, which is not its newline")
    characters = [token for token in vocabulary if not token.isspace() and token not in JOINERS]
    as_read = [tokenizer.encode(2 * character, add_special_tokens=False).ids for character in characters]
    if tokenizer.normalizer is None or as_read != [2 * [vocabulary[character]] for character in characters]:
        raise CheckpointError(
            f"{path} is not one of our tokenizers: it does not read its own characters one by one; a token of your own "
            "is added by add_tokens(..., special_tokens=True), or the normaliser takes it apart"
        )
    return tokenizer
