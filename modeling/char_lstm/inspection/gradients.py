"""How far back a gradient reaches in an RNN, an LSTM and a GRU, before and after training, and why.

"Before training" is a fresh model of the same configuration: orthogonal recurrent weights, and a forget gate that
starts open.
"""

import copy
import io
from json import dumps
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from ..cells import CELL_STEPS, KEEPER, unroll
from ..files import write_file
from ..loading import load
from ..modeling_char_lstm import CharLstmForCausalLM
from ..paths import packaged_model
from ..tokenization_char_lstm import normalise
from .inspect import Inspection, inspect_text

REACH = 200  # characters back
READ = 600  # characters of the text that are read
CANDIDATE = {"rnn": 0, "gru": 2, "lstm": 2}  # its block among the recurrent weights
COLOURS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}  # Okabe & Ito 2008: told apart by every eye


def gradient_back(seen: Inspection, positions: int) -> np.ndarray:
    """Size of a prediction's gradient 1..REACH characters before it, (REACH,): the geometric mean over positions."""
    spots = np.linspace(REACH, len(seen.chars) - 1, positions).astype(int)
    rows = [sizes[spot - REACH : spot][::-1] for spot, sizes in zip(spots, seen.connectivity(spots), strict=True)]
    return np.exp(np.log(np.maximum(rows, np.finfo(float).tiny)).mean(axis=0))


def why(model, tokenizer, seen: Inspection) -> list[dict[str, float]]:
    """For each layer, what a gradient is multiplied by at each step back, over the last REACH steps of the text.

    A step's Jacobian is diag(tanh') W in an RNN; an LSTM and a GRU add a path straight through the forget or update
    gate, whose product is that of plain numbers below 1, a cell by itself. `product_per_step` is the largest singular
    value of the product of the Jacobians, a step's share (its REACH-th root); `kept_per_step` is the same of the
    straight path alone, that is, of the cell whose gate stays open the most.
    """
    cell = model.config.cell_type
    outputs = seen.gates["output"] * np.tanh(seen.cell_state) if cell == "lstm" else seen.cell_state
    tanh_outputs = seen.gates.get("candidate", outputs)[:, -REACH:]  # (layers, REACH, hidden)
    read = torch.tensor(tokenizer.convert_tokens_to_ids(seen.chars[-REACH - 1 : -1]))  # by the last REACH steps
    inputs = model.get_input_embeddings()(read).detach()  # (REACH, input)
    layers = []
    for index, layer in enumerate(model.model.layers):
        start = [torch.from_numpy(states[index, -REACH - 1 : -REACH]) for states in (outputs, seen.cell_state)]
        weight = layer.weight_hh_l0.detach().split(model.config.hidden_size)[CANDIDATE[cell]].numpy()
        figures = {
            "mean_tanh_slope": (1 - tanh_outputs[index] ** 2).mean(),  # tanh' = 1 - tanh^2
            "spectral_radius": np.abs(np.linalg.eigvals(weight)).max(),
            "largest_singular_value": np.linalg.norm(weight, 2),
            "product_per_step": size_of_product(cell, layer, inputs, start) ** (1 / REACH),
        }
        if cell in KEEPER:
            kept = seen.gates[KEEPER[cell]][index, -REACH:]  # (REACH, hidden)
            figures |= {"mean_kept": kept.mean(), "kept_per_step": kept.prod(axis=0).max() ** (1 / REACH)}
        layers.append({name: float(figure) for name, figure in figures.items()})
        inputs = torch.from_numpy(outputs[index, -REACH:])  # (REACH, hidden)
    return layers


def size_of_product(cell: str, layer, inputs: torch.Tensor, start: list[torch.Tensor]) -> float:
    """Largest singular value of the Jacobian of a layer's last state with respect to `start`, through all inputs."""
    start = [part.requires_grad_() for part in start]  # h and c, each (1, hidden)
    last = unroll(CELL_STEPS[cell], layer, inputs.split(1), start)[-1]
    parts = 2 if cell == "lstm" else 1  # the state of the others is h alone
    carried = torch.cat([last.output, last.cell_state][:parts], dim=1)[0]  # (parts * hidden,)
    rows = torch.autograd.grad(carried, start[:parts], torch.eye(len(carried)).to(carried), is_grads_batched=True)
    return torch.linalg.matrix_norm(torch.cat(rows, dim=2)[:, 0], 2).item()


def measure(model, tokenizer, text: str, positions: int) -> dict:
    """The gradient's sizes, what remains of it each step back, and why. In double precision: sizes fall below 1e-38."""
    model = model.double()
    seen = inspect_text(model, tokenizer, text)
    sizes, half = gradient_back(seen, positions), REACH // 2  # the farther half: short ways no longer count there
    return {
        "nats_per_char": float(seen.surprisal.mean()),
        "gradient": [float(f"{size:.6g}") for size in sizes],
        "measured_per_step": float((sizes[-1] / sizes[half - 1]) ** (1 / (REACH - half))),
        "layers": why(model, tokenizer, seen),
    }


