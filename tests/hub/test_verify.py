"""What a packaged model states of itself can be computed again, and what differs is named."""

import json
import shutil

import pytest
from huggingface_hub import ModelCard
from safetensors.numpy import load_file, save_file

from char_lstm import cli
from char_lstm.corpus.build import build_corpus, load_corpus
from char_lstm.paths import PRETRAINED
from char_lstm.training.checkpoints import fingerprint
from char_lstm.training.settings import TEST_PHRASINGS
from tests.hub.conftest import SETTINGS, finish

RECIPE = "# a comment\nrow_length: 9\nema_decay: 0.5\n"


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "own.yaml").write_text(RECIPE)
    return tmp_path / "own.yaml"


@pytest.fixture
def run(saved, corpus):
    """The tiny model as a finished run that was measured on the corpus."""
    finish(saved)
    (saved / "run.json").write_text(json.dumps({"settings": SETTINGS, "data": fingerprint(load_corpus(str(corpus)))}))
    cli.run("evaluate", ["--model", str(saved), "--dataset", str(corpus), "--json", str(saved / "evaluation.json")])
    return saved


@pytest.fixture
def packaged(run, recipe, tmp_path, capsys):
    cli.run("package", ["--run", str(run), "--recipe", str(recipe), "--output_dir", str(tmp_path / "mine")])
    capsys.readouterr()
    return tmp_path / "mine"


def record_of(folder) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def rewrite(folder, **figures) -> None:
    (folder / "evaluation.json").write_text(json.dumps(record_of(folder) | figures))


def refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.run("verify", list(map(str, arguments)))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_with_its_corpus_every_hash_figure_and_sample_is_computed_again(packaged, corpus, capsys):
    cli.run("verify", [str(packaged), "--dataset", str(corpus)])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    names = set(said[0].removeprefix("as recorded: ").split(", "))
    assert record_of(packaged).keys() - {"split", "recipe"} < names
    assert {"hashes on the card", "nats_per_char on the card", "sample at temperature 0.2 on the card"} < names


def test_without_it_what_could_not_be_checked_is_named(packaged, capsys):
    cli.run("verify", [str(packaged)])
    recorded, unchecked = capsys.readouterr().out.splitlines()
    assert "weights_sha256" in recorded
    assert "sample at temperature 1.0" in recorded
    assert unchecked.startswith("not checked, for want of the corpus (--dataset)")
    assert {"nats_per_char", "nats_per_char_reset", "corpus_sha256"} < set(unchecked.split(": ")[1].split(", "))


def change_weights(folder):
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.bias"] = weights["lm_head.bias"] + 1e-3 * weights["lm_head.bias"] ** 2
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def change_card(before, after):
    def change(folder):
        card = (folder / "README.md").read_text()
        assert before in card
        (folder / "README.md").write_text(card.replace(before, after, 1))

    return change


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (change_weights, "weights_sha256"),
        (lambda folder: rewrite(folder, parameters=1), "parameters"),
        (lambda folder: rewrite(folder, recipe_sha256="0"), "recipe_sha256"),
        (change_card("```text\n", "```text\nmore "), "sample at temperature 0.2 on the card"),
        (
            change_card("type: bits_per_char\n      value: ", "type: bits_per_char\n      value: 1"),
            "bits_per_char on the",
        ),
        (change_card("`tokenizer.json` | `", "`tokenizer.json` | `0"), "hashes on the card"),
    ],
)
def test_what_was_changed_is_named(packaged, capsys, change, differs):
    change(packaged)
    assert f"is not as it was recorded: {differs}" in refused(capsys, packaged)


def test_a_figure_of_another_model_or_on_another_corpus_is_named(packaged, corpus, story, tmp_path, capsys):
    rewrite(packaged, nats_per_char=record_of(packaged)["nats_per_char"] + 0.001)
    assert "recorded: nats_per_char," in refused(capsys, packaged, "--dataset", corpus)  # and on the card
    (tmp_path / "other.txt").write_text(story[:3000], encoding="utf-8")
    build_corpus(tmp_path / "other", text=str(tmp_path / "other.txt"))
    said = refused(capsys, packaged, "--dataset", tmp_path / "other")
    assert {"characters", "text_sha256", "corpus_sha256"} < set(said.strip().split(": ")[-1].split(", "))


