"""What a stream promises: the stored corpus's rows, each read once by somebody, and the same next rows after a stop."""

import gzip
import json
import re
import shlex
import shutil
import textwrap
from collections import Counter
from itertools import islice, takewhile
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from char_lstm import cli
from char_lstm.corpus import text as cleaning
from char_lstm.corpus.build import build_corpus
from char_lstm.corpus.stream import Documents, Place, TextStream
from char_lstm.errors import CorpusError
from char_lstm.training.readings import StreamReading
from char_lstm.verbs.train import read_command
from tests.conftest import STORY

HEADER = "\ufeffSome Title\n\n*** START OF THE PROJECT GUTENBERG EBOOK 11 ***\n\n"
FOOTER = "\n\n*** END OF THE PROJECT GUTENBERG EBOOK 11 ***\nIts licence.\n"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(cleaning, "BLOCK", 500)


@pytest.fixture
def files(story, tmp_path):
    """Five files of a few blocks each."""
    folder = tmp_path / "files"
    folder.mkdir()
    lines = story.splitlines(keepends=True)
    for number in range(5):
        text = "".join(lines[number * len(lines) // 5 : (number + 1) * len(lines) // 5])
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return folder


def open_stream(name, tokenizer, column="text", **options) -> TextStream:
    reading = StreamReading.__new__(StreamReading)  # its batches, without its text
    reading.recipe = read_command(["--per_device_train_batch_size", "3", "--row_length", "100"])
    reading.tokenizer = tokenizer
    return TextStream(
        Documents(str(name), column),
        tokenizer,
        reading.batches_of_block,
        **{"length": 10**6, "max_length": 512} | options,
    )


def rows_of(stream) -> list[str]:
    return [row for _, rows in stream.rows(Place(0)) for row in rows]


def stored_rows(folder, **source) -> tuple[list[str], object]:
    corpus = build_corpus(folder, **source)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return [row for split in corpus.values() for row in split["text"]], tokenizer


@pytest.mark.parametrize("keep_punctuation", [False, True])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_stream_of_a_text_has_the_rows_of_its_stored_corpus(story, tmp_path, keep_punctuation, line_break):
    text = (HEADER + story + FOOTER).replace("\n", line_break)
    (tmp_path / "story.txt").write_bytes(text.encode())
    (tmp_path / "story.txt.gz").write_bytes(gzip.compress(text.encode()))
    expected, tokenizer = stored_rows(
        tmp_path / "stored", text=tmp_path / "story.txt", keep_punctuation=keep_punctuation
    )
    assert len(expected) > 50
    for name in ("story.txt", "story.txt.gz"):
        assert rows_of(open_stream(tmp_path / name, tokenizer, hold_out=False)) == expected


def test_a_stream_of_documents_has_the_rows_of_their_stored_corpus(story, tmp_path):
    documents = [*story.split("\n\n"), "", None, "One more.\r\nOn two lines"]
    (tmp_path / "parquet").mkdir()
    Dataset.from_dict({"id": list(range(len(documents))), "poem": documents}).to_parquet(tmp_path / "parquet/a.parquet")
    source = {"dataset_name": str(tmp_path / "parquet"), "text_column": "poem"}
    expected, tokenizer = stored_rows(tmp_path / "stored", **source)
    for name in (tmp_path / "parquet" / "*.parquet", tmp_path / "parquet"):
        assert rows_of(open_stream(name, tokenizer, "poem", hold_out=False)) == expected


def texts_of(batch, tokenizer) -> list[str]:
    rows = zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True)
    return [tokenizer.decode(ids[real])[1:] for ids, real in rows]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("several", [True, False])
def test_every_sentence_is_read_once_by_all_readers_together(files, tokenizer, processes, workers, several):
    name = files / "*.txt" if several else STORY
    whole = open_stream(name, tokenizer, hold_out=False)
    expected = Counter(rows_of(whole)) - Counter(whole.first_rows())
    own_files = []
    for times in (0, 1):
        read = Counter()
        for process in range(processes):
            part = {"workers": workers, "processes": processes, "process": process}
            stream = open_stream(name, tokenizer, **part)
            for place in stream.places:
                batches = stream.read_on(place._replace(times=times))
                batches = list(takewhile(lambda batch, times=times: batch["place"].times == times, batches))
                own_files.append({batch["place"].file for batch in batches})
                for text in (text for batch in batches for text in texts_of(batch, tokenizer)):
                    read.update(text.splitlines(keepends=True))
        assert read == expected
    if several and processes * max(workers, 1) <= 5:
        assert sum(map(len, own_files)) == 2 * 5  # each file has one reader


def test_files_come_in_another_order_each_time(files, tokenizer):
    stream = open_stream(files / "*.txt", tokenizer)
    first, second = ([rows for _, rows in stream.rows(Place(0, times))] for times in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("read", [1, 7, 40])
def test_a_stream_goes_on_with_the_same_batches_after_a_stop(files, tokenizer, tmp_path, workers, read):
    def batches(stream):
        return iter(DataLoader(stream, batch_size=None, num_workers=workers))

    stream = open_stream(files / "*.txt", tokenizer, workers=workers)
    expected = [batch["input_ids"] for batch in islice(batches(stream), read + 9)][read:]
    for batch in islice(batches(stream), read):
        stream.note(batch)
    stream.save(tmp_path)

    resumed = open_stream(files / "*.txt", tokenizer, workers=workers)
    resumed.go_on_from(tmp_path)
    for batch, wanted in zip(islice(batches(resumed), 9), expected, strict=True):
        assert torch.equal(batch["input_ids"], wanted)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_ends_with_the_run(files, tokenizer, workers):
    stream = open_stream(files / "*.txt", tokenizer, workers=workers, length=11)
    batches = list(DataLoader(stream, batch_size=None, num_workers=workers))
    assert len(batches) == 11 == len(stream)
    for batch in batches[:4]:
        stream.note(batch)
    assert len(list(DataLoader(stream, batch_size=None, num_workers=workers))) == 7


def test_a_stream_does_not_go_on_with_other_readers_or_files(files, tokenizer, tmp_path):
    open_stream(files / "*.txt", tokenizer).save(tmp_path)
    with pytest.raises(CorpusError, match="when the stream had 1 readers, not 2"):
        open_stream(files / "*.txt", tokenizer, workers=2).go_on_from(tmp_path)
    with pytest.raises(CorpusError, match="when the stream had 5 files, not 1"):
        open_stream(files / "1.txt", tokenizer).go_on_from(tmp_path)


def test_a_reader_that_finds_nothing_says_so_instead_of_waiting(files, tokenizer):
    (files / "short.txt").write_text("One sentence. Two of them.")
    stream = open_stream(files / "short.txt", tokenizer)
    with pytest.raises(CorpusError, match=r"short\.txt is too short for a stream"):
        next(iter(stream))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_stream_reads_any_encoding_as_its_stored_corpus_does(story, tmp_path, encoding):
    (tmp_path / "story.txt").write_text(story + "\n\nCafé olé, wrote Zoë.", encoding=encoding)
    expected, tokenizer = stored_rows(tmp_path / "stored", text=tmp_path / "story.txt")
    assert rows_of(open_stream(tmp_path / "story.txt", tokenizer, hold_out=False)) == expected


def test_a_stream_of_tables_has_the_rows_of_their_stored_corpus(story, tmp_path):
    for number in range(2):
        rows = [json.dumps({"id": number, "poem": poem}) for poem in story.split("\n\n")[number::2]]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(rows))
    source = {"text": tmp_path / "*.jsonl", "text_column": "poem"}
    expected, tokenizer = stored_rows(tmp_path / "stored", **source)
    rows = rows_of(open_stream(tmp_path / "*.jsonl", tokenizer, "poem", hold_out=False))
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stream_says_what_it_changes_as_its_stored_corpus_does(story, tokenizer, tmp_path, caplog, processes):
    text = HEADER + "Ω ж, Ω\n\n" * 99 + textwrap.fill(story.replace("\n\n", " "), 60) + FOOTER
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    build_corpus(tmp_path / "stored", text=tmp_path / "*.txt")
    expected = Counter(counts_said(caplog.messages))
    assert len(expected) == 2
    said = Counter()
    for process in range(processes):
        stream = open_stream(tmp_path / "*.txt", tokenizer, processes=processes, process=process)
        for batch in takewhile(lambda batch: batch["place"].times == 0, stream.read_on(stream.places[0])):
            stream.note(batch)
        caplog.clear()
        stream.report()
        (line,) = caplog.messages
        assert (f"by process {process + 1} of 2" in line) == (processes == 2)
        said.update(counts_said([line]))
    assert said == expected | {"characters that the alphabet lacks": 6 * 99}
    assert line.endswith("characters that the alphabet lacks: Ω ж")


def counts_said(messages) -> dict[str, int]:
    """The figures of what was left out or joined, by what they count."""
    told = re.findall(
        r"(?:left out|prose at) ([\d,]+) (characters(?: that the alphabet lacks)?|line breaks)", str(messages)
    )
    return {what: int(figure.replace(",", "")) for figure, what in told}


def test_a_block_without_a_letter_is_passed_over(tmp_path, tokenizer):
    (tmp_path / "marks.txt").write_text("Here.\n\n" + "* * *\n\n" * 300 + "There.\n")
    assert rows_of(open_stream(tmp_path / "marks.txt", tokenizer, hold_out=False)) == ["here\n", "there\n"]


# Training

TINY = shlex.split("""
    --streaming --hidden_size 16 --max_steps 8 --per_device_train_batch_size 3 --save_strategy steps --save_steps 3
    --save_total_limit 9 --eval_strategy steps --eval_steps 4 --report_to none --disable_tqdm true --use_cpu true
""")


def run(files, output_dir, *arguments) -> Path:
    cli.run("train", [*TINY, "--dataset", str(files / "*.txt"), "--output_dir", str(output_dir), *arguments])
    return output_dir


def refused(capsys, files, output_dir, *arguments) -> str:
    with pytest.raises(SystemExit) as stop:
        run(files, output_dir, *arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def alphabet(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "alphabet")
    return ["--tokenizer", str(tmp_path / "alphabet")]


def test_training_on_a_stream_goes_on_in_the_middle_to_the_same_weights(files, tmp_path, alphabet):
    whole = run(files, tmp_path / "whole", *alphabet)
    shutil.copytree(whole, tmp_path / "cut")
    for step in (6, 8):
        shutil.rmtree(tmp_path / "cut" / f"checkpoint-{step}")
    cut = run(files, tmp_path / "cut", *alphabet)
    for _ in range(2):
        for name, expected in load_file(whole / "model.safetensors").items():
            assert torch.equal(load_file(cut / "model.safetensors")[name], expected), name
        run(files, cut, *alphabet)  # a finished run, which takes no further step
    log = json.loads((cut / "checkpoint-8" / "trainer_state.json").read_text())["log_history"]
    assert [entry["epoch"] for entry in log if "eval_loss" in entry] == [0.5, 1]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_training_on_a_stream_says_at_once_and_at_the_end_what_the_alphabet_lacks(
    files, tmp_path, alphabet, caplog, workers
):
    for file in files.iterdir():
        file.write_text(file.read_text().replace(" the ", " the Ω ж "), encoding="utf-8")
    run(files, tmp_path / "run", *alphabet, "--dataloader_num_workers", workers)
    told = [message for message in caplog.messages if "the alphabet lacks" in message]
    assert len(told) == 2
    assert re.search(r"the first [\d,]+ characters: left out \d+ characters that the alphabet lacks: Ω ж", told[0])
    assert re.search(r", [\d,]+ characters read: .*left out \d+ characters that the alphabet lacks: Ω ж", told[1])


def test_another_text_under_the_same_name_is_refused(files, tmp_path, alphabet, capsys):
    run(files, tmp_path / "run", *alphabet)
    (files / "0.txt").write_text("Something else. " * 100)
    assert "its data differ" in refused(capsys, files, tmp_path / "run", *alphabet)


def test_a_stream_tunes_a_model_with_its_own_alphabet(files, tmp_path, saved):
    output_dir = run(files, tmp_path / "tuned", "--init_from", str(saved), "--learning_rate", "0", "--max_steps", "1")
    for name, expected in load_file(saved / "model.safetensors").items():
        assert torch.equal(load_file(output_dir / "model.safetensors")[name], expected), name


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "give --tokenizer"),
        (["--max_steps", "-1"], "give --dataset and --max_steps"),
        (["--window_length", "9"], "--streaming and --window_length are two ways"),
        (["--stateful"], "--streaming and --stateful are two ways"),
        (["--tokenizer", "ALPHABET", "--train_split", "test"], "a stream has no split test"),
        (["--tokenizer", "ALPHABET", "--push_to_hub", "--hub_model_id", "me/mine"], "a stream has no test split"),
        (
            ["--tokenizer", "ALPHABET", "--dataset", "TABLE"],
            "has no text column 'text'; it has: poem",
        ),
        (["--tokenizer", "ALPHABET", "--dataset", "none/*.txt"], "found no file in none/*.txt"),
        (["--tokenizer", "ALPHABET", "--dataset", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_a_bad_setting_of_a_stream_is_one_clear_message(files, tmp_path, alphabet, capsys, arguments, complaint):
    (tmp_path / "poems.csv").write_text("poem,stars\nA rose is a rose,5\n")
    known = {"ALPHABET": alphabet[1], "TABLE": str(tmp_path / "poems.csv")}
    arguments = [known.get(argument, argument) for argument in arguments]
    assert complaint in refused(capsys, files, tmp_path / "run", *arguments)


def test_what_a_worker_complains_of_is_one_clear_message(files, tmp_path, alphabet, capsys):
    (files / "short.txt").write_text("One sentence. Two of them.")
    arguments = [*alphabet, "--dataset", str(files / "short.txt"), "--dataloader_num_workers", "1"]
    complaint = refused(capsys, files, tmp_path / "run", *arguments)
    assert complaint.startswith(f"char-lstm train: {files / 'short.txt'} is too short for a stream")


def test_a_broken_parquet_file_is_refused_by_name(tmp_path, tokenizer):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CorpusError, match=r"broken\.parquet is broken"):
        open_stream(tmp_path / "broken.parquet", tokenizer)
