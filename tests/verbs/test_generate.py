"""What `scripts/generate.py` puts on standard output, and what it needs to do so."""

import json
import subprocess
import sys
import textwrap

import pytest

from char_lstm import build_tokenizer, cli, generate_items, generate_text, load
from char_lstm.items import save_items
from char_lstm.tokenization_char_lstm import END_OF_ITEM
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


def objects(capsys, *arguments) -> list[dict]:
    cli.run("generate", [*map(str, arguments), "--json"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_is_an_object_a_line_for_each_text_of_each_prompt_with_a_seed_of_its_own(saved, tmp_path, capsys):
    (tmp_path / "prompts.txt").write_text("The lamp\nOil \n")
    asked = ("--model", saved, "--prompt_file", tmp_path / "prompts.txt", "--num_return_sequences", "2", "--seed", "5")
    found = objects(capsys, *asked)
    model, tokenizer = load(saved)
    prompts = ["the lamp", "the lamp", "oil ", "oil "]
    assert [one["text"] for one in found] == [
        prompt + generate_text(model, tokenizer, prompt, seed=5 + number) for number, prompt in enumerate(prompts)
    ]
    assert all(one["nats"] > 0 and one["in_training_set"] is None for one in found)


def test_more_texts_than_fit_side_by_side_are_each_what_its_seed_gives_alone(saved, capsys):
    found = objects(capsys, "--model", saved, "--prompt", "oil", "--num_return_sequences", "70", "--seed", "5")
    model, tokenizer = load(saved)
    assert [one["text"] for one in found] == [
        "oil" + generate_text(model, tokenizer, "oil", seed=seed) for seed in range(5, 75)
    ]


def test_of_several_texts_each_ends_at_its_own_stop_string_begun_in_its_prompt_or_not(saved, tmp_path, capsys):
    (tmp_path / "prompts.txt").write_text("the la\noil\nwind")
    settings = {"stop_strings": ["ae", "o"], "max_new_tokens": 60}
    asked = ("--model", saved, "--prompt_file", tmp_path / "prompts.txt", "--num_return_sequences", "20", "--seed", "5")
    found = objects(capsys, *asked, "--stop_strings", "ae", "o", "--max_new_tokens", "60")
    model, tokenizer = load(saved)
    prompts = [prompt for prompt in ("the la", "oil", "wind") for _ in range(20)]
    alone = [generate_text(model, tokenizer, prompt, seed=5 + row, **settings) for row, prompt in enumerate(prompts)]
    assert [one["text"] for one in found] == [prompt + text for prompt, text in zip(prompts, alone, strict=True)]
    assert "e" in alone
    assert len(set(map(len, alone))) > 5


def test_a_file_of_prompts_is_read_in_its_encoding(saved, tmp_path, capsys):
    (tmp_path / "prompts.txt").write_text("the lamp\noil", encoding="utf-16")
    found = objects(capsys, "--model", saved, "--prompt_file", tmp_path / "prompts.txt", "--max_new_tokens", "1")
    assert [one["text"][:-1] for one in found] == ["the lamp", "oil"]


def test_a_text_stops_at_a_stop_string(saved, capsys):
    cli.run("generate", ["--model", str(saved), "--seed", "3", "--stop_strings", "e", "a", "--max_new_tokens", "400"])
    out = capsys.readouterr().out
    assert out[-2] in "ea"
    assert not set(out[:-2]) & set("ea")


@pytest.mark.parametrize("asked", ["--prompt", "--prompt_from_text", "--prompt_file"])
def test_letters_that_the_model_never_saw_are_named_once(saved, tmp_path, capsys, caplog, asked):
    (tmp_path / "text").write_text("The Ω lamp ж.\nOil Ω ж.\n", encoding="utf-8")
    given = "The Ω lamp ж" if asked == "--prompt" else tmp_path / "text"
    several = ("--num_return_sequences", "3", "--max_new_tokens", "5")
    assert len(objects(capsys, "--model", saved, asked, given, *several)) == (6 if asked == "--prompt_file" else 3)
    assert [record.getMessage() for record in caplog.records] == ["left out 2 characters that the alphabet lacks: Ω ж"]


@pytest.fixture
def items_model(make_model, tmp_path):
    names = ["emma", "ava\nlee", "mia"]
    tokenizer = build_tokenizer(names, eos_token=END_OF_ITEM)
    model = make_model(vocab_size=len(tokenizer), eos_token_id=2)
    model.generation_config.update(eos_token_id=2, max_new_tokens=40)
    model.save_pretrained(tmp_path / "items")
    tokenizer.save_pretrained(tmp_path / "items")
    save_items(names, tmp_path / "items")
    return tmp_path / "items"


def written_items(model, tokenizer, seed) -> list[str]:
    return list(generate_items(model, tokenizer, 4, prefix="mi", seed=seed))


def test_items_stand_one_a_line(items_model, capsys):
    model, tokenizer = load(items_model)
    seed = next(seed for seed in range(99) if "\n" not in "".join(written_items(model, tokenizer, seed)))
    cli.run("generate", ["--model", str(items_model), "--seed", str(seed), "--items", "4", "--prefix", "Mi"])
    assert capsys.readouterr().out == "".join(f"{item}\n" for item in written_items(model, tokenizer, seed))


def test_an_item_with_a_newline_needs_json(items_model, capsys):
    with pytest.raises(SystemExit):
        cli.run("generate", ["--model", str(items_model), "--seed", "1", "--items", "500"])
    assert "an item holds a newline: --json" in capsys.readouterr().err
    found = objects(capsys, "--model", items_model, "--seed", "1", "--items", "500")
    assert len(found) == 500
    assert any("\n" in one["text"] for one in found)
    assert {one["in_training_set"] for one in found} <= {True, False}


def test_items_are_known_or_new(items_model, capsys):
    written = objects(capsys, "--model", items_model, "--seed", "1", "--items", "3")
    assert [one["in_training_set"] for one in written] == [False] * 3
    save_items([written[1]["text"]], items_model)
    again = objects(capsys, "--model", items_model, "--seed", "1", "--items", "3")
    assert [one["in_training_set"] for one in again] == [False, True, False]
    unique = objects(capsys, "--model", items_model, "--seed", "1", "--items", "3", "--unique")
    assert written[1]["text"] not in [one["text"] for one in unique]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--num_return_sequences", "2"], "several texts need --json"),
        (["--prefix", "a"], "go with --items"),
        (["--items", "2", "--stop_strings", "a"], "--items has its own number and end"),
    ],
)
def test_arguments_that_exclude_each_other_are_refused(saved, capsys, arguments, complaint):
    with pytest.raises(SystemExit) as stop:
        cli.run("generate", ["--model", str(saved), *arguments])
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--items", "2"], "writes running text, not items"),
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
