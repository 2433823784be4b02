"""A saved folder comes back as it was, by every way in, or is refused with the file that is wrong."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, pipeline, set_seed

from char_lstm import CharLstmForCausalLM, build_tokenizer, generate_text, load, load_decoder
from char_lstm.loading import CheckpointError, hash_files, weight_files
from tests.conftest import INTENTS

PROMPT = "The lamp!"


def test_a_saved_model_writes_the_text_it_wrote(model, tokenizer, saved):
    written = generate_text(model, tokenizer, PROMPT, seed=1)
    for loaded in (load(saved), load(str(saved)), load_decoder(saved)):
        assert generate_text(*loaded, PROMPT, seed=1) == written
    assert generate_text(CharLstmForCausalLM.from_pretrained(saved), tokenizer, PROMPT, seed=1) == written


def test_a_literal_pad_is_five_characters_even_where_punctuation_is_kept(make_model, tmp_path):
    tokenizer = build_tokenizer(["the <lamp> is lit and goes by"], strip_punctuation=False)
    model = make_model(vocab_size=len(tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ids = torch.tensor([tokenizer.convert_tokens_to_ids(list("<pad>"))])
    written = tokenizer.decode(model.generate(ids, do_sample=False)[0, 5:])
    for loaded in (load(tmp_path), load_decoder(tmp_path)):
        assert generate_text(*loaded, "<pad>", temperature=0) == written


def test_a_loaded_model_is_ready_to_write(saved):
    model, tokenizer = load(saved)
    assert not model.training
    assert model.generation_config.suppress_tokens == [0]
    assert (tokenizer.pad_token_id, tokenizer.padding_side) == (0, "left")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("shards", [1, 2], ids=["whole", "sharded"])
def test_any_precision_is_read_as_the_library_reads_it(model, tokenizer, saved, dtype, shards):
    (saved / "model.safetensors").unlink()
    model.to(dtype).save_pretrained(saved, max_shard_size="10GB" if shards == 1 else "5KB")
    assert len(list(saved.glob("*.safetensors"))) >= shards
    theirs = CharLstmForCausalLM.from_pretrained(saved, dtype=torch.float32)
    ours, _ = load(saved)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight)
    written = {generate_text(each, tokenizer, PROMPT, seed=1) for each in (theirs, ours, load_decoder(saved)[0])}
    assert len(written) == 1


class TestStoredInHalf:
    """Weights in float16 under a configuration that says float32."""

    WAYS = {
        "the class": CharLstmForCausalLM.from_pretrained,
        "any precision": lambda folder: CharLstmForCausalLM.from_pretrained(folder, dtype="auto"),
        "Auto": AutoModelForCausalLM.from_pretrained,
        "Auto, the backbone": AutoModel.from_pretrained,
        "Auto, its own code": lambda folder: AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True),
        "a pipeline": lambda folder: pipeline("text-generation", str(folder)).model,
        "load": lambda folder: load(folder)[0],
    }

    @pytest.fixture
    def halved(self, saved):
        file = saved / "model.safetensors"
        save_file({name: weight.astype(np.float16) for name, weight in load_file(file).items()}, file, {"format": "pt"})
        assert json.loads((saved / "config.json").read_text())["dtype"] == "float32"
        return saved

    @pytest.mark.parametrize("way_in", WAYS.values(), ids=WAYS)
    def test_every_way_in_computes_in_float32_from_the_stored_weights(self, halved, way_in, tmp_path):
        stored, model = load_file(halved / "model.safetensors"), way_in(halved)
        for name, weight in model.state_dict().items():
            known = stored[name if name in stored else f"model.{name}"]
            assert weight.dtype == torch.float32
            np.testing.assert_array_equal(weight, known)
        assert model(torch.tensor([[1, 2, 3]]))[0].dtype == torch.float32
        model.save_pretrained(tmp_path / "again")
        assert {weight.dtype.name for weight in load_file(tmp_path / "again" / "model.safetensors").values()} == {
            "float32"
        }

    def test_without_torch_too(self, halved, tokenizer):
        decoder, _ = load_decoder(halved)
        assert decoder.head.dtype == decoder.layers[0].matrix.dtype == decoder.layers[0].table.dtype == np.float32
        written = {generate_text(each, tokenizer, PROMPT, seed=1) for each in (decoder, load(halved)[0])}
        assert len(written) == 1


class TestShards:
    @pytest.fixture
    def sharded(self, model, saved):
        (saved / "model.safetensors").unlink()
        model.save_pretrained(saved, max_shard_size="5KB")
        return saved

    @pytest.mark.parametrize("way_in", [load, load_decoder])
    def test_a_missing_shard_is_named(self, sharded, way_in):
        shard = max(sharded.glob("model-*.safetensors"))
        shard.unlink()
        with pytest.raises(CheckpointError, match=f"{shard.name} is missing"):
            way_in(sharded)

    @pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": 1}'])
    def test_a_broken_index_is_named(self, sharded, index):
        (sharded / "model.safetensors.index.json").write_text(index)
        with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json is broken"):
            load_decoder(sharded)

    def test_a_weight_that_no_shard_has_is_named(self, sharded):
        shard = max(sharded.glob("model-*.safetensors"))
        gone = sorted(load_file(shard))[0]
        change_weights(shard, lambda weights: weights.pop(gone))
        with pytest.raises(CheckpointError, match=f"index.json lacks {gone}"):
            load_decoder(sharded)

    def test_a_shard_lies_beside_its_index(self, sharded, tmp_path):
        index = sharded / "model.safetensors.index.json"
        shard = max(sharded.glob("model-*.safetensors"))
        shard.rename(tmp_path / shard.name)
        index.write_text(index.read_text().replace(shard.name, f"../{shard.name}"))
        with pytest.raises(CheckpointError, match=f"{shard.name} is missing"):
            load_decoder(sharded)

    def test_every_shard_is_the_one_that_was_measured(self, sharded):
        record = {"weights_sha256": hash_files(weight_files(sharded))}
        (sharded / "evaluation.json").write_text(json.dumps(record))
        load_decoder(sharded)
        change_weights(max(sharded.glob("model-*.safetensors")), lambda weights: next(iter(weights.values())).fill(0))
        with pytest.raises(CheckpointError, match=r"is not the file that evaluation\.json"):
            load_decoder(sharded)


@pytest.mark.parametrize(
    "graph", [{"embedding_size": 0}, {"embedding_size": 16, "tie_word_embeddings": True}], ids=["one_hot", "tied"]
)
def test_other_graphs_come_back_too(make_model, tokenizer, tmp_path, graph):
    model = make_model(**graph)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    written = generate_text(model, tokenizer, PROMPT, seed=1)
    for loaded in (load(tmp_path), load_decoder(tmp_path)):
        assert generate_text(*loaded, PROMPT, seed=1) == written


def test_a_tokenizer_without_any_code_keeps_its_pad_and_its_side(saved, tokenizer, tmp_path):
    (tmp_path / "alone").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(saved / name, tmp_path / "alone")
    again = AutoTokenizer.from_pretrained(tmp_path / "alone")
    assert (again.pad_token, again.pad_token_id, again.padding_side) == (tokenizer.pad_token, 0, "left")
    text = "The keeper’s <pad> lamp!"
    assert again(text).input_ids == tokenizer(text).input_ids
    assert again.decode(again(text).input_ids) == "the keepers pad lamp\n"


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(path, change):
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def other_alphabet(path):
    build_tokenizer(["the sea"]).save_pretrained(path.parent)


def put_nan(weights):
    weights["lm_head.bias"][3] = np.nan


def changed(**changes):
    return lambda path: change_json(path, **changes)


def as_integers(weights):
    weights["lm_head.bias"] = weights["lm_head.bias"].astype(np.int32)


def renumbered(path):
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["a"] = 999
    path.write_text(json.dumps(tokenizer))


DISAGREEMENTS = {
    **{
        f"no_{name}": (name, lambda path: path.unlink(), "is missing")
        for name in (
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        )
    },
    "config_broken": ("config.json", lambda path: path.write_text("{"), "is broken"),
    "config_a_list": ("config.json", lambda path: path.write_text("[]"), "is broken"),
    "config_empty": ("config.json", lambda path: path.write_text("{}"), "model_type is not char_lstm"),
    "config_of_another": ("config.json", lambda path: change_json(path, model_type="gpt2"), "model_type"),
    "unknown_cell": ("config.json", lambda path: change_json(path, cell_type="qrnn"), "qrnn"),
    "no_size": ("config.json", lambda path: change_json(path, hidden_size=None), "hidden_size should be"),
    "generation_config_broken": ("generation_config.json", lambda path: path.write_text("no json"), "is broken"),
    "too_many_layers": ("config.json", changed(num_hidden_layers=10**9), "too few for the layers"),
    "a_size_that_is_a_word": ("config.json", changed(hidden_size="16"), "hidden_size should be a whole number"),
    "a_cell_that_is_a_list": ("config.json", changed(cell_type=["lstm"]), "cell_type should be one of"),
    "tied_by_a_word": ("config.json", changed(tie_word_embeddings="false"), "tie_word_embeddings should be one of"),
    "too_many_labels": ("config.json", changed(num_labels=10**9), "num_labels should be at most"),
    "another_start": ("config.json", changed(bos_token_id=2), "bos_token_id 2, which is not its newline"),
    "temperature_a_word": ("generation_config.json", changed(temperature="hot"), "cannot be used for sampling"),
    "top_p_out_of_range": ("generation_config.json", changed(top_p=2), "top_p must be"),
    "half_a_character": (
        "generation_config.json",
        changed(max_new_tokens=7.5),
        "max_new_tokens must be a whole number",
    ),
    "suppressed_beyond_the_alphabet": ("generation_config.json", changed(suppress_tokens=[999]), "cannot be used"),
    "tokenizer_config_broken": ("tokenizer_config.json", lambda path: path.write_text("{"), "is broken"),
    "tokenizer_without_normaliser": ("tokenizer.json", changed(normalizer=None), "not one of our tokenizers"),
    "tokenizer_of_whole_texts": ("tokenizer.json", changed(pre_tokenizer=None), "not one of our tokenizers"),
    "tokenizer_with_other_numbers": ("tokenizer.json", renumbered, "belongs to another model"),
    "tokenizer_broken": ("tokenizer.json", lambda path: path.write_text("{}"), "is broken"),
    "tokenizer_of_another": ("tokenizer.json", other_alphabet, "belongs to another model"),
    "weights_cut_short": ("model.safetensors", truncate, "is broken"),
    "weights_empty": ("model.safetensors", lambda path: path.write_bytes(b""), "is broken"),
    "weight_missing": (
        "model.safetensors",
        lambda path: change_weights(path, lambda weights: weights.pop("model.layers.1.bias_hh_l0")),
        r"lacks model\.layers\.1\.bias_hh_l0",
    ),
    "weight_unknown": (
        "model.safetensors",
        lambda path: change_weights(path, lambda weights: weights.update(extra=np.zeros(3, np.float32))),
        "holds extra",
    ),
    "weight_of_another_shape": (
        "model.safetensors",
        lambda path: change_weights(path, lambda weights: weights.update({"lm_head.bias": np.zeros(3, np.float32)})),
        r"lm_head\.bias has shape \(3,\)",
    ),
    "weight_of_integers": (
        "model.safetensors",
        lambda path: change_weights(path, as_integers),
        r"lm_head\.bias holds numbers of type I32; save the model in float32",
    ),
    "weight_not_finite": (
        "model.safetensors",
        lambda path: change_weights(path, put_nan),
        r"lm_head\.bias holds values that are not finite",
    ),
}


@pytest.mark.parametrize("way_in", [load, load_decoder])
@pytest.mark.parametrize("what", DISAGREEMENTS)
def test_a_disagreement_names_its_file(saved, what, way_in):
    name, damage, message = DISAGREEMENTS[what]
    damage(saved / name)
    with pytest.raises(CheckpointError, match=message) as refused:
        way_in(saved)
    assert name in str(refused.value)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("way_in", [load, load_decoder])
def test_what_was_measured_and_then_changed_is_refused(saved, story, way_in):
    weights, tokenizer = saved / "model.safetensors", saved / "tokenizer.json"
    record = {"weights_sha256": sha256(weights), "tokenizer_sha256": sha256(tokenizer)}
    (saved / "evaluation.json").write_text(json.dumps(record))
    way_in(saved)

    turned = story.lower().translate(str.maketrans("abcdefghijklmnopqrstuvwxyz", "αβγδεζηθικλμνξοπρτυφχψωабв"))
    kept = tokenizer.read_bytes()
    build_tokenizer([turned]).save_pretrained(saved)  # as many characters, all of them others
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not the file that evaluation\.json"):
        way_in(saved)
    tokenizer.write_bytes(kept)
    change_weights(weights, lambda arrays: arrays["lm_head.bias"].__setitem__(3, 0.5))
    now, then = sha256(weights)[:12], record["weights_sha256"][:12]
    with pytest.raises(CheckpointError, match=rf"model\.safetensors is not the file .* \(sha256 {now}, was {then}\)"):
        way_in(saved)
    way_in(saved, ignore_mismatched_hashes=True)


def loaded_or_refusal(way_in, folder):
    try:
        return way_in(folder)
    except CheckpointError as error:
        return str(error)


STRANGE = [None, -1, 0, 1, 17, 10**9, 10**30, 1.5, 16.0, float("nan"), float("inf"), True, False, "", "16", "x" * 1000]
STRANGE += [[], [1, 1], {}, {"a": 1}]
LIBRARYS_OWN = ("num_labels", "id2label", "problem_type", "quantization_config", "torch_dtype", "attn_implementation")


@pytest.fixture
def little_room():
    """Memory and time for a tiny model and not for one of a billion units."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, most))
    signal.alarm(300)  # ends a hanging test run
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, most))


