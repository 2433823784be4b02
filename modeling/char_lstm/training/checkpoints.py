"""What a run leaves on the disk: the mark whose folder it is, whole checkpoints, and what the Trainer leaves out."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import DatasetDict
from safetensors.torch import load_model, save_model
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback

from ..errors import TrainingError
from ..files import replaced_folder, sole_use, write_json
from ..paths import local_model

logger = logging.getLogger("train")

RUN_RECORD = "run.json"  # what this output folder is the result of
LOCK = ".lock"  # held by the process that trains into this output folder
COMPLETE = "complete.json"  # written into a checkpoint after its last file: name and size of each
AVERAGE = "average.safetensors"  # the averaged weights in a checkpoint
STATE = "trainer_state.json"  # the library's: where in the run a checkpoint is
BEST = ("best_metric", "best_global_step", "best_model_checkpoint")  # in it
UNRECORDED = {  # settings that another machine may have otherwise
    *("output_dir", "logging_dir", "run_name", "disable_tqdm", "report_to", "resume_from_checkpoint", "config"),
    *("suggest_base", "push_to_hub", "hub_model_id", "hub_private_repo", "tf32", "dataloader_pin_memory", "use_cpu"),
    "processes",  # in older records
}


@contextmanager
def sole_run(output_dir: Path) -> Iterator[None]:
    """Keeps other runs out of an output folder until this one has ended, however it ends.

    Raises:
        WriteError: another process is training into it.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    busy = f"another process is training into {output_dir}: wait for its end, or choose another --output_dir"
    try:
        with sole_use(output_dir / LOCK, busy):
            yield
    finally:
        if not any(output_dir.iterdir()):  # the run was refused
            output_dir.rmdir()


def claim(recipe: Any, corpus: DatasetDict) -> None:
    """Makes the output folder this run's and nobody else's.

    Raises:
        TrainingError: the folder holds a run of other data or other settings.
    """
    output_dir = Path(str(recipe.output_dir))
    settings = {name: value for name, value in recipe.to_dict().items() if name not in UNRECORDED}
    record = json.loads(json.dumps({"data": fingerprint(corpus), "settings": settings}, default=str))
    if recipe.init_from and not local_model(recipe.init_from):
        record["base_model"] = recipe.init_from  # its id on the Hub
    held = read_record(output_dir) if (output_dir / RUN_RECORD).exists() else {}
    if held:
        if differences := _differences(held, record):
            raise TrainingError(
                f"{output_dir} holds another run: {'; '.join(differences)}. "
                "Choose another --output_dir, or remove that folder first. To train its model further, give it a new "
                f"--output_dir and --init_from {output_dir}."
            )
    elif output_dir.exists() and any(output_dir.glob("checkpoint-*")):
        raise TrainingError(f"{output_dir} holds checkpoints of unknown origin. Choose another --output_dir.")
    if recipe.should_save:
        write_json(output_dir / RUN_RECORD, held | record)
        for checkpoint in output_dir.glob("checkpoint-*"):
            if not is_whole(checkpoint):  # an older one too, half removed: it would count among those to keep
                logger.warning("%s is incomplete; skipping it", checkpoint)
                shutil.rmtree(checkpoint)


def read_record(output_dir: Path) -> dict:
    """The record of the run that a folder holds: its data, its settings, and what was chosen on the way."""
    return json.loads((output_dir / RUN_RECORD).read_text(encoding="utf-8"))


def other_settings(recipe: str, settings: dict) -> list[str]:
    """The names in a recipe file, or in the packaged recipe of that name, that a run's settings have otherwise.

    Raises:
        TrainingError: there is no such recipe.
    """
    from ..arguments import parse
    from .recipe import Recipe, read_recipe

    asked = read_recipe(recipe if Path(recipe).exists() else Path(recipe).stem)
    given = parse(Recipe, "", [], **asked).to_dict()  # with the types that a run has
    return sorted(name for name in asked.keys() - UNRECORDED if given[name] != settings.get(name))


def fingerprint(corpus: DatasetDict) -> str:
    """A hash of every row in order, split by split."""
    digest = hashlib.sha256()
    for name, split in corpus.items():
        digest.update(name.encode())
        for text in split["text"]:
            digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _differences(old: dict, new: dict) -> list[str]:
    if old["data"] != new["data"]:
        return [f"its data differ (sha256 {old['data'][:12]}, now {new['data'][:12]})"]
    names = sorted((old["settings"].keys() | new["settings"].keys()) - UNRECORDED)
    pairs = [(name, old["settings"].get(name), new["settings"].get(name)) for name in names]
    return [f"{name} was {before}, now {now}" for name, before, now in pairs if before != now]


