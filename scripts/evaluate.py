"""Measures how well a model predicts the text of a corpus, in nats and bits per character.

    python scripts/evaluate.py --model modeling/pretrained/alice --dataset data/alice --json evaluation.json

Every character of the split counts once, newlines included, the first given a newline before it.
`nats_per_char` carries the state through the text in order, `nats_per_char_reset` starts anew at each row.
"""

import hashlib
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm
from transformers import HfArgumentParser

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # scripts know each other as scripts.x

from char_lstm import load, normalise
from char_lstm.loading import RECORDED, CheckpointError, checkpoint_folder
from scripts.build_corpus import load_corpus
from scripts.files import write_json

CHUNK = 4096  # characters of one forward
ROWS = 64  # rows of one forward


@dataclass
class EvaluateArguments:
    model: str = field(metadata={"help": "A folder or an id on the Hub."})
    dataset: str = field(metadata={"help": "A folder written by build_corpus.py, or an id on the Hub."})
    split: str = field(default="test", metadata={"help": "The split to score."})
    json: str | None = field(default=None, metadata={"help": "Write the figures to this file too."})


@torch.inference_mode()
def score_carried(model, ids: list[int]) -> float:
    """Nats of a text given as ids, (time,), read in one go: the state goes on from chunk to chunk."""
    text = torch.tensor([model.config.bos_token_id, *ids], device=model.device)
    state, nats = None, 0.0
    for start in tqdm(range(0, len(ids), CHUNK), desc="carried", leave=False):
        read = text[start : start + CHUNK][: len(ids) - start].unsqueeze(0)  # (1, time)
        output = model(read, past_key_values=state, use_cache=True)
        state = output.past_key_values
        expected = text[start + 1 : start + 1 + read.shape[1]]
        nats += cross_entropy(output.logits[0].double(), expected, reduction="sum").item()
    return nats


@torch.inference_mode()
def score_reset(model, rows: list[list[int]]) -> float:
    """Nats of rows of ids, each read from a newline and a fresh state."""
    rows = sorted(rows, key=len)  # rows of a batch about as long as each other
    nats = 0.0
    for start in tqdm(range(0, len(rows), ROWS), desc="reset", leave=False):
        batch = [torch.tensor([model.config.bos_token_id, *row], device=model.device) for row in rows[start:][:ROWS]]
        padded = pad_sequence(batch, batch_first=True, padding_value=-100)  # (batch, time)
        logits = model(padded[:, :-1].clamp(min=0), use_cache=False).logits  # pads on the right change nothing before
        nats += cross_entropy(logits.double().transpose(1, 2), padded[:, 1:], reduction="sum").item()
    return nats


def evaluate(model, tokenizer, split: Dataset) -> dict:
    """The figures of one split."""
    texts = list(split["text"])
    normalise(tokenizer, "".join(texts))  # warns, once for the whole split, of characters that the model lacks
    encodings = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    rows = [encoding.ids for encoding in encodings]
    ids = [character for row in rows for character in row]
    if not ids:
        raise ValueError("nothing is left of the split in the alphabet of the model")
    nats_per_char = score_carried(model, ids) / len(ids)
    return {
        "characters": len(ids),
        "rows": len(rows),
        "nats_per_char": nats_per_char,
        "bits_per_char": nats_per_char / math.log(2),
        "nats_per_char_reset": score_reset(model, rows) / len(ids),
        "text_sha256": hashlib.sha256("".join(texts).encode()).hexdigest(),
    }


def trained_parameters(model: torch.nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def run(args: EvaluateArguments) -> dict:
    folder = checkpoint_folder(args.model, None)
    model, tokenizer = load(folder)
    corpus = load_corpus(args.dataset)
    if args.split not in corpus:
        raise ValueError(f"{args.dataset} has no split {args.split}; it has {', '.join(corpus)}")
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    figures = {
        "parameters": trained_parameters(model),
        "split": args.split,
        **evaluate(model, tokenizer, corpus[args.split]),
        **{key: hashlib.sha256((folder / name).read_bytes()).hexdigest() for key, name in RECORDED.items()},
    }
    for name, value in figures.items():
        print(f"{name:20} {value:.4f}" if isinstance(value, float) else f"{name:20} {value}")
    if args.json:
        write_json(args.json, figures)
    return figures


def main(argv: list[str] | None = None) -> dict:
    (args,) = HfArgumentParser(EvaluateArguments, description=__doc__.split("\n")[0]).parse_args_into_dataclasses(argv)
    try:
        return run(args)
    except (CheckpointError, ValueError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
