"""What a training run promises: one command, loss on real characters, nothing lost, nothing mixed up."""

import functools
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerState, training_args

from char_lstm import CharLstmForCausalLM, NoveltyIndex, cli, generate_text, load, measure_novelty
from char_lstm.corpus.build import build_corpus
from char_lstm.corpus.sequences import lengths_of
from char_lstm.tokenization_char_lstm import PAD_TOKEN
from char_lstm.training import checkpoints, recipe, targets
from char_lstm.training.readings.lanes import Lanes
from char_lstm.training.readings.sentences import JoinedSentences, Sentences, collate
from char_lstm.training.readings.windows import Windows
from char_lstm.training.run import make_model
from char_lstm.training.trainer import SAMPLES, CharTrainer
from char_lstm.verbs.train import read_command
from tests.conftest import ROOT, STORY

TINY = shlex.split("""
    --hidden_size 16 --row_length 0 --num_train_epochs 3 --learning_rate 1e-2 --per_device_train_batch_size 16
    --per_device_eval_batch_size 4 --report_to none --disable_tqdm true --use_cpu true
""")


def open_reading(*arguments):
    recipe = read_command(list(arguments))
    return recipe.reading(recipe)


def run(corpus, output_dir, *arguments):
    cli.run("train", ["--dataset", str(corpus), "--output_dir", str(output_dir), *TINY, *arguments])
    return Path(output_dir)


