"""The code of a pretrained folder is links to the package's, which no reader notices and no saving writes through."""

import os
import shutil
import subprocess
import sys

import pytest

from char_lstm import load, load_decoder
from char_lstm.loading import CheckpointError
from tests.conftest import ALICE, CODE, ROOT

PACKAGE = ROOT / "modeling" / "char_lstm"
PRETRAINED = sorted(path.parent for path in ALICE.parent.glob("*/config.json"))
LOAD_REMOTE = """
import sys
from pathlib import Path
from transformers import AutoModelForCausalLM

folder = Path(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules.")
"""


def link_code(folder, source):
    for name in CODE:
        (folder / name).unlink()
        (folder / name).symlink_to(os.path.relpath(source / name, folder))


def code_in(folder):
    """The folder's code by the names of its files, none of which is a link."""
    paths = list(folder.glob("*_char_lstm.py"))
    assert not [path.name for path in paths if path.is_symlink()]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def run(code, folder, cache):
    """Python in a process of its own, with a cache of its own for remote code."""
    environment = os.environ | {"HF_MODULES_CACHE": str(cache)}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", PRETRAINED, ids=lambda folder: folder.name)
def test_each_code_file_of_a_pretrained_folder_is_a_relative_link_to_the_packages(folder):
    links = {path.name: os.readlink(path) for path in folder.glob("*.py")}
    assert links == {name: f"../../char_lstm/{name}" for name in CODE}


def test_remote_code_loads_through_the_links_and_writes(tmp_path):
    write = "print(model.generate(do_sample=False, max_new_tokens=20).shape)"
    assert run(LOAD_REMOTE + write, ALICE, tmp_path).strip() == "torch.Size([1, 21])"


@pytest.mark.parametrize("part", ["model", "config"])
def test_saving_over_links_leaves_the_packages_code_and_a_whole_folder(part, model, saved):
    before = code_in(PACKAGE)
    link_code(saved, PACKAGE)
    {"model": model, "config": model.config}[part].save_pretrained(saved)
    assert code_in(PACKAGE) == before
    written = CODE if part == "model" else ["configuration_char_lstm.py"]
    assert not [name for name in written if (saved / name).is_symlink()]
    assert {name: (saved / name).read_text(encoding="utf-8") for name in CODE} == before


def test_a_remote_model_saved_over_its_own_links_leaves_the_code_they_lead_to(saved, tmp_path):
    source = shutil.copytree(PACKAGE, tmp_path / "char_lstm")
    link_code(saved, source)
    loaded = code_in(source)
    save = """
for path in folder.glob("*_char_lstm.py"):
    with path.open("a") as code:  # through the link
        code.write("# newer\\n")
model.save_pretrained(folder)
model.save_pretrained(folder.with_name("fresh"))
"""
    run(LOAD_REMOTE + save, saved, tmp_path / "cache")
    assert code_in(source) == {name: code + "# newer\n" for name, code in loaded.items()}
    assert code_in(saved) == code_in(saved.with_name("fresh")) == loaded


def test_a_copy_of_a_linked_folder_holds_files(tmp_path):
    assert code_in(shutil.copytree(ALICE, tmp_path / "copy")) == code_in(PACKAGE)


@pytest.mark.parametrize("way_in", [load, load_decoder])
def test_a_folder_checked_out_without_links_is_refused_with_what_to_do(saved, way_in):
    (saved / "modeling_char_lstm.py").write_text("../../char_lstm/modeling_char_lstm.py")
    with pytest.raises(CheckpointError, match=r"modeling_char_lstm\.py .* `git config core\.symlinks true`, then"):
        way_in(saved)
