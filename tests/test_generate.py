"""transformers' own `generate` and its clients work on a recurrent state as they do on keys and values."""

import pytest
import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria, TextIteratorStreamer, pipeline, set_seed

from char_lstm import build_tokenizer, generate_text, modeling_char_lstm

PROMPTS = ["the lamp", "a", "ships at sea are"]
GREEDY = {"do_sample": False, "max_new_tokens": 12}
STRATEGIES = {
    "greedy": GREEDY,
    "sampling": {"do_sample": True, "max_new_tokens": 12},
    "beam": {"do_sample": False, "num_beams": 4, "max_new_tokens": 12},
    "beam_sampling": {"do_sample": True, "num_beams": 4, "max_new_tokens": 12},
    "several": {"do_sample": True, "num_return_sequences": 3, "max_new_tokens": 12},
    "several_beams": {"do_sample": False, "num_beams": 4, "num_return_sequences": 3, "max_new_tokens": 12},
}


class Favour(LogitsProcessor):
    """Makes one character likelier with every character written."""

    def __call__(self, input_ids, scores):
        scores[:, 5] += 0.1 * input_ids.shape[1]
        return scores


class StopRow(StoppingCriteria):
    """Ends the second row at 18 characters, the others later."""

    def __call__(self, input_ids, scores, **kwargs):
        longest = torch.tensor([23, 18, 25])[: len(input_ids)]
        return input_ids.shape[1] >= longest


HONOURED = {
    "greedy": GREEDY,
    "sampling": {},
    "warped": {"temperature": 0.7, "top_k": 9, "top_p": 0.9},
    "several": {"num_return_sequences": 3},
    "repetition_penalty": {"repetition_penalty": 1.8},
    "bad_words": {"bad_words_ids": [[5], [6, 7]]},
    "end_of_text": {"eos_token_id": [3, 4], "max_new_tokens": 60},
    "own_processor": {"logits_processor": [Favour()]},
    "own_criterion": {"stopping_criteria": [StopRow()], "max_new_tokens": 60},
    "own_criterion_and_end": {"stopping_criteria": [StopRow()], "eos_token_id": 4, "max_new_tokens": 60},
    "prefix_allowed": {"prefix_allowed_tokens_fn": lambda row, ids: [3 + row, 8, 9]},
}


@pytest.fixture
def library_loop(monkeypatch):
    """Turns our loop off and on."""

    def turn(to_library):
        monkeypatch.setattr(modeling_char_lstm, "decoder_can_generate", lambda *_: not to_library)

    return turn


@pytest.fixture
def forwards(monkeypatch):
    """The calls of the model's forward, counted by a function that it calls: the model itself stays as it was built."""
    calls, called = [], modeling_char_lstm.maybe_autocast
    monkeypatch.setattr(
        modeling_char_lstm, "maybe_autocast", lambda *args, **kw: calls.append(1) or called(*args, **kw)
    )
    return calls


@pytest.fixture
def batch(tokenizer):
    return tokenizer(PROMPTS, padding=True, return_tensors="pt")


@pytest.fixture
def alone(tokenizer):
    return [tokenizer(prompt, return_tensors="pt") for prompt in PROMPTS]


def greedy_without_generate(model, ids, steps):
    """The likeliest continuation, each step from the whole text, the pad left out."""
    for _ in range(steps):
        ids = torch.cat([ids, model(ids).logits[:, -1:, 1:].argmax(-1) + 1], dim=1)
    return ids


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_carried_state_writes_what_reading_everything_again_writes(model, batch, strategy):
    texts = []
    for use_cache in (True, False):
        set_seed(3)
        texts.append(model.generate(**batch, **STRATEGIES[strategy], use_cache=use_cache))
    assert torch.equal(*texts)


def test_greedy_takes_the_likeliest_character_each_time(model, alone):
    for prompt in alone:
        expected = greedy_without_generate(model, prompt.input_ids, 12)
        assert torch.equal(model.generate(**prompt, **GREEDY), expected)


@pytest.mark.parametrize("strategy", ["greedy", "beam", "several_beams"])
def test_a_batch_of_left_padded_prompts_equals_one_by_one(model, batch, alone, strategy):
    together = model.generate(**batch, **STRATEGIES[strategy])[:, batch.input_ids.shape[1] :]
    one_by_one = [model.generate(**prompt, **STRATEGIES[strategy])[:, prompt.input_ids.shape[1] :] for prompt in alone]
    assert torch.equal(together, torch.cat(one_by_one))


