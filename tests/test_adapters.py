"""LoRA on the recurrent weights, by the one line that docs/packaging.md gives for any number of layers and any cell."""

import peft
import pytest
import torch
from peft import LoraConfig

from char_lstm import CharLstmForCausalLM
from tests.conftest import learn


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_lora_by_one_line_trains_the_recurrent_weights_saves_loads_and_merges(make_model, tokenizer, tmp_path, cell):
    model = make_model(cell_type=cell)
    model.save_pretrained(tmp_path / "base")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    ids = tokenizer("the sea the sea the sea", return_tensors="pt").input_ids

    adapted = peft.get_peft_model(model, LoraConfig(target_parameters=["weight_ih_l0", "weight_hh_l0"]))
    losses = learn(adapted, ids)
    assert losses[-1] < 0.8 * losses[0]
    adapted.save_pretrained(tmp_path / "adapter")
    after = adapted(ids).logits

    loaded = peft.PeftModel.from_pretrained(
        CharLstmForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    )
    torch.testing.assert_close(loaded.eval()(ids).logits, after)
    merged = loaded.merge_and_unload()
    torch.testing.assert_close(merged(ids).logits, after, atol=1e-5, rtol=1e-4)
    changed = {name for name, weight in merged.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {f"model.layers.{layer}.weight_{part}_l0" for layer in (0, 1) for part in ("ih", "hh")}
