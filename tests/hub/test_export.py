"""What an exported step promises: outside Python the same characters, in no more bytes."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from datasets import load_from_disk
from safetensors.numpy import load_file, save_file

from char_lstm import cli, generate_text, load
from char_lstm.corpus.build import build_corpus
from char_lstm.hub import export
from char_lstm.training.torch_scoring import score_carried
from tests.conftest import ALICE, ROOT, STORY

RESULTS = json.loads((ROOT / "scripts" / "results" / "onnx.json").read_text())


def write_greedily(path, tokenizer, prompt: str, length: int) -> str:
    """What the exported step writes, always the likeliest character; a pad is none."""
    decoder = export.OnnxDecoder(path)
    for character in tokenizer(prompt, add_special_tokens=False).input_ids:
        logits = decoder.step(character)
    written = []
    for _ in range(length):
        written.append(1 + int(logits[1:].argmax()))
        logits = decoder.step(written[-1])
    return tokenizer.decode(written)


def test_onnxruntime_writes_alices_500_characters_from_no_more_bytes_and_int8_from_under_40_percent(tmp_path):
    cli.run("export", ["--model", str(ALICE), "--output_dir", str(tmp_path)])
    model, tokenizer = load(ALICE)
    here = generate_text(model, tokenizer, "alice was ", max_new_tokens=500, temperature=0)
    assert write_greedily(tmp_path / export.FLOAT, tokenizer, "alice was ", 500) == here

    whole = (ALICE / "model.safetensors").stat().st_size
    assert (tmp_path / export.FLOAT).stat().st_size <= whole
    assert (tmp_path / export.INT8).stat().st_size < 0.4 * whole
    exported = onnx.load(tmp_path / export.FLOAT)
    tokens = json.loads({entry.key: entry.value for entry in exported.metadata_props}["tokens"])
    assert tokens == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))


def test_weights_stored_in_half_are_exported_in_float32(saved, tmp_path):
    file = saved / "model.safetensors"
    save_file({name: weight.astype(np.float16) for name, weight in load_file(file).items()}, file, {"format": "pt"})
    model, tokenizer = load(saved)
    export.export_step(model, tokenizer, tmp_path)
    expected = model(torch.tensor([[5]])).logits[0, 0].detach().numpy()
    np.testing.assert_allclose(export.OnnxDecoder(tmp_path / export.FLOAT).step(5), expected, atol=1e-5)


@pytest.mark.parametrize("config", [{"embedding_size": 0}, {"cell_type": "gru"}], ids=str)
def test_a_step_scores_every_row_of_a_batch_as_the_model_does(config, make_model, tokenizer, tmp_path):
    model = make_model(**config)
    export.export_step(model, tokenizer, tmp_path)
    session = export.OnnxDecoder(tmp_path / export.FLOAT).session
    ids = np.random.default_rng(0).integers(1, len(tokenizer), size=(3, 20))  # (batch, time)
    with torch.inference_mode():
        expected = model(torch.tensor(ids)).logits.numpy()  # (batch, time, vocab)
    state = [np.zeros((model.config.num_hidden_layers, 3, model.config.hidden_size), np.float32)] * 2
    for time in range(ids.shape[1]):
        given = dict(zip(export.INPUTS, [ids[:, time], *state], strict=True))
        logits, *state = session.run(export.OUTPUTS, given)
        np.testing.assert_allclose(logits, expected[:, time], atol=1e-5)


def test_the_figures_of_the_variants_are_nats_of_every_character(make_model, tokenizer, tmp_path):
    model = make_model(num_hidden_layers=1)
    build_corpus(tmp_path / "corpus", text=STORY)
    export.export_step(model, tokenizer, tmp_path)
    figures = export.score_exported(model, tokenizer, tmp_path, str(tmp_path / "corpus"))
    text = "".join(load_from_disk(tmp_path / "corpus")["test"]["text"])
    expected = score_carried(model, tokenizer(text, add_special_tokens=False).input_ids).mean()
    assert figures["characters"] == len(text)
    assert figures[export.FLOAT]["nats_per_char"] == pytest.approx(expected, rel=1e-5)
    assert figures[export.INT8]["nats_per_char"] == pytest.approx(expected, rel=0.02)


def test_the_committed_figures_are_those_of_the_packaged_alice():
    evaluation = json.loads((ALICE / "evaluation.json").read_text())
    assert RESULTS["test"]["characters"] == evaluation["characters"]
    assert RESULTS["test"][export.FLOAT]["nats_per_char"] == pytest.approx(evaluation["nats_per_char"], abs=1e-4)
    assert RESULTS["test"][export.INT8]["nats_per_char"] < evaluation["nats_per_char"] + 0.01


def test_a_model_that_does_not_load_ends_in_one_sentence(saved, tmp_path, capsys):
    (saved / "model.safetensors").unlink()
    with pytest.raises(SystemExit) as stop:
        cli.run("export", ["--model", str(saved), "--output_dir", str(tmp_path / "onnx")])
    assert stop.value.code == 2
    assert "model.safetensors is missing" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0, 999])  # bytes
def test_a_temporary_file_that_is_cut_off_exports_nothing(make_model, tokenizer, tmp_path, monkeypatch, kept):
    infer_shapes = onnx.shape_inference.infer_shapes_path

    def cut_off(model: str, inferred: str) -> None:
        infer_shapes(model, inferred)
        Path(inferred).write_bytes(Path(inferred).read_bytes()[:kept])

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes_path", cut_off)
    with pytest.raises(OSError, match="is there room on the disk"):
        export.export_step(make_model(), tokenizer, tmp_path)
