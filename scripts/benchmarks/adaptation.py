"""How much better each packaged model predicts unseen text if it remembers what it has read of it so far."""

from datasets import load_from_disk

from char_lstm import load
from char_lstm.paths import PRETRAINED
from char_lstm.training.evaluation import evaluate

MODELS = ("english", "alice_english", "alice_best", "alice", "alice_gru", "alice_rnn")


def measure(dataset: str) -> dict:
    """The figures of each model on the test split: `nats_per_char` alone, `nats_per_char_adapted` with the memory."""
    split = load_from_disk(dataset)["test"]
    results = {name: evaluate(*load(PRETRAINED / name), split, adapt=True) for name in MODELS}
    return {
        "models": results,
        "unit": "nats per character, test split",
        "figures": {name: result["nats_per_char_adapted"] for name, result in results.items()},
    }