def test_sampling_repeats_itself_after_set_seed(model, batch):
    texts = []
    for seed in (5, 5, 6):
        set_seed(seed)
        texts.append(model.generate(**batch))
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])


def test_beams_as_wide_as_the_alphabet_find_the_likeliest_pair(model, alone):
    prompt, real = alone[0].input_ids, model.config.vocab_size - 1
    first = torch.arange(1, real + 1)[:, None]  # every character but the pad
    after = torch.cat([prompt.expand(real, -1), first], dim=1)
    logits = model(after).logits
    logits[..., 0] = -torch.inf
    score = logits.log_softmax(-1)
    pair_scores = score[0, -2, 1:, None] + score[:, -1, 1:]  # (first, second)
    likeliest = divmod(pair_scores.argmax().item(), real)

    text = model.generate(**alone[0], do_sample=False, num_beams=real, max_new_tokens=2, renormalize_logits=True)
    assert [int(i) - 1 for i in text[0, -2:]] == list(likeliest)


def test_a_streamer_hears_the_text_as_it_grows(model, tokenizer, alone):
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    text = model.generate(**alone[0], **GREEDY, streamer=streamer)
    assert "".join(streamer) == tokenizer.decode(text[0, alone[0].input_ids.shape[1] :])


def test_a_returned_state_is_where_the_text_goes_on(model, batch):
    half = GREEDY | {"max_new_tokens": 6}
    first = model.generate(**batch, **half, return_dict_in_generate=True)
    mask = torch.cat([batch.attention_mask, torch.ones(len(PROMPTS), 6, dtype=torch.long)], dim=1)
    second = model.generate(first.sequences, attention_mask=mask, past_key_values=first.past_key_values, **half)
    assert torch.equal(second, model.generate(**batch, **GREEDY))


def test_embeddings_start_a_text_as_their_ids_do(model, alone):
    ids = alone[0].input_ids
    embeddings = model.get_input_embeddings()(ids)
    expected = model.generate(ids, **GREEDY)[:, ids.shape[1] :]
    assert torch.equal(model.generate(inputs_embeds=embeddings, **GREEDY), expected)


def test_a_bare_generate_obeys_the_generation_config(model, batch):
    model.generation_config.max_new_tokens = 500
    set_seed(0)
    with torch.no_grad():  # the pad is the likeliest by far, and is not written all the same
        model.lm_head.bias[0] = 5.0
    new = model.generate(**batch)[:, batch.input_ids.shape[1] :]
    assert new.shape == (3, 500)
    assert (new != 0).all()
    assert len(new.unique()) > 5, "sampled, not greedy"
    assert model.generate(**batch, max_new_tokens=50).shape[1] == batch.input_ids.shape[1] + 50


def test_without_a_prompt_the_text_starts_from_the_newline(model):
    expected = model.generate(torch.tensor([[1]]), **GREEDY)
    assert torch.equal(model.generate(**GREEDY), expected)


def test_assisted_decoding_is_refused_clearly(model, make_model, alone):
    with pytest.raises(ValueError, match="assisted generation is not supported with stateful models"):
        model.generate(**alone[0], **GREEDY, assistant_model=make_model())


class TestPipeline:
    @pytest.fixture
    def writer(self, model, tokenizer):
        return pipeline("text-generation", model=model, tokenizer=tokenizer)

    def test_a_batch_of_prompts_equals_one_by_one(self, writer):
        settings = GREEDY | {"return_full_text": False}
        alone = [writer(prompt, **settings)[0]["generated_text"] for prompt in PROMPTS]
        together = [texts[0]["generated_text"] for texts in writer(PROMPTS, batch_size=3, **settings)]
        assert together == alone
        assert {len(text) for text in alone} == {12}

    def test_the_prompt_is_given_back_as_it_was_written(self, writer):
        (text,) = writer("The lamp!", **GREEDY)
        assert text["generated_text"].startswith("The lamp!")

    def test_an_empty_prompt_starts_from_the_newline(self, writer, model, tokenizer):
        (text,) = writer("", **GREEDY)
        assert text["generated_text"] == tokenizer.decode(model.generate(**GREEDY)[0])
        assert text["generated_text"].startswith("\n")

    @pytest.mark.xfail(strict=True, reason="the library pads no empty row: `tensor[i, -0:] = row` in pipelines/base.py")
    def test_a_prompt_of_unknown_letters_in_a_batch_starts_from_the_newline(self, writer):
        texts = writer(["灯", "the lamp"], batch_size=2, **GREEDY)
        assert texts[0] == writer("灯", **GREEDY)


