"""What a packaged model promises: it can be pushed as it is, and its card says what was measured."""

import json
import os
import shlex
import shutil
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from char_lstm import NoveltyIndex, build_tokenizer, cli, generate_text, load, measure_novelty
from char_lstm.hub import package as packaging
from char_lstm.items import generate_items, save_items
from char_lstm.paths import PACKAGE
from char_lstm.tokenization_char_lstm import END_OF_ITEM
from char_lstm.training.evaluation import evaluate_folder
from tests.conftest import ALICE, CODE
from tests.hub.conftest import SETTINGS, finish

SHORT = shlex.split("--max_steps 1 --hidden_size 8 --report_to none --disable_tqdm true --use_cpu true")


@pytest.fixture
def run(saved):
    return finish(saved)


@pytest.fixture
def packaged(run, tmp_path):
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "mine")])
    return tmp_path / "mine"


def test_a_model_is_packaged_where_no_folder_is_yet(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.run("package", ["--run", str(run), "--output_dir", "new/mine"])
    load(tmp_path / "new" / "mine")


def test_a_packaged_model_holds_all_that_a_hub_repository_needs_and_nothing_else(packaged):
    assert {file.name for file in packaged.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *CODE,
        *("evaluation.json", "samples.json", "loss.png", "README.md"),
    }
    load(packaged)


def test_the_cards_figures_are_the_evaluations(packaged):
    card = ModelCard.load(packaged / "README.md")
    reported = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert reported == {"nats_per_char": 1.25, "bits_per_char": 1.8034}
    assert "| 1.250 | 1.803 |" in card.text
    assert "| 1.500 | 2.164 |" in card.text
    assert "11 characters" in card.text


@pytest.mark.parametrize(
    ("record", "base_model", "began_from"),
    [
        ({}, None, None),
        ({"init_from": "/home/me/runs/first"}, None, "`first`"),
        ({"init_from": "user/first", "base_model": "user/first"}, "user/first", "`user/first`"),
    ],
)
def test_the_card_says_what_the_model_began_from_and_how_long_it_was_tuned(
    run, tmp_path, record, base_model, began_from
):
    began = {"init_from": record.get("init_from")}
    chosen = {"learning_rate": 1e-3, "num_train_epochs": 4}
    (run / "run.json").write_text(json.dumps(record | {"settings": SETTINGS | began, "chosen": chosen}))
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "mine")])
    card = ModelCard.load(tmp_path / "mine" / "README.md")
    assert card.data.base_model == base_model
    assert "for 4 epochs" in card.text
    assert ("It began from the weights of " in card.text) == (began_from is not None)
    assert (began_from or "") in card.text
    assert "/home/me" not in card.text


def test_with_its_corpus_the_model_carries_the_index_of_what_it_was_trained_on_and_of_no_more(run, tmp_path):
    rows = {"train": ["a lamp stood\n", "in the tower\n"], "validation": ["all night long\n"], "test": ["unseen by\n"]}
    corpus = DatasetDict({split: Dataset.from_dict({"text": texts}) for split, texts in rows.items()})
    corpus.save_to_disk(tmp_path / "corpus")
    for train_split, text in {"train": rows["train"], "train+validation": rows["train"] + rows["validation"]}.items():
        record = json.loads((run / "run.json").read_text())
        record["settings"]["train_split"] = train_split
        (run / "run.json").write_text(json.dumps(record))
        arguments = ["--run", str(run), "--output_dir", str(tmp_path / "mine"), "--dataset", str(tmp_path / "corpus")]
        cli.run("package", arguments)
        index = NoveltyIndex.load(tmp_path / "mine")
        np.testing.assert_array_equal(index.grams, NoveltyIndex.build("".join(text)).grams)


def rewrite_settings(run, **changes):
    record = json.loads((run / "run.json").read_text())
    record["settings"].update(changes)
    (run / "run.json").write_text(json.dumps(record))


