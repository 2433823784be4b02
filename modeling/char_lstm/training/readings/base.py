"""What every way to read a text has in common."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import DataLoaderShard
from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub import snapshot_download
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback

from ...corpus.build import build_corpus, load_corpus
from ...corpus.sequences import FEATURES, cut_rows, encode_rows
from ...errors import CorpusError, TrainingError
from ...tokenization_char_lstm import normalise

DEFAULT_CORPUS = Path("data/alice")


class Reading:
    """How a run reads its text: its rows, its batches, its labels, and the settings that it excludes.

    This one reads a stored corpus.

    Args:
        recipe: the run's settings.
        tokenizer: that of the model to start from, which the text is encoded with; None takes the corpus's own.
    """

    option = ""  # of the command line, that asks for it
    corpus: DatasetDict  # the stored rows, or of a stream the first; a run knows its text by them
    tokenizer: PreTrainedTokenizerFast
    rows: Any  # the torch data set that the Trainer trains on

    def __init__(self, recipe, tokenizer: PreTrainedTokenizerFast | None = None):
        self.recipe = recipe
        self.corpus, own_tokenizer = open_corpus(recipe)
        self.tokenizer = tokenizer or own_tokenizer
        if tokenizer:
            self.corpus = DatasetDict({name: reencode(split, tokenizer) for name, split in self.corpus.items()})

    @classmethod
    def is_asked_for(cls, recipe) -> bool:
        return False

    @classmethod
    def clashes(cls, recipe) -> Iterator[str]:
        """A sentence for each thing in the recipe that this reading excludes."""
        yield from ()

    def training_rows(self) -> Dataset:
        """The rows of the training splits, of one or of several as in `train+validation`."""
        names = self.recipe.train_split.split("+")
        for name in names:
            if name not in self.corpus:
                raise TrainingError(
                    f"train_split {self.recipe.train_split}: the corpus has no split {name}; "
                    f"it has {', '.join(self.corpus)}"
                )
        return concatenate_datasets([self.corpus[name] for name in names])

    def held_out_rows(self) -> Dataset | None:
        """The rows to evaluate on, made up to whole batches for every process by rows of the newline alone; None where
        the validation split is trained on.

        The library would repeat real rows, and then no mean over rows is the one of a single process.
        """
        if "validation" in self.recipe.train_split.split("+"):
            return None
        rows, recipe = self.corpus["validation"], self.recipe
        wanted = recipe.per_device_eval_batch_size * recipe.world_size if recipe.world_size > 1 else 1
        missing = -len(rows) % wanted
        mask = [1] + [0] * (len(rows[0]["input_ids"]) - 1)
        blank = rows[0] | {"text": "", "attention_mask": mask, "length": 1}
        blanks = Dataset.from_dict({name: [value] * missing for name, value in blank.items()}, features=rows.features)
        return concatenate_datasets([rows, blanks]).with_format("torch")

    def loader(self, trainer: Trainer) -> DataLoader:
        """The batches of an epoch; here those of the library, in random order."""
        return Trainer.get_train_dataloader(trainer)

    def callbacks(self, checkpoint: Path | None) -> list[TrainerCallback]:
        """What keeps this reading's place in checkpoints; `checkpoint` is the one to go on from."""
        return []

    def begin_step(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """A batch as the model takes it."""
        return inputs

    def end_step(self, outputs: Any) -> None:
        """Sees what the model returned for the batch."""


def process_loader(rows: torch.utils.data.Dataset, recipe, **batching: Any) -> DataLoader:
    """A loader whose batches are this process's already."""
    return DataLoaderShard(
        rows,
        device=recipe.device,
        num_workers=recipe.dataloader_num_workers,
        pin_memory=recipe.dataloader_pin_memory,
        **batching,
    )


def open_corpus(recipe) -> tuple[DatasetDict, PreTrainedTokenizerFast]:
    """The recipe's corpus, built first where none is named, and the tokenizer that lies beside it."""
    if recipe.dataset is None:
        recipe.dataset = str(DEFAULT_CORPUS)
        if not DEFAULT_CORPUS.exists():
            build_corpus(DEFAULT_CORPUS)
    source = recipe.dataset
    if not Path(source).is_dir():
        try:
            source = snapshot_download(source, repo_type="dataset", allow_patterns="tokenizer*")
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CorpusError(f"--dataset {source}: no such folder here, and the Hub gives none: {reason}") from error
    return load_corpus(recipe.dataset), PreTrainedTokenizerFast.from_pretrained(source)


def reencode(split: Dataset, tokenizer: PreTrainedTokenizerFast) -> Dataset:
    """A split encoded by another tokenizer; characters that its alphabet lacks are named and left out."""
    max_length = len(split[0]["input_ids"])
    text = normalise(tokenizer, "".join(split["text"]))
    if not text.strip():
        raise TrainingError("nothing is left of the text in the alphabet of the model to start from")
    rows = cut_rows(text, max_length)
    return Dataset.from_dict(encode_rows({"text": rows}, tokenizer, max_length), features=FEATURES)