def whole_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints whose files are all there, at the sizes that their marks list, the newest last."""
    return sorted(filter(is_whole, output_dir.glob("checkpoint-*")), key=step_of)


def last_whole_checkpoint(output_dir: Path) -> Path | None:
    return next(reversed(whole_checkpoints(output_dir)), None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def epoch_of(checkpoint: Path) -> float:
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["epoch"]


def checkpoint_to_resume(output_dir: Path, steps: int) -> Path | None:
    """The newest whole checkpoint, if its epochs had `steps` steps too.

    Another number of processes makes other steps of an epoch. The last checkpoint at an epoch's end is then renumbered,
    and the others are removed.

    Raises:
        TrainingError: no checkpoint is from the end of an epoch.
    """
    last = last_whole_checkpoint(output_dir)
    if last and step_of(last) != int(epoch_of(last) * steps + 1e-6):  # down: an epoch's last step may be smaller
        ended = [checkpoint for checkpoint in whole_checkpoints(output_dir) if epoch_of(checkpoint) % 1 == 0]
        if not ended:
            raise TrainingError(
                f"{output_dir} holds no checkpoint from the end of an epoch, and only from there another number of "
                "processes can go on: use as many as before"
            )
        last = max(ended, key=epoch_of)
        epoch = int(epoch_of(last))
        logger.info(
            "another number of processes, so an epoch has %d steps instead of %d: going on from the end of epoch %d",
            *(steps, step_of(last) // epoch, epoch),
        )
        last = renumbered(last, epoch * steps)
        for checkpoint in output_dir.glob("checkpoint-*"):
            if checkpoint != last:
                shutil.rmtree(checkpoint)
    if last:
        logger.info("resuming from %s", last)
    return last


def renumbered(checkpoint: Path, step: int) -> Path:
    """A copy of a checkpoint that stands at another step and knows of no better one, as the others go."""
    target = checkpoint.with_name(f"checkpoint-{step}")
    if target != checkpoint:
        with replaced_folder(target) as folder:
            shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            write_json(folder / STATE, state | {"global_step": step} | dict.fromkeys(BEST))
            mark_whole(folder)
    return target


def is_whole(checkpoint: Path) -> bool:
    try:
        sizes = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def mark_whole(checkpoint: Path) -> None:
    """Writes the completion mark into a checkpoint that is complete."""
    sizes = {file.name: file.stat().st_size for file in checkpoint.iterdir() if file.name != COMPLETE}
    write_json(checkpoint / COMPLETE, sizes)


@contextmanager
def reporting_failed_write(what: str, output_dir: str | Path) -> Iterator[None]:
    """Ends a run whose disk is full, for which torch, safetensors and tokenizers have an error of their own each."""
    try:
        yield
    except Exception as error:
        last = last_whole_checkpoint(Path(output_dir))
        raise TrainingError(
            f"cannot write {what} into {output_dir}: {error}. Last good checkpoint: {last or 'none yet'}; "
            "once there is room on the disk, the same command resumes from there"
        ) from error


@contextmanager
def writing_checkpoint(args, state) -> Iterator[Path]:
    """The folder of the checkpoint at this step, to write into."""
    with reporting_failed_write("a checkpoint", args.output_dir):
        yield Path(args.output_dir) / f"checkpoint-{state.global_step}"


class MarkWholeCheckpoints(TrainerCallback):
    """Writes the completion mark into a checkpoint once all of its files are there, those of every process."""

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()
        if not args.should_save:
            return
        with writing_checkpoint(args, state) as checkpoint:
            mark_whole(checkpoint)


class KeepSchedule(TrainerCallback):
    """Puts the learning rate's schedule at the run's step, which is another after a change of processes."""

    def on_train_begin(self, args, state, control, lr_scheduler=None, **kwargs):
        lr_scheduler.last_epoch = state.global_step


class AverageWeights(TrainerCallback):
    """An exponential moving average of the weights, which becomes the model at the end (Polyak and Juditsky 1992).

    Each checkpoint holds it, so that an interrupted run ends with the same average.
    """

    def __init__(self, decay: float):
        self.decay = decay

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.average = AveragedModel(model, multi_avg_fn=self.update)
        if state.global_step:
            load_model(self.average, Path(args.output_dir) / f"checkpoint-{state.global_step}" / AVERAGE)

    def update(self, averages, weights, steps) -> None:
        keeps = min(self.decay, (1 + int(steps)) / (10 + int(steps)))  # a short run is not mostly its first weights
        get_ema_multi_avg_fn(keeps)(averages, weights, steps)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.average.update_parameters(model)

    def on_save(self, args, state, control, **kwargs):
        if args.should_save:
            with writing_checkpoint(args, state) as checkpoint:
                save_model(self.average, str(checkpoint / AVERAGE))

    def on_train_end(self, args, state, control, model=None, **kwargs):
        if args.load_best_model_at_end and state.best_model_checkpoint:
            load_model(self.average, Path(state.best_model_checkpoint) / AVERAGE)
        model.load_state_dict(self.average.module.state_dict())

    @contextmanager
    def swapped_in(self, model):
        weights = {name: weight.clone() for name, weight in model.state_dict().items()}
        model.load_state_dict(self.average.module.state_dict())
        try:
            yield
        finally:
            model.load_state_dict(weights)
