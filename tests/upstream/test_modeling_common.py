"""transformers' own tests of a model's conventions, for every class and cell type."""

import unittest

import pytest
import torch
from transformers.models.auto import modeling_auto

from char_lstm import CharLstmConfig, CharLstmForCausalLM, CharLstmForSequenceClassification, CharLstmModel

common = pytest.importorskip("transformers_tests.test_modeling_common")


class CharLstmTester:
    """Makes what the tests ask for: a tiny configuration and a batch."""

    is_training = True
    batch_size, seq_length = 3, 7
    vocab_size = hidden_size = 16  # a one-hot is as wide as a hidden state, which the tests take for granted
    num_hidden_layers = 2

    def __init__(self, **config):
        self.config = config

    def get_config(self) -> CharLstmConfig:
        sizes = {name: getattr(self, name) for name in ("vocab_size", "hidden_size", "num_hidden_layers")}
        return CharLstmConfig(**sizes, **self.config)

    def prepare_config_and_inputs_for_common(self):
        config = self.get_config()
        ids = torch.randint(1, config.vocab_size, (self.batch_size, self.seq_length))
        return config, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class OfEveryModel(common.ModelTesterMixin, common.GenerationTesterMixin):
    all_model_classes = (CharLstmModel, CharLstmForCausalLM, CharLstmForSequenceClassification)
    has_attentions = False
    test_can_init_all_missing_weights_before_2023 = True  # our files bear no year

    @pytest.fixture(autouse=True)
    def known_to_the_library(self, monkeypatch):
        """The tests look a class up by its name, to make its labels."""
        kinds = ("", "_FOR_CAUSAL_LM", "_FOR_SEQUENCE_CLASSIFICATION")
        for kind, model_class in zip(kinds, self.all_model_classes, strict=True):
            names = getattr(modeling_auto, f"MODEL{kind}_MAPPING_NAMES")
            monkeypatch.setitem(names, "char_lstm", model_class.__name__)


class TestOneHotLstm(OfEveryModel, unittest.TestCase):
    model_tester = CharLstmTester(embedding_size=0)


class TestTiedLstm(OfEveryModel, unittest.TestCase):
    model_tester = CharLstmTester(embedding_size=16, tie_word_embeddings=True)


class TestEmbeddedGru(OfEveryModel, unittest.TestCase):
    model_tester = CharLstmTester(cell_type="gru", embedding_size=16)


class TestOneHotRnn(OfEveryModel, unittest.TestCase):
    model_tester = CharLstmTester(cell_type="rnn", embedding_size=0)