def refused(capsys, corpus, output_dir, *arguments) -> str:
    with pytest.raises(SystemExit) as stop:
        run(corpus, output_dir, *arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """A whole run of three epochs."""
    return run(corpus, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def finished_copy(finished, tmp_path):
    """A run of its own to break."""
    return shutil.copytree(finished, tmp_path / "run")


def weights(output_dir):
    return load_file(output_dir / "model.safetensors")


def losses(checkpoint, key):
    log = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
    return {entry["epoch"]: entry[key] for entry in log if key in entry}


def newest(output_dir):
    return max(output_dir.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))


def test_one_command_leaves_a_model_that_loads_and_writes(finished):
    model, tokenizer = load(finished)
    assert len(generate_text(model, tokenizer)) == 500
    assert model(torch.tensor([[1, 2]])).past_key_values is not None
    assert (finished / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not list(finished.glob("*unfinished*"))


def test_a_run_keeps_the_index_that_tells_its_copies(finished, corpus):
    read = "".join(datasets.load_from_disk(corpus)["train"]["text"])
    found = measure_novelty(read[:100] + "|", NoveltyIndex.load(finished))
    assert found.spans == [(0, 100)]


def test_the_held_out_loss_of_every_epoch_is_nats_per_character(finished, corpus):
    held_out = losses(newest(finished), "eval_loss")
    assert list(held_out) == [1, 2, 3]
    cli.run(
        "evaluate",
        ["--model", str(finished), "--dataset", str(corpus), "--split", "validation", "--json", f"{finished}/v.json"],
    )
    figures = json.loads((finished / "v.json").read_text())
    assert held_out[3] == pytest.approx(figures["nats_per_char_reset"], abs=1e-4)


def test_training_lowers_the_loss(finished):
    training = losses(newest(finished), "loss")
    assert training[3] < training[1] - 0.1


@pytest.fixture
def sentences(corpus):
    return open_reading("--dataset", str(corpus), "--ngram_smoothing", "0").rows


def test_a_batch_has_no_column_of_padding_alone_and_no_label_on_a_pad(sentences):
    batch = collate([sentences[first, first + 1] for first in range(5)])
    assert batch["input_ids"].shape == (5, int(sentences.lengths[:5].max()) + 1)
    assert batch["attention_mask"].sum(dim=1).tolist() == (sentences.lengths[:5] + 1).tolist()
    assert torch.equal(batch["labels"] == -100, batch["attention_mask"] == 0)
    assert (batch["attention_mask"] == 0).any()


def test_joined_sentences_are_the_text_after_one_newline(sentences, corpus, tokenizer):
    texts = datasets.load_from_disk(corpus)["train"]["text"]
    assert tokenizer.decode(sentences[2, 6]["input_ids"]) == "\n" + "".join(texts[2:6])


@pytest.mark.parametrize("row_length", [0, 1, 60, 256, 100_000])
@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_an_epoch_reads_every_sentence_once_in_whole_rows(row_length, batch_size):
    lengths = torch.randint(2, 120, (90,))
    sampler = JoinedSentences(lengths, row_length, batch_size)
    for epoch in range(20):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(1 <= len(batch) <= batch_size for batch in batches)
        spans = list(chain.from_iterable(batches))
        read = [sentence for first, last in sorted(spans) for sentence in range(first, last)]
        assert read == list(range(90))
        assert all(first < last for first, last in spans)


def test_rows_are_about_as_long_as_asked_and_begin_elsewhere_in_every_epoch():
    lengths = torch.randint(2, 120, (900,))
    sampler = JoinedSentences(lengths, 256, 16)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append(list(chain.from_iterable(sampler)))
    for spans in epochs:
        joined = torch.tensor([int(lengths[first:last].sum()) for first, last in spans], dtype=torch.float)
        assert 230 < joined.mean() <= 256
        assert joined.max() <= 256 * 1.5 + 120
        assert [first for first, _ in spans] != sorted(first for first, _ in spans)
    assert len({frozenset(spans) for spans in epochs}) == 3


def test_a_row_length_of_0_leaves_every_sentence_alone():
    spans = chain.from_iterable(JoinedSentences(torch.randint(2, 120, (50,)), 0, 8))
    assert sorted(spans) == [(first, first + 1) for first in range(50)]


@pytest.mark.parametrize(("row_length", "batch_size", "bound"), [(0, 16, 0.08), (256, 16, 0.08), (0, 64, 0.12)])
def test_the_rows_of_a_batch_are_of_like_length(row_length, batch_size, bound):
    torch.manual_seed(0)
    lengths = torch.distributions.LogNormal(4.1, 0.6).sample((1335,)).clamp(2, 511).int()  # as a novel's sentences
    batches = [
        [int(lengths[first:last].sum()) for first, last in batch]
        for batch in JoinedSentences(lengths, row_length, batch_size)
    ]
    computed = sum(max(batch) * len(batch) for batch in batches)
    assert 1 - sum(map(sum, batches)) / computed < bound


def test_windows_are_the_texts_stretches_with_one_target_each(corpus, tokenizer):
    rows = datasets.load_from_disk(corpus)["train"]
    text = "".join(rows["text"])
    windows = Windows(rows, 20)
    assert len(windows) == len(text) - 20
    for start in (0, 777, len(windows) - 1):
        row = windows[start]
        assert tokenizer.decode(row["input_ids"]) == text[start : start + 21]
        assert row["labels"].tolist() == [-100] * 20 + [row["input_ids"][-1]]
    assert collate([windows[0], windows[5]])["labels"][:, :-1].eq(-100).all()


@pytest.mark.parametrize("lanes", [1, 3, 7])
def test_lanes_are_the_text_side_by_side_each_character_a_target(lanes, corpus, tokenizer):
    rows = datasets.load_from_disk(corpus)["train"]
    text = "".join(rows["text"])
    side_by_side = Lanes(rows, lanes, 50)
    read = [[side_by_side[place] for place in range(lane, len(side_by_side), lanes)] for lane in range(lanes)]
    given = [tokenizer.decode(torch.cat([row["input_ids"] for row in lane])) for lane in read]
    wanted = [tokenizer.decode(torch.cat([row["labels"][1:] for row in lane])) for lane in read]
    assert {len(lane) for lane in wanted} == {-(-len(text) // lanes)}
    assert all(before[1:] == after[:-1] for before, after in zip(given, wanted, strict=True))
    doubled = sum(map(len, wanted)) - len(text)
    assert "".join(wanted[:-1]) + wanted[-1][doubled:] == text
    assert {len(row["input_ids"]) for row in read[0][:-1]} <= {50}


def test_a_stateful_loss_is_that_of_whole_lanes(corpus):
    """Row after row with the state carried, smoothing included, costs what the lanes cost read at once."""
    arguments = ["--dataset", str(corpus), *TINY, "--stateful", "true", "--row_length", "64", "--eval_strategy", "no"]
    reading = open_reading(*arguments, "--input_dropout", "0", "--hidden_dropout", "0")
    model = make_model(reading.recipe, reading.tokenizer)
    (carried,) = reading.callbacks(None)
    trainer = CharTrainer(reading=reading, model=model, args=reading.recipe)
    batches = list(trainer.get_train_dataloader())
    characters = int(trainer.get_batch_samples(iter(batches), len(batches), reading.recipe.device)[1])
    assert characters == sum(batch["input_ids"].numel() for batch in batches)  # each target once
    ids, labels, soft_targets = (
        torch.cat([batch[name][:, skipped:] for batch in batches], 1)
        for name, skipped in (("input_ids", 0), ("labels", 1), ("soft_targets", 0))
    )
    assert ids.shape[0] == reading.recipe.train_batch_size
    scores = model(ids).logits.log_softmax(-1)
    hard, soft = scores.gather(2, labels[..., None]).sum(), (scores * soft_targets).sum()
    share = reading.recipe.ngram_smoothing
    model.train()
    loss = sum(
        trainer.compute_loss(model, reading.begin_step(batch), num_items_in_batch=characters) for batch in batches
    )
    assert loss.item() == pytest.approx(-((1 - share) * hard + share * soft).item() / characters, rel=1e-4)

    carried.on_epoch_begin(reading.recipe, trainer.state, trainer.control)
    assert carried.state is None  # lanes begin anew


@pytest.mark.parametrize("options", [[], ["--stateful"], ["--window_length", "20"], ["--row_length", "0"]])
def test_a_corpus_stored_without_padding_gives_the_same_batches_bit_for_bit(tmp_path, options):
    batches = []
    for padded in (True, False):
        corpus = tmp_path / f"padded {padded}"
        build_corpus(corpus, text=STORY, pad_to_max_length=padded)
        reading = open_reading("--dataset", str(corpus), "--report_to", "none", *options)
        trainer = CharTrainer(
            reading=reading,
            model=make_model(reading.recipe, reading.tokenizer),
            args=reading.recipe,
            eval_dataset=reading.held_out_rows(),
        )
        torch.manual_seed(0)
        batches.append([*trainer.get_train_dataloader(), *trainer.get_eval_dataloader()])
    for one, other in zip(*batches, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_stateful_run_whose_lanes_end_in_one_character_trains(tmp_path):
    (tmp_path / "lines.txt").write_text("abcdefg\n" * 33)
    build_corpus(tmp_path / "corpus", text=tmp_path / "lines.txt")
    short = ["--train_split", "train+validation+test", "--per_device_train_batch_size", "8", "--row_length", "16"]
    output_dir = run(tmp_path / "corpus", tmp_path / "run", "--stateful", "true", *short, "--num_train_epochs", "1")
    assert (output_dir / "model.safetensors").is_file()


def test_a_stateful_run_is_one_process_and_reads_rows_in_order(corpus, tmp_path, capsys):
    refusal = refused(capsys, corpus, tmp_path, "--stateful", "true", "--row_length", "0")
    assert "carries the state within one process" in refusal
    refusal = refused(capsys, corpus, tmp_path, "--stateful", "true", "--window_length", "20")
    assert "--window_length and --stateful are two ways to read a text: choose one" in refusal


def test_a_text_shorter_than_a_window_is_refused(corpus, tmp_path, capsys):
    assert "too few for --window_length 99999" in refused(capsys, corpus, tmp_path, "--window_length", "99999")


def test_the_tutorials_recipe_trains_on_windows(corpus, tmp_path):
    tutorial = ROOT / "scripts" / "configs" / "tutorial.yaml"
    command = ["--config", str(tutorial), "--dataset", str(corpus), "--output_dir", str(tmp_path)]
    short = shlex.split("--hidden_size 8 --max_steps 3 --report_to none --disable_tqdm true --use_cpu true")
    cli.run("train", [*command, *short])
    model, _ = load(tmp_path)
    assert (model.config.hidden_dropout, model.config.output_dropout) == (0.2, 0.2)


def test_a_final_run_trains_on_validation_too_and_shows_no_held_out_loss(finished, corpus, tmp_path):
    output_dir = run(corpus, tmp_path / "run", "--train_split", "train+validation", "--max_steps", "2")
    reading = open_reading("--dataset", str(corpus), "--train_split", "train+validation")
    rows = reading.training_rows()
    assert len(rows) == len(reading.corpus["train"]) + len(reading.corpus["validation"])
    assert losses(newest(output_dir), "eval_loss") == {}


def test_a_killed_run_goes_on_to_the_same_weights_and_the_same_curve(finished, corpus, tmp_path):
    command = [sys.executable, "scripts/train.py", "--dataset", str(corpus), "--output_dir", str(tmp_path), *TINY]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while checkpoints.last_whole_checkpoint(tmp_path) is None:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "model.safetensors").exists()

    run(corpus, tmp_path)
    for name, expected in weights(finished).items():
        assert torch.equal(weights(tmp_path)[name], expected), name
    for key in ("loss", "eval_loss"):
        assert losses(newest(tmp_path), key) == losses(newest(finished), key)


@pytest.mark.parametrize("last_step", [2, 11])  # in the middle of the first epoch and of the second
def test_a_machine_that_is_taken_away_loses_no_step_and_the_same_line_goes_on(
    finished, corpus, tmp_path, monkeypatch, capsys, last_step
):
    step, before = CharTrainer.training_step, signal.getsignal(signal.SIGTERM)

    def taken_away(trainer, *args, **kwargs):
        if trainer.state.global_step == last_step - 1:
            signal.raise_signal(signal.SIGTERM)
        return step(trainer, *args, **kwargs)

    seldom = ["--save_strategy", "steps", "--save_steps", "1000"]  # so that no checkpoint is due
    monkeypatch.setattr(CharTrainer, "training_step", taken_away)
    with pytest.raises(SystemExit) as stop:
        run(corpus, tmp_path, *seldom)
    monkeypatch.undo()
    assert stop.value.code == 130
    assert "the same command resumes" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
    assert checkpoints.last_whole_checkpoint(tmp_path).name == f"checkpoint-{last_step}"
    assert not (tmp_path / "model.safetensors").exists()

    run(corpus, tmp_path, *seldom)
    for name, expected in weights(finished).items():
        assert torch.equal(weights(tmp_path)[name], expected), name
    assert losses(newest(tmp_path), "eval_loss").items() <= losses(newest(finished), "eval_loss").items()
    assert (tmp_path / SAMPLES).read_text() == (finished / SAMPLES).read_text()


def test_accumulated_gradients_are_those_of_the_bigger_batch(corpus, tmp_path):
    """As many rows of an epoch as four divides in one batch, and in four that are added up."""
    rows = len(open_reading("--dataset", str(corpus)).corpus["train"])
    still = ["--input_dropout", "0", "--hidden_dropout", "0", "--per_device_train_batch_size"]
    whole = run(corpus, tmp_path / "whole", *still, str(rows // 4 * 4))
    parts = run(corpus, tmp_path / "parts", *still, str(rows // 4), "--gradient_accumulation_steps", "4")
    for name, expected in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], expected, rtol=0, atol=1e-5)


def test_a_deeper_model_learns_long_rows_in_segments_by_command_line_alone(corpus, tmp_path):
    deep = shlex.split(
        "--num_hidden_layers 3 --row_length 2000 --num_train_epochs 1 --input_dropout 0 --hidden_dropout 0"
    )
    whole = run(corpus, tmp_path / "whole", *deep)
    parts = run(corpus, tmp_path / "parts", *deep, "--gradient_checkpointing", "true")
    assert load(parts)[0].config.num_hidden_layers == 3
    for name, expected in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], expected, rtol=0, atol=1e-5)


def test_half_precision_learns_what_full_precision_does(finished, corpus, tmp_path):
    half = run(corpus, tmp_path, "--bf16", "true")
    assert losses(newest(half), "eval_loss")[3] == pytest.approx(losses(newest(finished), "eval_loss")[3], abs=0.005)
    assert weights(half)["lm_head.weight"].dtype == torch.float32


def test_a_card_with_tf32_uses_it_unless_told_not_to_and_a_run_may_go_on_without(monkeypatch):
    asked = []
    for module in (recipe, training_args):
        monkeypatch.setattr(module, "is_torch_tf32_available", lambda: True)
    monkeypatch.setattr(training_args, "enable_tf32", asked.append)
    read_command([])
    read_command(["--tf32", "false"])
    assert asked == [True, False]
    assert {"tf32", "dataloader_pin_memory"} < checkpoints.UNRECORDED


def test_the_model_is_the_average_of_its_weights_and_a_checkpoint_holds_both(finished, finished_copy, corpus):
    raw, average = (load_file(newest(finished) / name) for name in ("model.safetensors", checkpoints.AVERAGE))
    for name, weight in weights(finished).items():
        assert torch.equal(weight, average[f"module.{name}"])
    assert not torch.equal(raw["lm_head.weight"], average["module.lm_head.weight"])


def test_an_average_follows_the_weights_closely_at_first_and_then_slowly():
    model = torch.nn.Linear(1, 1)
    averaging = checkpoints.AverageWeights(0.5)
    averaging.on_train_begin(None, TrainerState(), None, model)
    for value in (0.0, 1.0, 2.0):  # of the old, 2 / 11 and then 3 / 12 are kept
        model.weight.data.fill_(value)
        averaging.on_step_end(None, None, None, model)
    assert averaging.average.module.weight.item() == pytest.approx(9 / 11 * 3 / 12 + 2 * 9 / 12)
    for _ in range(20):
        averaging.on_step_end(None, None, None, model)
    before = averaging.average.module.weight.item()
    model.weight.data.fill_(before + 1)
    averaging.on_step_end(None, None, None, model)
    assert averaging.average.module.weight.item() == pytest.approx(before + 0.5)


def test_targets_are_partly_those_of_an_n_gram_model(corpus):
    """The loss with smoothing lies between the loss without and the one of the soft targets alone."""
    reading = open_reading("--dataset", str(corpus), *TINY)
    tokenizer, rows = reading.tokenizer, reading.training_rows()
    model = make_model(reading.recipe, tokenizer)
    expected = targets.ngram_targets(reading.recipe, rows, tokenizer)
    with torch.no_grad():
        model.lm_head.weight.normal_()  # new, it would score all characters about alike
    text = "".join(rows["text"])
    assert expected.shape == (len(text), len(tokenizer))
    assert expected.astype(float).sum(axis=1) == pytest.approx(1, abs=1e-2)

    batch = collate([Sentences(rows, expected)[span] for span in ((0, 2), (5, 6))])
    torch.manual_seed(0)
    scores = model.eval()(batch["input_ids"], batch["attention_mask"]).logits[:, :-1].log_softmax(-1)
    real = batch["labels"][:, 1:] != -100
    hard = -scores.gather(2, batch["input_ids"][:, 1:, None])[..., 0][real].sum()
    first = sum(rows["length"][:2]) - 2
    place = sum(rows["length"][:5]) - 5
    wanted = np.concatenate([expected[:first], expected[place : place + rows["length"][5] - 1]])
    soft = -(torch.from_numpy(wanted).float() * torch.cat([scores[0][real[0]], scores[1][real[1]]])).sum()
    model.train()
    for dropout in (model.model.input_dropout, model.model.hidden_dropout):
        dropout.p = 0
    reading.recipe.eval_strategy = "no"
    trainer = CharTrainer(reading=reading, model=model, args=reading.recipe)
    loss = trainer.compute_loss(model, batch, num_items_in_batch=real.sum())
    assert loss.item() == pytest.approx((0.2 * hard + 0.8 * soft).item() / real.sum().item(), rel=1e-4)


def test_a_long_text_is_not_smoothed(corpus, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(targets, "SMOOTHED_UP_TO", 1000)
    assert open_reading("--dataset", str(corpus), *TINY).rows.soft_targets is None
    assert "no n-gram smoothing" in caplog.text


class TestOtherSteps:
    """What another number of processes makes of an epoch: here the same process with batches of twice the size."""

    @pytest.fixture
    def twice(self, monkeypatch):
        monkeypatch.setattr(checkpoints, "UNRECORDED", checkpoints.UNRECORDED | {"per_device_train_batch_size"})
        return ["--per_device_train_batch_size", "32"]

    @pytest.fixture
    def cut_short(self, finished_copy):
        """A run that was stopped within its third epoch, of nine steps."""
        last = newest(finished_copy)
        shutil.move(last, finished_copy / "checkpoint-22")
        state = json.loads((finished_copy / "checkpoint-22" / checkpoints.STATE).read_text())
        checkpoints.write_json(finished_copy / "checkpoint-22" / checkpoints.STATE, state | {"epoch": 2.5})
        checkpoints.mark_whole(finished_copy / "checkpoint-22")
        (finished_copy / "model.safetensors").unlink()
        return finished_copy

    def test_a_run_goes_on_from_its_last_whole_epoch_and_says_so(self, cut_short, finished, corpus, twice, caplog):
        assert newest(finished).name == "checkpoint-27"
        run(corpus, cut_short, *twice)
        said = "an epoch has 5 steps instead of 9: going on from the end of epoch 2"
        assert sum(said in message for message in caplog.messages) == 1
        assert f"resuming from {cut_short / 'checkpoint-10'}" in caplog.messages
        assert sorted(path.name for path in cut_short.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-15"]
        assert losses(newest(cut_short), "eval_loss").keys() == {1, 2, 3}
        for key, bound in {"learning_rate": 1e-4, "eval_loss": 0.1}.items():
            one, other = (losses(newest(folder), key)[3] for folder in (finished, cut_short))
            assert other == pytest.approx(one, abs=bound)
        load(cut_short)

    def test_it_goes_on_in_the_same_way_after_a_kill_in_between(self, cut_short, corpus, twice):
        checkpoints.renumbered(cut_short / "checkpoint-18", 10)
        run(corpus, cut_short, *twice)
        assert newest(cut_short).name == "checkpoint-15"

    def test_a_run_without_a_whole_epoch_says_what_it_needs(self, cut_short, corpus, twice, capsys):
        shutil.rmtree(cut_short / "checkpoint-18")
        assert "use as many as before" in refused(capsys, corpus, cut_short, *twice)
        assert checkpoints.is_whole(cut_short / "checkpoint-22")


def test_figures_of_an_older_model_do_not_outlive_it(finished_copy, corpus):
    (finished_copy / "evaluation.json").write_text('{"weights_sha256": "of another model"}')
    run(corpus, finished_copy)
    load(finished_copy)


@pytest.mark.parametrize("stateful", ["false", "true"])
def test_a_run_goes_on_in_the_middle_of_an_epoch_to_the_same_weights(corpus, tmp_path, stateful):
    steps = ["--save_strategy", "steps", "--save_steps", "3", "--save_total_limit", "20", "--eval_strategy", "no"]
    steps += ["--stateful", stateful, "--row_length", "30"]
    whole = run(corpus, tmp_path / "whole", *steps)
    shutil.copytree(whole, tmp_path / "cut")
    for later in list((tmp_path / "cut").glob("checkpoint-*")):
        if int(later.name.split("-")[1]) > 15:  # in the middle of the second epoch
            shutil.rmtree(later)
    record = json.loads((whole / checkpoints.RUN_RECORD).read_text())
    (tmp_path / "cut" / checkpoints.RUN_RECORD).write_text(json.dumps(record))
    resumed = run(corpus, tmp_path / "cut", *steps)
    for name, expected in weights(whole).items():
        assert torch.equal(weights(resumed)[name], expected), name


@pytest.mark.parametrize("row_length", [0, 60])
@pytest.mark.parametrize(("processes", "accumulated", "batch_size"), [(2, 1, 8), (3, 2, 4), (1, 4, 2), (7, 1, 3)])
def test_the_rows_of_a_step_are_the_same_however_they_are_shared(row_length, processes, accumulated, batch_size):
    lengths = torch.randint(2, 120, (90,))
    whole = JoinedSentences(lengths, row_length, batch_size * processes * accumulated)
    shares = [
        JoinedSentences(lengths, row_length, batch_size, accumulated=accumulated, processes=processes, process=process)
        for process in range(processes)
    ]
    for epoch in range(3):
        for sampler in (whole, *shares):
            sampler.set_epoch(epoch)
        batches = [list(share) for share in shares]
        assert {len(read) for read in batches} == {len(whole) * accumulated} == {len(share) for share in shares}
        for number, step in enumerate(whole):
            parts = [read[number * accumulated + part] for read in batches for part in range(accumulated)]
            assert all(1 <= len(part) <= batch_size for part in parts)
            assert sorted(span for part in parts for span in part if span != (0, 0)) == sorted(step)


def test_a_row_of_no_sentence_is_the_newline_alone_and_teaches_nothing(sentences, make_model):
    sentences.soft_targets = np.ones((int(sentences.ends[-1]), 3), np.float32)
    row = sentences[0, 0]
    assert row["input_ids"].tolist() == [1]
    assert row["soft_targets"].shape == (0, 3)
    batch = collate([sentences[2, 3], row])
    assert int((batch["labels"][:, 1:] != -100).sum()) == int(sentences.lengths[2])


def test_held_out_rows_fill_whole_batches_of_every_process_with_newlines_that_count_nothing(corpus, monkeypatch):
    reading = open_reading("--dataset", str(corpus), *TINY)
    rows = reading.corpus["validation"]
    assert len(reading.held_out_rows()) == len(rows)
    monkeypatch.setattr(recipe.Recipe, "world_size", 3)
    padded = reading.held_out_rows()
    assert 0 < len(padded) - len(rows) < 12
    assert len(padded) % 12 == 0
    assert lengths_of(padded).sum() - len(padded) == lengths_of(rows).sum() - len(rows)
    assert padded[:]["attention_mask"].sum(dim=1).tolist() == padded[:]["length"].tolist()


def test_several_gpus_without_a_process_each_are_refused_with_the_command(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipe.Recipe, "n_gpu", 4)
    assert "torchrun --nproc_per_node 4 scripts/train.py" in refused(capsys, corpus, tmp_path)


def test_the_best_average_is_kept_on_demand(corpus, tmp_path):
    output_dir = run(corpus, tmp_path, "--load_best_model_at_end", "true", "--learning_rate", "0.2")
    held_out = losses(newest(output_dir), "eval_loss")
    best = output_dir / json.loads((newest(output_dir) / "trainer_state.json").read_text())["best_model_checkpoint"]
    average = load_file(best / checkpoints.AVERAGE)
    assert len(held_out) == 3
    assert torch.equal(weights(output_dir)["lm_head.weight"], average["module.lm_head.weight"])


@pytest.mark.parametrize("tear", ["mark", "weights"])
def test_a_torn_checkpoint_is_left_out_for_the_one_before(finished, finished_copy, corpus, caplog, tear):
    assert checkpoints.last_whole_checkpoint(finished_copy) == newest(finished_copy)
    torn = newest(finished_copy)
    if tear == "mark":
        (torn / checkpoints.COMPLETE).unlink()
    else:
        os.truncate(torn / "model.safetensors", 1000)
    run(corpus, finished_copy)
    assert f"{torn} is incomplete; skipping it" in caplog.text
    assert all(torch.equal(weights(finished_copy)[name], tensor) for name, tensor in weights(finished).items())


def test_an_older_checkpoint_half_removed_is_not_kept_in_place_of_a_whole_one(finished_copy, corpus):
    """Such as a run leaves that is killed while it removes its oldest: it counts among those to keep."""
    older, newer = finished_copy.glob("checkpoint-*")
    shutil.copytree(older, finished_copy / "checkpoint-1")
    (finished_copy / "checkpoint-1" / "model.safetensors").unlink()
    run(corpus, finished_copy)
    assert set(finished_copy.glob("checkpoint-*")) == {older, newer}


def test_another_run_into_the_same_folder_is_refused_by_the_name_of_the_difference(finished_copy, corpus, capsys):
    before = (finished_copy / "model.safetensors").stat().st_mtime_ns
    assert "hidden_size was 16, now 17" in refused(capsys, corpus, finished_copy, "--hidden_size", "17")
    assert (finished_copy / "model.safetensors").stat().st_mtime_ns == before


def test_other_data_into_the_same_folder_are_refused(finished_copy, story, tmp_path, capsys):
    (tmp_path / "other.txt").write_text(story.replace("lamp", "lantern"), encoding="utf-8")
    build_corpus(tmp_path / "other", text=str(tmp_path / "other.txt"))
    assert "its data differ" in refused(capsys, tmp_path / "other", finished_copy)


def test_a_diverging_run_stops_with_its_cause_and_the_last_good_checkpoint(corpus, tmp_path, capsys, monkeypatch):
    forward = CharLstmForCausalLM.forward

    @functools.wraps(forward)
    def diverge(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        if self.training and list(tmp_path.glob(f"checkpoint-*/{checkpoints.COMPLETE}")):
            output.loss = output.loss * float("nan")
        return output

    monkeypatch.setattr(CharLstmForCausalLM, "forward", diverge)
    message = refused(capsys, corpus, tmp_path)
    assert "the training loss became nan at step" in message
    assert f"Last good checkpoint: {newest(tmp_path)}" in message
    assert checkpoints.is_whole(newest(tmp_path))


def test_training_starts_from_a_published_model_with_its_alphabet(finished, corpus, tmp_path):
    output_dir = run(corpus, tmp_path / "tuned", "--init_from", str(finished), "--learning_rate", "0")
    assert all(torch.equal(weights(output_dir)[name], tensor) for name, tensor in weights(finished).items())


@pytest.mark.parametrize("embedding_size", [0, 6])
def test_a_text_with_other_characters_keeps_them_all_and_those_of_both_alphabets_keep_their_weights(
    corpus, tmp_path, caplog, embedding_size
):
    from char_lstm.corpus.build import build_corpus

    (tmp_path / "other.txt").write_text("One lamp. Eins Ω ж ships. " * 30, encoding="utf-8")
    build_corpus(tmp_path / "other", text=str(tmp_path / "other.txt"))
    base = run(corpus, tmp_path / "base", "--embedding_size", str(embedding_size), "--max_steps", "1")
    still = ("--learning_rate", "0", "--max_steps", "1")
    tuned = run(tmp_path / "other", tmp_path / "tuned", "--init_from", str(base), *still)
    counted = "of the text's characters 12 keep their weights and 2 start fresh: ω ж; 16 of the model's others go"
    assert counted in caplog.text
    assert "left out" not in caplog.text
    (model, tokenizer), (known, alphabet) = load(tuned), load(base)
    assert tokenizer.get_vocab().keys() == {PAD_TOKEN, *"\n aeihlmnopsжω"}
    assert (model.config.vocab_size, model.generation_config.suppress_tokens) == (len(tokenizer), [0])
    read, was_read = (torch.tensor([one("mash lion pens").input_ids]) for one in (tokenizer, alphabet))
    both = [token for token in tokenizer.get_vocab() if token in alphabet.get_vocab()]
    ours, theirs = (one.convert_tokens_to_ids(both) for one in (tokenizer, alphabet))
    torch.testing.assert_close(model(read).logits[..., ours], known(was_read).logits[..., theirs])


def test_a_text_that_the_published_alphabet_reads_as_it_stands_is_still_read_with_its_own(finished, tmp_path, caplog):
    from char_lstm.corpus.build import build_corpus

    (tmp_path / "other.txt").write_text("One lamp. Ten ships. " * 30, encoding="utf-8")
    build_corpus(tmp_path / "other", text=str(tmp_path / "other.txt"))
    output_dir = run(tmp_path / "other", tmp_path / "tuned", "--init_from", str(finished), "--max_steps", "1")
    assert set("".join(load(output_dir)[1].get_vocab())) - set(PAD_TOKEN) == set("\n aehilmnopst") - set(PAD_TOKEN)
    assert "0 start fresh; " in caplog.text


def test_the_defaults_are_the_assignments_recipe():
    def settings(*arguments):
        return {name: value for name, value in read_command(list(arguments)).to_dict().items() if name != "config"}

    assert settings() == settings("--config", str(ROOT / "scripts/configs/alice.yaml"))


def test_the_command_line_overrides_the_yaml_and_the_yaml_the_defaults(tmp_path):
    (tmp_path / "mine.yaml").write_text("hidden_size: 32\nlearning_rate: 1e-4\n")
    recipe = read_command(["--config", str(tmp_path / "mine.yaml"), "--hidden_size", "64"])
    assert (recipe.hidden_size, recipe.learning_rate, recipe.num_hidden_layers) == (64, 1e-4, 2)


@pytest.mark.parametrize("where", ["yaml", "command line"])
def test_an_unknown_setting_is_refused_by_name(tmp_path, capsys, where):
    (tmp_path / "mine.yaml").write_text("hiden_size: 32\n" if where == "yaml" else "hidden_size: 32\n")
    arguments = ["--hiden_size", "3"] if where == "command line" else []
    with pytest.raises(SystemExit) as stop:
        cli.run("train", ["--config", str(tmp_path / "mine.yaml"), *arguments])
    assert stop.value.code == 2
    assert "hiden_size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", "LIST"], "should hold lines of `setting: value`"),
        (["--hidden_size", "0"], "hidden_size must be at least 1"),
        (["--train_split", "train+dev"], "the corpus has no split dev"),
    ],
)
def test_a_bad_setting_is_one_clear_message_and_exit_code_2(corpus, tmp_path, capsys, arguments, complaint):
    (tmp_path / "list.yaml").write_text("- hidden_size")
    arguments = [str(tmp_path / "list.yaml") if argument == "LIST" else argument for argument in arguments]
    with pytest.raises(SystemExit) as stop:
        run(corpus, tmp_path / "run", *arguments)
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err


def test_tuning_uses_the_dropouts_that_were_asked_for(finished, corpus, tmp_path):
    dropouts = ("--input_dropout", "0.3", "--hidden_dropout", "0")
    model, _ = load(run(corpus, tmp_path, "--init_from", str(finished), *dropouts, "--max_steps", "1"))
    assert (model.model.input_dropout.p, model.model.hidden_dropout.p) == (0.3, 0)


FAULTS = """
import resource, torch
from char_lstm.training.run import reuse_freed_memory
{}
faults = []
for step in range(8):
    torch.ones(10_000_000)  # 40 MB, which the next step needs again
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[3])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_step_takes_the_memory_that_the_one_before_freed():
    def faults(prepared: str) -> int:
        run = subprocess.run(
            [sys.executable, "-c", FAULTS.format(prepared)], capture_output=True, text=True, check=True
        )
        return int(run.stdout)

    assert faults("") > 1000  # pages that the system has to clear anew
    assert faults("reuse_freed_memory()") < 100


def test_a_folder_that_another_process_trains_into_is_left_alone(corpus, tmp_path, capsys):
    unfinished = tmp_path / "checkpoint-1"  # which the other process may be writing
    unfinished.mkdir()
    other = "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    command = [sys.executable, "-c", other, str(tmp_path / checkpoints.LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # it holds the folder
        message = refused(capsys, corpus, tmp_path)
        process.communicate(b"\n")
    assert f"another process is training into {tmp_path}" in message
    assert unfinished.exists()
    assert not (tmp_path / checkpoints.RUN_RECORD).exists()


def test_processes_that_know_nothing_of_each_other_train_nothing(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")  # srun --ntasks 2 char-lstm train
    message = refused(capsys, corpus, tmp_path / "run")
    assert "one of 2 processes (SLURM_STEP_NUM_TASKS), but they are not connected" in message
    assert not (tmp_path / "run").exists()