@pytest.fixture
def base(run, tmp_path, story, monkeypatch):
    """A model packaged with more text than may be indexed whole."""
    corpus = DatasetDict({"train": Dataset.from_dict({"text": [story[:4000], story[4000:]]})})
    corpus.save_to_disk(tmp_path / "library")
    with monkeypatch.context() as patch:
        patch.setattr("char_lstm.novelty.LARGEST", len(story))
        arguments = ["--run", str(run), "--output_dir", str(tmp_path / "base"), "--dataset", str(tmp_path / "library")]
        cli.run("package", arguments)
    return tmp_path / "base"


def test_of_a_library_too_large_to_index_whole_the_model_carries_a_sample_and_the_card_says_what_it_finds(base, story):
    assert not (base / "novelty.safetensors").exists()
    assert measure_novelty(story[2000:6000], NoveltyIndex.load(base)).share_new < 0.01
    text = ModelCard.load(base / "README.md").text
    assert "a copy of 28 characters or more is always found" in " ".join(text.split())
    assert "at most 1 in 65,536 is taken for a copy" in text


def test_a_model_that_began_from_another_carries_the_index_of_its_text_and_that_of_the_others_books(
    base, run, tmp_path, story
):
    corpus = DatasetDict({"train": Dataset.from_dict({"text": ["my own diary of a rainy day in may\n"]})})
    corpus.save_to_disk(tmp_path / "diary")
    shutil.copy(base / "novelty_books.safetensors", run)  # as training from it does
    cli.run(
        "package", ["--run", str(run), "--output_dir", str(tmp_path / "mine"), "--dataset", str(tmp_path / "diary")]
    )
    found = measure_novelty("my own diary of a rainy day zzz " + story[500:600], NoveltyIndex.load(tmp_path / "mine"))
    assert found.spans == [(0, 28)]
    (start, end), *_ = found.book_spans
    assert 28 < start < 40
    assert end > 120
    assert "always found" in ModelCard.load(tmp_path / "mine" / "README.md").text


def test_a_run_that_ended_as_it_began_has_no_samples_and_is_packaged(run, tmp_path):
    (run / "samples.json").unlink()
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "mine")])
    assert not (tmp_path / "mine" / "samples.json").exists()
    assert load(tmp_path / "mine")


def test_the_card_shows_a_sample_at_each_temperature_and_how_new_it_is(run, tmp_path, story):
    corpus = DatasetDict({"train": Dataset.from_dict({"text": [story.lower()]})})
    corpus.save_to_disk(tmp_path / "corpus")
    cli.run(
        "package", ["--run", str(run), "--output_dir", str(tmp_path / "mine"), "--dataset", str(tmp_path / "corpus")]
    )
    text = ModelCard.load(tmp_path / "mine" / "README.md").text
    model, tokenizer = load(tmp_path / "mine")
    index = NoveltyIndex.load(tmp_path / "mine")
    for seed, temperature in enumerate((0.2, 0.5, 0.8, 1.0), start=42):
        sample = generate_text(model, tokenizer, seed=seed, temperature=temperature)
        novelty = measure_novelty(sample, index)
        shown = sample.strip("\n")
        assert f"Temperature {temperature}, seed {seed}:\n\n```text\n{shown}\n```" in text
        row = f"| {temperature} | {seed} | {100 * novelty.share_new:.0f} % | {novelty.longest_copy} characters |"
        assert row in text


def test_a_card_without_an_index_says_nothing_of_novelty(packaged):
    text = ModelCard.load(packaged / "README.md").text
    assert "Temperature 1.0, seed 45:" in text
    assert "longest copy" not in text


