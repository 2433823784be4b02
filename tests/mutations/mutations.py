"""The known ways to break the code, each with the tests that must notice."""

from typing import NamedTuple

AUTO = "modeling/char_lstm/_auto.py"
CELLS = "modeling/char_lstm/cells_char_lstm.py"
MODEL = "modeling/char_lstm/modeling_char_lstm.py"
TOKENIZATION = "modeling/char_lstm/tokenization_char_lstm.py"
GENERATION = "modeling/char_lstm/generation_char_lstm.py"
LOADING = "modeling/char_lstm/loading.py"
CORPUS = "scripts/build_corpus.py"
TRAIN = "scripts/train.py"
CLASSIFY = "scripts/classify.py"


class Mutation(NamedTuple):
    """`old`, found once in `file`, becomes `new`; `tests` (a file, or a test in it) must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation(
        "mask ignored",
        MODEL,
        "        if attention_mask is None:\n            return cls()\n        real =",
        "        if True:\n            return cls()\n        real =",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "mask ignored where pads are on the left",
        MODEL,
        "        return cls(order, real.sum(dim=1) if state_wanted else None)",
        "        return cls(lengths=real.sum(dim=1))",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "mask read from its first columns",
        MODEL,
        "real = attention_mask[:, -time:].bool()",
        "real = attention_mask[:, :time].bool()",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "outputs not moved back to their places",
        MODEL,
        "_take(x, self.order.argsort(dim=1))",
        "x",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "a row without a real character loses its state",
        MODEL,
        "moved = (self.lengths > 0).unsqueeze(1)",
        "moved = (self.lengths >= 0).unsqueeze(1)",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "state dropped",
        MODEL,
        "past = past_key_values.states if past_key_values is not None else",
        "past = past_key_values.states if False else",
        "tests/test_modeling.py::TestState",
    ),
    Mutation(
        "cell state dropped",
        MODEL,
        "past = tuple(part.unsqueeze(0) for part in state) if is_lstm",
        "past = (state[0].unsqueeze(0), 0 * state[1].unsqueeze(0)) if is_lstm",
        "tests/test_modeling.py::TestState",
    ),
    Mutation(
        "cell state taken from the output",
        MODEL,
        "last = tuple(part.squeeze(0) for part in last) if is_lstm else",
        "last = (last[0].squeeze(0),) * 2 if is_lstm else",
        "tests/test_modeling.py::TestState",
    ),
    Mutation(
        "beam not reordered",
        MODEL,
        "    def crop(self, *_):",
        "    def reorder_cache(self, beam_idx):\n        pass\n\n    def crop(self, *_):",
        "tests/test_generate.py",
    ),
    Mutation(
        "beam's cell state not reordered",
        MODEL,
        "    def crop(self, *_):",
        "    def reorder_cache(self, beam_idx):\n        self.keys = self.keys[beam_idx]\n\n    def crop(self, *_):",
        "tests/test_generate.py",
    ),
    Mutation(
        "loss counts pads",
        MODEL,
        "            if attention_mask is not None:\n                labels",
        "            if False:\n                labels",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "loss counts what a pad predicts",
        MODEL,
        "    predicted[:, 1:] &= real[:, :-1]\n",
        "",
        "tests/test_modeling.py::TestPadding",
    ),
    Mutation(
        "loss ignores num_items_in_batch",
        MODEL,
        "vocab_size=self.config.vocab_size, **kwargs)",
        "vocab_size=self.config.vocab_size)",
        "tests/test_modeling.py::TestForward",
    ),
    Mutation(
        "dropout on the input missing",
        MODEL,
        "self.hidden_dropout(hidden) if index else self.input_dropout(hidden)",
        "self.hidden_dropout(hidden) if index else hidden",
        "tests/test_modeling.py::TestTheAssignment",
    ),
    Mutation(
        "dropout between the layers missing",
        MODEL,
        "self.hidden_dropout(hidden) if index else self.input_dropout(hidden)",
        "hidden if index else self.input_dropout(hidden)",
        "tests/test_modeling.py::TestTheAssignment",
    ),
    Mutation(
        "dropout before the dense layer",
        MODEL,
        "self.lm_head(outputs.last_hidden_state[:, kept])",
        "self.lm_head(self.model.hidden_dropout(outputs.last_hidden_state[:, kept]))",
        "tests/test_modeling.py::TestTheAssignment",
    ),
    Mutation(
        "forget gate starts half shut",
        MODEL,
        "bias[hidden : 2 * hidden] = 1.0",
        "bias[:hidden] = 1.0",
        "tests/test_modeling.py::TestWeights",
    ),
    Mutation(
        "one-hot trained after loading",
        MODEL,
        "        if self.config.embedding_size == 0:\n",
        "        if False:\n",
        "tests/test_modeling.py::TestWeights",
    ),
    Mutation(
        "gates swapped in the written-out cell",
        CELLS,
        "to_input, to_forget, to_candidate, to_output =",
        "to_forget, to_input, to_candidate, to_output =",
        "tests/test_cells.py",
    ),
    Mutation(
        "gates swapped in the decoder",
        GENERATION,
        "np.concatenate([input_ / 2, forget / 2, output / 2, candidate])",
        "np.concatenate([forget / 2, input_ / 2, output / 2, candidate])",
        "tests/test_generation.py::TestDecoder",
    ),
    Mutation(
        "recurrent bias forgotten by the decoder",
        GENERATION,
        "bias = bias_ih + bias_hh",
        "bias = bias_ih",
        "tests/test_generation.py::TestDecoder",
    ),
    Mutation(
        "stale decoder",
        GENERATION,
        "if known is None or known[1] != versions:",
        "if known is None:",
        "tests/test_generation.py::TestDecoder",
    ),
    Mutation(
        "seed ignored",
        GENERATION,
        "seed = secrets.randbits(32) if seed is None else seed",
        "seed = secrets.randbits(32)",
        "tests/test_generation.py::TestSeed",
    ),
    Mutation(
        "no seed is always the same seed",
        GENERATION,
        "seed = secrets.randbits(32) if seed is None else seed",
        "seed = 0 if seed is None else seed",
        "tests/test_generation.py::TestSeed",
    ),
    Mutation(
        "rows of a batch share their draws",
        GENERATION,
        "np.random.default_rng(seed + row)",
        "np.random.default_rng(seed)",
        "tests/test_generation.py::TestSeed",
    ),
    Mutation(
        "draws from a generator that all share",
        GENERATION,
        "np.random.default_rng(seed + row).random(settings.max_new_tokens)",
        "(np.random.seed(seed + row), np.random.random(settings.max_new_tokens))[1]",
        "tests/test_generation.py::TestSeed",
    ),
    Mutation(
        "one character too few",
        GENERATION,
        "for uniform in draws.T:",
        "for uniform in draws.T[1:]:",
        "tests/test_generation.py::TestText",
    ),
    Mutation(
        "prompt not read to its end",
        GENERATION,
        "            for character in prompt:",
        "            for character in prompt[:-1]:",
        "tests/test_generation.py::TestDecoder",
    ),
    Mutation(
        "prompt not normalised",
        GENERATION,
        "backend.encode(normalise(backend, prompt), add_special_tokens=False)",
        "backend.encode(prompt, add_special_tokens=False)",
        "tests/test_generation.py::TestPrompt",
    ),
    Mutation(
        "suppressed tokens written",
        GENERATION,
        "    logits[:, settings.suppress_tokens] = -np.inf\n",
        "",
        "tests/test_generation.py::TestText",
    ),
    Mutation(
        "temperature ignored",
        GENERATION,
        "    logits /= settings.temperature\n",
        "",
        "tests/test_generation.py::TestChoose",
    ),
    Mutation(
        "top_k keeps one too many",
        GENERATION,
        "np.partition(logits, -settings.top_k, axis=1)[:, -settings.top_k, None]",
        "np.partition(logits, -settings.top_k - 1, axis=1)[:, -settings.top_k - 1, None]",
        "tests/test_generation.py::TestChoose",
    ),
    Mutation(
        "top_p drops one too many",
        GENERATION,
        "(share_below <= 1 - settings.top_p).sum(axis=1, keepdims=True).clip(",
        "(1 + (share_below <= 1 - settings.top_p).sum(axis=1, keepdims=True)).clip(",
        "tests/test_generation.py::TestChoose",
    ),
    Mutation(
        "top_p keeps one too many",
        GENERATION,
        "weights[weights < np.take_along_axis(ascending, first_kept, axis=1)] = 0",
        "weights[weights < np.take_along_axis(ascending, (first_kept - 1).clip(0), axis=1)] = 0",
        "tests/test_generation.py::TestChoose",
    ),
    Mutation(
        "settings not checked",
        GENERATION,
        "    if not 0 < settings.top_p <= 1:\n",
        "    if False:\n",
        "tests/test_generation.py::TestSettings",
    ),
    Mutation(
        "punctuation kept",
        TOKENIZATION,
        ', Replace(MARKS, " ")]',
        "]",
        "tests/test_generation.py::TestPrompt",
    ),
    Mutation(
        "words fused where a mark stood",
        TOKENIZATION,
        'Replace(MARKS, " ")',
        'Replace(MARKS, "")',
        "tests/test_tokenization.py::test_each_rule_of_the_normaliser",
    ),
    Mutation(
        "splits overlapping",
        CORPUS,
        '"validation": rows[train:validation]',
        '"validation": rows[train - 1 : validation]',
        "tests/test_build_corpus.py::test_the_rows_joined_are_the_normalised_text",
    ),
    Mutation(
        "a row lost between the splits",
        CORPUS,
        '"test": rows[validation:]',
        '"test": rows[validation + 1 :]',
        "tests/test_build_corpus.py::test_the_rows_joined_are_the_normalised_text",
    ),
    Mutation(
        "rows without the newline before them",
        CORPUS,
        "ids = [[newline, *row] for row in",
        "ids = [[*row] for row in",
        "tests/test_build_corpus.py::test_each_row_is_a_newline_and_its_text_then_masked_padding",
    ),
    Mutation(
        "pads labelled in training",
        TRAIN,
        "labels = input_ids.masked_fill(attention_mask == 0, -100)",
        "labels = input_ids.clone()",
        "tests/test_train.py::test_a_batch_has_no_column_of_padding_alone_and_no_label_on_a_pad",
    ),
    Mutation(
        "Auto classes not taught when transformers comes later",
        AUTO,
        "    sys.meta_path.insert(0, RegisterAfterImport())\n",
        "",
        "tests/test_loading.py::TestInAFreshProcess",
    ),
    Mutation(
        "torch imported for writing",
        GENERATION,
        "import secrets\n",
        "import secrets\nimport torch\n",
        "tests/test_loading.py::TestInAFreshProcess",
    ),
    Mutation(
        "the code that travels needs the package",
        MODEL,
        "from .configuration_char_lstm import",
        "from char_lstm.configuration_char_lstm import",
        "tests/test_loading.py::TestInAFreshProcess",
    ),
    Mutation(
        "alphabet not checked",
        LOADING,
        "if tokenizer.get_vocab_size() != config.vocab_size:",
        "if False:",
        "tests/test_loading.py::test_a_disagreement_names_its_file",
    ),
    Mutation(
        "weights not finite let in",
        LOADING,
        "if not np.isfinite(weights[name]).all():",
        "if False:",
        "tests/test_loading.py::test_a_disagreement_names_its_file",
    ),
    Mutation(
        "missing weights left random",
        LOADING,
        "if missing := expected.keys() - weights.keys():",
        "if False:",
        "tests/test_loading.py::test_a_disagreement_names_its_file",
    ),
    Mutation(
        "special tokens parsed by the decoder's tokenizer",
        LOADING,
        "    tokenizer.encode_special_tokens = True",
        "    tokenizer.encode_special_tokens = False",
        "tests/test_loading.py::test_a_literal_pad_is_five_characters_even_where_punctuation_is_kept",
    ),
    Mutation(
        "class read from the first token",
        MODEL,
        "last_output, _ = outputs.past_key_values.states[-1]",
        "last_output = outputs.last_hidden_state[:, 0]",
        "tests/test_classify.py::TestModel",
    ),
    Mutation(
        "class read from the last position, pad or not",
        MODEL,
        "last_output, _ = outputs.past_key_values.states[-1]",
        "last_output = outputs.last_hidden_state[:, -1]",
        "tests/test_classify.py::TestModel",
    ),
    Mutation(
        "unknown words dropped",
        TOKENIZATION,
        "backend.normalizer = as_folded",
        'backend.normalizer = _normalizer(lowercase, strip_punctuation, set(" ".join(words)))',
        "tests/test_tokenization.py::TestWords",
    ),
    Mutation(
        "classifier forgets the language model it starts from",
        CLASSIFY,
        "        model.model = language_model.model\n",
        "",
        "tests/test_classify.py::TestTraining",
    ),
]
