"""Our own loop: exactly so many characters of the alphabet, the same for one seed, with the model's own scores."""

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import GenerationConfig
from transformers.generation import TopKLogitsWarper, TopPLogitsWarper

from char_lstm import CharLstmForCausalLM, generate_text, stream_text
from char_lstm.cells import CELL_STEPS, initial_state, unroll
from char_lstm.generation_char_lstm import choose, sample
from char_lstm.torch_decoder_char_lstm import as_decoder

PROMPT = "the lamp"
SAMPLING = {"max_new_tokens": 40, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "suppress_tokens": [0]}
GRAPHS = {
    "one_layer": {"num_hidden_layers": 1},
    "two_layers": {},
    "three_layers": {"num_hidden_layers": 3},
    "one_hot": {"embedding_size": 0},
    "tied": {"embedding_size": 16, "tie_word_embeddings": True},
    "gru": {"cell_type": "gru", "num_hidden_layers": 3},
    "rnn": {"cell_type": "rnn", "num_hidden_layers": 3},
}


def settings(**given):
    return SimpleNamespace(**SAMPLING | given)


def ids_of(tokenizer, text=PROMPT):
    return tokenizer(text).input_ids


def decoded_logits(model, ids):
    decoder = as_decoder(model)
    return torch.from_numpy(decoder.logits(decoder.encode_prompts([ids]))[0])


def assert_decoder_follows(model, ids):
    expected = model(torch.tensor([ids])).logits[0, -1].float()
    torch.testing.assert_close(decoded_logits(model, ids), expected, rtol=0, atol=1e-5)


class TestText:
    @pytest.mark.parametrize("count", [0, 1, 50])
    def test_exactly_so_many_characters_come(self, model, tokenizer, count):
        assert len(generate_text(model, tokenizer, PROMPT, max_new_tokens=count)) == count

    def test_only_characters_of_the_alphabet_come_and_never_the_pad(self, model, tokenizer):
        with torch.no_grad():
            model.lm_head.bias[0] = 10.0  # the pad is the likeliest
        for temperature in (0, 1.0, 5.0):
            characters = list(
                stream_text(model, tokenizer, PROMPT, max_new_tokens=300, temperature=temperature, seed=1)
            )
            assert len(characters) == 300
            assert set(characters) <= tokenizer.get_vocab().keys() - {tokenizer.pad_token}

    def test_every_suppressed_character_stays_away(self, model, tokenizer):
        model.generation_config.suppress_tokens = [0, *tokenizer("aeiou", add_special_tokens=False).input_ids]
        text = generate_text(model, tokenizer, PROMPT, max_new_tokens=300, seed=1)
        assert not set(text) & set("aeiou")
        assert len(set(text)) > 5

    def test_the_stream_is_the_text(self, model, tokenizer):
        stream = stream_text(model, tokenizer, PROMPT, seed=7)
        assert next(stream) + "".join(stream) == generate_text(model, tokenizer, PROMPT, seed=7)

    @pytest.mark.parametrize("graph", GRAPHS)
    def test_greedy_is_what_generate_writes(self, make_model, tokenizer, graph):
        model = make_model(**GRAPHS[graph])
        inputs = tokenizer(PROMPT, return_tensors="pt")
        expected = model.generate(**inputs, do_sample=False, max_new_tokens=30)[0, inputs.input_ids.shape[1] :]
        assert generate_text(model, tokenizer, PROMPT, temperature=0, max_new_tokens=30) == tokenizer.decode(expected)

    @pytest.mark.parametrize("greedy", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}])
    def test_the_narrowest_sampling_is_greedy(self, model, tokenizer, greedy):
        assert generate_text(model, tokenizer, PROMPT, **greedy) == generate_text(
            model, tokenizer, PROMPT, temperature=0
        )

    def test_a_decoder_and_the_inner_tokenizer_do_as_well(self, model, tokenizer):
        expected = generate_text(model, tokenizer, PROMPT, seed=7)
        assert generate_text(as_decoder(model), tokenizer.backend_tokenizer, PROMPT, seed=7) == expected


