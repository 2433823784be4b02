"""How far back a gradient reaches in an RNN, an LSTM and a GRU before and after training, and why.

"Before training" means a fresh model of the same configuration, with orthogonal recurrent weights and, in an LSTM, a
forget gate that starts open.
"""

import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..cells import CELL_STEPS, KEEPER, State, unroll
from ..files import write_file
from ..loading import load
from ..modeling_char_lstm import CharLstmForCausalLM
from ..paths import packaged_model
from ..tokenization_char_lstm import normalise
from .inspect import Inspection, inspect_text

REACH = 200  # characters back
CHARACTERS_READ = 600  # from the middle of the text
CANDIDATE_BLOCK = {"rnn": 0, "gru": 2, "lstm": 2}  # among the recurrent weights
COLOURS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}  # Okabe & Ito 2008: safe for the colour-blind


def gradient_sizes(seen: Inspection, positions: int) -> np.ndarray:
    """Sizes of a prediction's gradient 1..REACH characters back, (REACH,): geometric means over so many predictions."""
    spots = np.linspace(REACH, len(seen.chars) - 1, positions).astype(int).tolist()
    rows = [sizes[spot - REACH : spot][::-1] for spot, sizes in zip(spots, seen.connectivity(spots), strict=True)]
    return np.exp(np.log(np.maximum(rows, np.finfo(float).tiny)).mean(axis=0))


def explain_by_layer(model, tokenizer, seen: Inspection) -> list[dict[str, float]]:
    """For each layer, what multiplies a gradient at each step back, over the last REACH steps of the text.

    The Jacobian of one step is diag(tanh') W in an RNN. An LSTM or a GRU adds a direct path through its forget or
    update gate, which multiplies each cell by itself, by a plain number below 1. `product_per_step` is the largest
    singular value of the product of all the Jacobians, as a geometric mean per step (its REACH-th root);
    `kept_per_step` is the same for the direct path alone, that is, for the cell whose gate stays open the most.
    """
    cell = model.config.cell_type
    outputs = seen.output
    tanh_outputs = seen.gates.get("candidate", outputs)[:, -REACH:]  # (layers, REACH, hidden)
    ids = torch.tensor(tokenizer.convert_tokens_to_ids(seen.chars[-REACH - 1 : -1]))  # that the last REACH steps read
    inputs = model.get_input_embeddings()(ids).detach()  # (REACH, input)
    layers = []
    for index, layer in enumerate(model.model.layers):
        h, c = (torch.from_numpy(states[index, -REACH - 1 : -REACH]) for states in (outputs, seen.cell_state))
        weight = layer.weight_hh_l0.detach().split(model.config.hidden_size)[CANDIDATE_BLOCK[cell]].numpy()
        figures = {
            "mean_tanh_slope": (1 - tanh_outputs[index] ** 2).mean(),  # tanh' = 1 - tanh^2
            "spectral_radius": np.abs(np.linalg.eigvals(weight)).max(),
            "largest_singular_value": np.linalg.norm(weight, 2),
            "product_per_step": jacobian_norm(cell, layer, inputs, (h, c)) ** (1 / REACH),
        }
        if cell in KEEPER:
            kept = seen.gates[KEEPER[cell]][index, -REACH:]  # (REACH, hidden)
            figures |= {"mean_kept": kept.mean(), "kept_per_step": kept.prod(axis=0).max() ** (1 / REACH)}
        layers.append({name: float(figure) for name, figure in figures.items()})
        inputs = torch.from_numpy(outputs[index, -REACH:])  # (REACH, hidden)
    return layers


def jacobian_norm(cell: str, layer, inputs: torch.Tensor, start: State) -> float:
    """Largest singular value of the Jacobian of a layer's last state with respect to `start`, across all inputs."""
    start = start[0].requires_grad_(), start[1].requires_grad_()  # h and c, each (1, hidden)
    last = unroll(CELL_STEPS[cell], layer, inputs.split(1), start)[-1]
    parts = 2 if cell == "lstm" else 1  # the other cells have no state but h
    carried = torch.cat([last.output, last.cell_state][:parts], dim=1)[0]  # (parts * hidden,)
    rows = torch.autograd.grad(carried, start[:parts], torch.eye(len(carried)).to(carried), is_grads_batched=True)
    return torch.linalg.matrix_norm(torch.cat(rows, dim=2)[:, 0], 2).item()


def measure_gradients(model, tokenizer, text: str, positions: int) -> dict:
    """A gradient's sizes, what each step back leaves of it, and why. In double precision: some are below 1e-38."""
    model = model.double()
    seen = inspect_text(model, tokenizer, text)
    sizes, half = gradient_sizes(seen, positions), REACH // 2  # only the farther half decays at a steady rate
    return {
        "nats_per_char": float(seen.surprisal.mean()),
        "gradient": [float(f"{size:.6g}") for size in sizes],
        "measured_per_step": float((sizes[-1] / sizes[half - 1]) ** (1 / (REACH - half))),
        "layers": explain_by_layer(model, tokenizer, seen),
    }


