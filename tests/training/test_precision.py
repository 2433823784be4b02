"""What a run says of `--bf16` on a CPU, before it spends hours on it."""

import shlex
from itertools import chain, repeat
from types import SimpleNamespace

import pytest
import torch

from char_lstm import cli, layers_char_lstm
from char_lstm.training import precision, run
from char_lstm.training.trainer import CharTrainer
from char_lstm.verbs.train import read_command

LINE = "bfloat16 matrix products run at {} times the speed of float32 on this processor: --bf16 {}"


@pytest.fixture
def said(monkeypatch, caplog):
    """What is said of a recipe on a processor of a given speed."""
    caplog.set_level("INFO", "train")

    def said(speed: float = 2.0, cell_type: str = "lstm", bf16: bool = True, device: str = "cpu") -> list[str]:
        caplog.clear()
        monkeypatch.setattr(precision, "bfloat16_speed", lambda: speed)
        recipe = SimpleNamespace(bf16=bf16, device=torch.device(device))
        precision.say_whether_bfloat16_helps(recipe, cell_type)
        return caplog.messages

    return said


def test_one_line_says_from_what_was_measured_whether_bfloat16_helps(said, monkeypatch):
    monkeypatch.setattr(layers_char_lstm, "ONEDNN_HAS_BFLOAT16", True)
    assert said(0.62) == [LINE.format("0.6", "will not help")]
    assert said(1.0) == [LINE.format("1.0", "will not help")]
    assert said(1.8) == [LINE.format("1.8", "should help")]


def test_where_the_layers_stay_in_float32_it_is_said_that_bfloat16_will_not_help(said, monkeypatch):
    monkeypatch.setattr(layers_char_lstm, "ONEDNN_HAS_BFLOAT16", True)
    (line,) = said(cell_type="gru")
    assert line.startswith("--bf16 will not help")
    monkeypatch.setattr(layers_char_lstm, "ONEDNN_HAS_BFLOAT16", False)
    assert said() == [line]


def test_nothing_is_said_on_a_gpu_or_in_float32(said):
    assert said(device="cuda") == said(bf16=False) == []


def test_where_there_is_only_a_cpu_bf16_needs_no_other_option(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert read_command(["--bf16", "true", "--output_dir", str(tmp_path)]).device.type == "cpu"


def test_the_speed_is_that_of_undisturbed_products(monkeypatch):
    """A product in float32 takes 2 s of the clock and one in bfloat16 takes 4, but for two that were disturbed."""
    lengths = chain([80.0, 90.0], *repeat([2.0, 4.0], precision.PRODUCTS - 1))
    clock = iter([time for length in lengths for time in (0.0, length)])
    monkeypatch.setattr(precision.time, "thread_time", lambda: next(clock))
    assert precision.bfloat16_speed() == 0.5


def test_a_run_with_bf16_on_a_cpu_says_the_line_before_its_first_step(corpus, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "train")
    monkeypatch.setattr(precision, "bfloat16_speed", lambda: 0.5)
    monkeypatch.setattr(layers_char_lstm, "ONEDNN_HAS_BFLOAT16", True)
    monkeypatch.setattr(CharTrainer, "train", lambda *_, **__: caplog.records.append(None))
    monkeypatch.setattr(run, "save_result", lambda *_: None)
    short = "--bf16 true --hidden_size 8 --report_to none --disable_tqdm true --use_cpu true"
    cli.run("train", ["--dataset", str(corpus), "--output_dir", str(tmp_path), *shlex.split(short)])
    *before, began = caplog.records
    assert began is None
    assert LINE.format("0.5", "will not help") in [record.getMessage() for record in before]
