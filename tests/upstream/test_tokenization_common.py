"""transformers' own tests of a tokenizer."""

import tempfile
import unittest

import pytest
from transformers import TokenizersBackend

from char_lstm import build_tokenizer
from tests.conftest import STORY

common = pytest.importorskip("transformers_tests.test_tokenization_common")


class TestTokenizer(common.TokenizerTesterMixin, unittest.TestCase):
    tokenizer_class = TokenizersBackend

    @classmethod
    def setUpClass(cls):
        cls._data = STORY.read_text(encoding="utf-8")
        cls.tmpdirname = tempfile.mkdtemp()
        build_tokenizer([cls._data]).save_pretrained(cls.tmpdirname)
        cls.tokenizers_list = [(cls.tokenizer_class, cls.tmpdirname, {})]


class TestBackend(common.TokenizersBackendTesterMixin, unittest.TestCase):
    tokenizer_class = TokenizersBackend

    @classmethod
    def setUpClass(cls):
        cls.tmpdirname = tempfile.mkdtemp()
        build_tokenizer([STORY.read_text(encoding="utf-8")]).save_pretrained(cls.tmpdirname)
        cls.tokenizers_list = [(cls.tokenizer_class, cls.tmpdirname, {})]