def test_hashes_that_are_missing_are_added_where_nothing_differs(packaged, corpus, capsys):
    full, card = record_of(packaged), (packaged / "README.md").read_text()
    hashes = {"weights_sha256", "tokenizer_sha256", "corpus_sha256"}
    (packaged / "evaluation.json").write_text(json.dumps({k: v for k, v in full.items() if k not in hashes}))
    (packaged / "README.md").write_text(card.partition("## Hashes")[0])
    rewrite(packaged, parameters=1)
    refused(capsys, packaged, "--dataset", corpus, "--record")
    assert not hashes & record_of(packaged).keys()
    rewrite(packaged, parameters=full["parameters"])
    cli.run("verify", [str(packaged), "--dataset", str(corpus), "--record"])
    assert record_of(packaged) == full
    assert (packaged / "README.md").read_text() == card
    ModelCard.load(packaged / "README.md")


def test_the_hash_of_a_recipe_is_of_its_settings_and_only_of_those_that_the_run_had(
    run, packaged, recipe, tmp_path, capsys, caplog
):
    recipe.write_text(RECIPE.replace("comment", "better comment"))
    cli.run("verify", [str(packaged)])
    recipe.rename(tmp_path / "moved.yaml")
    cli.run("verify", [str(packaged)])
    assert "recipe_sha256" in capsys.readouterr().out.splitlines()[-1]  # among those that were not checked
    recipe.write_text(RECIPE.replace("9", "8"))
    assert "recipe_sha256" in refused(capsys, packaged)
    cli.run("package", ["--run", str(run), "--recipe", str(recipe), "--output_dir", str(tmp_path / "other")])
    assert "no hash of the recipe" in caplog.text
    assert "the run had another row_length" in caplog.text
    assert "recipe_sha256" not in record_of(tmp_path / "other")


def test_a_model_trained_anew_has_the_same_weights_or_at_least_the_same_nats(packaged, run, corpus, capsys):
    cli.run("verify", [str(packaged), "--rebuilt", str(run)])
    assert "rebuilt: the same weights, bit for bit" in capsys.readouterr().out
    (run / "evaluation.json").unlink()
    change_weights(run)
    assert "give --dataset" in refused(capsys, packaged, "--rebuilt", run)
    cli.run("verify", [str(packaged), "--dataset", str(corpus), "--rebuilt", str(run)])
    assert "rebuilt: other weights" in capsys.readouterr().out
    weights = load_file(run / "model.safetensors")
    save_file(weights | {"lm_head.bias": 2 * weights["lm_head.bias"]}, run / "model.safetensors", {"format": "pt"})
    assert "nats_per_char of the rebuilt model" in refused(capsys, packaged, "--dataset", corpus, "--rebuilt", run)


@pytest.mark.slow
def test_the_same_recipe_trains_the_same_weights_again(corpus, recipe, tmp_path, capsys):
    recipe.write_text("hidden_size: 8\nmax_steps: 5\nuse_cpu: true\nreport_to: none\n")
    for name in ("first", "again"):
        told = ["--config", str(recipe), "--dataset", str(corpus), "--output_dir", str(tmp_path / name)]
        cli.run("train", [*told, "--train_split", "train+validation"])
    first = tmp_path / "first"
    cli.run("evaluate", ["--model", str(first), "--dataset", str(corpus), "--json", str(first / "evaluation.json")])
    cli.run("package", ["--run", str(first), "--recipe", str(recipe), "--output_dir", str(tmp_path / "packaged")])
    capsys.readouterr()
    cli.run("verify", [str(tmp_path / "packaged"), "--dataset", str(corpus), "--rebuilt", str(tmp_path / "again")])
    said = capsys.readouterr().out
    assert "recipe_sha256" in said
    assert "corpus_sha256" in said
    assert "rebuilt: the same weights, bit for bit" in said


def test_a_classifier_is_measured_on_its_phrasings(tmp_path, capsys):
    cli.run("verify", ["intents", "--dataset", TEST_PHRASINGS])
    assert "macro_f1, accuracy, test_phrasings, parameters, f1 on the card" in capsys.readouterr().out
    shutil.copytree(PRETRAINED / "intents", tmp_path / "intents")
    figures = record_of(tmp_path / "intents")
    figures["scores"]["lstm classifier"]["accuracy"] = 0.99
    (tmp_path / "intents" / "evaluation.json").write_text(json.dumps(figures))
    assert "recorded: accuracy" in refused(capsys, tmp_path / "intents", "--dataset", TEST_PHRASINGS)