@pytest.mark.parametrize("way_in", [pytest.param(load, marks=pytest.mark.slow), load_decoder])
def test_a_strange_value_in_config_json_is_refused_by_its_file_or_changes_nothing(saved, way_in, little_room):
    config = json.loads((saved / "config.json").read_text())
    expected = generate_text(*load_decoder(saved), PROMPT, seed=1)
    for name, value in product([*config, *LIBRARYS_OWN], STRANGE):
        (saved / "config.json").write_text(json.dumps(config | {name: value}))
        loaded = loaded_or_refusal(way_in, saved)
        if isinstance(loaded, str):
            assert "config.json" in loaded, (name, value)
        else:
            assert generate_text(*loaded, PROMPT, seed=1) == expected, (name, value)


@settings(
    max_examples=3 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_weights_with_a_broken_header_or_cut_anywhere_are_refused_or_change_nothing(saved, data):
    path = saved / "model.safetensors"
    sound = saved / "sound"
    if not sound.exists():
        shutil.copy(path, sound)
    content = bytearray(sound.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1), "end") :]
    else:
        content[data.draw(st.integers(0, header - 1), "place")] = data.draw(st.integers(0, 255), "byte")
    path.write_bytes(content)
    loaded = loaded_or_refusal(load_decoder, saved)
    if isinstance(loaded, str):
        assert "model.safetensors" in loaded
    else:
        np.testing.assert_array_equal(loaded[0].head, load_file(sound)["lm_head.weight"])


