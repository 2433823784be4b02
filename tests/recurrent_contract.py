"""A contract for a recurrent language model on the Hub, to be copied: replace what stands above the line.

It holds a model to what the clients of transformers take for granted and to what a recurrent state is for. It knows of
the model only what the library does: `forward` takes `input_ids`, `attention_mask`, `past_key_values` and `labels`, and
returns `logits`, `loss` and `past_key_values`; the tokenizer pads on the left. Run it with `pytest FILE`.
"""

import copy
import subprocess
import sys

import pytest
import torch
from accelerate import disk_offload, dispatch_model
from tokenizers import AddedToken
from torch.distributed import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.parallel import scatter_gather
from transformers import AutoConfig, AutoModelForCausalLM, DataCollatorForLanguageModeling, Trainer, TrainingArguments

from char_lstm import CharLstmConfig, CharLstmForCausalLM, build_tokenizer

TEXTS = ["the lamp was lit", "a", "ships at sea", "we saw the light go out"]
CONFIGS = {
    "lstm": {"cell_type": "lstm", "embedding_size": 0},
    "lstm_tied": {"cell_type": "lstm", "embedding_size": 16, "tie_word_embeddings": True},
    "gru": {"cell_type": "gru", "embedding_size": 6},
    "rnn": {"cell_type": "rnn", "embedding_size": 0},
}
PACKAGE = "char_lstm"  # hidden when the saved code has to do alone


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS)


@pytest.fixture(params=CONFIGS)
def config(request, tokenizer):
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2}
    return CharLstmConfig(**sizes, **CONFIGS[request.param], input_dropout=0.0, hidden_dropout=0.0)


@pytest.fixture
def model_class():
    return CharLstmForCausalLM


# ----------------------------------------------------------------------------------------------------------------------

CLOSE = {"atol": 1e-5, "rtol": 1e-4}
NEW = 6
STRATEGIES = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True},
    "beams": {"do_sample": False, "num_beams": 3},
}
by_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
by_side = pytest.mark.parametrize("side", ["left", "right"])


