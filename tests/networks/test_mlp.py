"""Networks of any depth against autograd, run by run: forward map, gradients, factors, dead units."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers import assert_close
from layerwise import optim
from layerwise.methods.base import steps_of
from layerwise.methods.kfac import KFAC
from layerwise.networks.base import Layers
from layerwise.settings.tasks import TASKS
from students import SEEDS, small_batch, small_network, small_task, small_weights

NETWORKS = TASKS["teacher_student"].networks
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


def forward(layers: Layers, x: Tensor, activation: str, normalised: bool) -> list[Tensor]:
    """W a + b of every layer (n, out), of hidden ones after batch-norm, by PyTorch's own functions."""
    outputs, a = [], x
    for place, layer in enumerate(layers):
        h = a @ layer[:, :-1].mT
        if normalised and place < len(layers) - 1:
            h = functional.batch_norm(h, None, None, training=True)
        outputs.append(h + layer[:, -1])
        a = ACTIVATIONS[activation](outputs[-1])
    return outputs


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_loss_and_gradients_are_autograds(name, activation, depth):
    task = small_task(f"task.depth={depth}", f"task.activation={activation}")
    network, weights, batch = (
        small_network(name, task),
        small_weights(task, 3),
        small_batch(task, 7),
    )
    view = network.view(weights, batch)
    for s, v in product(range(len(SEEDS)), range(3)):
        leaves = [layer[s, v].clone().requires_grad_() for layer in weights]
        x = network.prepared(batch).x[s, :-1].mT
        out = forward(leaves, x, activation, name == "bn_hidden")[-1]
        loss = 0.5 * (out - batch.y[s]).square().sum(dim=1).mean()
        assert_close(view.prediction[s, v].mT, out.detach())
        assert_close(view.loss[s, v], loss.detach())
        for found, expected in zip(view.gradients, torch.autograd.grad(loss, leaves), strict=True):
            assert_close(found[s, v], expected)


def test_what_reaches_the_first_layer():
    """x itself, whitened by the true covariance, and standardised by the batch's statistics."""
    task = small_task()
    batch = small_batch(task, 7)
    plain, whitened, standardised = (
        small_network(name, task).prepared(batch).x for name in ("plain", "whitened", "bn_input")
    )
    assert_close(plain[:, :-1].mT, batch.x)
    assert bool((plain[:, -1] == 1).all())
    eye = torch.eye(5, dtype=torch.float64)
    for s, of in enumerate(small_network("plain", task)._whitenings):
        covariance = of.times_covariance_power(eye, 1.0)
        gram = torch.linalg.lstsq(batch.x[s], whitened[s, :-1].mT).solution
        assert_close(gram @ covariance @ gram, eye, 1e-9)
    assert_close(standardised[:, :-1].mean(dim=-1), torch.zeros(2, 5).double() + 1e-300, 1e287)
    assert_close(standardised[:, :-1].var(dim=-1, correction=0), torch.ones(2, 5).double(), 1e-4)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", ["plain", "bn_hidden"])
def test_output_factors_are_of_autograds_jacobians(name, depth):
    """P_l = E J^T J by a layer's W a, sample by sample; statistics are held fixed where they normalise."""
    task = small_task(f"task.depth={depth}", "task.activation=relu")
    network, weights, batch = small_network(name, task), small_weights(task), small_batch(task, 7)
    view, normalised = network.view(weights, batch), name == "bn_hidden"
    for s, place in product(range(len(SEEDS)), range(depth)):
        layers = tuple(layer[s, 0] for layer in weights)
        outputs = forward(layers, batch.x[s], "relu", normalised)
        scales = [torch.ones(task.width).double()] * depth
        if normalised:
            into = [batch.x[s], *(torch.relu(out) for out in outputs)]
            hidden = [a @ W[:, :-1].mT for a, W in zip(into, layers, strict=False)][:depth]
            scales = [(h.var(dim=0, correction=0) + 1e-5).rsqrt() for h in hidden]
        each = [jacobian(layers, outputs, scales, place, n) for n in range(len(batch.x[s]))]
        expected = sum(J.mT @ J for J in each) / len(each)
        assert_close(view.output_moment(place)[s, 0], expected)