def test_a_sound_folder_passes_the_damage_that_changes_nothing(saved):
    change_json(saved / "config.json")
    change_weights(saved / "model.safetensors", lambda weights: None)
    load(saved)


@pytest.mark.parametrize("way_in", [load, load_decoder])
@pytest.mark.parametrize("folder", ["/nowhere/at/all", "./nowhere", "nowhere", "a/b/c"])
def test_an_unknown_folder_is_named(way_in, folder):
    with pytest.raises(CheckpointError, match=f"{folder}: no such model folder"):
        way_in(folder)


def test_a_file_is_no_folder(saved):
    with pytest.raises(CheckpointError, match="no such model folder"):
        load(saved / "config.json")


class TestInAFreshProcess:
    """One process for several promises: each costs seconds of imports."""

    @pytest.fixture
    def greedy(self, model, tokenizer):
        inputs = tokenizer(PROMPT, return_tensors="pt")
        return tokenizer.decode(model.generate(**inputs, do_sample=False)[0])

    @pytest.fixture
    def seeded(self, model, tokenizer):
        """What `generate` writes after `set_seed(5)`, and our own loop for seed 5."""
        set_seed(5)
        drawn = tokenizer.decode(model.generate(**tokenizer(PROMPT, return_tensors="pt"), max_new_tokens=60)[0])
        return drawn, generate_text(model, tokenizer, PROMPT, seed=5, max_new_tokens=60)

    @pytest.fixture
    def run(self, saved, greedy, seeded, tmp_path):
        def run(code):
            environment = os.environ | {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
            (tmp_path / "elsewhere").mkdir()
            result = subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), saved, PROMPT, greedy, *seeded, INTENTS],
                cwd=tmp_path / "elsewhere",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            assert result.returncode == 0, result.stderr

        return run

    def test_it_loads_and_writes_the_same_without_the_package_and_once_the_package_is_there(self, run):
        run(
            """
            import sys
            folder, prompt, greedy, drawn, ours, intents = sys.argv[1:]
            sys.modules["char_lstm"] = None  # not installed: importing it fails

            from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline, set_seed

            def write(**flag):
                model = AutoModelForCausalLM.from_pretrained(folder, **flag)
                tokenizer = AutoTokenizer.from_pretrained(folder, **flag)
                inputs = tokenizer(prompt, return_tensors="pt")
                assert tokenizer.decode(model.generate(**inputs, do_sample=False)[0]) == greedy
                set_seed(5)
                assert tokenizer.decode(model.generate(**inputs, max_new_tokens=60)[0]) == drawn
                its_own = sys.modules[type(model).__module__.replace(".modeling_", ".generation_")]
                assert its_own.generate_text(model, tokenizer, prompt, seed=5, max_new_tokens=60) == ours
                its_decoder = sys.modules[type(model).__module__.replace(".modeling_", ".torch_decoder_")]
                assert its_decoder.is_as_built(model)  # so it writes at full speed
                return type(model)

            assert write(trust_remote_code=True).__module__.startswith("transformers_modules.")
            classify = pipeline("text-classification", model=intents, trust_remote_code=True)
            assert type(classify.model).__module__.startswith("transformers_modules.")
            assert classify("what time is it?")[0]["label"] == "ask_time"

            del sys.modules["char_lstm"]
            import char_lstm  # after transformers
            assert write() is char_lstm.CharLstmForCausalLM
            """
        )

    def test_the_auto_classes_know_the_model_whichever_of_our_files_comes_first(self, run):
        run(
            """
            import sys
            import char_lstm.layers_char_lstm  # imports the Auto classes itself
            from transformers import AutoModelForCausalLM

            assert type(AutoModelForCausalLM.from_pretrained(sys.argv[1])) is char_lstm.CharLstmForCausalLM
            """
        )

    def test_writing_the_same_needs_no_framework_and_the_auto_classes_come_later(self, run):
        run(
            """
            import sys
            folder, prompt, greedy, drawn, ours, intents = sys.argv[1:]
            import char_lstm  # before transformers

            decoder, tokenizer = char_lstm.load_decoder(folder)
            text = char_lstm.generate_text(decoder, tokenizer, prompt, temperature=0)
            assert char_lstm.normalise(tokenizer, prompt) + text == greedy
            assert char_lstm.generate_text(decoder, tokenizer, prompt, seed=5, max_new_tokens=60) == ours
            assert not {"torch", "transformers"} & sys.modules.keys()

            from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification
            assert type(AutoConfig.from_pretrained(folder)) is char_lstm.CharLstmConfig
            assert type(AutoModel.from_pretrained(folder)) is char_lstm.CharLstmModel
            assert type(AutoModelForCausalLM.from_pretrained(folder)) is char_lstm.CharLstmForCausalLM
            classifier = AutoModelForSequenceClassification.from_pretrained(intents)
            assert type(classifier) is char_lstm.CharLstmForSequenceClassification
            """
        )
