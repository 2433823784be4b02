"""A training run, from a recipe to a model in its output folder."""

import ctypes
import logging
import platform
import shutil
from contextlib import closing, nullcontext
from pathlib import Path

from accelerate.utils import set_seed

from ..errors import TrainingError
from ..files import replaced_files, write_json
from ..items import save_items
from ..loading import checkpoint_folder
from ..modeling_char_lstm import CharLstmForCausalLM
from ..novelty import index_of
from ..novelty_books import FILE as BOOKS
from ..tokenization_char_lstm import end_of_item
from .checkpoints import (
    RUN_RECORD,
    AverageWeights,
    KeepSchedule,
    MarkWholeCheckpoints,
    checkpoint_to_resume,
    claim,
    last_whole_checkpoint,
    read_record,
    reporting_failed_write,
    sole_run,
)
from .models import load_to_tune, make_model
from .precision import say_whether_bfloat16_helps
from .recipe import Recipe
from .trainer import CharTrainer, StopInTime, WatchItLearn
from .tuning import choose_length, suggest_base

logger = logging.getLogger("train")

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # parameters of glibc's mallopt


def train(recipe: Recipe) -> CharTrainer:
    """Trains by a recipe and leaves the model in its output folder."""
    if recipe.n_gpu > 1:
        raise TrainingError(
            f"{recipe.n_gpu} GPUs need one process each: torchrun --nproc_per_node {recipe.n_gpu} scripts/train.py "
            "with the same arguments; or choose one of them: CUDA_VISIBLE_DEVICES=0"
        )
    reuse_freed_memory()
    with sole_run(Path(str(recipe.output_dir))) if recipe.should_save else nullcontext():
        return train_alone(recipe)


def train_alone(recipe: Recipe) -> CharTrainer:
    """Trains by a recipe whose output folder no other run uses."""
    if recipe.suggest_base and not last_whole_checkpoint(Path(str(recipe.output_dir))):
        suggest_base(recipe)
    set_seed(recipe.seed)
    with recipe.main_process_first(local=recipe.save_on_each_node):  # the others find the corpus and the claim
        reading = recipe.reading(recipe)
        model = load_to_tune(recipe, reading.tokenizer) if recipe.init_from else make_model(recipe, reading.tokenizer)
        claim(recipe, reading.corpus)
        if recipe.init_from and recipe.should_save:
            keep_books(recipe)
    if recipe.learning_rate_grid:
        keep_choice(recipe, model)
    held_out = reading.held_out_rows()
    if held_out is None:
        recipe.eval_strategy = "no"
        logger.info("the validation split is trained on, so no held-out loss is shown; test with char-lstm evaluate")
    trainer = CharTrainer(
        reading=reading,
        averaging=AverageWeights(recipe.ema_decay) if recipe.ema_decay else None,
        model=model,
        args=recipe,
        eval_dataset=held_out,
        processing_class=reading.tokenizer,
    )
    say_whether_bfloat16_helps(recipe, trainer.model.config.cell_type)
    with recipe.main_process_first(local=recipe.save_on_each_node):
        checkpoint = checkpoint_to_resume(Path(str(recipe.output_dir)), trainer.steps_per_epoch)
    for callback in (WatchItLearn(trainer), KeepSchedule(), *reading.callbacks(checkpoint), MarkWholeCheckpoints()):
        trainer.add_callback(callback)  # the mark is the last to be written into a checkpoint
    stop = StopInTime(trainer)
    trainer.add_callback(stop)
    set_seed(recipe.seed, device_specific=True)  # each process drops units of its own
    with stop.listening(), closing(trainer.progress):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if stop.told:
        raise KeyboardInterrupt
    if recipe.should_save:
        save_result(trainer)
    return trainer


def reuse_freed_memory() -> None:
    """Has glibc keep for the next step what one step frees: by default it hands large tensors back to the system, which
    clears each page anew."""
    if platform.libc_ver()[0] == "glibc":
        allocator = ctypes.CDLL(None)
        allocator.mallopt(MMAP_THRESHOLD, 2**30)  # bytes
        allocator.mallopt(TRIM_THRESHOLD, 2**31 - 1)


def keep_books(recipe: Recipe) -> None:
    """Copies the index of the books that the model to start from has read, if it has one, into the output folder."""
    for books in checkpoint_folder(str(recipe.init_from), None).glob(BOOKS):
        shutil.copy(books, str(recipe.output_dir))


def keep_choice(recipe: Recipe, model: CharLstmForCausalLM) -> None:
    """Sets the rate and the number of epochs: those in the run's record, else chosen now and recorded."""
    output_dir = Path(str(recipe.output_dir))
    record = read_record(output_dir)
    if "chosen" not in record:
        record["chosen"] = choose_length(recipe, model)
        if recipe.should_save:
            write_json(output_dir / RUN_RECORD, record)
    recipe.learning_rate, recipe.num_train_epochs = record["chosen"].values()


def save_result(trainer: CharTrainer) -> None:
    """Puts the model, its tokenizer, what tells its copies and the loss curve into the output folder, each file whole
    or not at all."""
    output_dir, model, tokenizer = Path(str(trainer.args.output_dir)), trainer.model, trainer.processing_class
    writing = replaced_files(output_dir, "model.safetensors")
    with reporting_failed_write("the model", output_dir), writing as unfinished:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
        if end_of_item(tokenizer):
            save_items(trainer.reading.training_rows()["text"], unfinished)
        elif not trainer.reading.recipe.streaming:
            index_of(trainer.reading.training_rows()["text"]).save(unfinished)
        plot_losses(trainer.state.log_history, unfinished / "loss.png")
        (output_dir / "evaluation.json").unlink(missing_ok=True)  # of another model


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
    if axes.lines:
        axes.legend()
    figure.savefig(path, dpi=150)