def randomised(model):
    """The model with every weight that is learnt random, biases too: a zero hides what is wrong."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.4)
    model.generation_config.update(max_new_tokens=NEW, min_new_tokens=NEW, eos_token_id=None, pad_token_id=0)
    return model.eval()


@pytest.fixture
def model(config, model_class):
    return randomised(model_class(config))


@pytest.fixture
def rows(tokenizer):
    return [tokenizer(text, return_tensors="pt").input_ids for text in TEXTS]


@pytest.fixture
def pad(tokenizer):
    """Makes a batch, with labels, padded on one side."""

    def batch(side):
        made = tokenizer(TEXTS, return_tensors="pt", padding=True, padding_side=side)
        return {**made, "labels": made.input_ids.masked_fill(made.attention_mask == 0, -100)}

    return batch


@pytest.fixture
def read(pad):
    """Calls a model with the ids and the mask of a padded batch."""

    def call(model, side="left", **more):
        batch = pad(side)
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **more)

    return call


def surprisals(model, ids):
    """Nats of every character of one row but the first."""
    log_probabilities = model(ids).logits[0, :-1].log_softmax(-1)
    return -log_probabilities.gather(1, ids[0, 1:, None])[:, 0]


def write(model, ids, strategy="greedy", **more):
    torch.manual_seed(3)
    return model.generate(ids, **STRATEGIES[strategy], **more)


def same_text(model, other, ids):
    return all(torch.equal(write(model, ids, strategy), write(other, ids, strategy)) for strategy in STRATEGIES)


class TestPadding:
    @by_side
    def test_a_padded_row_has_the_logits_it_has_alone(self, model, pad, read, rows, side):
        together, real = read(model, side).logits, pad(side)["attention_mask"].bool()
        for row, ids in enumerate(rows):
            torch.testing.assert_close(together[row][real[row]], model(ids).logits[0], **CLOSE)

    @by_side
    def test_a_padded_row_ends_in_the_state_it_has_alone(self, model, read, rows, side):
        state, following = read(model, side, use_cache=True).past_key_values, torch.full((len(rows), 1), 2)
        after = model(following, past_key_values=state).logits[:, -1]
        for row, ids in enumerate(rows):
            alone = model(torch.cat([ids, following[:1]], dim=1)).logits[0, -1]
            torch.testing.assert_close(after[row], alone, **CLOSE)

    @pytest.mark.parametrize("bos", ["named", "unnamed"])
    @pytest.mark.parametrize("strategy", ["greedy", "beams"])
    def test_a_left_padded_batch_is_written_on_as_one_by_one(self, model, pad, rows, strategy, bos):
        if bos == "unnamed":
            model.config.bos_token_id = model.generation_config.bos_token_id = None
        batch = pad("left")
        together = write(model, batch["input_ids"], strategy, attention_mask=batch["attention_mask"])
        for row, ids in enumerate(rows):
            assert torch.equal(together[row, -NEW:], write(model, ids, strategy)[0, -NEW:])


class TestState:
    def test_two_halves_equal_the_whole(self, model, rows):
        whole = model(rows[0]).logits
        first = model(rows[0][:, :5], use_cache=True)
        second = model(rows[0][:, 5:], past_key_values=first.past_key_values)
        torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), whole, **CLOSE)

    def test_padded_halves_equal_the_whole(self, model, pad, read):
        batch, whole = pad("left"), read(model).logits
        ids, mask = batch["input_ids"], batch["attention_mask"]
        first = model(ids[:, :9], attention_mask=mask[:, :9], use_cache=True)
        second = model(ids[:, 9:], attention_mask=mask, past_key_values=first.past_key_values)
        real = mask.bool()
        torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1)[real], whole[real], **CLOSE)

    def test_one_character_at_a_time_equals_the_whole(self, model, rows):
        state, logits = None, []
        for ids in rows[0].split(1, dim=1):
            output = model(ids, past_key_values=state, use_cache=True)
            state = output.past_key_values
            logits.append(output.logits)
        torch.testing.assert_close(torch.cat(logits, dim=1), model(rows[0]).logits, **CLOSE)

    def test_embeddings_stand_in_for_ids(self, model, rows):
        embeds = model.get_input_embeddings()(rows[0])
        torch.testing.assert_close(model(inputs_embeds=embeds).logits, model(rows[0]).logits, **CLOSE)
        written = model.generate(inputs_embeds=embeds, do_sample=False)
        assert torch.equal(written, write(model, rows[0])[:, rows[0].shape[1] :])

    def test_a_state_can_be_gone_on_from_twice(self, model, rows):
        state = model(rows[0], use_cache=True).past_key_values
        once, again = (model(rows[1], past_key_values=state, use_cache=True).logits for _ in range(2))
        assert torch.equal(once, again)

    @by_strategy
    def test_a_carried_state_writes_what_reading_everything_again_writes(self, model, pad, strategy):
        """Beams too: a state that is not reordered with them goes on from another beam's text."""
        batch = pad("left")
        given = {"attention_mask": batch["attention_mask"]}
        carried, reread = (write(model, batch["input_ids"], strategy, **given, use_cache=on) for on in (True, False))
        assert torch.equal(carried, reread)

    def test_a_returned_state_is_where_the_text_goes_on(self, model, rows):
        first = write(model, rows[0], min_new_tokens=3, max_new_tokens=3, return_dict_in_generate=True)
        state = first.past_key_values
        second = write(model, first.sequences, min_new_tokens=3, max_new_tokens=3, past_key_values=state)
        assert torch.equal(second, write(model, rows[0]))


