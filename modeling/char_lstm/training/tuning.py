"""A model to start from: how long to tune it and at what rate, and whether it would help, measured on validation."""

import copy
import logging
import math

import numpy as np
from transformers import TrainerCallback

from ..modeling_char_lstm import CharLstmForCausalLM
from ..paths import local_model
from ..tokenization_char_lstm import end_of_item
from .checkpoints import AverageWeights
from .models import load_to_tune, make_model
from .readings import Reading
from .readings.sentences import Sentences
from .torch_scoring import score_reset
from .trainer import CharTrainer

logger = logging.getLogger("train")

STRETCH = 500  # characters, each read from a fresh state: rows side by side take a third of the time of one long text
LEAST_GAIN = 0.002  # nats per character for which another epoch is worth its time
BASE = "english"  # the packaged model that most texts are held against
BASE_RATE = 1e-3  # in a trial of a few steps
STEPS, SCORED = 20, 10_000  # steps of both models, and characters of validation that they are then scored on
CLEARLY = 0.1  # nats per character


class ScoreEpochs(TrainerCallback):
    """Keeps the nats per character of the validation split, or of its first `scored` characters, before the run and
    after each epoch, with the averaged weights; the run stops after an epoch that hardly lowers them."""

    def __init__(self, trainer: CharTrainer, scored: float):
        self.trainer, reading = trainer, trainer.reading
        rows = Sentences(reading.corpus["validation"])
        items = end_of_item(reading.tokenizer)
        stretches = (
            [rows[i, i + 1]["input_ids"][1:] for i in range(len(rows))] if items else rows.ids()[1:].split(STRETCH)
        )
        share = min(1.0, scored / int(rows.lengths.sum()))
        self.stretches = [stretch.tolist() for stretch in stretches[: math.ceil(share * len(stretches))]]
        self.nats: list[float] = []

    def on_train_begin(self, args, state, control, **kwargs):
        self.score()

    def on_epoch_end(self, args, state, control, **kwargs):
        with self.trainer.averaged():
            self.score()
        control.should_training_stop = self.nats[-1] > self.nats[-2] - LEAST_GAIN

    def score(self) -> None:
        nats = np.concatenate(score_reset(self.trainer.model.eval(), self.stretches))
        self.nats.append(nats.mean().item())


def try_out(recipe, model: CharLstmForCausalLM, reading: Reading, scored: float = math.inf) -> list[float]:
    """Trains a copy of the model, of which nothing is kept, and returns its nats per character on the validation split,
    or on its first `scored` characters: before, then after each epoch."""
    recipe = copy.copy(recipe)
    recipe.save_strategy = recipe.eval_strategy = recipe.logging_strategy = "no"
    recipe.report_to, recipe.disable_tqdm = [], True
    trainer = CharTrainer(
        reading=reading,
        averaging=AverageWeights(recipe.ema_decay) if recipe.ema_decay else None,
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
    """The rate of `learning_rate_grid` and the number of epochs, maybe none, after which a copy of the model that is
    trained on `train` predicts `validation` best."""
    recipe = copy.copy(recipe)
    recipe.train_split = "train"
    reading = recipe.reading(recipe)
    tried = []  # (nats, epochs, rate)
    for rate in recipe.learning_rate_grid:
        recipe.learning_rate = rate
        scores = try_out(recipe, model, reading)
        shown = ", ".join(f"{nats:.3f}" for nats in scores)
        logger.info("rate %g, epochs 0 to %d: %s nats on validation", rate, len(scores) - 1, shown)
        tried += [(nats, epochs, rate) for epochs, nats in enumerate(scores)]
    _, epochs, rate = min(tried)
    if epochs:
        logger.info("chosen: %d epochs at rate %g", epochs, rate)
    else:
        logger.info(
            "no epoch predicts the validation split better than the model that it starts from: it stays as it is"
        )
    return {"learning_rate": rate, "num_train_epochs": epochs}


def suggest_base(recipe) -> None:
    """Logs whether the packaged base would help: a new model and the base each learn a few steps of the training split,
    and are scored on the validation split. Nothing where there is no such base, or another model to start from."""
    if recipe.init_from or recipe.streaming or not local_model(BASE):
        return
    recipe = copy.copy(recipe)
    recipe.train_split, recipe.max_steps, recipe.ngram_smoothing, recipe.teachers = "train", STEPS, 0, None
    recipe.lr_scheduler_type, recipe.warmup_steps = "constant", 0
    reading = recipe.reading(recipe)
    from_scratch = try_out(recipe, make_model(recipe, reading.tokenizer), reading, SCORED)[-1]
    recipe.learning_rate, recipe.init_from = BASE_RATE, BASE
    from_base = try_out(recipe, load_to_tune(recipe, reading.tokenizer), reading, SCORED)[-1]
    helps = from_base < from_scratch - CLEARLY
    logger.info(
        "the packaged base %s %s: after %d steps %.2f nats per character on validation, a new model %.2f; %s",
        BASE,
        "would help with this text" if helps else "would not help with this text",
        STEPS,
        from_base,
        from_scratch,
        f"to start from it, say BASE={BASE}, or --config tune --init_from {BASE}" if helps else "going on without it",
    )
