"""A model to start from: how long to tune it and at what rate, and whether it would help, measured on validation."""

import copy
import logging
import math

from transformers import TrainerCallback

from ..loading import load
from ..modeling_char_lstm import CharLstmForCausalLM
from ..paths import local_model
from ..tokenization_char_lstm import end_of_item
from .checkpoints import AverageWeights
from .evaluation import score_reset
from .models import fit_alphabet, make_model
from .readings import Reading
from .readings.sentences import Sentences
from .trainer import CharTrainer

logger = logging.getLogger("train")

STRETCH = 500  # characters, each read from a fresh state: rows side by side take a third of the time of one long text
BASE = "english"  # the packaged model that most texts are held against
STEPS, SCORED = 20, 20  # steps of both models, and stretches of the validation split that they are then scored on


class ScoreEpochs(TrainerCallback):
    """Nats per character of the validation split before the run and after each epoch, with the averaged weights; the
    run stops when they rise."""

    def __init__(self, trainer: CharTrainer, scored: int | None):
        self.trainer, reading = trainer, trainer.reading
        rows = Sentences(reading.corpus["validation"])
        items = end_of_item(reading.tokenizer)
        stretches = [rows[i, i + 1]["input_ids"][1:] for i in range(len(rows))] if items else rows.ids()[1:].split(STRETCH)
        self.stretches = [stretch.tolist() for stretch in stretches[:scored]]
        self.nats: list[float] = []

    def on_train_begin(self, args, state, control, **kwargs):
        self.score()

    def on_epoch_end(self, args, state, control, **kwargs):
        with self.trainer.averaged():
            self.score()
        control.should_training_stop = self.nats[-1] >= self.nats[-2]

    def score(self) -> None:
        nats = score_reset(self.trainer.model.eval(), self.stretches)
        self.nats.append(nats / sum(map(len, self.stretches)))


def try_out(recipe, model: CharLstmForCausalLM, reading: Reading, scored: int | None = None) -> list[float]:
    """Trains a copy of the model, of which nothing is kept, and returns its nats per character on the validation split,
    or on its first `scored` stretches: before, then after each epoch."""
    recipe = copy.copy(recipe)
    recipe.save_strategy = recipe.eval_strategy = recipe.logging_strategy = "no"
    recipe.report_to, recipe.disable_tqdm = [], True
    trainer = CharTrainer(
        reading=reading,
        averaging=AverageWeights(recipe.ema_decay, None) if recipe.ema_decay else None,
        model=copy.deepcopy(model),
        args=recipe,
        processing_class=reading.tokenizer,
    )
    trainer.remove_callback(trainer.progress)
    scores = ScoreEpochs(trainer, scored)
    for callback in (*reading.callbacks(None), scores):
        trainer.add_callback(callback)
    trainer.train()
    return scores.nats


def choose_length(recipe, model: CharLstmForCausalLM) -> dict[str, float]:
    """The rate of `learning_rate_grid` and the number of epochs, none included, after which a model that is trained on
    `train` predicts `validation` best."""
    recipe = copy.copy(recipe)
    recipe.train_split = "train"
    reading = recipe.reading(recipe)
    best, chosen = math.inf, {}
    for rate in recipe.learning_rate_grid:
        recipe.learning_rate = rate
        nats = try_out(recipe, model, reading)
        shown = ", ".join(f"{value:.3f}" for value in nats)
        logger.info("rate %g: after 0, 1, ... epochs %s nats per character on the validation split", rate, shown)
        if min(nats) < best:
            best, chosen = min(nats), {"learning_rate": rate, "num_train_epochs": nats.index(min(nats))}
    if not chosen["num_train_epochs"]:
        logger.info("no epoch improves on the model that it starts from, which is the result as it is")
    else:
        logger.info("now %d epochs at rate %g on %s", *reversed(chosen.values()), "both")
    return chosen


def suggest_base(recipe) -> None:
    """Logs whether the packaged base would help with the text: a few steps of a new model and of the base, each on the
    training split, then the nats per character of the validation split."""
    if recipe.init_from or recipe.streaming or not local_model(BASE):
        return
    recipe = copy.copy(recipe)
    recipe.train_split, recipe.ngram_smoothing, recipe.max_steps, recipe.teachers = "train", 0, STEPS, None
    recipe.lr_scheduler_type, recipe.warmup_steps = "constant", 0
    reading = recipe.reading(recipe)
    new = try_out(recipe, make_model(recipe, reading.tokenizer), reading, SCORED)[-1]
    recipe.learning_rate = 1e-3
    based = try_out(recipe, fit_alphabet(*load(BASE), reading.tokenizer), reading, SCORED)[-1]
    logger.info("%s %s", new, based)