class TestHalfPrecision:
    @pytest.fixture
    def package(self, run, corpus, tmp_path):
        """Packages the run, once it was tested on the corpus, with the weights in float16."""
        (run / "evaluation.json").unlink()
        cli.run("evaluate", ["--model", str(run), "--dataset", str(corpus), "--json", str(run / "evaluation.json")])

        def package(*more: str) -> Path:
            arguments = ["--run", str(run), "--output_dir", str(tmp_path / "half"), "--weights_dtype", "float16"]
            cli.run("package", [*arguments, *more])
            return tmp_path / "half"

        return package

    def test_weights_stored_in_float16_take_half_and_are_measured_anew(self, package, run, corpus):
        half = package("--dataset", str(corpus))
        whole = load_file(run / "model.safetensors")
        for name, stored in load_file(half / "model.safetensors").items():
            assert torch.equal(stored, whole[name].half())
        assert json.loads((half / "config.json").read_text())["dtype"] == "float32"
        before, after = (json.loads((folder / "evaluation.json").read_text()) for folder in (run, half))
        assert after == evaluate_folder(str(half), str(corpus))
        assert after["nats_per_char"] != before["nats_per_char"] == pytest.approx(after["nats_per_char"], abs=0.001)

    @pytest.mark.parametrize("figure", ["nats_per_char", "nats_per_char_reset"])
    def test_a_figure_that_moves_is_refused_and_nothing_is_left(self, package, run, corpus, capsys, figure, tmp_path):
        figures = json.loads((run / "evaluation.json").read_text())
        (run / "evaluation.json").write_text(json.dumps(figures | {figure: figures[figure] - 0.002}))
        load(run)
        with pytest.raises(SystemExit):
            package("--dataset", str(corpus))
        assert f"the model's {figure} on {corpus} is" in capsys.readouterr().err
        assert not (tmp_path / "half").exists()

    def test_without_a_corpus_to_measure_on_it_is_refused(self, package, capsys):
        with pytest.raises(SystemExit):
            package()
        assert "give --dataset" in capsys.readouterr().err


def test_the_card_names_the_text_and_its_terms(run, tmp_path):
    settings = ["--text_name", "My Diary", "--text_license", "CC BY 4.0", "--language", "de"]
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "mine"), *settings])
    card = ModelCard.load(tmp_path / "mine" / "README.md")
    assert "The text is *My Diary*, CC BY 4.0, split" in card.text
    assert "Alice's Adventures" not in card.content
    assert card.data.language == "de"


def test_the_card_names_the_alphabet_and_denies_only_what_it_lacks(packaged, run, tokenizer, tmp_path):
    letters = "".join(sorted(set(tokenizer.get_vocab()) - {"\n", " ", tokenizer.pad_token}))
    card = ModelCard.load(packaged / "README.md").text
    assert f"{len(letters) + 2} characters: white space and `{letters}`. A newline ends a sentence" in card
    assert "There is no upper case." in card

    others = (".A" + ascii_lowercase)[: len(letters) + 1]
    build_tokenizer([others], lowercase=False, strip_punctuation=False).save_pretrained(run)
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "other")])
    card = ModelCard.load(tmp_path / "other" / "README.md").text
    assert f"white space and `{''.join(sorted(others))}`." in card
    assert "no punctuation" not in card
    assert "no upper case" not in card


def test_the_card_of_a_model_of_items_speaks_of_a_list(make_model, tmp_path):
    tokenizer = build_tokenizer(["emma"], eos_token=END_OF_ITEM)
    model = make_model(vocab_size=len(tokenizer), eos_token_id=2)
    model.generation_config.update(eos_token_id=2, suppress_tokens=[0, 1])
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "names")
    run = finish(tmp_path / "names")
    figures = json.loads((run / "evaluation.json").read_text()) | {"nats_per_item": 8.5}
    (run / "evaluation.json").write_text(json.dumps(figures))
    items = list(generate_items(model, tokenizer, 20, seed=45, temperature=1.0))
    save_items(items[:3], run)
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "mine"), "--text_name", "Names"])

    card = ModelCard.load(tmp_path / "mine" / "README.md")
    assert [result.dataset_name for result in card.data.eval_results] == ["Names, held-out items"] * 2
    assert "The list is *Names*, of unknown licence, shuffled" in card.text
    assert "5 characters: white space and `aem`. There is no punctuation." in card.text
    assert "| per item | 8.500 | 12.263 |" in card.text
    known = set(items[:3])
    assert f"| 1.0 | 45 | {sum(item not in known for item in items)} of 20 |" in card.text
    assert "Temperature 1.0, seed 45:\n\n```text\n" + "\n".join(items) + "\n```" in card.text
    for of_texts in ("sentence", "last tenth", "Alice", "longest copy"):
        assert of_texts not in card.text
    assert "print(tokenizer.decode(model.generate()[0], skip_special_tokens=True))" in card.text


