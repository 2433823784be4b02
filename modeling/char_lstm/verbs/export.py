"""Exports one step of a model to ONNX, for use outside Python: character and state go in, scores and state come out.

    char-lstm export --model modeling/pretrained/alice --output_dir onnx
    char-lstm export --model modeling/pretrained/alice --output_dir onnx --dataset data/alice \\
        --json scripts/results/onnx.json

Writes model.onnx and model_int8.onnx. Each maps
    input_ids (batch,) int64, output and cell_state (layers, batch, hidden) float32, zeros before the first character
to  logits (batch, vocab), next_output and next_cell_state.
With a corpus, both are also measured on its test split.
"""

from ..arguments import parse
from ..hub.arguments import ExportArguments


def main(argv: list[str]) -> None:
    arguments = parse(ExportArguments, __doc__, argv)

    from ..hub.export import export_folder

    export_folder(arguments)