class TestStop:
    def test_a_text_ends_with_the_first_stop_string_that_it_comes_to(self, model, tokenizer):
        whole = generate_text(model, tokenizer, PROMPT, max_new_tokens=60, seed=1)
        stops = [whole[30:33], whole[20:22]]
        end = min(whole.find(stop) + len(stop) for stop in stops)
        assert generate_text(model, tokenizer, PROMPT, max_new_tokens=60, seed=1, stop_strings=stops) == whole[:end]
        assert generate_text(model, tokenizer, PROMPT, max_new_tokens=60, seed=1, stop_strings=["qqq"]) == whole

    def test_a_stop_string_may_begin_in_the_prompt_as_in_the_library(self, model, tokenizer):
        first = generate_text(model, tokenizer, PROMPT, max_new_tokens=1, temperature=0)
        stop = [PROMPT[-2:] + first]
        inputs = tokenizer(PROMPT, return_tensors="pt")
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=9, stop_strings=stop, tokenizer=tokenizer)
        assert ids.shape[1] == inputs.input_ids.shape[1] + 1
        assert generate_text(model, tokenizer, PROMPT, temperature=0, stop_strings=stop) == first

    def test_a_stop_string_is_read_as_a_prompt_is(self, model, tokenizer):
        def write(*stops):
            return generate_text(model, tokenizer, PROMPT, max_new_tokens=300, seed=1, stop_strings=stops)

        assert write("A") == write("a")
        assert write(".") == write("\n")
        with pytest.raises(ValueError, match="stop string needs a character"):
            write("a", "灯")


class TestSeed:
    def test_a_seed_is_a_text(self, model, tokenizer):
        texts = [
            generate_text(model, tokenizer, PROMPT, max_new_tokens=60, seed=seed) for seed in (1, 1, 2, None, None)
        ]
        assert texts[0] == texts[1]
        assert len(set(texts)) == 4

    def test_a_seed_is_the_same_text_while_others_write(self, model, tokenizer):
        def write(seed):
            return generate_text(model, tokenizer, PROMPT, max_new_tokens=100, seed=seed)

        alone = [write(seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(write, list(range(8)) * 4)) == alone * 4

    def test_nobody_elses_randomness_is_touched(self, model, tokenizer):
        torch.manual_seed(0)
        np.random.seed(0)
        expected = torch.rand(1), np.random.random()
        torch.manual_seed(0)
        np.random.seed(0)
        generate_text(model, tokenizer, PROMPT, seed=3)
        assert (torch.rand(1), np.random.random()) == expected

    def test_hardly_any_text_depends_on_how_many_are_written_at_once(self, model, tokenizer):
        decoder, prompt, many = as_decoder(model), ids_of(tokenizer), 400
        together = np.stack(list(sample(decoder, [prompt] * many, settings(), seed=0)), axis=1)  # (batch, time)
        alone = [np.concatenate(list(sample(decoder, [prompt], settings(), seed=seed))) for seed in range(many)]
        assert (together != np.stack(alone)).any(axis=1).sum() <= many // 200

    def test_a_row_of_a_batch_is_the_text_of_its_own_seed(self, model, tokenizer):
        decoder, prompts = as_decoder(model), [ids_of(tokenizer, text) for text in (PROMPT, "a", "ships at sea")]
        together = np.stack(list(sample(decoder, prompts, settings(), seed=5)), axis=1)
        for row, prompt in enumerate(prompts):
            alone = np.concatenate(list(sample(decoder, [prompt], settings(), seed=5 + row)))
            assert together[row].tolist() == alone.tolist()


class TestSettings:
    @pytest.mark.parametrize(
        "setting",
        [{"max_new_tokens": 17}, {"temperature": 0.3}, {"top_k": 3}, {"top_p": 0.4}],
        ids=lambda one: next(iter(one)),
    )
    def test_what_is_left_out_comes_from_the_generation_config(self, model, tokenizer, setting):
        plain, given = (generate_text(model, tokenizer, PROMPT, seed=2, **some) for some in ({}, setting))
        model.generation_config.update(**setting)
        assert generate_text(model, tokenizer, PROMPT, seed=2) == given != plain

    def test_a_generation_config_that_does_not_sample_is_greedy(self, model, tokenizer):
        with torch.no_grad():
            model.lm_head.bias[0] = -torch.inf  # nothing else keeps the pad away
        greedy = generate_text(model, tokenizer, PROMPT, max_new_tokens=20, temperature=0)
        for says_nothing in (GenerationConfig(), SimpleNamespace()):  # as `load` and as `load_decoder` read it
            model.generation_config = says_nothing
            assert generate_text(model, tokenizer, PROMPT, max_new_tokens=20) == greedy
            assert len(generate_text(model, tokenizer, "", max_new_tokens=20)) == 20

    def test_five_hundred_characters_come_unless_told(self, model, tokenizer):
        model.generation_config.max_new_tokens = None
        assert len(generate_text(model, tokenizer, PROMPT)) == 500

    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_new_tokens": -1},
            {"temperature": -0.1},
            {"temperature": float("inf")},
            {"temperature": float("nan")},
            {"top_k": -1},
            {"top_p": 0},
            {"top_p": 1.1},
            {"top_p": float("nan")},
        ],
        ids=str,
    )
    def test_a_setting_out_of_range_is_named(self, model, tokenizer, wrong):
        (name, value), *_ = wrong.items()
        with pytest.raises(ValueError, match=f"^{name} must be .* got {value}$"):
            generate_text(model, tokenizer, PROMPT, **wrong)