class TestEmptyPrompt:
    def test_a_prompt_of_no_characters_starts_from_a_newline(self, model, tokenizer):
        nothing = tokenizer("", return_tensors="pt")
        newline = tokenizer("\n", return_tensors="pt")
        written = model.generate(**nothing, do_sample=False)
        assert torch.equal(written, model.generate(**newline, do_sample=False))

    def test_an_empty_prompt_among_others_is_written_on_as_alone(self, model, tokenizer):
        together = model.generate(**tokenizer(["", "the lamp"], return_tensors="pt", padding=True), do_sample=False)
        alone = model.generate(**tokenizer("\n", return_tensors="pt"), do_sample=False)
        assert torch.equal(together[0, -8:], alone[0, -8:])

    @pytest.mark.parametrize("beams", [1, 2])
    def test_without_a_bos_there_must_be_a_character_to_start_from(self, model, tokenizer, beams):
        prompts = tokenizer(["a", "the lamp"], return_tensors="pt", padding=True)
        asked = {"do_sample": False, "num_beams": beams}
        expected = model.generate(**prompts, **asked)
        model.config.bos_token_id = model.generation_config.bos_token_id = None
        assert torch.equal(model.generate(**prompts, **asked), expected)
        for texts in (["", "the lamp"], [""]):
            with pytest.raises(ValueError, match="no bos_token_id to start it from"):
                model.generate(**tokenizer(texts, return_tensors="pt", padding=True), **asked)


@pytest.mark.parametrize("asked", HONOURED)
def test_our_loop_writes_what_the_librarys_own_writes(model, batch, library_loop, asked):
    texts = []
    for to_library in (False, True):
        library_loop(to_library)
        set_seed(1)
        texts.append(model.generate(**batch, **{"max_new_tokens": 30} | HONOURED[asked]))
    assert torch.equal(*texts)


def test_a_streamer_hears_the_same_from_both_loops(model, alone, library_loop):
    class Listener:
        def __init__(self):
            self.heard = []

        def put(self, ids):
            self.heard.append(ids.tolist())

        def end(self):
            self.heard.append("end")

    heard = []
    for to_library in (False, True):
        library_loop(to_library)
        heard.append(Listener())
        model.generate(**alone[0], **GREEDY, streamer=heard[-1])
    assert heard[0].heard == heard[1].heard
    assert heard[0].heard[-1] == "end"


def test_a_loop_of_the_users_own_is_the_one_that_runs(model, alone):
    def write_fives(model, input_ids, **_):
        return torch.cat([input_ids, torch.full((1, 3), 5)], dim=1)

    assert model.generate(**alone[0], custom_generate=write_fives)[0, -3:].tolist() == [5, 5, 5]


def test_a_stop_string_ends_a_text(model, tokenizer, alone):
    text = tokenizer.decode(model.generate(**alone[0], **GREEDY)[0])
    stop = text[len(PROMPTS[0]) + 3]
    stopped = model.generate(**alone[0], **GREEDY, stop_strings=[stop], tokenizer=tokenizer)
    assert tokenizer.decode(stopped[0]) == text[: text.index(stop, len(PROMPTS[0])) + 1]


@pytest.mark.parametrize("alphabet", ["the sea is blue", "THE SEA", "тихо"], ids=["no_c", "capitals", "no_latin"])
@pytest.mark.parametrize("given", ["argument", "config"])
def test_a_stop_string_ends_a_text_in_any_alphabet(make_model, alphabet, given):
    """The library reads "abcdef" with the tokenizer first."""
    tokenizer = build_tokenizer([alphabet], lowercase=False)
    model, prompt = make_model(vocab_size=len(tokenizer)), tokenizer(alphabet, return_tensors="pt")
    text = tokenizer.decode(model.generate(**prompt, **GREEDY)[0])
    stop = text[len(alphabet) + 2 : len(alphabet) + 4]
    config = GenerationConfig(**GREEDY, suppress_tokens=[0], pad_token_id=0, stop_strings=[stop])
    settings = GREEDY | {"stop_strings": [stop]} if given == "argument" else {"generation_config": config}
    stopped = tokenizer.decode(model.generate(**prompt, **settings, tokenizer=tokenizer)[0])
    assert stopped == text[: text.index(stop, len(alphabet) - 1) + 2]