class TestLoss:
    @by_side
    def test_it_is_the_mean_over_the_characters_scored(self, model, pad, rows, side):
        expected = torch.cat([surprisals(model, ids) for ids in rows]).mean()
        torch.testing.assert_close(model(**pad(side)).loss, expected, **CLOSE)

    @by_side
    def test_batches_add_up_to_the_whole(self, model, pad, side):
        """`num_items_in_batch` is what a Trainer that accumulates divides by."""
        batch, number = pad(side), sum(len(text) - 1 for text in TEXTS)
        batch["labels"][batch["attention_mask"].cumsum(dim=1) <= 1] = -100  # a Trainer would count a row's first
        parts = ({name: values[at] for name, values in batch.items()} for at in (slice(1), slice(1, 4)))
        total = sum(model(**part, num_items_in_batch=number).loss for part in parts)
        torch.testing.assert_close(total, model(**batch).loss, **CLOSE)

    def test_a_trainer_learns_the_same_whatever_the_batches(self, model, tokenizer, tmp_path):
        """One step of plain gradient descent over four texts: padded on either side, or in several batches.

        Several batches padded on the left would need labels that leave out each row's first character, since a Trainer
        counts it.
        """

        def learnt(side, size):
            own = copy.deepcopy(model).train()
            sided = copy.deepcopy(tokenizer)
            sided.padding_side = side
            settings = TrainingArguments(
                tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=len(TEXTS) // size, max_steps=1
                , optim="sgd", learning_rate=0.1, lr_scheduler_type="constant", max_grad_norm=0, report_to="none",
                save_strategy="no", disable_tqdm=True, use_cpu=True,
            )  # fmt: skip
            data = [tokenizer(text) for text in TEXTS]
            collator = DataCollatorForLanguageModeling(sided, mlm=False)
            Trainer(own, settings, train_dataset=data, data_collator=collator).train()
            return own.state_dict()

        expected = learnt("right", 4)
        assert any(not torch.equal(expected[name], weight) for name, weight in model.state_dict().items())
        for side, size in (("left", 4), ("right", 2), ("right", 1)):
            torch.testing.assert_close(learnt(side, size), expected, **CLOSE)

    def test_it_reaches_every_weight_and_checkpointing_changes_no_gradient(self, model, pad):
        gradients = []
        for checkpointing in (False, True):
            own = copy.deepcopy(model).train()
            if checkpointing:
                own.gradient_checkpointing_enable()
            own(**pad("left")).loss.backward()
            gradients.append({name: weight.grad for name, weight in own.named_parameters() if weight.requires_grad})
        assert all(gradient is not None and gradient.any() for gradient in gradients[0].values())
        torch.testing.assert_close(*gradients, **CLOSE)


class TestResizing:
    @pytest.fixture(params=["more", "fewer", "multiple"])
    def resized(self, request, model):
        own, old = copy.deepcopy(model), model.config.vocab_size
        number, multiple = {"more": (old + 3, None), "fewer": (old - 2, None), "multiple": (old, 16)}[request.param]
        own.resize_token_embeddings(number, pad_to_multiple_of=multiple)
        return own.eval()

    def test_the_old_scores_stay(self, model, resized):
        kept = min(model.config.vocab_size, resized.config.vocab_size)
        ids = torch.tensor([[2, 5, 3, 4]])
        torch.testing.assert_close(resized(ids).logits[..., :kept], model(ids).logits[..., :kept], **CLOSE)
        assert resized(ids).logits.shape[-1] == resized.config.vocab_size

    def test_new_ids_can_be_told_apart_and_learn(self, model, resized):
        if (new := resized.config.vocab_size - 2) < model.config.vocab_size:
            pytest.skip("the vocabulary became smaller: no id is new")
        pair = torch.tensor([[new], [new + 1]])
        optimizer = torch.optim.Adam([weight for weight in resized.parameters() if weight.requires_grad], lr=0.05)
        for _ in range(60):
            texts = torch.cat([pair, torch.tensor([[2], [3]])], dim=1)
            resized(texts, labels=texts).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        assert resized(pair).logits[:, 0].argmax(-1).tolist() == [2, 3]

    def test_it_saves_and_loads(self, resized, model_class, tmp_path):
        resized.save_pretrained(tmp_path)
        loaded, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(report.values())
        ids = torch.tensor([[2, 5, resized.config.vocab_size - 1]])
        torch.testing.assert_close(loaded(ids).logits, resized(ids).logits, **CLOSE)


