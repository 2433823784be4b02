"""The figures of vanishing gradients come out of the models, and say what autograd says."""

import json

import numpy as np
import pytest
import torch

from char_lstm import cli, inspect_text, normalise
from char_lstm.cells import CELL_STEPS, initial_state, unroll
from char_lstm.inspection.gradients import REACH, READ, gradient_back, times_three, why

CELLS = ["rnn", "lstm", "gru"]


@pytest.fixture
def read(tokenizer, story):
    return normalise(tokenizer, story)[:READ]


def test_the_gradient_is_what_autograd_gives_through_the_models_layers(make_model, tokenizer, read):
    for cell_type in CELLS:
        model = make_model(cell_type=cell_type).double()
        ids = tokenizer.encode(read, add_special_tokens=False)
        vectors = model.get_input_embeddings()(torch.tensor([[1, *ids]])).detach().requires_grad_()
        scores = model(inputs_embeds=vectors).logits[0].log_softmax(dim=1)
        logs = []
        for spot in [REACH, READ - 1]:
            (gradient,) = torch.autograd.grad(scores[spot, ids[spot]], vectors, retain_graph=True)
            logs.append(gradient[0, spot - REACH + 1 : spot + 1].norm(dim=1).log().flip(0).numpy())
        sizes = gradient_back(inspect_text(model, tokenizer, read), positions=2)
        np.testing.assert_allclose(np.log(sizes), np.mean(logs, axis=0), atol=1e-6)


def test_the_product_of_an_rnn_is_that_of_tanh_slopes_and_recurrent_weights(make_model, tokenizer, read):
    model = make_model(cell_type="rnn").double()
    seen = inspect_text(model, tokenizer, read)
    for index, figures in enumerate(why(model, tokenizer, seen)):
        product = np.eye(16)
        for output in seen.cell_state[index, -REACH:]:
            product = np.diag(1 - output**2) @ model.model.layers[index].weight_hh_l0.detach().numpy() @ product
        assert figures["product_per_step"] == pytest.approx(np.linalg.norm(product, 2) ** (1 / REACH))


def test_the_product_of_a_gated_cell_is_that_of_its_jacobians(make_model, tokenizer, read):
    for cell_type in ["lstm", "gru"]:
        model = make_model(cell_type=cell_type).double()
        seen = inspect_text(model, tokenizer, read)
        ids = torch.tensor([1, *tokenizer.encode(read, add_special_tokens=False)])[: len(read)]
        layer = model.model.layers[0]
        inputs = model.get_input_embeddings()(ids).split(1)
        steps = unroll(CELL_STEPS[cell_type], layer, inputs, initial_state(layer, 1))
        state = torch.cat([part.detach() for part in steps[-REACH - 1][: 2 if cell_type == "lstm" else 1]], dim=1)
        product = torch.eye(state.shape[1]).double()
        for x in inputs[-REACH:]:

            def one_step(state, x=x, layer=layer, cell_type=cell_type):
                h, c = state.chunk(2, dim=1) if cell_type == "lstm" else (state, state)
                step = CELL_STEPS[cell_type](layer, x, (h, c))
                return torch.cat([step.output, step.cell_state], dim=1) if cell_type == "lstm" else step.output

            product = torch.autograd.functional.jacobian(one_step, state)[0, :, 0] @ product
            state = one_step(state).detach()
        expected = torch.linalg.matrix_norm(product, 2).item() ** (1 / REACH)
        assert why(model, tokenizer, seen)[0]["product_per_step"] == pytest.approx(expected)


@pytest.mark.parametrize(("cell_type", "keeper"), [("lstm", "forget"), ("gru", "update")])
def test_what_is_kept_is_that_of_the_most_open_gate(make_model, tokenizer, read, cell_type, keeper):
    model = make_model(cell_type=cell_type).double()
    seen = inspect_text(model, tokenizer, read)
    for layer, figures in enumerate(why(model, tokenizer, seen)):
        geometric_means = np.exp(np.log(seen.gates[keeper][layer, -REACH:]).mean(axis=0))
        assert figures["kept_per_step"] == pytest.approx(geometric_means.max())
        assert figures["mean_kept"] == pytest.approx(seen.gates[keeper][layer, -REACH:].mean())


def test_the_weights_and_slopes_are_those_of_the_candidate(make_model, tokenizer, read):
    for cell_type in CELLS:
        model = make_model(cell_type=cell_type).double()
        seen = inspect_text(model, tokenizer, read)
        block = model.model.layers[1].weight_hh_l0.detach()[{"rnn": slice(0, 16)}.get(cell_type, slice(32, 48))]
        tanh = seen.gates["candidate"] if cell_type != "rnn" else seen.cell_state
        figures = why(model, tokenizer, seen)[1]
        assert figures["spectral_radius"] == pytest.approx(torch.linalg.eigvals(block).abs().max().item())
        assert figures["largest_singular_value"] == pytest.approx(torch.linalg.svdvals(block)[0].item())
        assert figures["mean_tanh_slope"] == pytest.approx((1 - tanh[1, -REACH:] ** 2).mean())


def test_a_value_multiplied_by_three_explodes_and_under_tanh_its_gradient_vanishes():
    numbers = times_three(steps=12)
    x = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    y = x
    for _ in range(12):
        y = torch.tanh(3 * y)
    assert numbers["value"][-1] == pytest.approx(0.1 * 3**12)
    assert numbers["gradient"][-1] == pytest.approx(3**12)
    assert numbers["value_with_tanh"][-1] == pytest.approx(y.item())
    assert numbers["gradient_with_tanh"][-1] == pytest.approx(torch.autograd.grad(y, x)[0].item())


@pytest.fixture
def options(make_model, tokenizer, story, tmp_path):
    (tmp_path / "story.txt").write_text(story, encoding="utf-8")
    for cell_type in CELLS:
        make_model(cell_type=cell_type).save_pretrained(tmp_path / cell_type)
        tokenizer.save_pretrained(tmp_path / cell_type)
    results = {name: str(tmp_path / "results" / name) for name in ("json", "png", "times_three_png")}
    return {"text": str(tmp_path / "story.txt"), "positions": 3} | results


def run(options, models):
    arguments = [argument for name, value in options.items() for argument in (f"--{name}", str(value))]
    cli.run("vanishing", [*arguments, "--models", *models])


def test_one_run_gives_two_figures_and_their_numbers(options, tmp_path):
    run(options, [str(tmp_path / cell_type) for cell_type in CELLS])
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["json", "png", "times_three_png"]
    for name in ("png", "times_three_png"):
        assert (tmp_path / "results" / name).read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((tmp_path / "results" / "json").read_text(encoding="utf-8"))
    assert [entry["cell_type"] for entry in numbers["models"]] == CELLS
    for entry in numbers["models"]:
        for when in ("before", "after"):
            gradient = np.array(entry[when]["gradient"])
            assert gradient.shape == (REACH,)
            assert (gradient > 0).all()
            steps = (gradient[199] / gradient[99]) ** (1 / 100)
            assert entry[when]["measured_per_step"] == pytest.approx(steps, rel=1e-4)
            assert len(entry[when]["layers"]) == 2
        assert entry["before"]["gradient"] != entry["after"]["gradient"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": "no/such.txt"}, "no/such.txt"),
        ({"positions": "0"}, "--positions must be at least 1"),
        ({"text": "short"}, "characters after normalising"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(options, tmp_path, monkeypatch, capsys, change, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("a short text", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        run(options | change, [str(tmp_path / "lstm")])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "results").exists()