def test_the_card_of_a_student_names_its_teachers(run, packaged, tmp_path):
    settings = SETTINGS | {"teachers": ["one", "other"], "written_characters": 2_000_000}
    (run / "run.json").write_text(json.dumps({"settings": settings}))
    cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "student")])
    words = "2 other models and an n-gram model, mixed, generated\n2,000,000 more characters"
    assert words in (tmp_path / "student" / "README.md").read_text()
    assert "distilled" not in (packaged / "README.md").read_text()


def test_packaging_again_replaces_the_folder_as_a_whole(run, packaged):
    (packaged / "stray.txt").touch()
    cli.run("package", ["--run", str(run), "--output_dir", str(packaged)])
    assert not (packaged / "stray.txt").exists()


def test_a_run_without_figures_is_refused_and_nothing_is_written(run, tmp_path, capsys):
    (run / "evaluation.json").unlink()
    with pytest.raises(SystemExit) as stop:
        cli.run("package", ["--run", str(run), "--output_dir", str(tmp_path / "mine")])
    assert stop.value.code == 2
    assert "evaluation.json" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


class TestPretrained:
    """A folder beside the package links to the package's code, and no command writes through the links."""

    @pytest.fixture
    def linked(self, run, tmp_path, monkeypatch):
        """A model packaged in the `pretrained/` of a copy of the checkout."""
        (tmp_path / PACKAGE.name).mkdir()
        for name in CODE:
            shutil.copy(PACKAGE / name, tmp_path / PACKAGE.name)
        monkeypatch.setattr(packaging, "PRETRAINED", tmp_path / "pretrained")
        folder = tmp_path / "pretrained" / "mine"
        cli.run("package", ["--run", str(run), "--output_dir", str(folder)])
        yield folder
        for name in CODE:
            source = tmp_path / PACKAGE.name / name
            assert not source.is_symlink()
            assert source.read_bytes() == (PACKAGE / name).read_bytes()

    def test_its_code_is_relative_links_however_often_it_is_packaged(self, linked, run):
        for _ in range(2):
            assert {path.name: os.readlink(path) for path in linked.glob("*.py")} == {
                name: f"../../{PACKAGE.name}/{name}" for name in CODE
            }
            load(linked)
            cli.run("package", ["--run", str(run), "--output_dir", str(linked)])

    def test_a_failure_on_the_way_leaves_the_folder_as_it_was(self, linked, run, monkeypatch):
        before = {path.name: path.read_bytes() for path in linked.iterdir()}

        def fail(folder):
            raise OSError("no links here")

        monkeypatch.setattr(packaging, "link_code", fail)
        with pytest.raises(SystemExit):
            cli.run("package", ["--run", str(run), "--output_dir", str(linked)])
        assert {path.name: path.read_bytes() for path in linked.iterdir()} == before
        assert list(linked.parent.iterdir()) == [linked]

    @pytest.mark.parametrize("command", ["train", "classify"])
    def test_training_into_it_replaces_the_links(self, linked, command, corpus):
        verb = ["--dataset", str(corpus)] if command == "train" else ["train"]
        cli.run(command, [*verb, "--output_dir", str(linked), *SHORT])
        assert not [name for name in CODE if (linked / name).is_symlink()]


def test_the_packaged_alice_says_what_its_evaluation_measured():
    figures = json.loads((ALICE / "evaluation.json").read_text())
    reported = {
        result.metric_type: result.metric_value for result in ModelCard.load(ALICE / "README.md").data.eval_results
    }
    assert reported == {name: round(figures[name], 4) for name in reported}
    assert set(reported) == {"nats_per_char", "bits_per_char"}


def test_the_packaged_alice_is_the_assignment_and_under_6_mb():
    model, tokenizer = load(ALICE)
    config = model.config
    assert (config.cell_type, config.num_hidden_layers, config.hidden_size) == ("lstm", 2, 256)
    assert (config.input_dropout, config.hidden_dropout) == (0.1, 0.1)
    assert set(tokenizer.get_vocab()) == {tokenizer.pad_token, "\n", " ", *"abcdefghijklmnopqrstuvwxyz"}
    assert (ALICE / "model.safetensors").stat().st_size < 6_000_000
    assert model.generation_config.max_new_tokens == 500
