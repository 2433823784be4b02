"""What the graph promises: the assignment's layers, an explicit state, and padding that nobody can see."""

import json
from itertools import pairwise

import peft
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel.scatter_gather import Gather, gather
from torch.optim.swa_utils import AveragedModel
from transformers import DynamicCache

from char_lstm import (
    CharLstmConfig,
    CharLstmForCausalLM,
    CharLstmForSequenceClassification,
    CharLstmModel,
    layers_char_lstm,
    load,
)
from char_lstm.state_char_lstm import RecurrentCache
from char_lstm.tokenization_char_lstm import normalise
from tests.conftest import ALICE

SIDES = ["left", "right", "both"]
CELLS = ["lstm", "gru", "rnn"]
PAIR = (torch.zeros(1, 2, 3, 8),) * 2  # keys and values
FOREIGN = [DynamicCache, lambda: DynamicCache([PAIR, PAIR]), lambda: (PAIR, PAIR)]


@pytest.fixture
def rows(model):
    """Texts of unequal length, as ids; the pad is not among them."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1, model.config.vocab_size, (n,), generator=generator) for n in (9, 4, 1, 6)]


def pad(rows, side):
    """Rows as one batch in which every row has pads, and its mask: both (batch, time)."""
    width = max(map(len, rows)) + 2
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        start = {"left": width - len(row), "right": 0, "both": (width - len(row)) // 2}[side]
        ids[index, start : start + len(row)] = row
    return ids, (ids != 0).long()


def close(actual, expected, atol=1e-5):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    return model


def sum_of_surprisals(model, ids, mask, targets):
    """Nats of the targets that are not -100, each scored by the position that it stands at."""
    logits = model(ids, attention_mask=mask).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def states_of(output):
    """(layers, 2, batch, hidden): h and c of every layer."""
    return torch.stack([torch.stack(state) for state in output.past_key_values.states])


@pytest.fixture(scope="module")
def default():
    return CharLstmForCausalLM(CharLstmConfig())


class TestFurtherDropout:
    """What the assignment leaves out and a recipe may ask for."""

    @pytest.fixture
    def masks(self, make_model):
        """What is left of the units between the layers and before the dense layer, (batch, time, hidden) each."""
        model = make_model(hidden_size=64, hidden_dropout=0.4, output_dropout=0.3, locked_dropout=True).train()
        seen = []
        for dropout in (model.model.hidden_dropout, model.output_dropout):
            dropout.register_forward_hook(lambda module, inputs, output: seen.append(output / inputs[0]))
        model(torch.randint(1, 29, (50, 20)))
        return seen

    def test_a_locked_mask_is_the_same_at_every_character_and_another_in_every_row(self, masks):
        for mask in masks:
            assert torch.allclose(mask, mask[:, :1].expand_as(mask))
            assert len({tuple(row.tolist()) for row in mask[:, 0]}) == 50

    def test_the_rates_are_those_asked_for_and_what_is_left_is_scaled_up(self, masks):
        for mask, rate in zip(masks, (0.4, 0.3), strict=True):
            assert (mask == 0).float().mean().item() == pytest.approx(rate, abs=0.03)
            torch.testing.assert_close(mask[mask != 0], torch.full_like(mask[mask != 0], 1 / (1 - rate)))

    def test_it_is_for_training_alone(self, make_model):
        plain, dropping = make_model(), make_model(output_dropout=0.9, locked_dropout=True, hidden_dropout=0.9)
        dropping.load_state_dict(plain.state_dict())
        ids = torch.randint(1, 29, (2, 9))
        assert torch.equal(dropping(ids).logits, plain(ids).logits)


class TestTheAssignment:
    """Two LSTM layers of 256 units, dropout 0.1 on the input and between the layers, none before the dense layer."""

    def test_the_module_tree_is_the_assignments(self, default):
        kinds = {name: type(module) for name, module in default.named_modules() if not list(module.children())}
        assert kinds == {
            "model.embed_tokens": nn.Embedding,
            "model.input_dropout": nn.Dropout,
            "model.hidden_dropout": nn.Dropout,
            "model.layers.0": nn.LSTM,
            "model.layers.1": nn.LSTM,
            "lm_head": nn.Linear,
        }
        assert [default.model.input_dropout.p, default.model.hidden_dropout.p] == [0.1, 0.1]
        for layer in default.model.layers:
            assert (layer.input_size, layer.hidden_size, layer.num_layers) == (256, 256, 1)
            assert (layer.bidirectional, layer.dropout) == (False, 0)
        assert (default.lm_head.in_features, default.lm_head.out_features) == (256, 29)

    def test_in_training_the_modules_run_in_the_assignments_order(self, default):
        ran, seen = [], {}

        def record(module, inputs, output):
            ran.append(names[module])
            seen[names[module]] = inputs[0], output[0] if isinstance(output, tuple) else output

        names = {module: name for name, module in default.named_modules() if not list(module.children())}
        hooks = [module.register_forward_hook(record) for module in names]
        default.train()(torch.randint(1, 29, (4, 50)))
        for hook in hooks:
            hook.remove()

        chain = ["embed_tokens", "input_dropout", "layers.0", "hidden_dropout", "layers.1"]
        assert ran == [f"model.{name}" for name in chain] + ["lm_head"]
        for below, above in pairwise(ran):
            assert torch.equal(seen[below][1], seen[above][0]), f"something stands between {below} and {above}"

        for name in ("model.input_dropout", "model.hidden_dropout"):
            before, after = seen[name]
            dropped = (after == 0) & (before != 0)
            assert 0.09 < dropped.float().mean() < 0.11
            close(after[~dropped], before[~dropped] / 0.9)

    def test_in_evaluation_nothing_is_dropped(self, default):
        ids = torch.randint(1, 29, (2, 20))
        assert torch.equal(default.eval()(ids).logits, default(ids).logits)


class TestBeforeTraining:
    """How the weights start decides how soon they learn."""

    @pytest.mark.parametrize("cell_type", CELLS)
    @pytest.mark.parametrize("embedding_size", [0, 40], ids=["one-hot", "embedding"])
    def test_every_character_brings_the_gates_numbers_of_variance_one(self, cell_type, embedding_size):
        torch.manual_seed(0)
        config = {"vocab_size": 200, "hidden_size": 200, "embedding_size": embedding_size, "cell_type": cell_type}
        backbone = CharLstmForCausalLM(CharLstmConfig(**config)).model
        first, second = backbone.layers
        brought = backbone.embed_tokens.weight @ first.weight_ih_l0.T  # (vocab, gates * hidden)
        assert brought.std().item() == pytest.approx(1, rel=0.1)
        assert second.weight_ih_l0.std().item() == pytest.approx(200**-0.5, rel=0.1)


class TestPadding:
    @pytest.mark.parametrize("cell_type", CELLS)
    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("use_cache", [True, False])
    def test_a_padded_row_has_the_logits_it_has_alone(self, make_model, rows, side, cell_type, use_cache):
        model = make_model(cell_type=cell_type)
        ids, mask = pad(rows, side)
        logits = model(ids, attention_mask=mask, use_cache=use_cache).logits
        for index, row in enumerate(rows):
            close(logits[index, mask[index] == 1], model(row[None]).logits[0])

    @pytest.mark.parametrize("cell_type", CELLS)
    @pytest.mark.parametrize("side", SIDES)
    def test_a_padded_row_ends_in_the_state_it_has_alone(self, make_model, rows, side, cell_type):
        model = make_model(cell_type=cell_type)
        ids, mask = pad(rows, side)
        states = states_of(model(ids, attention_mask=mask))
        for index, row in enumerate(rows):
            close(states[:, :, index], states_of(model(row[None]))[:, :, 0])

    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("pad_label", [-100, 0], ids=["pads_are_ignored", "pads_are_pad_ids"])
    def test_a_padded_batch_has_the_loss_of_its_rows(self, model, rows, side, pad_label):
        ids, mask = pad(rows, side)
        labels = ids.masked_fill(mask == 0, pad_label)
        loss = model(ids, attention_mask=mask, labels=labels).loss
        alone = [(model(row[None], labels=row[None]).loss, len(row) - 1) for row in rows if len(row) > 1]
        close(loss, sum(loss * count for loss, count in alone) / sum(count for _, count in alone))

    @pytest.mark.parametrize("side", SIDES)
    def test_a_padded_row_has_the_gradients_it_has_alone(self, model, rows, side):
        ids, mask = pad(rows[:1], side)
        padded = torch.autograd.grad(model(ids, attention_mask=mask, labels=ids).loss, list(model.parameters()))
        alone = torch.autograd.grad(model(rows[0][None], labels=rows[0][None]).loss, list(model.parameters()))
        for actual, expected in zip(padded, alone, strict=True):
            close(actual, expected)

    @pytest.mark.parametrize("side", SIDES)
    def test_every_hidden_state_stands_where_its_character_does(self, model, rows, side):
        ids, mask = pad(rows, side)
        padded = model(ids, attention_mask=mask, output_hidden_states=True).hidden_states
        for index, row in enumerate(rows):
            for actual, expected in zip(padded, model(row[None], output_hidden_states=True).hidden_states, strict=True):
                close(actual[index, mask[index] == 1], expected[0])

    @pytest.mark.parametrize("time", [1, 3])
    def test_a_row_without_a_real_character_keeps_its_state(self, model, rows, time):
        before = model(torch.stack([rows[0][:4], rows[1]]))
        mask = torch.tensor([[0] * time, [1] * time])
        ids = torch.ones(2, time, dtype=torch.long)
        after = model(ids, attention_mask=mask, past_key_values=before.past_key_values)
        assert torch.equal(states_of(after)[:, :, 0], states_of(before)[:, :, 0])
        assert not torch.isclose(states_of(after)[:, :, 1], states_of(before)[:, :, 1]).any()

    def test_the_last_columns_of_a_longer_mask_count(self, model, rows):
        ids, mask = pad(rows, "left")
        past = model(ids, attention_mask=mask).past_key_values
        more = torch.cat([mask, torch.tensor([[1, 1], [0, 1], [0, 0], [1, 1]])], dim=1)
        logits = model(ids[:, -2:], attention_mask=more, past_key_values=past).logits
        close(logits, model(ids[:, -2:], attention_mask=more[:, -2:], past_key_values=past).logits)


class TestState:
    @pytest.mark.parametrize("cell_type", CELLS)
    def test_two_halves_equal_the_whole(self, make_model, rows, cell_type):
        model = make_model(cell_type=cell_type, num_hidden_layers=3)
        whole = model(rows[0][None])
        first = model(rows[0][None, :4])
        second = model(rows[0][None, 4:], past_key_values=first.past_key_values)
        close(torch.cat([first.logits, second.logits], dim=1), whole.logits)
        close(states_of(second), states_of(whole))
        assert second.past_key_values.get_seq_length() == len(rows[0])

    def test_one_character_at_a_time_equals_the_whole(self, model, rows):
        past, logits = None, []
        for character in rows[0]:
            output = model(character.reshape(1, 1), past_key_values=past)
            past = output.past_key_values
            logits.append(output.logits)
        close(torch.cat(logits, dim=1), model(rows[0][None]).logits)

    def test_padded_halves_equal_the_whole(self, model, rows):
        ids, mask = pad(rows, "left")
        whole = model(ids, attention_mask=mask)
        past = model(ids[:, :5], attention_mask=mask[:, :5]).past_key_values
        second = model(ids[:, 5:], attention_mask=mask, past_key_values=past)
        real = mask[:, 5:] == 1
        close(second.logits[real], whole.logits[:, 5:][real])
        close(states_of(second), states_of(whole))

    def test_forward_leaves_the_state_it_was_given_as_it_was(self, model, rows):
        first = model(rows[0][None])
        before, seen = states_of(first).clone(), first.past_key_values.get_seq_length()
        model(rows[1][None], past_key_values=first.past_key_values)
        assert torch.equal(states_of(first), before)
        assert first.past_key_values.get_seq_length() == seen

    def test_h_and_c_differ_in_an_lstm_and_are_both_returned(self, model, rows):
        (h, c), _ = model(rows[0][None]).past_key_values.states
        output, (last_h, last_c) = model.model.layers[0](model.model.embed_tokens(rows[0][None]))
        close(h, last_h[0])
        close(c, last_c[0])
        close(h, output[:, -1])

    def test_a_cache_repeats_selects_and_reorders_rows(self, model, rows):
        ids, mask = pad(rows, "left")
        original = states_of(model(ids, attention_mask=mask))
        for change, index in [
            (lambda cache: cache.batch_repeat_interleave(2), [0, 0, 1, 1, 2, 2, 3, 3]),
            (lambda cache: cache.batch_select_indices(torch.tensor([2, 0])), [2, 0]),
            (lambda cache: cache.reorder_cache(torch.tensor([3, 3, 0, 1])), [3, 3, 0, 1]),
        ]:
            output = model(ids, attention_mask=mask)
            change(output.past_key_values)
            assert torch.equal(states_of(output), original[:, :, index])

    def test_a_state_cannot_be_cut_back(self, model, rows):
        with pytest.raises(NotImplementedError, match="cannot forget"):
            model(rows[0][None]).past_key_values.crop(2)

    def test_a_state_takes_no_keys_and_values(self, model, rows):
        cache = model(rows[0][None]).past_key_values
        with pytest.raises(NotImplementedError, match="made by the model's forward"):
            cache.update(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4), 0)

    @pytest.mark.parametrize("foreign", FOREIGN, ids=lambda make: type(make()).__name__)
    def test_a_cache_of_keys_and_values_is_refused_in_one_sentence(self, model, rows, foreign):
        calls = [model, model.model, CharLstmForSequenceClassification(model.config)]
        if isinstance(foreign(), DynamicCache):  # generate itself refuses a tuple
            calls.append(model.generate)
        for call in calls:
            with pytest.raises(TypeError, match=f"past_key_values is a {type(foreign()).__name__}.* leave it out"):
                call(rows[0][None], past_key_values=foreign())

    def test_prefix_tuning_is_refused_in_one_sentence(self, model, rows):
        sizes = {"num_layers": 2, "num_attention_heads": 2, "token_dim": 16, "num_transformer_submodules": 1}
        config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, **sizes)
        with pytest.raises(TypeError, match="a recurrent model has no keys and values"):
            peft.get_peft_model(model, config)(rows[0][None])

    def test_no_state_comes_back_while_training_unless_asked_for(self, model, rows):
        assert model(rows[0][None]).past_key_values is not None
        assert model(rows[0][None], use_cache=False).past_key_values is None
        assert model.train()(rows[0][None]).past_key_values is None
        assert model(rows[0][None], use_cache=True).past_key_values is not None


class TestLongRows:
    """Gradient checkpointing along the time."""

    WAYS = [{"use_reentrant": False}, {"use_reentrant": True}]

    @pytest.fixture
    def learn(self, make_model, rows, monkeypatch):
        """Makes a model and returns its output, its gradients and how many numbers it kept for backward."""
        monkeypatch.setattr(layers_char_lstm, "SEGMENT", 3)

        def learn(way: dict | None, ids, mask=None, past=None, **config):
            dropouts = {"input_dropout": 0.0, "hidden_dropout": 0.0, "num_hidden_layers": 3}
            model = make_model(**dropouts | config).train()
            if way:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=way)
            torch.manual_seed(1)
            kept = {}
            with torch.autograd.graph.saved_tensors_hooks(
                lambda x: kept.setdefault(x.data_ptr(), x.numel()) and x, lambda x: x
            ):
                output = model(
                    ids,
                    attention_mask=mask,
                    past_key_values=past,
                    labels=ids,
                    use_cache=True,
                    output_hidden_states=True,
                )
            output.loss.backward()
            return output, [weight.grad for weight in model.parameters() if weight.requires_grad], sum(kept.values())

        return learn

    @pytest.mark.parametrize("way", WAYS, ids=str)
    @pytest.mark.parametrize("cell_type", CELLS)
    @pytest.mark.parametrize("side", [None, *SIDES])
    def test_segments_change_neither_gradients_nor_states(self, learn, rows, side, cell_type, way):
        ids, mask = pad(rows, side) if side else (rows[0][None], torch.ones(1, 9))
        (whole, expected, _), (parts, gradients, _) = (
            learn(on, ids, mask if side else None, cell_type=cell_type) for on in (None, way)
        )
        close(parts.loss, whole.loss)
        close(gradients, expected)
        close(states_of(parts), states_of(whole))
        for part, layer in zip(parts.hidden_states, whole.hidden_states, strict=True):
            close(part * mask.unsqueeze(2), layer * mask.unsqueeze(2))

    @pytest.mark.parametrize("way", WAYS, ids=str)
    def test_a_one_hot_that_is_not_learnt_stops_no_gradient(self, learn, rows, way):
        (_, expected, _), (_, gradients, _) = (learn(on, rows[0][None], embedding_size=0) for on in (None, way))
        close(gradients, expected)

    @pytest.mark.parametrize("way", WAYS, ids=str)
    def test_a_locked_mask_holds_for_all_segments_of_a_row(self, learn, rows, way):
        locked = {"locked_dropout": True, "hidden_dropout": 0.5}
        (_, expected, _), (_, gradients, _) = (learn(on, rows[0][None], **locked) for on in (None, way))
        close(gradients, expected)

    @pytest.mark.parametrize("way", WAYS, ids=str)
    def test_a_given_state_is_where_the_first_segment_starts(self, make_model, learn, rows, way):
        past = make_model(num_hidden_layers=3)(rows[0][None]).past_key_values
        past = RecurrentCache([(h.detach(), c.detach()) for h, c in past.states], past.get_seq_length())
        (whole, expected, _), (parts, gradients, _) = (learn(on, rows[0][None], past=past) for on in (None, way))
        close(parts.loss, whole.loss)
        close(gradients, expected)
        assert not torch.isclose(whole.loss, learn(None, rows[0][None])[0].loss)

    def test_less_is_kept_for_backward(self, learn):
        ids = torch.randint(1, 29, (4, 90))
        assert learn(self.WAYS[0], ids)[2] < learn(None, ids)[2] / 3

    def test_transformers_switches_it_on_and_evaluation_reads_in_one_go(self, model, rows, monkeypatch):
        model.gradient_checkpointing_enable()
        monkeypatch.setattr(model.model.layers, "_gradient_checkpointing_func", lambda *_: pytest.fail("in segments"))
        model(rows[0][None])
        with pytest.raises(pytest.fail.Exception, match="in segments"):
            model.train()(rows[0][None])
        model.gradient_checkpointing_disable()
        model(rows[0][None])


needs_bfloat16 = pytest.mark.skipif(
    not layers_char_lstm.ONEDNN_HAS_BFLOAT16, reason="oneDNN trains in bfloat16 only on a processor with AVX512"
)


class TestOnAProcessor:
    """Training under autocast to bfloat16 on a CPU."""

    @pytest.fixture
    def read_of(self, monkeypatch):
        """The precision of what each recurrent layer returns, as it is called."""
        seen = []
        run_layer = layers_char_lstm.Padding.run_layer

        def watched(padding, layer, x, state):
            output, after = run_layer(padding, layer, x, state)
            seen.append(output.dtype)
            return output, after

        monkeypatch.setattr(layers_char_lstm.Padding, "run_layer", watched)
        return seen

    @needs_bfloat16
    def test_an_lstm_trains_in_bfloat16_and_is_evaluated_in_full(self, model, rows, read_of):
        ids = rows[0][None]
        with torch.autocast("cpu", torch.bfloat16):
            output = model.train()(ids, labels=ids, use_cache=True)
            assert read_of == [torch.bfloat16] * 2
            model.eval()(ids)
        assert read_of[2:] == [torch.float32] * 2
        assert states_of(output).dtype == torch.float32
        output.loss.backward()
        assert {weight.grad.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}

    @pytest.mark.parametrize("cell", ["gru", "rnn"])
    def test_cells_that_gain_nothing_stay_in_full(self, make_model, rows, read_of, cell):
        with torch.autocast("cpu", torch.bfloat16):
            make_model(cell_type=cell).train()(rows[0][None])
        assert read_of == [torch.float32] * 2

    def test_another_half_precision_leaves_the_layers_in_full(self, model, rows, read_of):
        with torch.autocast("cpu", torch.float16):
            model.train()(rows[0][None])
        assert read_of == [torch.float32] * 2

    @needs_bfloat16
    @pytest.mark.parametrize("piece", [2000, 250], ids=["one row of 2000", "states carried along it"])
    def test_what_the_cell_state_loses_hardly_shows_in_the_loss(self, story, piece):
        model, tokenizer = load(ALICE)
        ids = torch.tensor(tokenizer(normalise(tokenizer, story), add_special_tokens=False).input_ids)
        row = ids.repeat(-(-2000 // len(ids)))[None, :2000]

        def loss() -> float:
            state, losses = None, []
            for part in row.split(piece, dim=1):
                output = model(part, labels=part, past_key_values=state, use_cache=True)
                state = output.past_key_values
                losses.append(output.loss.item())
            return sum(losses) / len(losses)

        expected = loss()
        without_dropout(model.train())
        with torch.autocast("cpu", torch.bfloat16):
            assert 0 < abs(loss() - expected) < 0.005


class TestOnACard:
    """What a GPU needs, as far as a CPU can tell."""

    def test_half_precision_leaves_the_state_in_full(self, make_model, rows, monkeypatch):
        monkeypatch.setattr(layers_char_lstm, "ONEDNN_HAS_BFLOAT16", False)
        model, ids = without_dropout(make_model().train()), rows[0][None]
        expected = model(ids, labels=ids, use_cache=True)
        with torch.autocast("cpu", torch.bfloat16):
            output = model(ids, labels=ids, use_cache=True)
        assert output.logits.dtype == torch.bfloat16
        assert torch.equal(states_of(output), states_of(expected))
        close(output.loss, expected.loss, atol=0.02)
        output.loss.backward()
        assert all(weight.grad.isfinite().all() for weight in model.parameters())

    def test_loading_lays_the_weights_of_a_layer_together_once(self, model, tmp_path, monkeypatch):
        model.save_pretrained(tmp_path)
        flattened = []
        monkeypatch.setattr(nn.LSTM, "flatten_parameters", lambda layer: flattened.append(layer.weight_hh_l0.clone()))
        loaded = CharLstmForCausalLM.from_pretrained(tmp_path)
        for layer, seen in zip(model.model.layers, flattened[-2:], strict=True):
            assert torch.equal(seen, layer.weight_hh_l0), "once the weights are there"
        for layer in loaded.model.layers:
            weights = list(layer.parameters())
            block = torch.cat([weight.detach().flatten() for weight in weights])
            for weight, part in zip(weights, block.split([weight.numel() for weight in weights]), strict=True):
                weight.data = part.view_as(weight)
        flattened.clear()
        loaded.train().eval()
        assert not flattened

    def test_the_layers_read_the_weights_that_the_model_has(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        loaded = CharLstmForCausalLM.from_pretrained(tmp_path).double()
        loaded.load_state_dict(AveragedModel(model).module.state_dict())
        for layer in loaded.model.layers:
            assert all(read is own for read, own in zip(layer._flat_weights, layer.parameters(), strict=True))


class TestOnSeveralDevices:
    """What a machine with several cards, or with none at hand, needs, as far as a CPU can tell."""

    @pytest.fixture
    def across_two(self, model, monkeypatch):
        """Runs a model as `nn.DataParallel` does: half of the rows on each of two copies, whose outputs it gathers."""

        def join(device, dim, *parts):
            return torch.cat([part.reshape(-1, *part.shape[1:]) for part in parts])

        monkeypatch.setattr(Gather, "apply", join)
        copying = nn.parallel.replicate.__globals__
        monkeypatch.setitem(copying, "_broadcast_coalesced_reshape", lambda weights, cards, detach: [weights] * 2)

        def across_two(model, *inputs, **named):
            copies = nn.parallel.replicate(model, [0, 1])
            halves = [slice(0, 3), slice(3, None)]
            outputs = [
                copy(*(x[half] for x in inputs), **{name: x[half] for name, x in named.items()})
                for copy, half in zip(copies, halves, strict=True)
            ]
            return gather(outputs, 0)

        return across_two

    @pytest.mark.parametrize("cell_type", CELLS)
    def test_what_two_cards_read_is_put_together(self, across_two, make_model, rows, cell_type):
        model = make_model(cell_type=cell_type)
        ids, mask = pad(rows, "left")
        parts, whole = across_two(model, ids, attention_mask=mask, labels=ids), model(ids, attention_mask=mask)
        close(parts.logits, whole.logits)
        close(states_of(parts), states_of(whole))
        assert parts.past_key_values.get_seq_length() == whole.past_key_values.get_seq_length() == ids.shape[1]
        assert parts.loss.shape == (2,)
        again = [model(ids[:, :2], past_key_values=output.past_key_values).logits for output in (parts, whole)]
        close(*again)

    def test_shapes_can_be_had_without_weights(self, make_model):
        for model in (make_model().to("meta"), CharLstmForSequenceClassification(CharLstmConfig()).to("meta")):
            ids = torch.ones(2, 5, dtype=torch.long, device="meta")
            for mask in (None, torch.ones(2, 5, device="meta")):
                output = model(ids, attention_mask=mask, use_cache=True)
                assert output.logits.is_meta
                assert output.past_key_values.states[-1][0].shape == (2, model.config.hidden_size)
        assert model.eval().train().training

    @pytest.mark.parametrize("embedding_size", [0, 6], ids=["one-hot", "embedding"])
    @pytest.mark.parametrize("by_layer", [True, False])
    def test_shards_learn_what_the_whole_learns(self, make_model, rows, by_layer, embedding_size):
        ids, mask = pad(rows, "left")
        settings = {"embedding_size": embedding_size, "input_dropout": 0.0, "hidden_dropout": 0.0}
        whole, sharded = make_model(**settings), make_model(**settings)
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        try:
            mesh = distributed.init_device_mesh("cpu", (1,))
            for module in [*sharded.model.layers, sharded] if by_layer else [sharded]:
                fully_shard(module, mesh=mesh)
            losses = [learn_a_little(model, ids, mask) for model in (whole, sharded)]
        finally:
            distributed.destroy_process_group()
        close(*torch.tensor(losses))
        assert losses[0][-1] < losses[0][0]


def learn_a_little(model, ids, mask):
    """The losses of a few steps, in either mode."""
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
    losses = []
    for mode in (True, False, True):
        loss = model.train(mode)(ids, attention_mask=mask, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


class TestForward:
    def test_embeddings_stand_in_for_ids(self, model, rows):
        embeddings = model.get_input_embeddings()(rows[0][None])
        close(model(inputs_embeds=embeddings).logits, model(rows[0][None]).logits)

    @pytest.mark.parametrize("given", [(), ("input_ids", "inputs_embeds")])
    def test_exactly_one_kind_of_input_is_taken(self, model, rows, given):
        inputs = {"input_ids": rows[0][None], "inputs_embeds": model.get_input_embeddings()(rows[0][None])}
        with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
            model(**{name: inputs[name] for name in given})

    def test_logits_to_keep_keeps_the_last_or_the_named_positions(self, model, rows):
        whole = model(rows[0][None]).logits
        assert torch.equal(model(rows[0][None], logits_to_keep=0).logits, whole)
        close(model(rows[0][None], logits_to_keep=2).logits, whole[:, -2:])
        close(model(rows[0][None], logits_to_keep=torch.tensor([0, 3])).logits, whole[:, [0, 3]])

    def test_hidden_states_are_the_input_and_every_layers_output(self, make_model, rows):
        model = make_model(num_hidden_layers=3)
        hidden = model(rows[0][None], output_hidden_states=True).hidden_states
        assert [tuple(state.shape) for state in hidden] == [(1, 9, 6)] + [(1, 9, 16)] * 3
        assert torch.equal(hidden[0], model.get_input_embeddings()(rows[0][None]))
        assert torch.equal(model.lm_head(hidden[-1]), model(rows[0][None]).logits)
        assert model(rows[0][None]).hidden_states is None

    def test_a_tuple_comes_back_when_asked_for(self, model, rows):
        ids = rows[0][None]
        loss, logits, past = model(ids, labels=ids, return_dict=False)
        whole = model(ids, labels=ids)
        assert torch.equal(loss, whole.loss)
        assert torch.equal(logits, whole.logits)
        assert past.get_seq_length() == 9
        assert torch.equal(model.model(ids, return_dict=False)[0], model.model(ids).last_hidden_state)

    def test_the_loss_is_the_mean_surprisal_of_the_next_character(self, model, rows):
        output = model(rows[0][None], labels=rows[0][None])
        surprisal = -output.logits.log_softmax(-1)[0, torch.arange(8), rows[0][1:]]
        close(output.loss, surprisal.mean())

    @pytest.mark.parametrize("side", SIDES)
    def test_accumulated_losses_add_up_to_that_of_the_whole_batch(self, model, rows, side):
        ids, mask = pad(rows, side)
        labels = ids.masked_fill(mask.cumsum(dim=1) * mask < 2, -100)  # neither pads nor a row's first character
        counted = sum(len(row) - 1 for row in rows)
        whole = model(ids, attention_mask=mask, labels=labels).loss
        parts = [
            model(ids[part], attention_mask=mask[part], labels=labels[part], num_items_in_batch=counted).loss
            for part in (slice(0, 1), slice(1, 4))
        ]
        close(sum(parts), whole)

    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("pad_label", [-100, 0], ids=["pads_are_ignored", "pads_are_pad_ids"])
    def test_a_batch_weighs_by_its_labels_and_is_the_mean_of_those_that_count(self, model, rows, side, pad_label):
        ids, mask = pad(rows, side)
        labels = ids.masked_fill(mask == 0, pad_label)
        counted = (labels[:, 1:] != -100).sum()  # as the Trainer does
        mean = model(ids, attention_mask=mask, labels=labels).loss
        for step in (counted, 3 * counted, 3 * counted.item()):
            share = model(ids, attention_mask=mask, labels=labels, num_items_in_batch=step).loss
            close(share, mean * counted / step)

    def test_labels_that_are_shifted_already_are_taken_as_they_are(self, model, rows):
        ids, mask = pad(rows, "left")
        shifted = nn.functional.pad(ids[:, 1:], (0, 1), value=-100)
        given = {"labels": ids, "shift_labels": shifted, "num_items_in_batch": 5}
        close(model(ids, attention_mask=mask, **given).loss, sum_of_surprisals(model, ids, mask, shifted) / 5)

    @pytest.mark.parametrize("num_items", [None, 4])
    def test_a_batch_without_a_character_to_score_adds_nothing_to_a_step(self, model, num_items):
        ids, mask = torch.tensor([[0, 0, 3]]), torch.tensor([[0, 0, 1]])
        labels = torch.tensor([[-100, -100, 3]])
        loss = model(ids, attention_mask=mask, labels=labels, num_items_in_batch=num_items).loss
        assert loss.isnan() if num_items is None else loss == 0


class TestWeights:
    @pytest.mark.parametrize(
        ("cell_type", "biases"), [("lstm", [0.0, 1.0, 0.0, 0.0]), ("gru", [0.0, 1.0, 0.0]), ("rnn", [0.0])]
    )
    def test_a_fresh_cell_remembers(self, cell_type, biases):
        model = CharLstmModel(CharLstmConfig(cell_type=cell_type, hidden_size=16))
        for layer in model.layers:
            assert torch.equal(layer.bias_ih_l0 + layer.bias_hh_l0, torch.tensor(biases).repeat_interleave(16))
            for block in layer.weight_hh_l0.split(16):
                close(block @ block.T, torch.eye(16))

    def test_tied_weights_are_one_matrix(self, make_model, rows, tmp_path):
        model = make_model(tie_word_embeddings=True, embedding_size=16)
        assert model.lm_head.weight is model.model.embed_tokens.weight
        model.save_pretrained(tmp_path)
        again = CharLstmForCausalLM.from_pretrained(tmp_path)
        assert again.lm_head.weight is again.model.embed_tokens.weight
        assert torch.equal(again(rows[0][None]).logits, model(rows[0][None]).logits)

    def test_a_one_hot_embedding_is_the_identity_and_is_not_trained(self, tmp_path):
        model = CharLstmForCausalLM(CharLstmConfig(vocab_size=7, embedding_size=0, hidden_size=16))
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
        model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
        optimizer.step()
        model.save_pretrained(tmp_path)
        again = CharLstmForCausalLM.from_pretrained(tmp_path)
        for one_hot in (model.model.embed_tokens.weight, again.model.embed_tokens.weight):
            assert torch.equal(one_hot, torch.eye(7))
            assert not one_hot.requires_grad
        assert again.model.layers[0].input_size == 7

    def test_saving_and_loading_keeps_every_weight(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        again = CharLstmForCausalLM.from_pretrained(tmp_path)
        assert not again.training
        for name, weight in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], weight), name

    def test_the_base_model_loads_from_a_language_model(self, model, rows, tmp_path):
        model.save_pretrained(tmp_path)
        base = CharLstmModel.from_pretrained(tmp_path)
        assert torch.equal(base(rows[0][None]).last_hidden_state, model.model(rows[0][None]).last_hidden_state)

    def test_a_wider_alphabet_leaves_the_old_scores_as_they_were(self, model, rows):
        before, size = model(rows[0][None]).logits, model.config.vocab_size
        model.resize_token_embeddings(size + 2)
        after = model(rows[0][None]).logits
        assert after.shape[-1] == model.config.vocab_size == size + 2
        close(after[..., :size], before)


class TestConfig:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
            ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
            ({"num_hidden_layers": 0}, "num_hidden_layers must be at least 1, got 0"),
            ({"embedding_size": -1}, "embedding_size must be 0 .* got -1"),
            ({"input_dropout": 1.0}, "input_dropout must be .* got 1.0"),
            ({"hidden_dropout": -0.1}, "hidden_dropout must be .* got -0.1"),
            ({"tie_word_embeddings": True, "embedding_size": 8}, r"embedding_size \(8\) equal to hidden_size \(256\)"),
            ({"cell_type": "transformer"}, "cell_type"),
            ({"hidden_size": "wide"}, "hidden_size"),
        ],
    )
    def test_a_wrong_setting_is_named(self, wrong, message):
        with pytest.raises(StrictDataclassError, match=message):
            CharLstmConfig(**wrong)

    def test_a_configuration_survives_saving(self, tmp_path):
        config = CharLstmConfig(vocab_size=9, embedding_size=0, hidden_size=8, num_hidden_layers=3, cell_type="gru")
        config.save_pretrained(tmp_path)
        assert CharLstmConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()

    @pytest.mark.parametrize("kind", [CharLstmModel, CharLstmForCausalLM, CharLstmForSequenceClassification])
    def test_whichever_class_was_saved_every_auto_class_finds_its_own(self, tmp_path, kind):
        kind(CharLstmConfig(hidden_size=8)).save_pretrained(tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == {
            "AutoConfig": "configuration_char_lstm.CharLstmConfig",
            "AutoModel": "modeling_char_lstm.CharLstmModel",
            "AutoModelForCausalLM": "modeling_char_lstm.CharLstmForCausalLM",
            "AutoModelForSequenceClassification": "modeling_char_lstm.CharLstmForSequenceClassification",
        }

    def test_the_embedding_is_as_wide_as_the_layers_unless_told(self):
        assert CharLstmConfig(hidden_size=64).embedding_size == 64
        assert CharLstmConfig(hidden_size=64, embedding_size=8).input_size == 8
        assert CharLstmConfig(vocab_size=29, embedding_size=0).input_size == 29
