"""What the tests share: a tiny model with every weight random, so that no error hides behind a zero."""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

KEPT = "PATH|PYTHONPATH|VIRTUAL_ENV|LD_LIBRARY_PATH|TMPDIR|RUN_SLOW|(CUDA|NVIDIA|PIP|PYTEST)_.*"
CLEAN = "PYTEST_CHAR_LSTM_HOME"


def clean_environment() -> None:
    """Leaves of the person's variables what finds programs, devices and packages, and gives them an empty home.

    It runs before any library is imported, and holds for all processes that tests start.
    """
    for name in os.environ:
        if not re.fullmatch(KEPT, name):
            del os.environ[name]
    os.environ.setdefault("PIP_CONFIG_FILE", os.path.expanduser("~/.config/pip/pip.conf"))
    home = tempfile.mkdtemp(prefix="char_lstm_home_")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {CLEAN: home, "HOME": home, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}


if CLEAN not in os.environ:  # the workers of xdist get it clean
    clean_environment()

settings.register_profile("repeatable", derandomize=True)  # what a run says is of the change, not of its luck
settings.register_profile("search", max_examples=2000)  # make search
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent
STORY = ROOT / "tests" / "data" / "lighthouse.txt"
ALICE = ROOT / "modeling" / "pretrained" / "alice"
INTENTS = ROOT / "modeling" / "pretrained" / "intents"
CODE = sorted(path.name for path in (ROOT / "modeling" / "char_lstm").glob("*_char_lstm.py"))  # saved with every model


@pytest.fixture(scope="session")
def story() -> str:
    return STORY.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def tokenizer(story):
    from char_lstm import build_tokenizer

    return build_tokenizer([story])


@pytest.fixture
def make_model(tokenizer):
    """Makes a tiny `CharLstmForCausalLM` in evaluation mode, biases and pad row random too."""
    import torch
    from transformers import GenerationConfig

    from char_lstm import CharLstmConfig, CharLstmForCausalLM

    def make(**config):
        settings = {"vocab_size": len(tokenizer), "embedding_size": 6, "hidden_size": 16} | config
        torch.manual_seed(0)
        model = CharLstmForCausalLM(CharLstmConfig(**settings))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.4)
        model.generation_config = GenerationConfig(
            do_sample=True, max_new_tokens=8, suppress_tokens=[0], pad_token_id=0, bos_token_id=1
        )
        return model.eval()

    return make


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def saved(model, tokenizer, tmp_path) -> Path:
    """The tiny model as a checkpoint folder."""
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture(scope="session")
def corpus(story, tmp_path_factory) -> Path:
    """The story as build_corpus.py writes it."""
    from char_lstm.corpus.build import build_corpus

    folder = tmp_path_factory.mktemp("corpus")
    (folder / "story.txt").write_text(story, encoding="utf-8")
    build_corpus(folder / "built", text=str(folder / "story.txt"))
    return folder / "built"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The stand-in, known to the client in this process, which waits for nothing."""
    from huggingface_hub import constants

    from tests.stand_in import running_hub

    (tmp_path / "hub").mkdir()
    with running_hub(tmp_path / "hub") as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setenv("HF_TOKEN", "hf_write")
        hub.waits = []
        monkeypatch.setattr("time.sleep", hub.waits.append)
        yield hub


@pytest.fixture
def untried(monkeypatch):
    """Leaves out the trials in fresh processes, which take seconds."""
    from char_lstm.hub import checks

    monkeypatch.setattr(checks, "run_alone", lambda *_, **__: None)


def learn(model, ids, steps: int = 30) -> list[float]:
    """Trains a model's trainable weights on one batch, (batch, time), and returns the loss of each step."""
    import torch

    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.02)
    losses = []
    for _ in range(steps):
        loss = model(ids, labels=ids).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses
