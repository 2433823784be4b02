"""What `scripts/generate.py` puts on standard output, and what it needs to do so."""

import subprocess
import sys
import textwrap

import pytest

from char_lstm import build_tokenizer, cli, generate_text, load
from tests.conftest import ROOT


def test_stdout_is_the_normalised_prompt_then_the_new_characters_then_one_newline(saved, capsys):
    cli.run("generate", ["--model", str(saved), "--prompt", "The “LAMP”, was", "--seed", "3", "--max_new_tokens", "40"])
    out, err = capsys.readouterr()
    assert out == "the lamp was" + generate_text(*load(saved), "the lamp was", seed=3, max_new_tokens=40) + "\n"
    assert len(out) == len("the lamp was") + 40 + 1
    assert "seed 3" in err


def test_a_prompt_from_a_text_is_one_of_its_sentences(saved, story, tokenizer, tmp_path, capsys):
    (tmp_path / "two.txt").write_text("Oil burns. Wind blows.")
    prompts = set()
    for seed in range(8):
        cli.run(
            "generate", ["--model", str(saved), "--prompt_from_text", str(tmp_path / "two.txt"), "--seed", str(seed)]
        )
        prompts.add(capsys.readouterr().out.split("\n")[0])
    assert prompts == {"oil burns", "wind blows"}


def test_a_line_break_inside_a_paragraph_ends_no_sentence(saved, tmp_path, capsys):
    line = "the oil burns all night while the keeper sleeps and the wind turns round the tower"
    (tmp_path / "wrapped.txt").write_text(textwrap.fill(f"{line}. {line}. " * 3, 60))
    cli.run("generate", ["--model", str(saved), "--prompt_from_text", str(tmp_path / "wrapped.txt")])
    assert capsys.readouterr().out.startswith(f"{line}\n")


def test_a_line_of_a_chat_is_a_prompt_of_a_model_that_keeps_its_marks(make_model, tmp_path, capsys):
    lines = [f"[10:0{number}] Ann: see you at {number}!\n" for number in range(9)]
    (tmp_path / "chat.txt").write_text("".join(lines))
    tokenizer = build_tokenizer(lines, lowercase=False, strip_punctuation=False)
    make_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "chat")
    tokenizer.save_pretrained(tmp_path / "chat")
    cli.run("generate", ["--model", str(tmp_path / "chat"), "--prompt_from_text", str(tmp_path / "chat.txt")])
    assert capsys.readouterr().out[: len(lines[0])] in lines


def test_the_drawn_seed_is_shown_and_writes_the_same_again(saved, capsys):
    cli.run("generate", ["--model", str(saved)])
    first, err = capsys.readouterr()
    cli.run("generate", ["--model", str(saved), "--seed", err.split()[1]])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "nowhere"], "nowhere: no such model folder"),
        (["--temperature", "-1"], "temperature"),
        (["--max_new_tokens", "-1"], "max_new_tokens"),
        (["--prompt_from_text", "nowhere.txt"], "nowhere.txt"),
        (["--seed", "-1"], "seed"),
        (["--model", "runs/nowhere"], "runs/nowhere is not a local folder and could not be loaded from the Hub"),
    ],
)
def test_a_bad_argument_is_one_clear_line_and_exit_code_2(saved, capsys, monkeypatch, arguments, complaint):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as stop:
        cli.run("generate", ["--model", str(saved), *arguments])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert complaint in err.splitlines()[-1]


def test_generating_imports_neither_torch_nor_transformers(saved):
    code = (
        "import runpy, sys; sys.argv = ['generate.py', '--model', sys.argv[1]];"
        "runpy.run_path('scripts/generate.py', run_name='__main__');"
        "print({'torch', 'transformers'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert len(done.stdout) == 8 + 1
    assert done.stderr.splitlines()[-1] == "set()"
