"""Any bytes are read rightly or refused in one sentence that names the file, soon and in little memory."""

import gzip
import json
import logging
import random
import resource
import shutil
import signal
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from char_lstm import NoveltyIndex, cli, generate_text, load_decoder, measure_novelty
from char_lstm.corpus.sources import read_documents
from char_lstm.errors import UserError
from char_lstm.items import save_items
from char_lstm.training.intents import read_phrasings
from char_lstm.training.recipe import read_recipe

ROOM = 2**30  # bytes beyond what the process has
LIMIT = 60  # seconds
RECIPE = b"hidden_size: 16\nlearning_rate: 1.0e-3\nteachers: [a, b]\nlr_scheduler_kwargs: {power: 2}\n"
DEEP = b"[" * 50_000
BOMB = b"".join(
    b"%c: &%c [%s]\n" % (97 + n, 97 + n, b",".join([b"*%c" % (96 + n) if n else b"x"] * 9)) for n in range(9)
)


@pytest.fixture(autouse=True)
def little_room():
    """Ends what hangs, and fails what takes a gigabyte."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, before[1]))
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
    resource.setrlimit(resource.RLIMIT_AS, before)


def read_or_refuse(read, path: Path):
    """What is read, or None if it was refused in a sentence that names the file."""
    signal.alarm(LIMIT)  # ends the test run
    try:
        return read(path)
    except UserError as error:
        refusal = str(error)
    finally:
        signal.alarm(0)
    assert path.name in refusal
    return None


def read_texts(path: Path) -> list[str]:
    return ["".join(document.lines) for document in read_documents(path)]


def make_parquet(path: Path) -> bytes:
    from datasets import Dataset

    Dataset.from_dict({"text": ["One lamp.", "Two", "Three"] * 9}).to_parquet(path)
    return path.read_bytes()


READERS = {  # by the ending of the file: how it is read, and a sound one
    "txt": (read_texts, b"One lamp. Two ships.\nThree rocks.\n"),
    "txt.gz": (read_texts, gzip.compress(b"One lamp. Two ships.\nThree rocks.\n")),
    "csv": (read_texts, b'text,pages\n"One, ""two""\nthree",3\nFour,\n'),
    "jsonl": (read_texts, b'{"text": "One"}\n{"text": "Two", "n": [1, {"a": null}]}\n'),
    "parquet": (read_texts, make_parquet),
    "intents.csv": (lambda path: read_phrasings(str(path)), b"text,intent\nhello,greet\nwhat time is it,time\n"),
    "yaml": (lambda path: read_recipe(str(path)), RECIPE),
}
NASTY = {
    "jsonl": [b"[1]", b"5", b"null", b'"a"', b'{"text": ' + DEEP, b'{"text": ' + b"9" * 5000 + b"}", b"{}"],
    "csv": [b'text\n"a', b'text\n"a"b', b"text\n\0", b",,,", b"text,text\na", b'"' * 9999, b"text\n" + b"," * 9999],
    "intents.csv": [b'text,intent\n"a', b"text,intent\na\n", b"\n", b"text,intent\na,b,c\n"],
    "txt.gz": [b"\x1f\x8b", gzip.compress(b"a b. " * 99)[:-5], gzip.compress(b"a")[:9], gzip.compress(b"a") + b"junk"],
    "txt": [b"\xff\xfe", b"\xff\xfe\0\0", b"\xef\xbb\xbf", b"\x80" * 999, b"+/v8-", b"\x1b$B" * 99],
    "parquet": [b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff" * 99 + b"\xff\xff\xff\x7fPAR1"],
    "yaml": [BOMB, DEEP, b"{" * 9999, b"- " * 9999, b"? " * 9999, b"hidden_size: &a [*a]", b"\xff",
             b"seed: 1" + b"0" * 6000,
             b"\0", b"%", b"!!python/object:os.system x", b"hidden_size: [1]", b"seed: {a: b}", b"teachers: 5",
             b"teachers: [[a]]", b"learning_rate_grid: 5", b"? [a]\n: b", b"2020-01-01: 3", b"<<: {a: b}"],
}  # fmt: skip


def a_file(kind: str, place: Path) -> tuple:
    """A reader, the path of a sound file for it, and its bytes."""
    path = place / f"input.{kind}"
    read, content = READERS[kind]
    path.write_bytes(content(path) if callable(content) else content)
    return read, path, path.read_bytes()


@pytest.mark.parametrize("kind", READERS)
def test_a_sound_file_is_read_and_a_nasty_one_too_or_refused(kind, tmp_path):
    read, path, _ = a_file(kind, tmp_path)
    assert read(path)
    for content in [b"", *NASTY[kind]]:
        path.write_bytes(content)
        read_or_refuse(read, path)


def damage(data: st.DataObject, content: bytes) -> bytes:
    """A file cut, with some bytes changed, or with a part of it put elsewhere."""
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3), "times")):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(damaged))] * 2), "part"))
        match data.draw(st.sampled_from(["cut", "flip", "move", "insert"]), "how"):
            case "cut":
                del damaged[start:end]
            case "flip" if start < len(damaged):
                damaged[start] ^= 1 << data.draw(st.integers(0, 7), "bit")
            case "move":
                part = damaged[start:end]
                del damaged[start:end]
                damaged += part
            case _:
                damaged[start:start] = data.draw(st.binary(max_size=9), "bytes")
    return bytes(damaged)


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
@settings(
    max_examples=3 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_to_a_file_is_read_over_or_refused(kind, tmp_path_factory, data):
    read, path, content = a_file(kind, tmp_path_factory.mktemp("damaged"))
    path.write_bytes(data.draw(st.binary(max_size=200), "bytes") if data.draw(st.booleans()) else damage(data, content))
    read_or_refuse(read, path)


# Checkpoints

FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
         "evaluation.json", "items.safetensors", "novelty.safetensors", "novelty_books.safetensors")  # fmt: skip


@pytest.fixture
def whole(saved, story):
    """A checkpoint with all that may lie in one."""
    from char_lstm.novelty_books import BookIndex

    NoveltyIndex.build(story).save(saved)
    BookIndex.build([story]).save(saved)
    save_items(["one", "two"], saved)
    (saved / "evaluation.json").write_text('{"nats_per_char": 1.5}')
    return saved


def use(folder: Path) -> str:
    """Loads all that is in a checkpoint, writes a little and looks for copies in it."""
    text = generate_text(*load_decoder(folder), "The lamp", seed=1, max_new_tokens=30)
    measure_novelty(text + "the lamp is lit and the keeper came", NoveltyIndex.load(folder))
    return text


def header_of(claimed: dict) -> bytes:
    header = json.dumps(claimed).encode()
    return struct.pack("<Q", len(header)) + header


TERABYTES = [
    struct.pack("<Q", 2**63),
    struct.pack("<Q", 2**40) + b"{}",
    header_of({"lm_head.weight": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}}),
    header_of({"lm_head.weight": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}),
]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("safetensors")])
def test_a_header_that_claims_terabytes_is_refused(whole, name):
    for content in TERABYTES:
        (whole / name).write_bytes(content)
        assert read_or_refuse(use, whole) is None


def test_each_file_of_a_checkpoint_in_the_place_of_another_is_refused(whole):
    sound = shutil.copytree(whole, whole.with_name("sound"))
    for name in FILES:
        for other in FILES:
            if other != name and name != "evaluation.json":
                shutil.copy(sound / other, whole / name)
                read_or_refuse(use, whole)
        shutil.copy(sound / name, whole / name)
    assert use(whole)


def test_a_regex_that_explodes_is_one_sentence(whole, capfd):
    path = whole / "tokenizer.json"
    content = json.loads(path.read_text())
    exploding = {"type": "Replace", "pattern": {"Regex": r"(x+x+)+y"}, "content": " "}
    content["normalizer"]["normalizers"].insert(0, exploding)
    path.write_text(json.dumps(content))
    signal.alarm(LIMIT)
    with pytest.raises(SystemExit) as stop:
        cli.run("generate", ["--model", str(whole), "--prompt", "x" * 5000])
    signal.alarm(0)
    said = capfd.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("char-lstm generate: ")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_any_damage_to_a_file_of_a_checkpoint_is_refused_or_changes_no_more_than_the_text(whole, name):
    """Of random damage from one seed; the weights' header has a test of its own."""
    sound, draw = (whole / name).read_bytes(), random.Random(name)
    for _ in range(300):
        content = bytearray(sound)
        for _ in range(draw.choice([1, 1, 3])):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        if draw.random() < 0.2:
            del content[draw.randrange(len(content)) :]
        (whole / name).write_bytes(content)
        read_or_refuse(use, whole)