class TestPrompt:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("THE Lamp", "the lamp"),
            ("the, “lamp” — lit!", "the lamp lit\n"),
            ("the keeper’s lamp", "the keepers lamp"),
            ("the lamp 🕯️", "the lamp "),
            ("灯 the lamp Ωμέγα", " the lamp "),
            ("<pad>", " pad "),
            ("the\r\nlamp", "the\nlamp"),
            ("", "\n"),
            ("灯", "\n"),
        ],
    )
    def test_a_prompt_is_read_as_the_corpus_was(self, model, tokenizer, written, read):
        assert generate_text(model, tokenizer, written, seed=4) == generate_text(model, tokenizer, read, seed=4)

    @pytest.mark.parametrize("written", ["\ud800", "a \udfff\ud800 b", "\x00\x7f\u202e", "\ufeffthe", "a\u0301" * 50])
    def test_no_text_is_too_strange(self, model, tokenizer, written):
        assert len(generate_text(model, tokenizer, written, max_new_tokens=5)) == 5

    def test_a_long_prompt_is_read_to_its_end(self, model, tokenizer):
        ids = ids_of(tokenizer, "the lamp is lit and ships go by\n" * 100)
        assert len(ids) > 3000
        assert_decoder_follows(model, ids)

    @pytest.mark.slow
    def test_a_hundred_thousand_characters_are_read(self, model, tokenizer):
        assert len(generate_text(model, tokenizer, "The lamp is lit! " * 6000, max_new_tokens=5)) == 5

    def test_every_part_of_the_prompt_counts(self, model, tokenizer):
        prompts = ["a lamp", "the lamp", "the lamb", "he lamp"]
        logits = {tuple(decoded_logits(model, ids_of(tokenizer, prompt)).tolist()) for prompt in prompts}
        assert len(logits) == len(prompts)


class TestDecoder:
    @pytest.mark.parametrize("graph", GRAPHS)
    def test_the_decoder_scores_as_the_model_does(self, make_model, tokenizer, graph):
        model = make_model(**GRAPHS[graph])
        for prompt in (PROMPT, "a", "the ships at sea are far below the rocks"):
            assert_decoder_follows(model, ids_of(tokenizer, prompt))

    @pytest.mark.parametrize("cell_type", CELL_STEPS)
    def test_the_decoder_steps_as_the_written_out_cells_do(self, make_model, tokenizer, cell_type):
        model, ids = make_model(cell_type=cell_type, num_hidden_layers=3), ids_of(tokenizer)
        state = as_decoder(model).encode_prompts([ids])
        inputs = model.get_input_embeddings()(torch.tensor(ids)).split(1)
        for layer, buffers in zip(model.model.layers, state.buffers, strict=True):
            steps = unroll(CELL_STEPS[cell_type], layer, inputs, initial_state(layer, batch=1))
            inputs = [step.output for step in steps]
            torch.testing.assert_close(torch.from_numpy(buffers.output), inputs[-1], rtol=0, atol=1e-5)
            if cell_type == "lstm":
                torch.testing.assert_close(
                    torch.from_numpy(buffers.cell_state), steps[-1].cell_state, rtol=0, atol=1e-5
                )

    def test_double_precision_is_read_too(self, model, tokenizer):
        assert_decoder_follows(model.double(), ids_of(tokenizer))

    def test_half_precision_is_read_too(self, model, tokenizer):
        logits = decoded_logits(model.bfloat16(), ids_of(tokenizer))
        assert torch.equal(logits, decoded_logits(model.float(), ids_of(tokenizer)))
        assert_decoder_follows(model, ids_of(tokenizer))

    def test_changed_weights_are_used_at_once(self, model, make_model, tokenizer):
        ids = ids_of(tokenizer)
        assert_decoder_follows(model, ids)

        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        model(torch.tensor([ids]), labels=torch.tensor([ids])).loss.backward()
        optimizer.step()
        assert_decoder_follows(model, ids)

        other = make_model()
        with torch.no_grad():
            other.lm_head.weight.neg_()
        model.load_state_dict(other.state_dict())
        assert_decoder_follows(model, ids)

        model.lm_head = copy.deepcopy(other.lm_head)
        with torch.no_grad():
            model.model.layers[0].weight_hh_l0[0, 0] += 3
        assert_decoder_follows(model, ids)

        model.lm_head.weight.data[0] += 1  # as averages of weights are swapped in, past autograd's notice
        assert_decoder_follows(model, ids)

    def test_an_unchanged_model_is_laid_out_once(self, model):
        assert as_decoder(model) is as_decoder(model)

    def test_a_model_is_not_kept_alive(self, model):
        short_lived = CharLstmForCausalLM(model.config)
        as_decoder(short_lived)
        remembered = weakref.ref(short_lived)
        del short_lived
        gc.collect()
        assert remembered() is None