def test_a_length_of_prompt_and_text_together_takes_the_place_of_ours(model, alone):
    text = model.generate(**alone[0], max_length=15, max_new_tokens=None)
    assert text.shape[1] == 15 != alone[0].input_ids.shape[1] + model.generation_config.max_new_tokens


@pytest.mark.parametrize("given", ["to_generate", "of_the_model"])
def test_a_generation_config_asks_for_beams_as_arguments_do(model, batch, given):
    expected = model.generate(**batch, **STRATEGIES["beam"])
    config = GenerationConfig(**STRATEGIES["beam"], suppress_tokens=[0], pad_token_id=0, bos_token_id=1)
    if given == "of_the_model":
        model.generation_config, config = config, None
    assert torch.equal(model.generate(**batch, generation_config=config), expected)


def test_generate_draws_as_often_as_our_own_text_does(model, tokenizer):
    many, prompt = 4000, tokenizer("the lamp", return_tensors="pt")
    set_seed(0)
    settings = {"temperature": 0.8, "top_k": 12, "top_p": 0.9, "max_new_tokens": 1}
    ids = model.generate(**prompt, **settings, num_return_sequences=many)[:, -1]
    ours = [generate_text(model, tokenizer, "the lamp", **settings, seed=seed) for seed in range(many)]
    counts = ids.bincount(minlength=len(tokenizer)).double()
    our_counts = torch.tensor(tokenizer.convert_tokens_to_ids(ours)).bincount(minlength=len(tokenizer)).double()
    both = counts + our_counts
    seen = both > 0
    chi_square = ((counts - our_counts) ** 2 / both)[seen].sum()
    assert seen.sum() <= 12
    assert chi_square < 31.3  # 11 degrees of freedom, p = 0.001


@pytest.mark.parametrize("strategy", ["greedy", "sampling", "several"])
def test_the_model_itself_reads_the_prompt_alone(model, batch, forwards, strategy):
    model.generate(**batch, **STRATEGIES[strategy])
    assert len(forwards) == 1


@pytest.mark.parametrize(
    "asked",
    [{"output_scores": True}, {"output_logits": True}, {"output_hidden_states": True}, {"use_cache": False}],
    ids=lambda asked: next(iter(asked)),
)
def test_what_the_decoder_has_not_comes_from_the_librarys_loop(model, batch, forwards, asked):
    text = model.generate(**batch, **GREEDY, **asked, return_dict_in_generate=True)
    assert len(forwards) == 12
    assert torch.equal(text.sequences, model.generate(**batch, **GREEDY))


def test_dropout_adapters_and_half_precision_are_not_passed_over(model, batch, forwards):
    model.train().generate(**batch, **GREEDY)
    model.eval().bfloat16().generate(**batch, **GREEDY)
    torch.nn.utils.parametrize.register_parametrization(model.float().lm_head, "weight", torch.nn.Identity())
    model.generate(**batch, **GREEDY)
    assert len(forwards) == 3 * 12


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_a_hook_on_any_module_hears_every_character(model, alone, register):
    """A hook may change what a module gives, and the decoder runs no module."""
    expected, heard = model.generate(**alone[0], **GREEDY), []
    for module in (model.lm_head, model.model.layers[0]):
        getattr(module, register)(lambda *_: heard.append(1))
    assert torch.equal(model.generate(**alone[0], **GREEDY), expected)
    assert len(heard) == 2 * 12


def test_what_a_hook_changes_is_what_is_written(model, alone):
    def favour_five(module, inputs, scores):
        return scores.index_fill(-1, torch.tensor([5]), 100.0)

    model.lm_head.register_forward_hook(favour_five)
    assert (model.generate(**alone[0], **GREEDY)[0, -12:] == 5).all()


def test_generate_works_under_autocast(model, batch):
    with torch.autocast("cpu", torch.bfloat16):
        assert model.generate(**batch, **GREEDY).shape[1] == batch.input_ids.shape[1] + 12


@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_the_returned_state_is_the_librarys(make_model, batch, library_loop, cell_type):
    model, states = make_model(cell_type=cell_type), []
    for to_library in (False, True):
        library_loop(to_library)
        states.append(model.generate(**batch, **GREEDY, return_dict_in_generate=True).past_key_values)
    assert states[0].get_seq_length() == states[1].get_seq_length()
    for ours, theirs in zip(states[0].states, states[1].states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