def jacobian(
    layers: Layers, outputs: list[Tensor], scales: list[Tensor], place: int, n: int
) -> Tensor:
    """Of f(x) of one sample by the W a of a hidden layer, where ``scales`` normalise."""
    depth = len(layers) - 1

    def rest(shift: Tensor) -> Tensor:
        h = outputs[place][n] + scales[place] * shift
        for above in range(place + 1, depth + 1):
            moved = layers[above][:, :-1] @ (torch.relu(h) - torch.relu(outputs[above - 1][n]))
            h = outputs[above][n] + (scales[above] if above < depth else 1.0) * moved
        return h

    return torch.autograd.functional.jacobian(rest, torch.zeros_like(scales[place]))


def test_one_dead_unit_stops_nobody():
    """Its row of P and of Q is zero: damped, they are inverted; undamped, the run is lost alone."""
    task = small_task("task.activation=relu", "task.depth=1")
    weights, batch = small_weights(task, 2), small_batch(task, 7)
    weights[0][0, 1, 2] = 0.0
    weights[0][0, 1, 2, -1] = -1.0  # of seed 0, variant 1, a unit that is never on
    damped = small_network("plain", task).view(weights, batch)
    assert bool(damped.natural(0).isfinite().all())
    assert float(damped.natural(0)[0, 1, 2].abs().max()) == 0
    undamped = small_network("plain", task.model_copy(update={"output_damping": 0.0}))
    lost = ~undamped.view(weights, batch).natural(0).isfinite().all(dim=-1).all(dim=-1)
    assert lost.tolist() == [[False, True], [False, False]]
    rule = KFAC(steps_of([0.1, 0.2], [0.01], [1.0, 1.0], weights[0]), True, None)
    stepped, _ = rule.step([damped], rule.start(weights))
    assert all(bool(layer.isfinite().all()) for layer in stepped)


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_kfac_is_that_of_the_optimizer(damping):
    """Three steps on three layers with biases. The optimiser's dampings are numbers, the bench's in units
    of a factor's mean diagonal; its layers move at once, so there is an optimiser for each in turn."""
    task = small_task("task.activation=tanh", "task.batch_size=200").model_copy(
        update={"output_damping": damping}
    )
    network, weights = small_network("plain", task), small_weights(task)
    rule = KFAC(steps_of([0.3], [damping], [1.0] * 3, weights[0]), True, None)
    path, memory = weights, rule.start(weights)
    batches = [small_batch(task, 10 * t, n=200) for t in range(3)]
    for batch in batches:
        path, memory = rule.step([network.view(path, batch)], memory)
    for s in range(len(SEEDS)):
        sizes = [(5, 6), (6, 6), (6, 2)]
        linears = [torch.nn.Linear(*size, dtype=torch.float64) for size in sizes]
        model = torch.nn.Sequential(
            linears[0], torch.nn.Tanh(), linears[1], torch.nn.Tanh(), linears[2]
        )
        for linear, layer in zip(linears, weights, strict=True):
            linear.weight.data.copy_(layer[s, 0, :, :-1])
            linear.bias.data.copy_(layer[s, 0, :, -1])
        each = [
            optim.KFAC(model, 0.3, params=one.parameters(), damping=0.0, output_damping=0.0)
            for one in linears
        ]
        for batch in batches:
            for place, optimizer in enumerate(each):
                layers = [torch.cat([one.weight, one.bias[:, None]], dim=1) for one in linears]
                own = tuple(layer.detach().expand(2, 1, -1, -1) for layer in layers)
                view = network.view(own, batch)
                Q = view.inputs(place).matrix[s].squeeze(0)
                optimizer.param_groups[0]["damping"] = damping * float(Q.trace()) / len(Q)
                if place < 2:
                    P = view.output_moment(place)[s, 0]
                    optimizer.param_groups[0]["output_damping"] = (
                        damping * float(P.trace()) / len(P)
                    )
                optimizer.zero_grad()
                error = model(batch.x[s]) - batch.y[s]
                (0.5 * error.square().sum(dim=1).mean()).backward()
                optimizer.step()
        for linear, layer in zip(linears, path, strict=True):
            assert_close(layer[s, 0, :, :-1], linear.weight.detach())
            assert_close(layer[s, 0, :, -1], linear.bias.detach())