class TestChoose:
    """`choose` against the definition, with draws on an even grid: every probability to one draw in 20 000."""

    DRAWS = (np.arange(20_000) + 0.5) / 20_000

    @pytest.fixture
    def logits(self):
        return torch.linspace(-2.5, 2.0, 29)[torch.randperm(29, generator=torch.Generator().manual_seed(0))]

    def frequencies(self, logits, **given):
        tiled = np.repeat(logits.numpy()[None], len(self.DRAWS), axis=0)
        ids = choose(tiled, settings(**{"suppress_tokens": []} | given), self.DRAWS[:, None])
        return torch.from_numpy(np.bincount(ids, minlength=29) / len(self.DRAWS)).float()

    def assert_drawn_from(self, scores, frequencies):
        torch.testing.assert_close(frequencies, scores.softmax(-1), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_characters_come_as_often_as_the_softmax_says(self, logits, temperature):
        self.assert_drawn_from(logits / temperature, self.frequencies(logits, temperature=temperature))

    def test_random_draws_pass_a_chi_square_test(self, logits):
        draws = np.random.default_rng(0).random(20_000)
        ids = choose(np.repeat(logits.numpy()[None], len(draws), axis=0), settings(suppress_tokens=[]), draws[:, None])
        expected = logits.softmax(-1).numpy() * len(draws)
        chi_square = ((np.bincount(ids, minlength=29) - expected) ** 2 / expected).sum()
        assert chi_square < 56.9  # 28 degrees of freedom, p = 0.001

    @pytest.mark.parametrize("top_k", [1, 2, 5, 28, 29, 100])
    def test_top_k_keeps_what_transformers_keeps(self, logits, top_k):
        self.assert_drawn_from(TopKLogitsWarper(top_k)(None, logits[None])[0], self.frequencies(logits, top_k=top_k))

    @pytest.mark.parametrize("top_p", [1e-6, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99])
    def test_top_p_keeps_what_transformers_keeps(self, logits, top_p):
        self.assert_drawn_from(TopPLogitsWarper(top_p)(None, logits[None])[0], self.frequencies(logits, top_p=top_p))

    def test_temperature_then_top_k_then_top_p(self, logits):
        scores = TopPLogitsWarper(0.8)(None, TopKLogitsWarper(9)(None, logits[None] / 1.5))[0]
        self.assert_drawn_from(scores, self.frequencies(logits, temperature=1.5, top_k=9, top_p=0.8))

    @pytest.mark.parametrize("uniform", [0.0, np.nextafter(1, 0)])
    @pytest.mark.parametrize("suppressed", [[0], [28], [0, 28]])
    def test_the_outermost_draws_stay_among_the_allowed(self, logits, uniform, suppressed):
        (chosen,) = choose(logits.numpy()[None].copy(), settings(suppress_tokens=suppressed), np.array([[uniform]]))
        allowed = sorted({*range(29)} - {*suppressed}, key=lambda index: logits[index])
        assert chosen == (allowed[-1] if uniform == 0 else allowed[0])
