"""What the intent classifier promises: it reads to the last word, sees no padding, and is measured on unseen words."""

import csv
import json
import re

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast, pipeline

from char_lstm import CharLstmConfig, CharLstmForSequenceClassification, build_tokenizer, cli
from char_lstm.arguments import parse
from char_lstm.training import intents
from char_lstm.training.settings import TEST_PHRASINGS
from tests.conftest import CODE, INTENTS, ROOT
from tests.test_modeling import CELLS, SIDES, close, pad

QUESTION = "what time is it?"
PHRASINGS = [
    *((text, "ask_time") for text in ("what time is it", "tell me the time", "is it late", "what hour is it now")),
    *((text, "greet") for text in ("hello", "good morning", "hello to you", "hi, how are you")),
]
TINY = [
    *("--embedding_size", "8", "--hidden_size", "16", "--num_train_epochs", "15", "--learning_rate", "2e-2"),
    *("--input_dropout", "0", "--disable_tqdm", "true", "--use_cpu", "true"),
]


@pytest.fixture
def make_classifier():
    """Makes a tiny classifier in evaluation mode, every weight random."""

    def make(**config):
        torch.manual_seed(0)
        settings = {"vocab_size": 20, "embedding_size": 6, "hidden_size": 16, "num_labels": 3} | config
        classifier = CharLstmForSequenceClassification(CharLstmConfig(**settings))
        with torch.no_grad():
            for parameter in classifier.parameters():
                parameter.normal_(std=0.4)
        return classifier.eval()

    return make


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1, 20, (n,), generator=generator) for n in (9, 4, 1, 6)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A training and a test file of two intents."""
    folder = tmp_path_factory.mktemp("phrasings")
    for name, phrasings in (("train", PHRASINGS), ("test", PHRASINGS[::2])):
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "intent"), *phrasings])
    return ["--train_file", str(folder / "train.csv"), "--test_file", str(folder / "test.csv")]


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    cli.run("classify", ["train", *files, *TINY, "--output_dir", str(folder)])
    return folder


@pytest.fixture(scope="module")
def known():
    return intents.read_phrasings(intents.IntentRecipe.train_file)


@pytest.fixture(scope="module")
def unseen():
    return intents.read_phrasings(TEST_PHRASINGS)


@pytest.fixture(scope="module")
def figures():
    return json.loads((ROOT / "scripts" / "results" / "intents.json").read_text())


def refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.run("classify", [str(argument) for argument in arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


def words_of(text: str) -> tuple[str, ...]:
    return tuple(re.sub(r"[^a-z0-9 ]", "", text.lower().replace("-", " ")).split())


class TestModel:
    @pytest.mark.parametrize("cell_type", CELLS)
    @pytest.mark.parametrize("side", SIDES)
    def test_padding_on_any_side_changes_no_score(self, make_classifier, rows, side, cell_type):
        classifier = make_classifier(cell_type=cell_type)
        ids, mask = pad(rows, side)
        alone = torch.cat([classifier(row.unsqueeze(0)).logits for row in rows])
        close(classifier(ids, attention_mask=mask).logits, alone)
        assert alone.std(dim=0).min() > 1e-2, "the rows are too alike to tell"

    def test_the_scores_come_from_the_last_real_token(self, make_classifier, rows):
        classifier = make_classifier()
        ids, mask = pad(rows, "right")
        hidden = classifier.model(ids, attention_mask=mask).last_hidden_state  # (batch, time, hidden)
        last = torch.stack([hidden[index, len(row) - 1] for index, row in enumerate(rows)])
        close(classifier(ids, attention_mask=mask).logits, classifier.score(last))

    def test_a_text_in_two_halves_has_the_scores_of_the_whole(self, make_classifier):
        classifier, ids = make_classifier(), torch.randint(1, 20, (2, 9))
        state = classifier(ids[:, :4], use_cache=True).past_key_values
        close(classifier(ids[:, 4:], past_key_values=state).logits, classifier(ids).logits)

    def test_the_loss_is_the_cross_entropy_of_the_classes(self, make_classifier, rows):
        classifier, labels = make_classifier(), torch.tensor([2, 0, 1, 2])
        ids, mask = pad(rows, "left")
        output = classifier(ids, attention_mask=mask, labels=labels)
        close(output.loss, torch.nn.functional.cross_entropy(output.logits, labels))
        loss, logits = classifier(ids, attention_mask=mask, labels=labels, return_dict=False)
        close(loss, output.loss)
        close(logits, output.logits)

    def test_no_dropout_stands_before_the_dense_layer(self, make_classifier):
        classifier, ids = make_classifier(input_dropout=0, hidden_dropout=0.9, num_hidden_layers=1), torch.ones(2, 3)
        close(classifier.train()(ids.long()).logits, classifier.eval()(ids.long()).logits)


class TestTraining:
    def test_it_learns_two_intents_from_eight_phrasings(self, trained):
        figures = json.loads((trained / "evaluation.json").read_text())
        assert figures["scores"]["lstm classifier"] == {"macro_f1": 1.0, "accuracy": 1.0}
        assert figures["intents"] == ["ask_time", "greet"]
        assert (figures["train_phrasings"], figures["test_phrasings"], figures["unknown_words"]) == (8, 4, 0)

    def test_its_folder_is_what_the_pipeline_loads_with_the_names_of_the_intents(self, trained):
        assert {file.name for file in trained.iterdir()} == {
            *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
            *CODE,
            *("evaluation.json", "README.md"),
        }
        answers = pipeline("text-classification", model=str(trained))(["Hello!", "What TIME is it?"], batch_size=2)
        assert [answer["label"] for answer in answers] == ["greet", "ask_time"]

    def test_a_language_model_gives_its_layers_and_its_tokenizer(self, saved, files, model, tokenizer):
        recipe = parse(intents.IntentRecipe, "", [*files, "--init_from", str(saved), "--hidden_size", "99"])
        classifier, its_tokenizer = intents.new_classifier(recipe, PHRASINGS)
        language_model = model.model.state_dict()
        assert classifier.model.state_dict().keys() == language_model.keys()
        for name, weight in classifier.model.state_dict().items():
            assert torch.equal(weight, language_model[name]), name
        assert its_tokenizer.get_vocab() == tokenizer.get_vocab()
        assert classifier.config.id2label == {0: "ask_time", 1: "greet"}

    def test_it_trains_on_from_a_language_model(self, saved, files, tmp_path, capsys):
        sizes_of_its_own = ["--num_train_epochs", "2"]
        cli.run(
            "classify",
            ["train", *files, *TINY, *sizes_of_its_own, "--init_from", str(saved), "--output_dir", str(tmp_path)],
        )
        before, after = load_file(saved / "model.safetensors"), load_file(tmp_path / "model.safetensors")
        name = "model.layers.1.weight_hh_l0"
        assert 0 < (after[name] - before[name]).abs().mean() < 0.5 * before[name].abs().mean()
        assert json.loads((tmp_path / "evaluation.json").read_text())["unit"] == "char"
        capsys.readouterr()
        cli.run("classify", ["predict", QUESTION, "--model", str(tmp_path), "--trace"])
        assert len(capsys.readouterr().out.splitlines()) == len("what time is it\n")

    def test_held_out_phrasings_come_from_the_training_file_and_the_test_file_stays_shut(self, files):
        recipe = parse(intents.IntentRecipe, "", [*files[:2], "--test_file", "/nowhere", "--held_out", "0.5"])
        known, unseen = intents.read_splits(recipe)
        assert sorted(known + unseen) == sorted(PHRASINGS)
        assert sorted(intent for _, intent in unseen) == ["ask_time", "ask_time", "greet", "greet"]

    def test_forgotten_words_are_unknown_and_pads_stay_pads(self):
        words, characters = (build_tokenizer(["what time is it"], unit=unit) for unit in ("word", "char"))
        rows = [dict(words(text)) for text in ("what", "what time is it")]
        every, none = (intents.ForgetWords(words, share=share)(rows)["input_ids"] for share in (1.0, 0.0))
        assert every.tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]
        assert 1 not in none
        row = dict(characters("time"))
        assert intents.ForgetWords(characters, share=1.0)([row])["input_ids"].tolist() == [row["input_ids"]]


class TestPredict:
    def test_it_prints_the_intent_and_its_probability(self, trained, capsys):
        cli.run("classify", ["predict", QUESTION, "--model", str(trained)])
        answer = pipeline("text-classification", model=str(trained))(QUESTION)[0]
        assert capsys.readouterr().out == f"{answer['label']} {answer['score']:.3f}\n"

    def test_the_trace_has_a_line_a_word_and_ends_with_the_prediction(self, trained, capsys):
        text = "Hello! What wombat time is it?"
        cli.run("classify", ["predict", text, "--model", str(trained)])
        prediction = capsys.readouterr().out.strip()
        cli.run("classify", ["predict", text, "--model", str(trained), "--trace"])
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == ["hello", "what", "<unk>", "time", "is", "it"]
        assert lines[-1].split(maxsplit=1)[1] == prediction
        cli.run("classify", ["predict", "Hello! What", "--model", str(trained)])
        assert lines[1].split(maxsplit=1)[1] == capsys.readouterr().out.strip()
        assert lines[0].split()[1] == "greet"

    @pytest.mark.parametrize("text", ["", "?!", " \n"])
    def test_a_text_without_a_word_is_refused(self, trained, text, capsys):
        assert "no word" in refused(capsys, "predict", text, "--model", trained)


class TestErrors:
    def test_a_language_model_is_no_classifier(self, saved, capsys):
        message = refused(capsys, "predict", QUESTION, "--model", saved)
        assert f"{saved} holds no classifier" in message
        assert "id2label" in message

    def test_an_unknown_folder_is_named(self, tmp_path, capsys):
        message = refused(capsys, "predict", QUESTION, "--model", tmp_path / "nowhere")
        assert message == f"char-lstm classify: {tmp_path / 'nowhere'}: no such model folder\n"

    def test_an_unknown_unit_is_named(self, files, tmp_path, capsys):
        assert "syllable" in refused(capsys, "train", *files, "--unit", "syllable", "--output_dir", tmp_path)

    def test_a_file_of_other_columns_is_named(self, tmp_path, capsys):
        (tmp_path / "other.csv").write_text("utterance,label\nhi,greet\n")
        assert "other.csv: its first line" in refused(capsys, "train", "--train_file", tmp_path / "other.csv")

    def test_an_unknown_flag_is_refused(self, capsys):
        assert "--epochs" in refused(capsys, "train", "--epochs", "3")


class TestOwnPhrasings:
    def test_a_fifth_is_held_out_where_there_is_no_test_file(self, tmp_path, capsys):
        with open(tmp_path / "train.csv", "w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows([("text", "intent"), *PHRASINGS * 2])
        arguments = ["--train_file", str(tmp_path / "train.csv"), *TINY, "--num_train_epochs", "1"]
        cli.run("classify", ["train", *arguments, "--output_dir", str(tmp_path / "run")])
        assert "4 phrasings never seen" in capsys.readouterr().out
        figures = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        assert (figures["train_phrasings"], figures["test_phrasings"]) == (12, 4)
        assert figures["intents"] == ["ask_time", "greet"]

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"text,intent\r\n", "holds no phrasing below its first line"),
            (b"text,intent\r\nabc,ru\nonlytext\n,it\n", "has rows without a text or an intent: 2, 3"),
            (b"words,intent\na,b\n", "its first line must be text,intent"),
            (b"", "its first line must be text,intent"),
        ],
    )
    def test_a_file_that_holds_none_is_one_clear_message(self, tmp_path, capsys, content, complaint):
        (tmp_path / "train.csv").write_bytes(content)
        assert complaint in refused(capsys, "train", "--train_file", tmp_path / "train.csv")


class TestThePhrasings:
    @pytest.mark.parametrize(("split", "each"), [("known", 40), ("unseen", 10)])
    def test_there_are_as_many_of_each_intent_and_none_twice(self, request, split, each):
        phrasings = request.getfixturevalue(split)
        intents = [intent for _, intent in phrasings]
        assert len(set(intents)) == 13
        assert {intents.count(intent) for intent in intents} == {each}
        assert {"ask_time", "ask_weather", "greet", "set_alarm", "out_of_scope"} < set(intents)
        assert len({words_of(text) for text, _ in phrasings}) == len(phrasings)

    def test_no_test_phrasing_is_a_training_one_but_for_a_word(self, known, unseen):
        def variants(words):
            """The phrase, and itself with any one word taken out or, where there are three or more, exchanged."""
            out = {(*words[:index], *words[index + 1 :]) for index in range(len(words))}
            exchanged = {(*words[:index], "*", *words[index + 1 :]) for index in range(len(words)) if len(words) > 2}
            return {words} | out, exchanged

        trained_on = {words_of(text) for text, _ in known}
        shorter = set().union(*(variants(words)[0] for words in trained_on))
        exchanged = set().union(*(variants(words)[1] for words in trained_on))
        for text, _ in unseen:
            words = words_of(text)
            assert words not in shorter, text
            assert not variants(words)[0] & trained_on, text
            assert not variants(words)[1] & exchanged, text

    def test_no_test_phrasing_shares_four_words_in_a_row_with_a_training_one(self, known, unseen):
        def runs(phrasings):
            rows = [words_of(text) for text, _ in phrasings]
            return {words[start : start + 4] for words in rows for start in range(len(words) - 3)}

        assert not runs(known) & runs(unseen)


class TestThePackagedClassifier:
    def test_its_published_score_is_the_one_it_has(self, figures, known, unseen):
        assert figures == json.loads((INTENTS / "evaluation.json").read_text())
        model = CharLstmForSequenceClassification.from_pretrained(INTENTS, dtype="float32").eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(INTENTS)
        scores = figures["scores"]
        assert scores["lstm classifier"] == pytest.approx(intents.score_model(model, tokenizer, unseen))
        assert scores["bag of words, logistic regression"] == pytest.approx(intents.score_bag_of_words(known, unseen))

    def test_it_is_good_enough_and_small(self, figures):
        assert figures["scores"]["lstm classifier"]["macro_f1"] >= 0.9
        assert (INTENTS / "model.safetensors").stat().st_size < 2_000_000

    def test_its_card_says_what_was_measured(self, figures):
        card = ModelCard.load(INTENTS / "README.md")
        macro_f1 = figures["scores"]["lstm classifier"]["macro_f1"]
        assert card.data.eval_results[0].metric_value == round(macro_f1, 4)
        assert f"| this model | {macro_f1:.3f} |" in card.text

    def test_it_is_what_predict_asks(self, capsys):
        cli.run("classify", ["predict", QUESTION])
        assert capsys.readouterr().out.startswith("ask_time 0.")
