# /// script
# requires-python = ">=3.11"
# dependencies = ["char-lstm[train] @ https://github.com/char-lstm/char-lstm/archive/refs/heads/main.zip"]
# ///
"""Trains a character model with the Hugging Face Trainer; the defaults are the assignment, `configs/alice.yaml`.

    python scripts/train.py --config scripts/configs/alice.yaml
    python scripts/train.py --dataset data/mine --output_dir runs/mine --num_train_epochs 30
    python scripts/train.py --dataset data/mine --output_dir runs/mine --init_from modeling/pretrained/alice
    uv run train.py --output_dir runs/alice --push_to_hub --hub_model_id USER/alice-char-lstm

The last line needs this file alone: its header above brings the rest, the other scripts included. `--push_to_hub`
tests, packages and publishes the result.

The command line overrides the YAML, the YAML overrides the defaults, and every field of `TrainingArguments` is known to
both. Run the same command again after an interruption and it goes on from the last whole checkpoint.
"""

import dataclasses
import hashlib
import json
import logging
import math
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml
from accelerate import PartialState
from accelerate.data_loader import DataLoaderShard
from accelerate.utils import set_seed
from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch.nn.utils.rnn import pad_sequence
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler
from transformers import (
    GenerationConfig,
    HfArgumentParser,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import is_torch_tf32_available

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts know each other as scripts.x

from char_lstm import CharLstmConfig, CharLstmForCausalLM, generate_text, load, normalise
from char_lstm.loading import CheckpointError
from char_lstm.modeling_char_lstm import RecurrentCache
from scripts import evaluate, package, publish
from scripts.build_corpus import (
    FEATURES,
    BuildArguments,
    CorpusError,
    build_corpus,
    cut_rows,
    encode_rows,
    lengths_of,
    load_corpus,
)
from scripts.files import write_json
from scripts.ngram import cross_fitted
from scripts.streaming import Documents, TextStream

logger = logging.getLogger("train")

DEFAULT_CORPUS = Path("data/alice")
RUN_RECORD = "run.json"  # what this output folder is the result of
COMPLETE = "complete.json"  # written into a checkpoint after its last file: name and size of each
AVERAGE = "average.safetensors"  # the averaged weights in a checkpoint
LANES = "lanes.safetensors"  # the state within an epoch, in a checkpoint
SAMPLES = "samples.json"  # what the model wrote, by epoch
FIRST_SAMPLES, SAMPLE_EVERY = (1, 5), 10  # epochs
FOLDS = 40  # stretches of the text that are counted without
SMOOTHED_UP_TO = 2**26  # probabilities, one for each character of the text and of the alphabet
UNRECORDED = {  # settings that another machine may have otherwise
    *("output_dir", "logging_dir", "run_name", "disable_tqdm", "report_to", "resume_from_checkpoint", "config"),
    *("push_to_hub", "hub_model_id", "hub_private_repo", "tf32", "dataloader_pin_memory"),
}


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says why and what to do."""


EXPECTED = (TrainingError, CheckpointError, CorpusError, StrictDataclassError, OSError)
EXPECTED += (publish.PublishError, HFValidationError)


@dataclass
class Recipe(TrainingArguments):
    """A training run: the model, the data, and everything the Trainer knows. The defaults are alice.yaml's."""

    config: str | None = field(default=None, metadata={"help": "A YAML file of these fields."})
    dataset: str | None = field(
        default=None, metadata={"help": "A folder written by build_corpus.py or an id on the Hub; default: Alice."}
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read `dataset`, files or a Hub id, as it is needed; takes --max_steps."}
    )
    text_column: str = field(default="text", metadata={"help": "A stream's column of text."})
    tokenizer: str | None = field(
        default=None,
        metadata={"help": "A stream's tokenizer, in a folder or on the Hub, unless --init_from brings it."},
    )
    train_split: str = field(
        default="train", metadata={"help": "`train+validation` for a final run, which holds out the test split alone."}
    )
    init_from: str | None = field(
        default=None, metadata={"help": "Start from this model (folder or id), with its tokenizer and its sizes."}
    )
    cell_type: Literal["lstm", "gru", "rnn"] = field(default="lstm", metadata={"help": "The recurrent cell."})
    embedding_size: int = field(default=0, metadata={"help": "Width of the character vectors; 0: one-hot."})
    hidden_size: int = field(default=256, metadata={"help": "Units of a layer."})
    num_hidden_layers: int = field(default=2, metadata={"help": "Recurrent layers."})
    input_dropout: float = field(default=0.1, metadata={"help": "Dropout on the input; on one-hots, of characters."})
    hidden_dropout: float = field(default=0.1, metadata={"help": "Dropout between the layers."})
    output_dropout: float = field(default=0.0, metadata={"help": "Dropout before the dense layer."})
    locked_dropout: bool = field(default=False, metadata={"help": "Drop the same units at every character of a row."})

    row_length: int = field(
        default=128, metadata={"help": "Join sentences that follow each other to rows of about this length; 0: do not."}
    )
    window_length: int = field(
        default=0, metadata={"help": "Random windows of this many characters with one target each; 0: sentences."}
    )
    stateful: bool = field(
        default=False,
        metadata={"help": "Cut the text into as many lanes as a batch has rows and carry the state along each."},
    )
    ngram_smoothing: float = field(
        default=0.7, metadata={"help": "Share of the target that is what counting expects; the rest is the character."}
    )
    ngram_order: int = field(default=9, metadata={"help": "Longest n-gram that is counted."})
    ema_decay: float = field(
        default=0.999,
        metadata={"help": "The model is an average of the weights that keeps this much a step; 0: none."},
    )

    output_dir: str | None = field(default="runs/alice", metadata={"help": "Checkpoints, logs, and the model."})
    num_train_epochs: float = field(default=100, metadata={"help": "Times through the training rows."})
    per_device_train_batch_size: int = field(default=8, metadata={"help": "Rows of a step."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "Rows of an evaluation step."})
    learning_rate: float = field(default=3e-3, metadata={"help": "Peak learning rate of AdamW."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Shape of the learning rate."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps of rising rate; below 1 a share of all."})
    weight_decay: float = field(default=0.1, metadata={"help": "AdamW's, on matrices alone."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to measure the validation split."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to write a checkpoint."})
    logging_strategy: str = field(default="epoch", metadata={"help": "When to log the training loss."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept: one may be torn."})
    prediction_loss_only: bool = field(default=True, metadata={"help": "Evaluation needs the loss alone."})
    use_cache: bool = field(default=True, metadata={"help": "Saved with the model, which then returns its state."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hiding a diverged loss helps nobody."})
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "Every weight is used."})
    report_to: str | None = field(default="tensorboard", metadata={"help": "Where the logs go."})

    def __post_init__(self):
        if self.tf32 is None and is_torch_tf32_available():
            self.tf32 = True  # products of 10-bit fractions, summed in float32: cuDNN's layers use them in any case
        super().__post_init__()
        self.dataloader_pin_memory &= self.device.type == "cuda"


def read_yaml(path: Path) -> dict:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise TrainingError(f"{path} is no YAML: {error}") from error
    if not isinstance(settings, dict):
        raise TrainingError(f"{path} should hold lines of `setting: value`")
    return settings


def parse(argv: list[str] | None) -> Recipe:
    """Defaults, then the YAML that `--config` names, then the command line; an unknown key is an error."""
    parser = HfArgumentParser(Recipe, description=__doc__, allow_abbrev=False)
    known, _ = parser.parse_known_args(argv)
    if known.config:
        settings = read_yaml(Path(known.config))
        names = {entry.name for entry in dataclasses.fields(Recipe)}
        if unknown := settings.keys() - names:
            parser.error(f"{known.config} has unknown keys: {', '.join(sorted(unknown))}")
        parser.set_defaults(**settings)
    recipe, unknown = parser.parse_args_into_dataclasses(argv, return_remaining_strings=True)
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    return recipe


# Data


def read_corpus(recipe: Recipe) -> tuple[DatasetDict, PreTrainedTokenizerFast]:
    """The corpus and its tokenizer, which lies beside it."""
    if recipe.dataset is None:
        recipe.dataset = str(DEFAULT_CORPUS)
        if not DEFAULT_CORPUS.exists():
            build_corpus(DEFAULT_CORPUS)
    source = recipe.dataset
    if not Path(source).is_dir():
        source = snapshot_download(source, repo_type="dataset", allow_patterns="tokenizer*")
    return load_corpus(recipe.dataset), PreTrainedTokenizerFast.from_pretrained(source)


def fingerprint(corpus: DatasetDict) -> str:
    """A hash of every row in order, split by split."""
    digest = hashlib.sha256()
    for name, split in corpus.items():
        digest.update(name.encode())
        for text in split["text"]:
            digest.update(text.encode())
            digest.update(b"\0")
    return digest.hexdigest()


def training_rows(corpus: DatasetDict, splits: str) -> Dataset:
    """The rows of one split or of several, as in `train+validation`."""
    for name in splits.split("+"):
        if name not in corpus:
            raise TrainingError(f"train_split {splits}: the corpus has no split {name}; it has {', '.join(corpus)}")
    return concatenate_datasets([corpus[name] for name in splits.split("+")])


def held_out_rows(recipe: Recipe, rows: Dataset) -> Dataset:
    """The rows to evaluate on, made up to whole batches for every process by rows of the newline alone.

    The library would repeat real rows, and then no mean over rows is the one of a single process.
    """
    wanted = recipe.per_device_eval_batch_size * recipe.world_size if recipe.world_size > 1 else 1
    missing = -len(rows) % wanted
    mask = [1] + [0] * (len(rows[0]["input_ids"]) - 1)
    blank = rows[0] | {"text": "", "attention_mask": mask, "length": 1}
    blanks = Dataset.from_dict({name: [value] * missing for name, value in blank.items()}, features=rows.features)
    return concatenate_datasets([rows, blanks]).with_format("torch")


class Sentences(torch.utils.data.Dataset):
    """The rows of a corpus without their padding; `sentences[first, last]` are those from `first` to before `last`,
    joined as they follow each other in the text. They are read as they are needed, so the corpus may be a large one.

    `expected` (characters, vocab): what else there is to learn of every character of the text, its n-gram
    distribution; a row then carries its own part of it.
    """

    def __init__(self, rows: Dataset, expected: np.ndarray | None = None):
        self.lengths = torch.from_numpy(lengths_of(rows)) - 1  # (rows,), the newline in front left out
        self.rows = rows.with_format("torch", columns=["input_ids"])
        self.ends = self.lengths.cumsum(0)  # of each row in the text
        self.expected = expected

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, span: tuple[int, int]) -> dict[str, torch.Tensor]:
        first, last = span
        rows = self.rows[first : max(last, first + 1)]["input_ids"]  # (sentences, max_length)
        kept = torch.arange(rows.shape[1]) <= self.lengths[first : first + len(rows)].unsqueeze(1)
        kept[1:, 0] = False  # one newline in front is enough
        kept[last - first :, 1:] = False  # and all there is of a row of no sentence
        input_ids = rows[kept]  # (time,)
        row = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
        if self.expected is not None:
            start = self.ends[first] - self.lengths[first]
            span = slice(start, start + len(input_ids) - 1)
            row["expected"] = torch.from_numpy(self.expected[span]).float()  # (time - 1, vocab): none of the newline
        return row

    def ids(self) -> torch.Tensor:
        """The whole text, the newline in front included: (characters + 1,)."""
        pieces = [self[first, min(first + 1000, len(self))]["input_ids"] for first in range(0, len(self), 1000)]
        return torch.cat([pieces[0], *(piece[1:] for piece in pieces[1:])])


class Windows(torch.utils.data.Dataset):
    """The tutorial's rows: each stretch of `length` characters of a text, with the next one as its only target."""

    def __init__(self, rows: Dataset, length: int):
        self.length = length
        self.ids = Sentences(rows).ids()[1:]  # (characters,)
        if len(self.ids) <= length:
            raise TrainingError(f"the text has {len(self.ids)} characters, too few for --window_length {length}")

    def __len__(self) -> int:
        return len(self.ids) - self.length

    def __getitem__(self, start: int) -> dict[str, torch.Tensor]:
        input_ids = self.ids[start : start + self.length + 1]
        is_target = torch.arange(self.length + 1) == self.length
        labels = input_ids.masked_fill(~is_target, -100)
        return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}


class Lanes(torch.utils.data.Dataset):
    """A text in as many stretches as a batch has rows, which are read side by side, `length` characters a batch: row
    `step * lanes + lane`. Each row goes on where the lane's last one ended, for a state that is carried along.

    Labels are the next characters, (time,), already shifted. The last lane begins a little early, so that all have
    one length; `expected` is that of `Sentences`.
    """

    def __init__(self, rows: Dataset, lanes: int, length: int, expected: np.ndarray | None = None):
        self.ids = Sentences(rows).ids()  # (characters + 1,): the newline in front
        self.lanes, self.length, self.expected = lanes, length, expected
        characters = len(self.ids) - 1
        self.lane_length = -(-characters // lanes)
        self.starts = (torch.arange(lanes) * self.lane_length).clamp(max=characters - self.lane_length).tolist()

    def __len__(self) -> int:
        return self.lanes * -(-self.lane_length // self.length)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        step, lane = divmod(row, self.lanes)
        start, end = self.starts[lane] + step * self.length, self.starts[lane] + self.lane_length
        span = slice(start, min(start + self.length, end))
        input_ids, labels = self.ids[:-1][span], self.ids[1:][span]
        row = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}
        if self.expected is not None:
            row["expected"] = torch.from_numpy(self.expected[span]).float()  # (time, vocab)
        return row


class JoinedSentences(Sampler):
    """An epoch: every sentence once, joined to rows of about `row_length` that begin elsewhere each time, in batches.

    A row that goes on past a sentence's end teaches how the next one begins. Rows of like length come in the same
    step, so that little of it is padding, and the steps in random order. Where the rows do not fill whole steps,
    half of the rest is a step of the shortest rows and half one of the longest, whose lengths differ most.

    A step's rows are the same however many processes and accumulated batches share them. Where there are fewer rows
    than shares, a batch is one row of no sentence: the newline alone, which teaches nothing.

    Args:
        lengths: (sentences,), in characters.
        row_length: characters of a row; 0 leaves each sentence in a row of its own.
        batch_size: rows of a batch.
        seed: of the order and the cuts, which differ from epoch to epoch (`set_epoch`) and are the same after a resume.
        accumulated: batches that a process reads for one step.
        processes: how many read the text together.
        process: which of them this one is.
    """

    def __init__(
        self,
        lengths: torch.Tensor,
        row_length: int,
        batch_size: int,
        seed: int = 0,
        *,
        accumulated: int = 1,
        processes: int = 1,
        process: int = 0,
    ):
        self.ends, self.seed, self.epoch = lengths.cumsum(0), seed, 0
        self.accumulated, self.processes, self.process = accumulated, processes, process
        batch_size *= accumulated * processes  # from here on of a step
        wanted = -(-int(self.ends[-1]) // row_length) if row_length else len(lengths)
        self.rows = min(wanted, len(lengths))
        whole, rest = divmod(self.rows, batch_size)
        self.sizes = [size for size in (rest // 2, *[batch_size] * whole, rest - rest // 2) if size]

    def __len__(self) -> int:
        return len(self.sizes) * self.accumulated

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def cuts(self, generator: torch.Generator) -> torch.Tensor:
        """Where rows begin and end, (rows + 1,), as numbers of sentences: near even shares of the text, shifted."""
        inner = torch.arange(1, self.rows)
        shares = (inner + torch.rand((), generator=generator) - 0.5) / self.rows  # of the text before each cut
        cuts = torch.searchsorted(self.ends, (shares * self.ends[-1]).long())
        cuts = (cuts - inner).clamp(min=0).cummax(0).values + inner  # a sentence at least in every row,
        cuts = torch.minimum(cuts, len(self.ends) - self.rows + inner)  # those at the end included
        return torch.cat([torch.tensor([0]), cuts, torch.tensor([len(self.ends)])])

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        cuts = self.cuts(generator)
        ends = torch.cat([torch.tensor([0]), self.ends])[cuts]
        shuffled = torch.randperm(self.rows, generator=generator)
        by_length = shuffled[ends.diff()[shuffled].argsort(stable=True)]  # rows of one length in random order
        steps, spans = by_length.split(self.sizes), list(pairwise(cuts.tolist()))
        for number in torch.randperm(len(steps), generator=generator).tolist():
            shares = steps[number].tensor_split(self.accumulated * self.processes)
            for share in shares[self.process :: self.processes]:
                yield [spans[row] for row in share.tolist()] or [(0, 0)]


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """A batch, (batch, time), without the columns that are padding in every row; pads carry no label.

    `expected` (batch, predictions, vocab), where the rows have it, is zero at pads.
    """
    lengths = torch.tensor([int(row["attention_mask"].sum()) for row in rows])  # (batch,)
    input_ids = pad_sequence([row["input_ids"][:length] for row, length in zip(rows, lengths, strict=True)], True)
    attention_mask = (torch.arange(input_ids.shape[1]) < lengths.unsqueeze(1)).long()
    labels = [row.get("labels", row["input_ids"])[:length] for row, length in zip(rows, lengths, strict=True)]
    batch = {
        "input_ids": input_ids,  # a pad is 0, the tokenizer's first token
        "attention_mask": attention_mask,
        "labels": pad_sequence(labels, True, padding_value=-100),
    }
    if "expected" in rows[0]:
        batch["expected"] = pad_sequence([row["expected"] for row in rows], True)
    return batch


def counted_expectations(recipe: Recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> np.ndarray | None:
    """For each character of the text the distribution that its n-grams give it, (characters, vocab)."""
    characters = int((lengths_of(rows) - 1).sum())
    if not recipe.ngram_smoothing:
        return None
    if characters * len(tokenizer) > SMOOTHED_UP_TO:
        logger.info("a text of %d characters is hard to learn by heart: no n-gram smoothing", characters)
        return None
    text = "".join(rows["text"])
    ids = np.array(tokenizer.convert_tokens_to_ids(list(text)))
    return cross_fitted(ids, len(tokenizer), recipe.ngram_order, FOLDS)


def training_set(recipe: Recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> Sentences | Windows | Lanes:
    if recipe.window_length:
        return Windows(rows, recipe.window_length)
    expected = counted_expectations(recipe, rows, tokenizer)
    if not recipe.stateful:
        return Sentences(rows, expected)
    if recipe.world_size > 1 or not recipe.row_length:
        raise TrainingError("--stateful carries the state within one process, from rows of --row_length to the next")
    return Lanes(rows, recipe.train_batch_size, recipe.row_length, expected)


def streamed_batches(rows: list[str], seed: int, recipe: Recipe, tokenizer: PreTrainedTokenizerFast):
    """The batches of a block of a stream, which is a little epoch."""
    lengths = torch.tensor([len(row) for row in rows])
    for spans in JoinedSentences(lengths, recipe.row_length, recipe.train_batch_size, seed):
        texts = ["".join(rows[first:last]) for first, last in spans]
        encoded = encode_rows({"text": texts}, tokenizer, 1 + max(map(len, texts)))
        input_ids, mask = (torch.from_numpy(encoded[name]).long() for name in ("input_ids", "attention_mask"))
        yield {"input_ids": input_ids, "attention_mask": mask, "labels": input_ids.masked_fill(mask == 0, -100)}


def open_stream(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> TextStream:
    """The recipe's text as this process reads it."""
    return TextStream(
        Documents(recipe.dataset, recipe.text_column),
        tokenizer,
        partial(streamed_batches, recipe=recipe, tokenizer=tokenizer),
        length=recipe.max_steps * recipe.gradient_accumulation_steps,
        max_length=BuildArguments.max_length,
        seed=recipe.seed,
        workers=recipe.dataloader_num_workers,
        processes=recipe.world_size,
        process=recipe.process_index,
        hold_out="validation" not in recipe.train_split.split("+"),
    )


# Model


def make_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> CharLstmForCausalLM:
    """A new model of the recipe's sizes for the tokenizer's alphabet."""
    config = CharLstmConfig(
        vocab_size=len(tokenizer),
        embedding_size=recipe.embedding_size,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.num_hidden_layers,
        cell_type=recipe.cell_type,
        input_dropout=recipe.input_dropout,
        hidden_dropout=recipe.hidden_dropout,
        output_dropout=recipe.output_dropout,
        locked_dropout=recipe.locked_dropout,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.convert_tokens_to_ids("\n"),
    )
    model = CharLstmForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_k=0,
        top_p=0.95,
        max_new_tokens=500,  # "Predict 500 characters only"
        suppress_tokens=[config.pad_token_id],
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
    )
    return model


def start(recipe: Recipe):
    """The corpus, the tokenizer and the model to train."""
    corpus, tokenizer = read_corpus(recipe)
    if not recipe.init_from:
        return corpus, tokenizer, make_model(recipe, tokenizer)
    model, tokenizer = load_to_tune(recipe)
    return DatasetDict({name: read_anew(split, tokenizer) for name, split in corpus.items()}), tokenizer, model


def start_stream(recipe: Recipe):
    """The first block of a text, by which the run knows it again, the tokenizer, the model to train, and the stream."""
    if recipe.dataset is None or recipe.max_steps <= 0 or recipe.window_length or recipe.stateful:
        raise TrainingError(
            "a stream has no end, and its rows come in any order: give --dataset and --max_steps, and neither "
            "--window_length nor --stateful"
        )
    if recipe.init_from:
        model, tokenizer = load_to_tune(recipe)
    elif recipe.tokenizer:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(recipe.tokenizer)
        model = make_model(recipe, tokenizer)
    else:
        raise TrainingError(
            "a stream is not read for its alphabet first: give --tokenizer, say that of a corpus which build_corpus.py "
            "made of a part of the text, or --init_from"
        )
    stream = open_stream(recipe, tokenizer)
    recipe.ignore_data_skip = True  # the stream itself knows where it was
    rows = encode_rows({"text": stream.first_rows()}, tokenizer, stream.max_length)
    return DatasetDict(validation=Dataset.from_dict(rows, features=FEATURES)), tokenizer, model, stream


def load_to_tune(recipe: Recipe) -> tuple[CharLstmForCausalLM, PreTrainedTokenizerFast]:
    """The model to start from, with the recipe's dropout, and its tokenizer."""
    model, tokenizer = load(recipe.init_from)
    for name in ("input_dropout", "hidden_dropout", "output_dropout", "locked_dropout"):
        setattr(model.config, name, getattr(recipe, name))
    known, model = model, CharLstmForCausalLM(model.config)  # made anew, with the recipe's dropout
    model.load_state_dict(known.state_dict())
    model.generation_config = known.generation_config
    return model, tokenizer


def read_anew(split: Dataset, tokenizer: PreTrainedTokenizerFast) -> Dataset:
    """A split as another tokenizer reads it: what its alphabet lacks is named and left out."""
    max_length = len(split[0]["input_ids"])
    text = normalise(tokenizer, "".join(split["text"]))
    if not text.strip():
        raise TrainingError("nothing is left of the text in the alphabet of the model to start from")
    rows = cut_rows(text, max_length)
    return Dataset.from_dict(encode_rows({"text": rows}, tokenizer, max_length), features=FEATURES)


# The run


class CharTrainer(Trainer):
    """The library's Trainer on joined sentences, with a held-out loss per character and a stop when it is no number.

    Args:
        averaging: the average of the weights to evaluate and to end with, if any.
        carrying: the state that each lane's rows leave to the next, if the training set is one of lanes.
    """

    def __init__(self, *, averaging: "AverageWeights | None" = None, carrying: "CarryState | None" = None, **kwargs):
        super().__init__(**kwargs)
        self.averaging, self.carrying = averaging, carrying
        for callback in filter(None, (averaging, carrying)):
            self.add_callback(callback)

    def get_train_dataloader(self) -> DataLoader:
        if self.args.window_length:
            return super().get_train_dataloader()
        options = {
            "device": self.args.device,
            "num_workers": self.args.dataloader_num_workers,
            "pin_memory": self.args.dataloader_pin_memory,
        }  # of a loader whose batches are this process's already
        if self.args.streaming:
            own = torch.Generator()  # so that making the loader after an interruption draws no number of the model's
            return DataLoaderShard(self.train_dataset, batch_size=None, generator=own, **options)
        if self.args.stateful:
            batches = BatchSampler(SequentialSampler(self.train_dataset), self._train_batch_size, drop_last=False)
        else:
            batches = JoinedSentences(
                self.train_dataset.lengths,
                self.args.row_length,
                self._train_batch_size,
                seed=self.args.data_seed or self.args.seed,
                accumulated=self.args.gradient_accumulation_steps,
                processes=self.args.world_size,
                process=self.args.process_index,
            )
        return DataLoaderShard(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator, **options)

    def averaged(self) -> AbstractContextManager:
        """While it lasts, the model has its averaged weights."""
        return self.averaging.swapped_in(self.model) if self.averaging else nullcontext()

    @cached_property
    def characters_per_row(self) -> float:
        """Targets of an average held-out row: all but the newline that starts it."""
        return lengths_of(self.eval_dataset).mean() - 1

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        if not model.training:  # the library averages these over rows; so divided, that is the average over characters
            num_items_in_batch = len(inputs["labels"]) * self.characters_per_row * processes
        expected = inputs.pop("expected", None)  # (batch, predictions, vocab)
        if carrying := self.carrying if model.training else None:
            inputs |= {"shift_labels": inputs["labels"], "past_key_values": carrying.state, "use_cache": True}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if carrying:
            carrying.keep(outputs.past_key_values)
        if expected is not None:
            characters = expected.sum() if num_items_in_batch is None else num_items_in_batch / processes
            predictions = outputs.logits[:, : expected.shape[1]].log_softmax(-1)
            by_counting = -(expected * predictions).sum() / characters
            loss = torch.lerp(loss, by_counting, self.args.ngram_smoothing)
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model, inputs, *args, **kwargs):
        if place := inputs.pop("place", None):
            self.train_dataset.note(place)
        loss = super().training_step(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            self._diverged(f"the training loss became {loss.item()}")
        return loss

    def evaluate(self, *args, **kwargs):
        with self.averaged():
            metrics = super().evaluate(*args, **kwargs)
        if not math.isfinite(metrics.get("eval_loss", 0.0)):
            self._diverged(f"the held-out loss became {metrics['eval_loss']}")
        return metrics

    def _save_checkpoint(self, *args, **kwargs):
        with writing("a checkpoint", self.args.output_dir):
            super()._save_checkpoint(*args, **kwargs)

    def _diverged(self, what: str):
        last = last_whole_checkpoint(Path(self.args.output_dir))
        raise TrainingError(
            f"{what} at step {self.state.global_step + 1} (epoch {self.state.epoch:.2f}): the steps were too large "
            f"for this model and data. Try a lower --learning_rate (now {self.args.learning_rate}) or a lower "
            f"--max_grad_norm (now {self.args.max_grad_norm}). Last good checkpoint: {last or 'none yet'}"
        )


class MarkWholeCheckpoints(TrainerCallback):
    """Writes the completion mark into a checkpoint once all of its files are there, those of every process."""

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()
        if not args.should_save:
            return
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        files = [file for file in checkpoint.iterdir() if file.name != COMPLETE]
        with writing("a checkpoint", args.output_dir):
            write_json(checkpoint / COMPLETE, {file.name: file.stat().st_size for file in files})


class KeepPlaces(TrainerCallback):
    """Writes into each checkpoint where a stream is read on, and counts the run as one epoch."""

    def __init__(self, stream: TextStream, checkpoint: Path | None):
        self.stream = stream
        if checkpoint:
            stream.go_on_from(checkpoint)

    def on_step_end(self, args, state, control, **kwargs):
        state.epoch = state.global_step / state.max_steps  # the library starts anew after an interruption

    def on_save(self, args, state, control, **kwargs):
        with writing("a checkpoint", args.output_dir):
            self.stream.save(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class AverageWeights(TrainerCallback):
    """An exponential moving average of the weights, which becomes the model at the end (Polyak and Juditsky 1992).

    It lies in each checkpoint, so that a run that was interrupted ends with the same average.
    """

    def __init__(self, decay: float, checkpoint: Path | None):
        self.decay, self.checkpoint = decay, checkpoint

    def on_train_begin(self, args, state, control, model, **kwargs):
        self.average = AveragedModel(model, multi_avg_fn=self.update)
        if self.checkpoint:
            load_model(self.average, self.checkpoint / AVERAGE)

    def update(self, averages: list, weights: list, steps: torch.Tensor):
        keeps = min(self.decay, (1 + int(steps)) / (10 + int(steps)))  # a short run is not mostly its first weights
        get_ema_multi_avg_fn(keeps)(averages, weights, steps)

    def on_step_end(self, args, state, control, model, **kwargs):
        self.average.update_parameters(model)

    def on_save(self, args, state, control, **kwargs):
        if not args.should_save:
            return
        with writing("a checkpoint", args.output_dir):
            save_model(self.average, Path(args.output_dir) / f"checkpoint-{state.global_step}" / AVERAGE)

    def on_train_end(self, args, state, control, model, **kwargs):
        if args.load_best_model_at_end and state.best_model_checkpoint:
            load_model(self.average, Path(state.best_model_checkpoint) / AVERAGE)
        model.load_state_dict(self.average.module.state_dict())

    @contextmanager
    def swapped_in(self, model):
        """The model with the averaged weights, for a while."""
        weights = {name: weight.clone() for name, weight in model.state_dict().items()}
        model.load_state_dict(self.average.module.state_dict())
        try:
            yield
        finally:
            model.load_state_dict(weights)


class CarryState(TrainerCallback):
    """The state that each lane's rows leave to the next, without its gradient; lanes begin anew in every epoch.

    It lies in a checkpoint that is written within an epoch.
    """

    def __init__(self, checkpoint: Path | None):
        self.state, self.checkpoint = None, checkpoint

    def keep(self, state: RecurrentCache) -> None:
        self.state = RecurrentCache([(h.detach(), c.detach()) for h, c in state.states], state.get_seq_length())

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.state = None
        if self.checkpoint and (self.checkpoint / LANES).exists():
            states = load_file(self.checkpoint / LANES, device=str(args.device))["states"]  # (layers, 2, batch, hidden)
            self.state = RecurrentCache([(h, c) for h, c in states], seen=0)
        self.checkpoint = None

    def on_save(self, args, state, control, **kwargs):
        if not state.epoch % 1:  # the next row begins an epoch
            return
        states = torch.stack([torch.stack(layer) for layer in self.state.states])
        with writing("a checkpoint", args.output_dir):
            save_file({"states": states}, Path(args.output_dir) / f"checkpoint-{state.global_step}" / LANES)


class StopInTime(TrainerCallback):
    """After SIGTERM, which a machine gets that is taken away: the step is finished, a checkpoint written, and no more.

    Not the library's `enable_jit_checkpoint`: it may cut a step in two, and its checkpoints lack what `on_save` adds.
    """

    def __init__(self, trainer: CharTrainer):
        self.accelerator, self.told = trainer.accelerator, False

    @contextmanager
    def listening(self):
        before = signal.signal(signal.SIGTERM, lambda *_: self.accelerator.set_trigger())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def on_step_end(self, args, state, control, **kwargs):
        if self.accelerator.check_trigger():  # of any process, so that all stop after the same step
            self.told = control.should_training_stop = True

    def on_epoch_end(self, args, state, control, **kwargs):
        if self.told:
            control.should_save = True
            if state.epoch % 1:  # there is no loss of a part of an epoch
                control.should_log = control.should_evaluate = False


class WatchItLearn(TrainerCallback):
    """Logs what the model writes after some epochs, always from the same seed, and keeps it in samples.json."""

    def __init__(self, trainer: CharTrainer):
        self.trainer = trainer

    def on_epoch_end(self, args, state, control, model, **kwargs):
        epoch = round(state.epoch)
        path = Path(args.output_dir) / SAMPLES
        cut_off = state.epoch % 1 and path.exists()
        if not args.should_save or cut_off or not (epoch in FIRST_SAMPLES or epoch % SAMPLE_EVERY == 0):
            return
        with self.trainer.averaged():
            text = generate_text(model, self.trainer.processing_class, seed=args.seed)
        logger.info("epoch %d writes:\n%s", epoch, text)
        samples = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, samples | {f"{epoch:03}": text})


def last_whole_checkpoint(output_dir: Path) -> Path | None:
    """The newest checkpoint whose files are all there, at the sizes that its mark lists."""
    for checkpoint in sorted(output_dir.glob("checkpoint-*"), key=_step_of, reverse=True):
        if is_whole(checkpoint):
            return checkpoint
    return None


def is_whole(checkpoint: Path) -> bool:
    try:
        sizes = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


@contextmanager
def writing(what: str, output_dir: str | Path) -> Iterator[None]:
    """Ends a run whose disk is full, for which torch, safetensors and tokenizers have an error of their own each."""
    try:
        yield
    except Exception as error:
        last = last_whole_checkpoint(Path(output_dir))
        raise TrainingError(
            f"cannot write {what} into {output_dir}: {error}. Last good checkpoint: {last or 'none yet'}; "
            "with room on the disk the same command goes on from there"
        ) from error


def claim(recipe: Recipe, corpus: DatasetDict) -> Path | None:
    """Makes the output folder this run's and nobody else's; returns the checkpoint to go on from.

    Of several processes one writes, and the others look after it has.

    Raises:
        TrainingError: the folder holds a run of other data or other settings.
    """
    output_dir = Path(recipe.output_dir)
    settings = {name: value for name, value in recipe.to_dict().items() if name not in UNRECORDED}
    record = json.loads(json.dumps({"data": fingerprint(corpus), "settings": settings}, default=str))
    if (output_dir / RUN_RECORD).exists():
        differences = _differences(json.loads((output_dir / RUN_RECORD).read_text(encoding="utf-8")), record)
        if differences:
            raise TrainingError(
                f"{output_dir} holds another run: {'; '.join(differences)}. "
                "Choose another --output_dir, or remove that folder first."
            )
    elif output_dir.exists() and any(output_dir.glob("checkpoint-*")):
        raise TrainingError(f"{output_dir} holds checkpoints of unknown origin. Choose another --output_dir.")
    if recipe.should_save:
        write_json(output_dir / RUN_RECORD, record)
        for checkpoint in output_dir.glob("checkpoint-*"):
            if not is_whole(checkpoint):  # an older one too, half removed: it would count among those to keep
                logger.warning("%s is not whole; leaving it out", checkpoint)
                shutil.rmtree(checkpoint)
    whole = last_whole_checkpoint(output_dir)
    if whole:
        logger.info("going on from %s", whole)
    return whole


def _differences(old: dict, new: dict) -> list[str]:
    if old["data"] != new["data"]:
        return [f"its data differ (sha256 {old['data'][:12]}, now {new['data'][:12]})"]
    names = sorted(old["settings"].keys() | new["settings"].keys())
    pairs = [(name, old["settings"].get(name), new["settings"].get(name)) for name in names]
    return [f"{name} was {before}, now {now}" for name, before, now in pairs if before != now]


def save_result(trainer: Trainer, tokenizer: PreTrainedTokenizerFast) -> None:
    """Puts the model, its tokenizer and the loss curve into the output folder, each file whole or not at all."""
    output_dir = Path(trainer.args.output_dir)
    unfinished = output_dir / "unfinished"
    with writing("the model", output_dir):
        trainer.model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        plot_losses(trainer.state.log_history, unfinished / "loss.png")
        for file in unfinished.iterdir():
            file.replace(output_dir / file.name)
        unfinished.rmdir()


def plot_losses(log: list[dict], path: Path) -> None:
    """Training and held-out loss over the epochs, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for key, label in (("loss", "training, with dropout"), ("eval_loss", "held out")):
        points = [(entry["epoch"], entry[key]) for entry in log if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xlabel="epoch", ylabel="nats per character")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def train(recipe: Recipe) -> Trainer:
    """Trains by a recipe and leaves the model in its output folder."""
    if recipe.n_gpu > 1:
        raise TrainingError(
            f"{recipe.n_gpu} GPUs want a process each: torchrun --nproc_per_node {recipe.n_gpu} scripts/train.py with "
            "the same arguments; or choose one of them: CUDA_VISIBLE_DEVICES=0"
        )
    set_seed(recipe.seed)
    with recipe.main_process_first(local=recipe.save_on_each_node):  # the others find the corpus and the claim
        if recipe.streaming:
            corpus, tokenizer, model, data = start_stream(recipe)
        else:
            corpus, tokenizer, model = start(recipe)
            data = training_set(recipe, training_rows(corpus, recipe.train_split), tokenizer)
        checkpoint = claim(recipe, corpus)
    held_out = "validation" not in recipe.train_split.split("+")
    if not held_out:
        recipe.eval_strategy = "no"
        logger.info("the validation split is trained on, so no held-out loss is shown; test with evaluate.py")
    trainer = CharTrainer(
        averaging=AverageWeights(recipe.ema_decay, checkpoint) if recipe.ema_decay else None,
        carrying=CarryState(checkpoint) if recipe.stateful else None,
        model=model,
        args=recipe,
        train_dataset=data,
        eval_dataset=held_out_rows(recipe, corpus["validation"]) if held_out else None,
        data_collator=collate,
        processing_class=tokenizer,
    )
    trainer.add_callback(WatchItLearn(trainer))
    if recipe.streaming:
        trainer.add_callback(KeepPlaces(data, checkpoint))
    trainer.add_callback(MarkWholeCheckpoints())  # the last to write into a checkpoint
    stop = StopInTime(trainer)
    trainer.add_callback(stop)
    set_seed(recipe.seed, device_specific=True)  # each process drops units of its own
    with stop.listening():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stop.told:
        raise KeyboardInterrupt
    if recipe.should_save:
        save_result(trainer, tokenizer)
    return trainer


def check_publishing(recipe: Recipe) -> None:
    """Hours before they are needed: the id and the token."""
    if not recipe.hub_model_id:
        raise publish.PublishError("--push_to_hub needs --hub_model_id USER/NAME")
    if recipe.streaming:
        raise publish.PublishError("a stream has no test split to measure the model on: publish it with publish.py")
    publish.check_ids([recipe.hub_model_id])
    publish.check_access(HfApi(), [recipe.hub_model_id])


def publish_result(recipe: Recipe) -> None:
    """Tests the model on the test split, packages it with a card that says how well it did, and publishes it."""
    run, dataset = recipe.output_dir, recipe.dataset
    packaged = Path(run) / "packaged" / recipe.hub_model_id.split("/")[1].removesuffix("-char-lstm")
    packaged.parent.mkdir(exist_ok=True)
    evaluate.run(evaluate.EvaluateArguments(model=run, dataset=dataset, json=f"{run}/evaluation.json"))
    named = {} if Path(dataset) == DEFAULT_CORPUS else {"text_name": Path(dataset).name}
    named |= {"recipe": recipe.config} if recipe.config else {}
    package.package(package.PackageArguments(run=run, dataset=dataset, output_dir=str(packaged), **named))
    private = bool(recipe.hub_private_repo)
    publish.publish(publish.PublishArguments(model=str(packaged), repo_id=recipe.hub_model_id, private=private))


def main(argv: list[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = parse(argv)
        publishes, recipe.push_to_hub = recipe.push_to_hub, False  # the Trainer would push each checkpoint, unmeasured
        if not recipe.should_log:  # of several processes one speaks
            logging.getLogger().setLevel(logging.ERROR)
        if publishes:
            check_publishing(recipe)
        trainer = train(recipe)
        if publishes and trainer.is_world_process_zero():
            publish_result(recipe)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last checkpoint")
    except EXPECTED as error:
        print(publish.without_token(f"train.py: {error}"), file=sys.stderr)
        sys.exit(getattr(error, "status", 2))


if __name__ == "__main__":
    main()
