"""What several processes promise that train one model: what one process makes of the same steps, and nothing torn.

Each test starts real processes, so all are slow.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
import torch
from safetensors.torch import load_file

from char_lstm import cli
from char_lstm.corpus.sources import ALICE
from char_lstm.training import checkpoints
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

STEPS = shlex.split("""
    --hidden_size 16 --row_length 60 --input_dropout 0 --hidden_dropout 0 --max_steps 20 --learning_rate 1e-2
    --per_device_eval_batch_size 4 --save_strategy steps --save_steps 3 --save_total_limit 20 --report_to none
    --disable_tqdm true
""")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TWO_OF_8, ONE_OF_16 = (["--per_device_train_batch_size", size] for size in ("8", "16"))


def start_two(folder, *arguments) -> subprocess.Popen:
    """Two processes whose home is `folder`."""
    command = [*TORCHRUN, str(ROOT / "scripts" / "train.py"), *STEPS, *TWO_OF_8, "--output_dir", "two", *arguments]
    environment = os.environ | {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


@pytest.fixture
def home(story, tmp_path):
    """A folder where Alice, already downloaded, is a short story."""
    downloaded = tmp_path / ".cache" / "char_lstm" / quote(ALICE, safe="")
    downloaded.parent.mkdir(parents=True)
    downloaded.write_text(story, encoding="utf-8")
    return tmp_path


def run_one(home, *arguments):
    """The same steps in this process, on the corpus that the two have built."""
    corpus = ["--dataset", str(home / "data" / "alice"), "--output_dir", str(home / "one")]
    cli.run("train", [*STEPS, *ONE_OF_16, *corpus, *arguments])


def assert_same_result(home, *curves):
    two, one = (load_file(home / name / "model.safetensors") for name in ("two", "one"))
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, atol=1e-5, rtol=0)
    two, one = (log_of(home / name) for name in ("two", "one"))
    for key in curves:
        curve = [entry[key] for entry in one if key in entry]
        assert len(curve) > 1
        assert [entry[key] for entry in two if key in entry] == pytest.approx(curve, abs=1e-5)


def log_of(output_dir) -> list[dict]:
    last = checkpoints.last_whole_checkpoint(output_dir)
    return json.loads((last / checkpoints.STATE).read_text())["log_history"]


def test_two_processes_make_the_weights_and_the_curve_of_one(home):
    process = start_two(home)
    assert process.wait(timeout=600) == 0, (home / "log").read_text()
    run_one(home)
    assert_same_result(home, "loss", "eval_loss")
    assert (home / "log").read_text().count("after epoch 1 the model writes:") == 1
    assert sorted(path.name for path in (home / "data").iterdir()) == ["alice"]
    for checkpoint in (home / "two").glob("checkpoint-*"):
        assert {"rng_state_0.pth", "rng_state_1.pth"} < json.loads(
            (checkpoint / checkpoints.COMPLETE).read_text()
        ).keys()
        assert checkpoints.is_whole(checkpoint)
    assert not list(home.glob("two/**/*unfinished*"))


def test_two_processes_that_were_stopped_go_on_to_the_same_weights(home):
    plain = ["--ema_decay", "0", "--ngram_smoothing", "0"]
    process = start_two(home, *plain)
    while checkpoints.last_whole_checkpoint(home / "two") is None:
        assert process.poll() is None, (home / "log").read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert not (home / "two" / "model.safetensors").exists()

    process = start_two(home, *plain)
    assert process.wait(timeout=600) == 0, (home / "log").read_text()
    assert "resuming from" in (home / "log").read_text()
    run_one(home, *plain)
    assert_same_result(home, "eval_loss")


def test_two_processes_read_a_stream_and_go_on_in_its_middle(home, story, tokenizer):
    tokenizer.save_pretrained(home / "alphabet")
    (home / "texts").mkdir()
    for number in range(5):
        (home / "texts" / f"{number}.txt").write_text(story, encoding="utf-8")
    stream = ["--streaming", "--dataset", "texts/*.txt", "--tokenizer", "alphabet", "--dataloader_num_workers", "2"]
    process = start_two(home, *stream)
    assert process.wait(timeout=600) == 0, (home / "log").read_text()
    expected = load_file(home / "two" / "model.safetensors")
    for checkpoint in (home / "two").glob("checkpoint-*"):
        assert {"stream_0.json", "stream_1.json"} < json.loads((checkpoint / checkpoints.COMPLETE).read_text()).keys()
        if int(checkpoint.name.split("-")[1]) > 12:
            shutil.rmtree(checkpoint)

    process = start_two(home, *stream)
    assert process.wait(timeout=600) == 0, (home / "log").read_text()
    assert "resuming from two/checkpoint-12" in (home / "log").read_text()
    for name, weight in load_file(home / "two" / "model.safetensors").items():
        assert torch.equal(weight, expected[name]), name


def test_a_run_goes_on_with_more_and_with_fewer_processes_from_its_last_whole_epoch(home, monkeypatch):
    """Epochs 1 and 2 by two processes, the third by one, the fourth by two."""
    epochs = ["--max_steps", "-1", "--num_train_epochs", "4", "--save_strategy", "epoch"]

    def keep_epochs(number):
        for checkpoint in checkpoints.whole_checkpoints(home / "two"):
            if checkpoints.epoch_of(checkpoint) > number:
                shutil.rmtree(checkpoint)

    assert start_two(home, *epochs).wait(timeout=600) == 0, (home / "log").read_text()
    whole = log_of(home / "two")
    keep_epochs(2)
    monkeypatch.chdir(home)
    cli.run("train", [*STEPS, *TWO_OF_8, *epochs, "--dataset", "data/alice", "--output_dir", "two"])
    keep_epochs(3)
    assert start_two(home, *epochs).wait(timeout=600) == 0, (home / "log").read_text()
    assert "going on from the end of epoch 3" in (home / "log").read_text()
    for before, after in zip(whole, log_of(home / "two"), strict=True):
        assert after["epoch"] == before["epoch"]
        for key, bound in {"learning_rate": 1e-3, "loss": 0.2, "eval_loss": 0.2}.items():
            assert after.get(key) == pytest.approx(before.get(key), abs=bound)


# Trains as `char-lstm train` does and keeps what each process has in the end. Its first argument is "launched", or the
# variables that are to tell each of two processes its rank, its rank on this machine, and how many there are.
EACH_KEEPS_ITS_OWN = """
import os, sys
import torch
from safetensors.torch import save_file
from char_lstm.training.run import train
from char_lstm.verbs.train import read_command

