"""The recipe of a training run: its settings, checked and with the way to read the text decided."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import torch
import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedTokenizerFast, TrainingArguments
from transformers.utils import is_torch_tf32_available

from ..configuration_char_lstm import CharLstmConfig
from ..errors import TrainingError
from ..paths import RECIPES
from .readings import reading_of
from .settings import DataSettings, ModelSettings, ReadingSettings, RunSettings, TargetSettings

SIZES = ("cell_type", "embedding_size", "hidden_size", "num_hidden_layers")
LARGE_ALPHABET = 300  # tokens; one-hot, a model of 300 has 5.1 MB and one of 3000 has 54, embedded 4.1 and 8.3
DEEPEST = 4  # lists or tables within each other in a recipe
EMBEDDING_SIZE = 128  # for a large alphabet
DROPOUTS = ("input_dropout", "hidden_dropout", "output_dropout", "locked_dropout")
# Where launchers say how many processes they have started.
LAUNCHED = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")

logger = logging.getLogger("train")


@dataclass
class Recipe(  # type: ignore[misc]  # report_to: one name here, several in the library
    DataSettings, ModelSettings, ReadingSettings, TargetSettings, RunSettings, TrainingArguments
):
    """A training run: the text, the model, `reading`, the class that reads it, and everything the Trainer knows.

    Raises:
        TrainingError: settings that exclude each other.
    """

    def __post_init__(self):
        if self.tf32 is None and is_torch_tf32_available():
            self.tf32 = True  # products of 10-bit fractions, summed in float32: cuDNN's layers use them in any case
        if not torch.accelerator.is_available():
            self.use_cpu = True  # the library wants to be told, to connect several processes
        super().__post_init__()
        check_connected(self.world_size)
        self.dataloader_pin_memory &= self.device.type == "cuda"
        if self.learning_rate_grid:
            self.learning_rate_grid = [float(rate) for rate in self.learning_rate_grid]  # YAML takes 5e-4 for a text
        self.reading = reading_of(self)


def check_connected(world_size: int) -> None:
    """Raises TrainingError if this is one of several processes that know nothing of each other: each would train a
    model of its own, into one folder."""
    for name in LAUNCHED:
        if int(os.environ.get(name) or 1) > max(world_size, 1):
            raise TrainingError(
                f"this is one of {os.environ[name]} processes ({name}), but they are not connected: "
                "start them with torchrun or accelerate launch"
            )


def model_config(recipe, tokenizer: PreTrainedTokenizerFast, **more: Any) -> CharLstmConfig:
    """The configuration of a new model of the recipe's sizes and dropouts for the tokenizer's alphabet, or words.

    Raises:
        TrainingError: a size or a rate that no model can have.
    """
    more |= {name: getattr(recipe, name) for name in SIZES + DROPOUTS if hasattr(recipe, name)}
    if more["embedding_size"] is None:
        more["embedding_size"] = EMBEDDING_SIZE if len(tokenizer) > LARGE_ALPHABET else 0
        if more["embedding_size"]:
            logger.info(
                "the alphabet is large (%d): characters are read as learnt vectors of %d, not one-hot",
                len(tokenizer),
                EMBEDDING_SIZE,
            )
    try:
        return CharLstmConfig(**token_ids(tokenizer), **more)
    except StrictDataclassError as error:
        raise TrainingError(str(error)) from error


def token_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What a configuration says of its tokenizer; words have no newline, and only items end."""
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.get_vocab().get("\n"),
        "eos_token_id": tokenizer.eos_token_id,
    }


def read_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe file: the name of a packaged recipe, such as `alice`, or a path.

    Raises:
        TrainingError: no such file, no YAML, or a setting that nobody knows.
    """
    packaged = {path.stem: path for path in RECIPES.glob("*.yaml")}
    path = Path(name) if Path(name).exists() else packaged.get(name, Path(name))
    try:
        text = path.read_text(encoding="utf-8")
        _check_flat(text)
        settings = yaml.safe_load(text) or {}
    except FileNotFoundError:
        names = ", ".join(sorted(packaged))
        raise TrainingError(f"--config {name}: no such file or packaged recipe; choose one of {names}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise TrainingError(f"{path} should hold lines of `setting: value`")
    kinds = {name: str(kind) for name, kind in get_type_hints(Recipe).items()}  # fields' types change in a parser
    if unknown := settings.keys() - kinds:
        raise TrainingError(f"{path} has unknown keys: {', '.join(sorted(map(str, unknown)))}")
    return {name: _as_typed(value, kinds[name], f"{path}: {name}") for name, value in settings.items()}


def _check_flat(text: str) -> None:
    """Raises ValueError at an alias, of which a few stand for gigabytes, and at brackets that would take hours."""
    depth = 0
    for event in yaml.parse(text):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
            raise ValueError("a recipe has no aliases, such as *name, and no lists within lists")


def _as_typed(value: Any, kind: str, where: str) -> Any:
    """A setting as the command line would give it, so that the same parser checks both; lists and tables as they are.

    Raises:
        TrainingError: a list or a table where there should be one value, or the other way round.
    """
    if value is None or (isinstance(value, dict) and "dict" in kind):
        return value
    if isinstance(value, list) and "list" in kind and not any(isinstance(part, list | dict) for part in value):
        return value
    if isinstance(value, list | dict) or kind.startswith("list"):
        raise TrainingError(f"{where} should be {'a list, such as [1, 2]' if 'list' in kind else 'one value'}")
    return str(value)
