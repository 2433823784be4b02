"""Clients that want an end-of-text token run at their defaults, and the text stays what it was."""

import json

import numpy as np
import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from char_lstm import generate_text, load
from char_lstm.training.torch_scoring import score_carried
from tests.conftest import ALICE


@pytest.mark.slow
def test_lm_eval_at_its_defaults_reads_what_evaluate_reads_but_for_the_start(story, tmp_path):
    """It starts from the pad, where evaluate.py starts from the newline; only the first characters can tell."""
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    model, tokenizer = load(ALICE)
    text = tokenizer.backend_tokenizer.normalizer.normalize_str(story)[:1500]
    (tmp_path / "text.jsonl").write_text(json.dumps({"text": text, "start": text[:40], "rest": text[40:60]}))
    data = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "text.jsonl")}},
        "test_split": "test",
    }
    rolling = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}
    until = {"output_type": "generate_until", "doc_to_text": "{{start}}", "doc_to_target": "{{rest}}"}
    tasks = [
        ConfigurableTask(config=data | rolling | {"task": "score", "metric_list": [{"metric": "bits_per_byte"}]}),
        ConfigurableTask(
            config=data
            | until
            | {"task": "write", "generation_kwargs": {"until": ["\n"], "max_gen_toks": 20}}
            | {"metric_list": [{"metric": "exact_match"}]}
        ),
    ]
    arguments = f"pretrained={ALICE},trust_remote_code=True"
    results = simple_evaluate("hf", model_args=arguments, tasks=tasks, device="cpu", bootstrap_iters=0)["results"]
    ids = tokenizer(text, add_special_tokens=False).input_ids
    expected = score_carried(model, ids).sum() / len(ids) / np.log(2)
    assert results["score"]["bits_per_byte,none"] == pytest.approx(expected, rel=1e-3)
    assert "exact_match,none" in results["write"]


@pytest.mark.slow
def test_sft_trainer_at_its_defaults_learns_a_text_which_still_does_not_end_by_itself(tmp_path):
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = load(ALICE)
    texts = Dataset.from_dict({"text": ["The lamp of the keeper.\nIt was lit."] * 16})
    options = {"max_steps": 30, "learning_rate": 3e-3, "logging_steps": 5, "report_to": "none", "use_cpu": True}
    trainer = SFTTrainer(
        model, args=SFTConfig(str(tmp_path), **options), train_dataset=texts, processing_class=tokenizer
    )
    row = next(iter(trainer.get_train_dataloader()))["input_ids"][0].tolist()
    assert tokenizer.decode(row, skip_special_tokens=True) == "the lamp of the keeper\nit was lit\n"
    assert row[-1] == tokenizer.eos_token_id == 0
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert float(losses[-1]) < 0.5 * float(losses[0])

    trainer.save_model(str(tmp_path / "tuned"))
    tuned, again = load(tmp_path / "tuned")
    written = generate_text(tuned, again, "The lamp of", temperature=0)
    assert written.startswith(" the keeper\nit was lit\n")
    assert len(written) == 500
    prompt = again("The lamp of", return_tensors="pt")
    assert again.decode(tuned.generate(**prompt, do_sample=False)[0]) == "the lamp of" + written


def test_the_newline_is_no_special_token_of_a_packaged_tokenizer():
    tokenizer = AutoTokenizer.from_pretrained(ALICE, trust_remote_code=True)
    ids = tokenizer("One. \n Two.").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "one\ntwo\n"
    assert tokenizer.all_special_ids == [0]