def work(rank, names):
    os.environ |= dict(zip(names, [str(rank), str(rank), "2"]))
    if "RANK" in names:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    trainer = train(read_command(sys.argv[2:]))
    save_file(trainer.model.state_dict(), f"rank_{trainer.args.process_index}.safetensors")

if __name__ == "__main__":
    if sys.argv[1] == "launched":
        work(0, [])
    else:
        torch.multiprocessing.spawn(work, args=(sys.argv[1].split(),), nprocs=2)
"""
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"]
ACCELERATE += ["--mixed_precision", "no", "--dynamo_backend", "no"]
SPAWN = [sys.executable]
LAUNCHES = {  # how a command begins, the script's first argument, how many processes make the model or what they say
    "torchrun": (TORCHRUN, "launched", 2),
    "accelerate": ([*ACCELERATE, "--multi_gpu"], "launched", 2),
    "accelerate on a CPU": ([*ACCELERATE, "--cpu"], "launched", 1),
    "mp.spawn": (SPAWN, "RANK LOCAL_RANK WORLD_SIZE", 2),
    "mp.spawn without variables": (SPAWN, "", "another process is training into"),
    "srun": (SPAWN, "SLURM_PROCID SLURM_LOCALID SLURM_STEP_NUM_TASKS", "but they are not connected"),
    "mpirun": (SPAWN, "OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_LOCAL_RANK OMPI_COMM_WORLD_SIZE", "MASTER_ADDR"),
}


@pytest.mark.parametrize("way", LAUNCHES)
def test_however_several_processes_are_started_they_train_one_model_or_say_why_not(home, corpus, way):
    launcher, told, outcome = LAUNCHES[way]
    (home / "each.py").write_text(EACH_KEEPS_ITS_OWN)
    command = [*launcher, "each.py", told, *STEPS, *TWO_OF_8, "--dataset", str(corpus), "--output_dir", "run"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=600)
    ranks = [load_file(path) for path in sorted(home.glob("rank_*.safetensors"))]
    if isinstance(outcome, str):
        assert done.returncode
        assert outcome in done.stderr
        assert len(ranks) <= ("another process" in outcome)  # which then may have trained
        return
    assert done.returncode == 0, done.stderr
    assert len(ranks) == outcome
    for name, weight in load_file(home / "run" / "model.safetensors").items():
        assert all(torch.equal(rank[name], weight) for rank in ranks), name
