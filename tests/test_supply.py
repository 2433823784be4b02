"""What a user runs that somebody else wrote: no pickles, remote code at a pinned revision, and no token in any word."""

import ast
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import transformers

from char_lstm import load, load_decoder
from char_lstm.hub.assemble import LEFT_OUT
from char_lstm.loading import CheckpointError
from tests.conftest import ROOT
from tests.stand_in import running_hub

PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
UNPICKLING = {"read_pickle", "unsafe_load", "full_load", "load_module"}
SOURCES = sorted(
    str(path.relative_to(ROOT)) for folder in ("modeling", "scripts", "space") for path in (ROOT / folder).rglob("*.py")
)


def unpickles(source: str) -> list[str]:
    """What in a Python file would run the code that a pickle holds, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"{node.lineno}: {name}" for name in names if name.split(".")[0] in PICKLES]
        if not isinstance(node, ast.Call):
            continue
        call, given = ast.unparse(node.func), {option.arg: option.value for option in node.keywords}
        is_true = {name: isinstance(value, ast.Constant) and value.value is True for name, value in given.items()}
        unsafe = (
            call.split(".")[-1] in UNPICKLING
            or (call == "torch.load" and not is_true.get("weights_only"))
            or (
                "allow_pickle" in given
                and not (isinstance(given["allow_pickle"], ast.Constant) and not is_true["allow_pickle"])
            )
            or (call == "yaml.load" and "Safe" not in ast.unparse(node))
        )
        found += [f"{node.lineno}: {call}"] if unsafe else []
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=anything)",
        "pandas.read_pickle(path)",
        "yaml.load(text, yaml.Loader)",
    ],
)
def test_unpickling_is_recognised(source):
    assert unpickles(source)


@pytest.mark.parametrize("source", ["torch.load(path, weights_only=True)", "np.load(path, allow_pickle=False)"])
def test_what_reads_no_code_is_let_through(source):
    assert not unpickles(source)


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_unpickles_a_file(name):
    assert not unpickles((ROOT / name).read_text(encoding="utf-8"))


def test_a_resume_unpickles_nothing_but_tensors():
    """The library's Trainer writes optimizer and random state as pickles, which a resume reads from our own folder."""
    folder = Path(transformers.__file__).parent
    for name in ("trainer.py", "trainer_utils.py", "trainer_pt_utils.py"):
        assert not unpickles((folder / name).read_text(encoding="utf-8")), name


class Bomb:
    """Its pickle runs code."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("loader", [load, load_decoder])
def test_a_pickle_beside_a_checkpoint_or_in_the_place_of_its_weights_is_not_read(saved, loader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = pickle.dumps(Bomb())
    for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin", "novelty.npz", "tokenizer.pkl"):
        (saved / name).write_bytes(bomb)
    loader(saved)
    (saved / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        loader(saved)
    (saved / "model.safetensors").write_bytes(bomb)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is broken"):
        loader(saved)
    assert not Path("exploded").exists()
    pickle.loads(bomb)
    assert Path("exploded").exists()


def test_the_trainers_pickle_which_holds_its_settings_is_not_published():
    assert LEFT_OUT("", ["training_args.bin", "model.safetensors"]) == {"training_args.bin"}


def test_the_pages_pin_the_revision_of_remote_code_and_say_why():
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    remote = [block for block in blocks if "trust_remote_code" in block]
    assert remote
    assert all("revision" in block for block in remote)
    publish_page = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
    assert re.search(r"runs\s+Python\s+from\s+that\s+repository", publish_page)


def test_the_token_is_in_no_word_and_no_log_however_much_is_logged(tmp_path):
    token = "hf_" + "secret" * 5
    (tmp_path / "hub").mkdir()
    script = f"""
import logging
from char_lstm import load
from char_lstm import cli
logging.basicConfig(level=logging.DEBUG)
for command in (
    lambda: load("someone/model"),
    lambda: cli.run("build", ["--dataset_name", "someone/corpus", "--output_dir", {str(tmp_path / "corpus")!r}]),
):
    try:
        command()
    except (Exception, SystemExit) as error:
        print(repr(error))
"""
    with running_hub(tmp_path / "hub") as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_DEBUG": "1", "HF_HOME": str(tmp_path / "home")}
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
        )
        assert all(hub.asked(name) for name in ("someone/model", "someone/corpus"))
    assert run.returncode == 0, run.stderr
    assert "CheckpointError" in run.stdout
    assert "authorization" in run.stderr.lower(), "the requests themselves were not logged"
    assert token not in run.stdout + run.stderr
