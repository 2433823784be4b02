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
import json
import logging
import math
import signal
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml
from accelerate.data_loader import DataLoaderShard
from accelerate.utils import set_seed
from datasets import Dataset, DatasetDict, concatenate_datasets
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HFValidationError, StrictDataclassError
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
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
from scripts import evaluate, package, publish
from scripts.build_corpus import (
    FEATURES,
    BuildArguments,
    CorpusError,
    build_corpus,
    cut_rows,
    encode_rows,
    ids_of,
    lengths_of,
    load_corpus,
)
from scripts.checkpoints import (
    AverageWeights,
    CarryState,
    KeepPlaces,
    MarkWholeCheckpoints,
    TrainingError,
    claim,
    last_whole_checkpoint,
    writing,
)
from scripts.distillation import written_by
from scripts.files import write_json
from scripts.ngram import cross_fitted
from scripts.rows import JoinedSentences, Lanes, Sentences, Windows, collate
from scripts.streaming import Documents, TextStream

logger = logging.getLogger("train")

DEFAULT_CORPUS = Path("data/alice")
SAMPLES = "samples.json"  # what the model wrote, by epoch
FIRST_SAMPLES, SAMPLE_EVERY = (1, 5), 10  # epochs
FOLDS = 40  # stretches of the text that are counted without
SMOOTHED_UP_TO = 2**26  # probabilities, one for each character of the text and of the alphabet


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
        default=0.8,
        metadata={"help": "Share of the target that counting, or the teachers, expect; the rest is the character."},
    )
    ngram_order: int = field(default=9, metadata={"help": "Longest n-gram that is counted."})
    teachers: list[str] | None = field(
        default=None,
        metadata={"help": "Models (folders or ids) that, mixed with counting, write more to learn from: distillation."},
    )
    written_characters: int = field(default=2_000_000, metadata={"help": "How much the teachers write."})
    counting_share: float = field(default=0.35, metadata={"help": "Counting's share among the teachers."})
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


def counted_expectations(recipe: Recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> np.ndarray | None:
    """For each character of the text the distribution that its n-grams give it, (characters, vocab)."""
    characters = int((lengths_of(rows) - 1).sum())
    if not recipe.ngram_smoothing:
        return None
    if characters * len(tokenizer) > SMOOTHED_UP_TO:
        logger.info("a text of %d characters is hard to learn by heart: no n-gram smoothing", characters)
        return None
    return cross_fitted(ids_of(rows, tokenizer), len(tokenizer), recipe.ngram_order, FOLDS)


def with_written(
    recipe: Recipe, rows: Dataset, expected: np.ndarray | None, tokenizer: PreTrainedTokenizerFast
) -> tuple[Dataset, np.ndarray]:
    """The rows and, after them, those that the teachers write; with what is expected at each place of both."""
    if expected is None:
        raise TrainingError(
            "--teachers teach by what they expect: set --ngram_smoothing above 0, or take a shorter text"
        )
    written, by_teachers = written_by(
        recipe.teachers,
        rows,
        tokenizer,
        order=recipe.ngram_order,
        counting_share=recipe.counting_share,
        characters=recipe.written_characters,
        seed=recipe.seed,
    )
    logger.info("the teachers wrote %d characters", len(by_teachers))
    return concatenate_datasets([rows, written]), np.concatenate([expected, by_teachers])


def training_set(recipe: Recipe, rows: Dataset, tokenizer: PreTrainedTokenizerFast) -> Sentences | Windows | Lanes:
    if recipe.window_length and recipe.stateful:
        raise TrainingError("--window_length draws from anywhere and --stateful reads on: choose one")
    if recipe.window_length and recipe.teachers:
        raise TrainingError("--window_length has one target a window and --teachers teach every character: choose one")
    if recipe.window_length:
        return Windows(rows, recipe.window_length)
    expected = counted_expectations(recipe, rows, tokenizer)
    if recipe.teachers:
        rows, expected = with_written(recipe, rows, expected, tokenizer)
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
    if recipe.dataset is None or recipe.max_steps <= 0 or recipe.window_length or recipe.stateful or recipe.teachers:
        raise TrainingError(
            "a stream has no end, and its rows come in any order: give --dataset and --max_steps, and neither "
            "--window_length nor --stateful nor --teachers"
        )
    if recipe.train_split not in ("train", "train+validation"):
        raise TrainingError(f"a stream has no split {recipe.train_split}: it is train, or train+validation")
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
        cut_off = state.epoch % 1 and (path.exists() or state.global_step < state.max_steps)
        if not args.should_save or cut_off or not (epoch in FIRST_SAMPLES or epoch % SAMPLE_EVERY == 0):
            return
        with self.trainer.averaged():
            text = generate_text(model, self.trainer.processing_class, seed=args.seed)
        logger.info("epoch %d writes:\n%s", epoch, text)
        samples = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, samples | {f"{epoch:03}": text})


def save_result(trainer: Trainer, tokenizer: PreTrainedTokenizerFast) -> None:
    """Puts the model, its tokenizer and the loss curve into the output folder, each file whole or not at all."""
    output_dir = Path(trainer.args.output_dir)
    unfinished = output_dir / "unfinished"
    with writing("the model", output_dir):
        trainer.model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        plot_losses(trainer.state.log_history, unfinished / "loss.png")
        (output_dir / "evaluation.json").unlink(missing_ok=True)  # of another model
        for file in unfinished.iterdir():
            file.replace(output_dir / file.name)
        unfinished.rmdir()


def plot_losses(log: list[dict], path: Path) -> None:
    """Training and held-out loss over the epochs, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for key, label in (("loss", "training"), ("eval_loss", "held out")):
        points = [(entry["epoch"], entry[key]) for entry in log if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xlabel="epoch", ylabel="nats per character")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


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
        words = str(error).rpartition("CorpusError: ")[2].strip()  # without the traceback of a worker
        print(publish.without_token(f"train.py: {words}"), file=sys.stderr)
        sys.exit(getattr(error, "status", 2))


if __name__ == "__main__":
    main()
