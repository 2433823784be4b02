"""The rows of docs/works-with.md that no other file tests, each by what its tool is for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import peft
import pytest
import torch

from char_lstm import load
from char_lstm.state_char_lstm import RecurrentCache
from char_lstm.training.evaluation import score_carried
from tests.conftest import ALICE
from tests.stand_in import running_hub


def test_torch_export_of_one_step(model, tokenizer):
    """One step with the state in and out, for any number of texts, agrees with the model over a chain of steps."""

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, output, cell_state):
            past = RecurrentCache(list(zip(output, cell_state, strict=True)), seen=1)
            result = self.model(input_ids, past_key_values=past, use_cache=True)
            outputs, cell_states = zip(*result.past_key_values.states, strict=True)
            return result.logits[:, -1], torch.stack(outputs), torch.stack(cell_states)

    layers, hidden = model.config.num_hidden_layers, model.config.hidden_size
    batch = torch.export.Dim("batch")
    example = (torch.ones(2, 1, dtype=torch.long), *torch.zeros(2, layers, 2, hidden))
    step = torch.export.export(Step(), example, dynamic_shapes=({0: batch}, {1: batch}, {1: batch})).module()
    ids = torch.randint(1, len(tokenizer), (5, 9))
    state = torch.zeros(2, layers, 5, hidden)
    for time in range(ids.shape[1]):
        logits, *state = step(ids[:, time : time + 1], *state)
        torch.testing.assert_close(logits, model(ids[:, : time + 1]).logits[:, -1], atol=1e-5, rtol=1e-4)


def test_peft_lora_by_target_parameters(model, tokenizer):
    """Adapters on the recurrent weights alone learn a text, and merge into a plain model that says the same."""
    weights = [f"layers.{index}.weight_{part}_l0" for index in range(2) for part in ("ih", "hh")]
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    ids = tokenizer("the sea the sea the sea", return_tensors="pt").input_ids
    expected = model(ids).logits
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=[], target_parameters=weights))
    assert all("lora" in name for name, weight in adapted.named_parameters() if weight.requires_grad)
    torch.testing.assert_close(adapted(ids).logits, expected)

    optimizer = torch.optim.Adam([weight for weight in adapted.parameters() if weight.requires_grad], lr=0.02)
    losses = []
    for _ in range(30):
        losses.append(adapted(ids, labels=ids).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.7 * losses[0]
    after = adapted(ids).logits
    merged = adapted.merge_and_unload()
    torch.testing.assert_close(merged(ids).logits, after, atol=1e-5, rtol=1e-4)
    changed = {name for name, weight in merged.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {f"model.{name}" for name in weights}


def test_the_plain_hf_command_line_uploads_and_downloads(saved, tmp_path):
    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        environment = os.environ | home | {"HF_TOKEN": "hf_write", "HF_HUB_DISABLE_XET": "1"}
        hf = str(Path(sys.executable).with_name("hf"))
        for command in (
            [hf, "upload", "user/tiny", str(saved), "."],
            [hf, "download", "user/tiny", "--local-dir", str(tmp_path / "there")],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    for path in saved.iterdir():
        assert (tmp_path / "there" / path.name).read_bytes() == path.read_bytes()
    load(tmp_path / "there")


@pytest.mark.slow
def test_lm_evaluation_harness(story, tmp_path):
    """The harness reads from a text what evaluate.py reads from it, in bits for nats."""
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    model, tokenizer = load(ALICE)
    text = tokenizer.backend_tokenizer.normalizer.normalize_str(story)[:1500]
    (tmp_path / "text.jsonl").write_text(json.dumps({"text": text}))
    task = ConfigurableTask(
        config={
            "task": "story",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(tmp_path / "text.jsonl")}},
            "output_type": "loglikelihood_rolling",
            "test_split": "test",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "bits_per_byte"}],
        }
    )
    arguments = f"pretrained={ALICE},trust_remote_code=True,prefix_token_id={model.config.bos_token_id}"
    results = simple_evaluate("hf", model_args=arguments, tasks=[task], device="cpu", bootstrap_iters=0)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert results["results"]["story"]["bits_per_byte,none"] == pytest.approx(
        score_carried(model, ids) / len(ids) / np.log(2), rel=1e-4
    )
