"""The Trainer of a character model and its callbacks: progress in words, a stop in time, samples on the way."""

import json
import logging
import math
import signal
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast, PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from ..corpus.sequences import lengths_of
from ..errors import TrainingError
from ..files import write_json
from ..generation_char_lstm import generate_text
from ..items import generate_items
from ..modeling_char_lstm import CharLstmForCausalLM
from ..tokenization_char_lstm import end_of_item
from .checkpoints import AverageWeights, last_whole_checkpoint, reporting_failed_write
from .readings import Reading
from .readings.sentences import collate

logger = logging.getLogger("train")

SAMPLES = "samples.json"  # generated texts by epoch
FIRST_SAMPLES, SAMPLE_EVERY = (1, 5), 10  # epochs
ITEMS = 10  # of a list, in a sample


class CharTrainer(Trainer):
    """The library's Trainer for a `Reading`, with a held-out loss per character and a stop when a loss is no number.

    `averaging` is the moving average of the weights to evaluate and to end with, if any.
    """

    model: CharLstmForCausalLM
    processing_class: PreTrainedTokenizerFast

    def __init__(self, *, reading: Reading, averaging: AverageWeights | None = None, **kwargs):
        super().__init__(train_dataset=reading.rows, data_collator=collate, **kwargs)
        self.reading, self.averaging = reading, averaging
        for noisy in (ProgressCallback, PrinterCallback):
            self.remove_callback(noisy)
        self.progress = LogInWords() if self.args.disable_tqdm else ProgressInWords()
        self.add_callback(self.progress)
        if averaging:
            self.add_callback(averaging)

    def get_train_dataloader(self) -> DataLoader:
        return self.reading.loader(self)

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.get_train_dataloader()) // self.args.gradient_accumulation_steps)

    def averaged(self) -> AbstractContextManager:
        """The model with its averaged weights, for a while."""
        return self.averaging.swapped_in(self.model) if self.averaging else nullcontext()

    @cached_property
    def characters_per_row(self) -> float:
        """Targets of an average held-out row: all but the newline that starts it."""
        return lengths_of(self.eval_dataset).mean() - 1

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        processes = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        if not model.training:  # the library averages these over rows; so divided, that is the average over characters
            num_items_in_batch = len(inputs["labels"]) * self.characters_per_row * processes
        soft_targets = inputs.pop("soft_targets", None)  # (batch, predictions, vocab)
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training:
            self.reading.end_step(outputs)
        if soft_targets is not None:
            characters = soft_targets.sum() if num_items_in_batch is None else num_items_in_batch / processes
            predictions = outputs.logits[:, : soft_targets.shape[1]].log_softmax(-1)
            cross_entropy = -(soft_targets * predictions).sum() / characters
            loss = torch.lerp(loss, cross_entropy, self.reading.recipe.ngram_smoothing)
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model, inputs, *args, **kwargs):
        inputs = self.reading.begin_step(inputs)
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

    def _save_checkpoint(self, *args, **kwargs):  # no public hook surrounds a checkpoint
        with reporting_failed_write("a checkpoint", str(self.args.output_dir)):
            super()._save_checkpoint(*args, **kwargs)

    def _diverged(self, what: str):
        last = last_whole_checkpoint(Path(str(self.args.output_dir)))
        raise TrainingError(
            f"{what} at step {self.state.global_step + 1} (epoch {self.state.epoch:.2f}): the steps were too large "
            f"for this model and data. Try a lower --learning_rate (now {self.args.learning_rate}) or a lower "
            f"--max_grad_norm (now {self.args.max_grad_norm}). Last good checkpoint: {last or 'none yet'}"
        )


class LogInWords(TrainerCallback):
    """The losses of the log in words."""

    training_bar: tqdm | None = None

    def close(self) -> None:
        """Ends the line of a bar that an error has left on the screen."""
        if self.training_bar is not None:
            self.training_bar.close()

    def on_log(self, args, state, control, logs=None, **kwargs):
        logs = logs or {}
        line = f"trained for {logs['train_runtime']:.0f} s" if "train_runtime" in logs else ""
        for key, name in (("eval_loss", "held-out loss"), ("loss", "training loss")):
            if key in logs:
                line = f"epoch {logs['epoch']:g}: {name} {logs[key]:.3f} nats per character"
        if line and state.is_world_process_zero:
            tqdm.write(line, file=sys.stderr)


class ProgressInWords(LogInWords, ProgressCallback):
    """The same, above the library's progress bar."""


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
    """Logs a text that the model generates after some epochs, from one seed, and keeps it in samples.json."""

    def __init__(self, trainer: CharTrainer):
        self.trainer = trainer

    def on_epoch_end(self, args, state, control, model=None, **kwargs):
        epoch = round(state.epoch)
        path = Path(args.output_dir) / SAMPLES
        cut_off = state.epoch % 1 and (path.exists() or state.global_step < state.max_steps)
        if not args.should_save or cut_off or not (epoch in FIRST_SAMPLES or epoch % SAMPLE_EVERY == 0):
            return
        tokenizer = self.trainer.processing_class
        with self.trainer.averaged():
            if end_of_item(tokenizer):
                text = "\n".join(generate_items(model, tokenizer, ITEMS, seed=args.seed))
            else:
                text = generate_text(model, tokenizer, seed=args.seed)
        logger.info("after epoch %d the model writes:\n%s", epoch, text)
        samples = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, samples | {f"{epoch:03}": text})