class TestChanged:
    """`generate` writes what `forward` says, whoever changed it and however fast it is otherwise."""

    FAVOURED = 4

    def favour(self, output):
        logits = output if isinstance(output, torch.Tensor) else output.logits
        logits[..., self.FAVOURED] = 1e4
        return output

    @pytest.fixture(params=["subclass", "forward", "head", "head_class", "head_hook", "hook", "global_hook"])
    def changed(self, request, model, model_class):
        favour, head, forward = self.favour, model.get_output_embeddings(), model.forward
        head_forward, removable = head.forward, None
        if request.param == "subclass":

            class Changed(model_class):
                def forward(self, *args, **kwargs):
                    return favour(super().forward(*args, **kwargs))

            model.__class__ = Changed
        elif request.param == "forward":
            model.forward = lambda *args, **kwargs: favour(forward(*args, **kwargs))
        elif request.param == "head":
            head.forward = lambda *args: favour(head_forward(*args))
        elif request.param == "head_class":
            head.__class__ = type("Louder", (type(head),), {"forward": lambda self, *args: favour(head_forward(*args))})
        elif request.param == "head_hook":
            head.register_forward_hook(lambda module, inputs, output: favour(output))
        elif request.param == "hook":
            model.register_forward_hook(lambda module, inputs, output: favour(output))
        else:
            removable = register_module_forward_hook(
                lambda module, inputs, output: favour(output) if module is head else None
            )
        yield model
        if removable is not None:
            removable.remove()

    @by_strategy
    def test_generate_writes_what_the_changed_model_says(self, changed, rows, strategy):
        assert (write(changed, rows[0], strategy)[0, -NEW:] == self.FAVOURED).all()

    def test_a_hook_sees_every_step(self, model, rows):
        heard = []
        for module in model.modules():
            module.register_forward_hook(lambda module, inputs, output: heard.append(module))
        write(model, rows[0])
        assert heard.count(model) == heard.count(model.get_output_embeddings()) == NEW

    def test_weights_changed_in_place_are_used_at_once(self, model, rows):
        write(model, rows[0])
        with torch.no_grad():
            model.get_output_embeddings().bias[self.FAVOURED] = 1e4
        assert (write(model, rows[0])[0, -NEW:] == self.FAVOURED).all()


class TestOffload:
    def leaves(self, model):
        return [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]

    def test_a_model_on_disk_reads_and_writes_the_same(self, model, read, rows, tmp_path):
        away = copy.deepcopy(model)
        disk_offload(away, tmp_path)
        torch.testing.assert_close(read(away).logits, read(model).logits, **CLOSE)
        assert same_text(away, model, rows[0])

    def test_a_layer_on_disk_reads_and_writes_the_same(self, model, read, rows, tmp_path):
        leaves = self.leaves(model)
        for on_disk in leaves:
            places = dict.fromkeys(leaves, "cpu") | {on_disk: "disk"}
            away = copy.deepcopy(model)
            dispatch_model(away, places, main_device="cpu", offload_dir=str(tmp_path / on_disk), force_hooks=True)
            torch.testing.assert_close(read(away).logits, read(model).logits, **CLOSE)
            assert same_text(away, model, rows[0]), on_disk

    def test_a_device_map_loads_with_a_layer_on_disk(self, model, model_class, rows, tmp_path):
        model.save_pretrained(tmp_path)
        leaves = self.leaves(model)
        places = dict.fromkeys(leaves, "cpu") | {leaves[-2]: "disk"}
        away = model_class.from_pretrained(tmp_path, device_map=places, offload_folder=tmp_path / "offload")
        assert same_text(away, model, rows[0])


class TestPrecision:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
    def test_a_checkpoint_of_another_precision_loads_reads_and_writes(self, model, model_class, rows, tmp_path, dtype):
        model.to(dtype).save_pretrained(tmp_path)
        loaded = model_class.from_pretrained(tmp_path)
        assert loaded.dtype == dtype
        in_full = model_class.from_pretrained(tmp_path, dtype=torch.float32)
        logits = loaded(rows[0]).logits
        assert logits.dtype == dtype
        torch.testing.assert_close(logits.float(), in_full(rows[0]).logits, atol=0.2, rtol=0.05)
        assert write(loaded, rows[0]).shape == (1, rows[0].shape[1] + NEW)

    def test_autocast_reads_nearly_the_same(self, model, pad, read):
        with torch.autocast("cpu", torch.bfloat16):
            near = read(model).logits
        real = pad("left")["attention_mask"].bool()
        torch.testing.assert_close(near[real].float(), read(model).logits[real], atol=0.2, rtol=0.05)