def compare_with_untrained(model_id: str | Path, text: str, positions: int, seed: int) -> dict:
    """One model as it started and as training left it."""
    trained, tokenizer = load(model_id)
    read = normalise(tokenizer, text)
    if len(read) < READ:
        raise ValueError(f"the text has {len(read)} characters after normalising; {READ} are needed")
    middle = (len(read) - READ) // 2
    torch.manual_seed(seed)
    fresh = CharLstmForCausalLM(copy.deepcopy(trained.config)).eval()
    return {
        "model": Path(model_id).name,
        "cell_type": trained.config.cell_type,
        "num_hidden_layers": trained.config.num_hidden_layers,
        "hidden_size": trained.config.hidden_size,
        "parameters": trained.num_parameters(only_trainable=True),
        "before": measure(fresh, tokenizer, read[middle : middle + READ], positions),
        "after": measure(trained, tokenizer, read[middle : middle + READ], positions),
    }


def times_three(steps: int = 12, start: float = 0.1) -> dict[str, list[float]]:
    """A value multiplied by 3 again and again, and the gradient of each value with respect to the first."""
    plain = start * 3.0 ** np.arange(steps + 1)
    squashed, gradient = [start], [1.0]
    for _ in range(steps):
        squashed.append(float(np.tanh(3 * squashed[-1])))
        gradient.append(gradient[-1] * 3 * (1 - squashed[-1] ** 2))
    return {
        "value": plain.tolist(),
        "value_with_tanh": squashed,
        "gradient": (plain / start).tolist(),
        "gradient_with_tanh": gradient,
    }


def draw_gradients(models: list[dict], positions: int) -> Figure:
    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for entry in models:
        for when, style in [("before", "--"), ("after", "-")]:
            label = f"{entry['cell_type'].upper()} {when} training"
            distances = np.arange(1, REACH + 1)
            axes.semilogy(distances, entry[when]["gradient"], style, color=COLOURS[entry["cell_type"]], label=label)
    axes.set_xlabel("characters back from the prediction")
    axes.set_ylabel(f"size of the gradient of its log-probability\n(geometric mean of {positions} predictions)")
    axes.set_title("How far back does a gradient reach?")
    _finish(axes)
    return figure


def draw_times_three(numbers: dict[str, list[float]]) -> Figure:
    figure = Figure(figsize=(8, 3.4), dpi=150, layout="constrained")
    for axes, name, label in zip(
        figure.subplots(1, 2), ["value", "gradient"], ["the value", "its gradient back to the start"], strict=True
    ):
        axes.semilogy(numbers[name], "o--", markersize=4, color=COLOURS["rnn"], label="x → 3 x")
        axes.semilogy(numbers[f"{name}_with_tanh"], "o-", markersize=4, color=COLOURS["lstm"], label="x → tanh(3 x)")
        axes.set_xlabel("steps")
        axes.set_ylabel(label)
        _finish(axes)
    return figure


def _finish(axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def _png(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def report(
    text: str | Path,
    models: list[str] | None = None,
    *,
    json: str | Path,
    png: str | Path,
    times_three_png: str | Path,
    positions: int = 20,
    seed: int = 0,
) -> dict:
    """Measures models, before and after training, on the middle of a text; writes numbers and figures.

    Args:
        text: a text file.
        models: folders or ids on the Hub; None for the packaged RNN, LSTM and GRU.
        json, png, times_three_png: the files to write.
        positions: predictions that a gradient is averaged over.
        seed: of the untrained weights.

    Raises:
        ValueError: no position, or too short a text.
    """
    if positions < 1:
        raise ValueError(f"--positions must be at least 1, got {positions}")
    models = models or [packaged_model(name) for name in ("alice_rnn", "alice", "alice_gru")]
    read = Path(text).read_text(encoding="utf-8-sig", errors="replace")
    figures = {
        "text": Path(text).name,
        "characters_read": READ,
        "predictions": positions,
        "seed": seed,
        "models": [compare_with_untrained(model_id, read, positions, seed) for model_id in models],
        "times_three": times_three(),
    }
    write_file(json, dumps(figures, indent=1) + "\n")
    write_file(png, _png(draw_gradients(figures["models"], positions)))
    write_file(times_three_png, _png(draw_times_three(figures["times_three"])))
    for entry in figures["models"]:
        for when in ("before", "after"):
            found = entry[when]
            products = ", ".join(f"{layer['product_per_step']:.3f}" for layer in found["layers"])
            print(f"{entry['cell_type']:4} {when:6}  {REACH} back: {found['gradient'][-1]:.1e}; ", end="")
            print(f"times {found['measured_per_step']:.3f} a step; product of Jacobians, by layer: {products}")
    return figures
