"""Exports one step of a model to ONNX: a character and the state go in, scores and state out.

`model.onnx` and `model_int8.onnx` each map
    input_ids (batch,) int64, output and cell_state (layers, batch, hidden) float32, zeros before the first character
to  logits (batch, vocab), next_output and next_cell_state.
"""

import errno
import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.quantization import quantize_dynamic
from torch import Tensor, nn
from torch.nn.functional import one_hot
from tqdm.auto import tqdm

from ..cells import CELL_STEPS
from ..files import replaced_files, write_json
from ..loading import load
from ..tokenization_char_lstm import normalise
from .arguments import ExportArguments

INPUTS = ("input_ids", "output", "cell_state")
OUTPUTS = ("logits", "next_output", "next_cell_state")
FLOAT, INT8 = "model.onnx", "model_int8.onnx"


class OneStep(nn.Module):
    """One step of the model as `cells` writes it, from a character to the scores of the next."""

    def __init__(self, model):
        super().__init__()
        self.model, self.lm_head = model.model, model.lm_head
        self.step = CELL_STEPS[model.config.cell_type]
        table = model.model.embed_tokens.weight
        self.is_one_hot = torch.equal(table, torch.eye(*table.shape))

    def embed(self, input_ids: Tensor) -> Tensor:
        """The first layer's inputs; a one-hot encoding needs no table."""
        if self.is_one_hot:
            return one_hot(input_ids, self.model.config.vocab_size).float()
        return self.model.embed_tokens(input_ids)

    def forward(self, input_ids: Tensor, output: Tensor, cell_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch,), (layers, batch, hidden) twice -> (batch, vocab), (layers, batch, hidden) twice."""
        x = self.embed(input_ids)  # (batch, input)
        steps = []
        for layer, *state in zip(self.model.layers, output, cell_state, strict=True):
            steps.append(self.step(layer, x, state))
            x = steps[-1].output  # (batch, hidden)
        return self.lm_head(x), torch.stack([s.output for s in steps]), torch.stack([s.cell_state for s in steps])


def export_step(model, tokenizer, folder: Path) -> None:
    """Writes both variants to `folder`; their metadata holds the tokens in the order of their ids."""
    batch = 2  # with 1, the exporter would take the dimension for a constant
    state = torch.zeros(2, model.config.num_hidden_layers, batch, model.config.hidden_size)
    free = torch.export.Dim("batch")
    program = torch.onnx.export(
        OneStep(model).eval(),
        (torch.zeros(batch, dtype=torch.long), *state),
        input_names=INPUTS,
        output_names=OUTPUTS,
        dynamic_shapes=({0: free}, {1: free}, {1: free}),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # dynamo always returns one
    tokens = tokenizer.convert_ids_to_tokens(range(model.config.vocab_size))
    exported = without_origins(program.model_proto)
    onnx.helper.set_model_props(exported, {"tokens": json.dumps(tokens)})
    onnx.save(exported, folder / FLOAT)
    quantize(folder)


def quantize(folder: Path) -> None:
    """Writes the int8 variant. onnxruntime does so by way of temporary files, and misses it where one is cut off.

    Raises:
        OSError: what it wrote cannot be run.
    """
    try:
        quantize_dynamic(folder / FLOAT, folder / INT8, per_channel=True)
        OnnxDecoder(folder / INT8)
    except OSError:
        raise
    except Exception as error:  # of protobuf and onnxruntime, of many classes
        said = "onnxruntime's temporary files came out broken; is there room on the disk?"
        raise OSError(errno.EIO, said, str(folder / INT8)) from error


def without_origins(exported: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without the notes on the Python line that each part comes from."""
    graph = exported.graph
    for part in (exported, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    for node in graph.node:
        node.name = ""
    del graph.value_info[:]
    return exported


class OnnxDecoder:
    """An exported step in onnxruntime, and the state of one text."""

    def __init__(self, path: Path):
        options = SessionOptions()
        options.intra_op_num_threads = 1  # a step is too small to split
        self.session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
        layers, _, hidden = self.session.get_inputs()[1].shape
        self.state = [np.zeros((layers, 1, hidden), np.float32)] * 2

    def step(self, character: int) -> np.ndarray:
        """Reads a character and returns the scores of the next, (vocab,)."""
        given = dict(zip(INPUTS, [np.array([character]), *self.state], strict=True))
        logits, *self.state = self.session.run(OUTPUTS, given)
        return logits[0]


def nats_per_char(path: Path, ids: list[int], bos: int) -> float:
    """Mean nats of the characters of a text, ids (time,), with the state carried and the first one given bos."""
    decoder, nats = OnnxDecoder(path), 0.0
    for past, character in tqdm(zip([bos, *ids], ids, strict=False), total=len(ids), desc=path.name, leave=False):
        logits = decoder.step(past).astype(np.float64)
        nats += np.logaddexp.reduce(logits) - logits[character]
    return nats / len(ids)


def score_exported(model, tokenizer, folder: Path, dataset: str) -> dict:
    """Nats per character of both variants on the test split, and the split's length."""
    from datasets import load_from_disk

    text = normalise(tokenizer, "".join(load_from_disk(dataset)["test"]["text"]))
    ids = tokenizer(text, add_special_tokens=False).input_ids
    figures = {name: nats_per_char(folder / name, ids, model.config.bos_token_id) for name in (FLOAT, INT8)}
    return {"characters": len(ids)} | {
        name: {"nats_per_char": nats, "bits_per_char": nats / math.log(2)} for name, nats in figures.items()
    }


def export_folder(args: ExportArguments) -> dict:
    """Exports a model, measures both variants if a corpus is given, and prints and returns sizes and figures."""
    model, tokenizer = load(args.model)
    output_dir = Path(args.output_dir)
    with replaced_files(output_dir, FLOAT) as unfinished:
        export_step(model, tokenizer, unfinished)
    results = {"bytes": {name: (output_dir / name).stat().st_size for name in (FLOAT, INT8)}}
    results["bytes"]["parameters"] = 4 * model.num_parameters()
    if args.dataset:
        results["test"] = score_exported(model, tokenizer, output_dir, args.dataset)
    if args.json:
        write_json(args.json, results)
    print(json.dumps(results, indent=2))
    return results
