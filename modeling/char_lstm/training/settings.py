"""The settings of a training run that are ours or have defaults of ours, in groups; the defaults are alice.yaml's.

Nothing heavy is imported here, so that `--help` opens at once. `recipe.py` adds all that the Trainer knows.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from ..paths import INTENTS

TRAIN_PHRASINGS, TEST_PHRASINGS = str(INTENTS / "train.csv"), str(INTENTS / "test.csv")


def setting(default: Any, help: str) -> Any:
    """A field with its default and its line of help."""
    return field(default=default, metadata={"help": help})


@dataclass
class DataSettings:
    """the text"""

    config: str | None = setting(None, "A recipe: the name of a packaged one, or a YAML file of these settings.")
    dataset: str | None = setting(None, "A folder written by char-lstm build or an id on the Hub (default: Alice).")
    train_split: str = setting("train", "`train+validation` for a final run, which holds out only the test split.")
    streaming: bool = setting(False, "Read the dataset (files or a Hub id) as needed; requires --max_steps.")
    text_column: str = setting("text", "A stream's text column.")
    tokenizer: str | None = setting(
        None, "A stream's tokenizer, in a folder or on the Hub (default: that of --init_from)."
    )


@dataclass
class ModelSettings:
    """the model"""

    init_from: str | None = setting(
        None,
        "Start from this model (a folder, a packaged model's name, or an id on the Hub), its sizes and its cell; new "
        "characters start fresh.",
    )
    suggest_base: bool = setting(False, "Say first, after a short trial, whether the packaged base would help.")
    cell_type: str = setting("lstm", "The recurrent cell: lstm, gru or rnn.")
    embedding_size: int | None = setting(
        None, "Width of the character vectors; 0: one-hot (default: one-hot, or 128 where the alphabet is large)."
    )
    hidden_size: int = setting(256, "Units per layer.")
    num_hidden_layers: int = setting(2, "Recurrent layers.")
    input_dropout: float = setting(0.1, "Dropout on the input; with one-hot input it drops whole characters.")
    hidden_dropout: float = setting(0.1, "Dropout between the layers.")
    output_dropout: float = setting(0.0, "Dropout before the dense layer.")
    locked_dropout: bool = setting(False, "Drop the same units at every character of a row.")


@dataclass
class ReadingSettings:
    """how the text is read: joined sentences, unless one of these says otherwise"""

    row_length: int = setting(128, "Join consecutive sentences into rows of about this length; 0: one sentence a row.")
    window_length: int = setting(0, "Random windows of this many characters with one target each; 0: sentences.")
    stateful: bool = setting(
        False, "Read as many stretches side by side as a batch has rows, and carry the state along each."
    )


@dataclass
class TargetSettings:
    """what is learnt"""

    ngram_smoothing: float = setting(
        0.8, "Weight of the soft targets, from an n-gram model or from teachers; the rest is the character itself."
    )
    ngram_order: int = setting(9, "Length of the longest n-gram.")
    teachers: list[str] | None = field(
        default=None,
        metadata={"help": "Distillation: models (folders or ids) that generate text and soft targets to learn from."},
    )
    written_characters: int = setting(2_000_000, "Characters that the teachers generate.")
    counting_share: float = setting(0.35, "Weight of the n-gram model among the teachers.")
    ema_decay: float = setting(
        0.999, "Decay of the exponential moving average of the weights, which becomes the model; 0: none."
    )


@dataclass
class RunSettings:
    """the run: fields of transformers' TrainingArguments whose defaults are ours"""

    output_dir: str | None = setting("runs/alice", "Checkpoints, logs, and the model.")
    num_train_epochs: float = setting(100, "Passes over the training rows.")
    per_device_train_batch_size: int = setting(8, "Rows per batch.")
    per_device_eval_batch_size: int = setting(64, "Rows per evaluation batch.")
    learning_rate: float = setting(3e-3, "AdamW's peak learning rate.")
    learning_rate_grid: list[float] | None = field(
        default=None,
        metadata={
            "help": "Choose among these rates, and how many of the epochs to train, on the validation split first."
        },
    )
    lr_scheduler_type: str = setting("cosine", "How the learning rate changes.")
    warmup_steps: float = setting(0.05, "Steps of rising learning rate; below 1: a share of all steps.")
    weight_decay: float = setting(0.1, "AdamW's weight decay, on matrices only.")
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm.")
    eval_strategy: str = setting("epoch", "When to measure the loss on the validation split.")
    save_strategy: str = setting("epoch", "When to write a checkpoint.")
    logging_strategy: str = setting("epoch", "When to log the training loss.")
    save_total_limit: int | None = setting(2, "Checkpoints kept; more than one, in case the last is incomplete.")
    prediction_loss_only: bool = setting(True, "Evaluation needs only the loss.")
    use_cache: bool = setting(True, "Saved with the model, which then returns its state.")
    logging_nan_inf_filter: bool = setting(False, "Whether a diverged loss is left out of the log.")
    ddp_find_unused_parameters: bool | None = setting(False, "Every weight is used.")
    report_to: str | None = setting("tensorboard", "Where the logs go.")


GROUPS = (DataSettings, ModelSettings, ReadingSettings, TargetSettings, RunSettings)


@dataclass
class IntentSettings:
    """the phrasings and the model"""

    train_file: str = setting(TRAIN_PHRASINGS, "A CSV file of text and intent.")
    test_file: str | None = setting(
        None, "The same, with other phrasings (default: the packaged ones for the packaged training file, else none)."
    )
    held_out: float = setting(
        0.0, "Measure on this share of the training phrasings and leave the test file alone; without a test file 0.2."
    )
    unit: Literal["word", "char"] = setting("word", "What the model reads one at a time.")
    init_from: str | None = setting(None, "Start from this language model (folder or id): its unit, sizes and weights.")
    cell_type: str = setting("lstm", "The recurrent cell: lstm, gru or rnn.")
    embedding_size: int = setting(128, "Width of the word vectors; 0: one-hot.")
    hidden_size: int = setting(128, "Units per layer.")
    num_hidden_layers: int = setting(1, "Recurrent layers.")
    input_dropout: float = setting(0.5, "Dropout on the input.")
    hidden_dropout: float = setting(0.1, "Dropout between the layers.")
    word_dropout: float = setting(0.2, "Share of the words made unknown in each batch.")
    json: str | None = setting(None, "Write the figures to this file too.")


@dataclass
class IntentRunSettings:
    """the run: fields of transformers' TrainingArguments whose defaults are ours"""

    output_dir: str | None = setting("runs/intents", "Where the model goes.")
    num_train_epochs: float = setting(40, "Passes over the training phrasings.")
    per_device_train_batch_size: int = setting(32, "Phrasings per batch.")
    learning_rate: float = setting(3e-3, "AdamW's peak learning rate.")
    lr_scheduler_type: str = setting("cosine", "How the learning rate changes.")
    warmup_steps: float = setting(0.05, "Steps of rising learning rate; below 1: a share of all steps.")
    weight_decay: float = setting(0.1, "AdamW's weight decay, on matrices only.")
    label_smoothing_factor: float = setting(0.1, "Share of the target given to all classes.")
    use_cache: bool = setting(True, "Saved with the model, which then returns its state.")
    save_strategy: str = setting("no", "A run is too short to be interrupted.")
    logging_strategy: str = setting("epoch", "When to log the training loss.")
    report_to: str | None = setting("none", "Where the logs go.")


INTENT_GROUPS = (IntentSettings, IntentRunSettings)
