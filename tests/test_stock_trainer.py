"""What the library's own Trainer makes of the model: a loss that is the mean over the characters scored."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from char_lstm import CharLstmConfig, CharLstmForCausalLM, CharLstmForSequenceClassification

TEXTS = ["the sea was grey and cold that day\n", "a boat\n", "no\n", "she saw the light go out\n", "x y\n", "i am\n"]
SIDES = ["left", "right"]
STEPS = [(6, 1), (3, 2), (2, 3), (1, 6)]  # rows of a batch, batches of a step


@pytest.fixture
def model(make_model):
    return make_model(input_dropout=0.0, hidden_dropout=0.0)


@pytest.fixture
def alone(model, tokenizer):
    """The mean surprisal of all characters but each text's first, and its gradient, without a pad or a Trainer."""
    losses = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        losses.append(model(ids, labels=ids).loss * (ids.shape[1] - 1))
    loss = sum(losses) / sum(len(text) - 1 for text in TEXTS)
    loss.backward()
    gradients = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    return loss.item(), gradients


class OneStep(Trainer):
    """Trains for one step and keeps its gradients."""

    def training_step(self, model, *args, **kwargs):
        loss = super().training_step(model, *args, **kwargs)
        self.loss = getattr(self, "loss", 0) + loss.item()
        self.gradients = [weight.grad.clone() for weight in model.parameters()]
        return loss


@pytest.fixture
def make_trainer(tmp_path):
    def make(model, rows, collator, batch_size=6, accumulated=1, **arguments):
        settings = TrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=batch_size,
            gradient_accumulation_steps=accumulated,
            max_steps=1,
            learning_rate=0.0,
            train_sampling_strategy="sequential",
            max_grad_norm=0,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            **arguments,
        )
        rows = Dataset.from_list(rows)
        return OneStep(model, settings, train_dataset=rows, eval_dataset=rows, data_collator=collator)

    return make


@pytest.fixture
def encoded(tokenizer):
    """The texts on a padding side, and the collator that the tutorials name."""

    def encode(side, **padding):
        tokenizer.padding_side = side
        return [dict(tokenizer(text, **padding)) for text in TEXTS], DataCollatorForLanguageModeling(
            tokenizer, mlm=False
        )

    yield encode
    tokenizer.padding_side = "left"


def assert_a_step_learns(trainer, alone):
    trainer.train()
    assert trainer.loss == pytest.approx(alone[0], abs=1e-5)
    torch.testing.assert_close(trainer.gradients, alone[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
class TestAStep:
    def test_evaluation_says_what_the_model_says_by_itself(self, model, alone, encoded, make_trainer, side):
        assert make_trainer(model, *encoded(side)).evaluate()["eval_loss"] == pytest.approx(alone[0], abs=1e-5)

    def test_a_step_of_one_batch_learns_what_the_rows_teach(self, model, alone, encoded, make_trainer, side):
        assert_a_step_learns(make_trainer(model, *encoded(side)), alone)

    def test_rows_of_one_width_whose_pads_are_labels_teach_the_same(self, model, alone, encoded, make_trainer, side):
        rows, _ = encoded(side, padding="max_length", max_length=80)
        trainer = make_trainer(model, [row | {"labels": row["input_ids"]} for row in rows], default_data_collator)
        assert trainer.evaluate()["eval_loss"] == pytest.approx(alone[0], abs=1e-5)
        assert_a_step_learns(trainer, alone)

    @pytest.mark.parametrize("share", STEPS)
    def test_without_a_label_for_the_first_character_any_split_of_a_step_is_exact(
        self, model, alone, encoded, make_trainer, tokenizer, side, share
    ):
        rows, _ = encoded(side)
        rows = [row | {"labels": [-100, *row["input_ids"][1:]]} for row in rows]
        assert_a_step_learns(make_trainer(model, rows[::-1], DataCollatorForSeq2Seq(tokenizer), *share), alone)

    def test_predictions_are_the_scores_without_the_state(self, model, encoded, make_trainer, side):
        trainer = make_trainer(model, *encoded(side), batch_size=3, use_cache=True)
        seen = []
        trainer.compute_metrics = lambda result: seen.append(result.predictions.shape) or {"right": 1.0}
        assert trainer.evaluate()["eval_right"] == 1.0
        assert seen == [(len(TEXTS), len(TEXTS[0]), model.config.vocab_size)]
        assert model.config.use_cache


@pytest.mark.parametrize("share", STEPS)
def test_rows_padded_on_the_right_are_exact_in_any_split(model, alone, encoded, make_trainer, share):
    assert_a_step_learns(make_trainer(model, *encoded("right"), *share), alone)


@pytest.mark.parametrize("share", STEPS)
def test_a_split_of_rows_padded_on_the_left_is_close(model, alone, encoded, make_trainer, share):
    """The Trainer weighs batches by its own count, which has the first character of each padded row in it."""
    trainer = make_trainer(model, *encoded("left"), *share)
    trainer.train()
    assert trainer.loss == pytest.approx(alone[0], rel=0.02)


def test_a_subclass_of_any_name_has_the_same_loss(make_model, alone, encoded, make_trainer):
    class Poet(CharLstmForCausalLM):
        pass

    class Judge(CharLstmForSequenceClassification):
        pass

    poet = Poet(make_model().config).eval()
    poet.load_state_dict(make_model().state_dict())
    assert make_trainer(poet, *encoded("right")).evaluate()["eval_loss"] == pytest.approx(alone[0], abs=1e-5)
    judge = Judge(CharLstmConfig(num_labels=3))
    assert judge(torch.ones(2, 4, dtype=torch.long), labels=torch.tensor([0, 2])).loss.isfinite()


def test_smoothed_labels_are_those_of_the_next_character(model, encoded, make_trainer, tokenizer):
    trainer = make_trainer(model, *encoded("right"), label_smoothing_factor=0.1)
    loss = trainer.evaluate()["eval_loss"]
    surprisals, means = [], []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        scores = -model(ids).logits[0, :-1].log_softmax(-1)  # (time - 1, vocab)
        surprisals += scores[torch.arange(len(scores)), ids[0, 1:]].tolist()
        means += scores.mean(-1).tolist()
    assert loss == pytest.approx(0.9 * np.mean(surprisals) + 0.1 * np.mean(means), abs=1e-4)