class TestDevices:
    @pytest.fixture
    def one_process(self):
        """A group of one process, as a mesh of CPUs."""
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        yield init_device_mesh("cpu", (1,))
        torch.distributed.destroy_process_group()

    def test_forward_on_the_meta_device_gives_the_shapes(self, config, model_class, pad):
        with torch.device("meta"):
            model = model_class(config)
        batch = {name: values.to("meta") for name, values in pad("right").items() if name != "attention_mask"}
        output = model.train()(**batch)
        assert output.logits.shape == (*batch["input_ids"].shape, config.vocab_size)
        assert output.loss.device.type == "meta"
        state = model.eval()(batch["input_ids"], use_cache=True).past_key_values
        assert state.get_seq_length() == batch["input_ids"].shape[1]

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_gpu_reads_and_writes_as_the_cpu_does(self, model, read, pad, rows):
        there = copy.deepcopy(model).cuda()
        batch = {name: values.cuda() for name, values in pad("left").items()}
        real = pad("left")["attention_mask"].bool()
        logits = there(**batch).logits.cpu()
        torch.testing.assert_close(logits[real], read(model).logits[real], atol=1e-3, rtol=1e-3)
        assert torch.equal(write(there, rows[0].cuda()).cpu(), write(model, rows[0]))

    def test_what_replicas_of_a_data_parallel_model_give_is_gathered(self, model, read, monkeypatch):
        """DataParallel walks through every part of an output, the state too. The CPU's tensors it would not join."""
        monkeypatch.setattr(scatter_gather.Gather, "apply", lambda device, dim, *parts: torch.cat(parts, dim))
        gathered = scatter_gather.gather([read(model), read(model)], "cpu")
        torch.testing.assert_close(gathered["logits"], read(model).logits.repeat(2, 1, 1))

    def test_a_sharded_model_learns_what_the_whole_one_does(self, model, pad, one_process):
        sharded = copy.deepcopy(model)
        fully_shard(sharded, mesh=one_process)
        for each in (sharded, model):
            each.train()(**pad("left")).loss.backward()
            torch.optim.SGD(each.parameters(), lr=0.1).step()
            each.eval()
        for name, weight in sharded.state_dict().items():
            torch.testing.assert_close(weight.full_tensor(), model.state_dict()[name], **CLOSE)


class TestSaving:
    @pytest.mark.parametrize("shards", [{}, {"max_shard_size": "2KB"}], ids=["whole", "sharded"])
    def test_a_saved_model_is_the_model(self, model, model_class, rows, tmp_path, shards):
        model.save_pretrained(tmp_path, **shards)
        assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == bool(shards)
        loaded, report = model_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(report.values())
        assert same_text(loaded, model, rows[0])
        assert loaded.state_dict().keys() == model.state_dict().keys()

    def test_a_loaded_model_trains_the_same_weights(self, model, model_class, tmp_path):
        model.save_pretrained(tmp_path)
        loaded = model_class.from_pretrained(tmp_path)
        for name, weight in model.named_parameters():
            assert loaded.get_parameter(name).requires_grad == weight.requires_grad, name

    @pytest.mark.parametrize("config", list(CONFIGS)[:1], indirect=True)  # a fresh process takes seconds
    def test_the_code_that_is_saved_does_alone(self, model, tokenizer, rows, tmp_path):
        """In a fresh process in which the package cannot be imported."""
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        torch.save({"ids": rows[0], "text": write(model, rows[0])}, tmp_path / "expected.pt")
        script = f"""
import sys
sys.modules[{PACKAGE!r}] = None
import torch
from torch.nn.parallel import scatter_gather
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)
expected = torch.load({str(tmp_path / "expected.pt")!r}, weights_only=True)
assert torch.equal(tokenizer({TEXTS[0]!r}, return_tensors="pt").input_ids, expected["ids"])
assert torch.equal(model.generate(expected["ids"], do_sample=False), expected["text"])
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    def test_the_auto_classes_know_it(self, config, model_class):
        assert type(AutoModelForCausalLM.from_config(config)) is model_class
        assert type(AutoConfig.for_model(config.model_type)) is type(config)


class TestTokenizer:
    def test_it_pads_on_the_left_and_gives_texts_back(self, tokenizer):
        batch = tokenizer(TEXTS, padding=True)
        assert tokenizer.padding_side == "left"
        assert tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True) == TEXTS

    @pytest.mark.parametrize("special", [False, True])
    def test_an_added_token_is_one_id_and_comes_back(self, tokenizer, tmp_path, special):
        own = copy.deepcopy(tokenizer)
        own.add_tokens([AddedToken("<|Poem|>", normalized=False)], special_tokens=special)
        own.save_pretrained(tmp_path)
        for each in (own, type(tokenizer).from_pretrained(tmp_path)):
            ids = each("<|Poem|>the sea").input_ids
            assert ids[0] == len(tokenizer)
            assert each.decode(ids) == "<|Poem|>the sea"
            assert len(ids) == 1 + len(each("the sea").input_ids)