def compare_with_untrained(model_id: str | Path, text: str, positions: int, seed: int) -> dict:
    """The measurements of one model before and after training."""
    trained, tokenizer = load(model_id)
    text = normalise(tokenizer, text)
    if len(text) < CHARACTERS_READ:
        raise ValueError(f"the text has {len(text)} characters after normalising; {CHARACTERS_READ} are needed")
    start = (len(text) - CHARACTERS_READ) // 2
    middle = text[start : start + CHARACTERS_READ]
    torch.manual_seed(seed)
    fresh = CharLstmForCausalLM(copy.deepcopy(trained.config)).eval()
    return {
        "model": Path(model_id).name,
        **{name: getattr(trained.config, name) for name in ("cell_type", "num_hidden_layers", "hidden_size")},
        "parameters": trained.num_parameters(only_trainable=True),
        "before": measure_gradients(fresh, tokenizer, middle, positions),
        "after": measure_gradients(trained, tokenizer, middle, positions),
    }


def multiply_by_three(steps: int = 12, start: float = 0.1) -> dict[str, list[float]]:
    """A value multiplied by 3 again and again, with and without tanh, and the gradients with respect to the first."""
    plain = start * 3.0 ** np.arange(steps + 1)
    squashed, gradient = [start], [1.0]
    for _ in range(steps):
        squashed.append(float(np.tanh(3 * squashed[-1])))
        gradient.append(gradient[-1] * 3 * (1 - squashed[-1] ** 2))
    values = {"value": plain.tolist(), "value_with_tanh": squashed}
    return values | {"gradient": (plain / start).tolist(), "gradient_with_tanh": gradient}


def draw_gradients(models: list[dict], positions: int) -> bytes:
    figure = _figure(8, 4.8)
    axes = figure.add_subplot(
        title="How far back does a gradient reach?",
        xlabel="characters back from the prediction",
        ylabel=f"size of the gradient of its log-probability\n(geometric mean of {positions} predictions)",
    )
    for entry in models:
        for when, style in [("before", "--"), ("after", "-")]:
            label = f"{entry['cell_type'].upper()} {when} training"
            distances = np.arange(1, REACH + 1)
            axes.semilogy(distances, entry[when]["gradient"], style, color=COLOURS[entry["cell_type"]], label=label)
    return _png(figure)


def draw_times_three(numbers: dict[str, list[float]]) -> bytes:
    figure = _figure(8, 3.4)
    labels = {"value": "the value", "gradient": "its gradient back to the start"}
    for axes, (name, label) in zip(figure.subplots(1, 2), labels.items(), strict=True):
        axes.set(xlabel="steps", ylabel=label)
        axes.semilogy(numbers[name], "o--", markersize=4, color=COLOURS["rnn"], label="x → 3 x")
        axes.semilogy(numbers[f"{name}_with_tanh"], "o-", markersize=4, color=COLOURS["lstm"], label="x → tanh(3 x)")
    return _png(figure)


def _figure(width: float, height: float):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def _png(figure) -> bytes:
    for axes in figure.axes:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()


def report(
    text: str | Path,
    models: list[str] | None = None,
    *,
    json_path: str | Path,
    png_path: str | Path,
    times_three_png_path: str | Path,
    positions: int = 20,
    seed: int = 0,
) -> None:
    """Measures models before and after training on the middle of a text; writes and prints figures, and draws them.

    The arguments are the verb's (`verbs/vanishing.py`). Raises ValueError: no positions, or too short a text.
    """
    if positions < 1:
        raise ValueError(f"--positions must be at least 1, got {positions}")
    content = Path(text).read_text(encoding="utf-8-sig", errors="replace")
    model_ids: Sequence[str | Path] = models or [packaged_model(name) for name in ("alice_rnn", "alice", "alice_gru")]
    figures: dict[str, Any] = {
        "text": Path(text).name,
        "characters_read": CHARACTERS_READ,
        "predictions": positions,
        "seed": seed,
        "models": [compare_with_untrained(model_id, content, positions, seed) for model_id in model_ids],
        "times_three": multiply_by_three(),
    }
    write_file(json_path, json.dumps(figures, indent=1) + "\n")
    write_file(png_path, draw_gradients(figures["models"], positions))
    write_file(times_three_png_path, draw_times_three(figures["times_three"]))
    for model in figures["models"]:
        for when in ("before", "after"):
            found = model[when]
            products = ", ".join(f"{layer['product_per_step']:.3f}" for layer in found["layers"])
            print(f"{model['cell_type']:4} {when:6}  {REACH} back: {found['gradient'][-1]:.1e}; ", end="")
            print(f"times {found['measured_per_step']:.3f} a step; product of Jacobians, by layer: {products}")
