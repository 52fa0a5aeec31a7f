"""One contract over all pairs of a rule and a network: where the network offers what the rule needs, a step
is the rule's textbook form on autograd's derivatives; where it does not, the pair is refused.
"""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import NamedTuple

import pytest
import pytorch_optimizer
import torch
from torch import Tensor

from helpers import assert_close, composed, population, random
from layerwise.data.moments import Moments
from layerwise.data.single_index import Batch, draw_instance
from layerwise.methods.base import load_rule, rule_class, steps_of
from layerwise.networks.activations import ACTIVATIONS
from layerwise.networks.base import Layers, Network, NotOfferedError
from layerwise.networks.linear import NETWORKS
from layerwise.networks.single_index import SingleIndexNetwork
from layerwise.settings.method import MethodSettings
from layerwise.settings.rule import rule_card
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import ConfigError
from students import small_batch, small_network, small_task, small_weights

SEEDS, LRS, BATCH = (0, 1), (0.05, 0.2), 24
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
KFAC = {"precondition_outputs": True, "lr_head": None}
MUON = {"momentum": 0.95, "newton_schulz_steps": 5, "bfloat16": False}
NESTEROV = {"optimizer": "torch.optim.SGD", "momentum": 0.9, "nesterov": True}
# Every rule with its options and damping values.
RULES = {
    "sgd.SGD": ({}, ()),
    "momentum.Momentum": ({"momentum": 0.9}, ()),
    "adam.Adam": (ADAM, ()),
    "spectral.SpectralDescent": ({}, ()),
    "muon.Muon": (MUON, ()),
    "muon.Muon in bfloat16": (MUON | {"bfloat16": True}, ()),
    "shampoo.Shampoo": ({"epsilon": 1e-6}, ()),
    "torch_optimizer.TorchOptimizer": (NESTEROV, ()),
    "kfac.KFAC": (KFAC | {"precondition_outputs": False}, (0.1, 0.5)),
    "kfac.KFAC with P": (KFAC, (0.1, 0.5)),
    "kfac.KFAC of the first layer": (
        KFAC | {"precondition_outputs": False, "first_layer_only": True},
        (0.1, 0.5),
    ),
    "kfac.KFAC averaged": (KFAC | {"precondition_outputs": False, "factor_decay": 0.8}, (0.1, 0.5)),
    "dfw.DFW": ({}, (0.1, 0.5)),
    "amgd.AMGD": ({}, ()),
    "gauss_newton.GaussNewton": ({}, (0.1, 0.5)),
    "newton.Newton": ({}, (5.0, 10.0)),
}


class Family(NamedTuple):
    """A network, its weights for two seeds, its batches, and what it computes for one run.

    ``forward`` takes a run's layers, what reaches the first one, and the seed to the layers' inputs and
    f(x) (n, d_y); ``data`` a seed's part of a batch to what reaches the first layer and y (n, d_y).
    ``damped`` tells whether the readout is damped as the other layers are, ``biases`` whether layers are
    [W b] with tanh between them, and ``power`` is the unit of Gauss-Newton's damping of the first layer for
    a run.
    """

    network: Network
    weights: Layers
    batches: list[list]
    data: Callable[[object, int], tuple[Tensor, Tensor]]
    forward: Callable[[Layers, Tensor, int], tuple[list[Tensor], Tensor]]
    damped: bool = False
    biases: bool = False
    power: Callable[[Layers, int], float] = lambda layers, seed: 1.0


def linear_family(name: str) -> Family:
    of = population(SEEDS)
    s, k, d_x = of.features.shape
    d_y = of.head.shape[1]
    raw = [
        [
            (
                random(s, BATCH, d_x, seed=10 * t + b) + 0.3,
                random(s, BATCH, d_y, seed=50 + 10 * t + b),
            )
            for b in range(2)
        ]
        for t in range(3)
    ]
    moments = [[Moments.of_batch(*batch) for batch in step] for step in raw]
    kept = {
        id(m): batch for own, step in zip(moments, raw, strict=True)
        for m, batch in zip(own, step, strict=True)
    }  # fmt: skip
    whitening = of.covariance_power(-0.5)

    def data(batch: object, seed: int) -> tuple[Tensor, Tensor]:
        x, y = (part[seed] for part in kept[id(batch)])
        if name == "whitened":
            x = x @ whitening[seed]
        if name == "bn_input":
            x = torch.nn.BatchNorm1d(d_x, affine=False, dtype=x.dtype)(x)
        return x, y

    def forward(layers: Layers, x: Tensor, seed: int) -> tuple[list[Tensor], Tensor]:
        z = x @ layers[0].mT
        if name == "bn_hidden":
            z = torch.nn.BatchNorm1d(k, affine=False, dtype=x.dtype)(z)
        return [x, z], z @ layers[1].mT

    weights = random(s, 1, k, d_x, seed=1) / 2, random(s, 1, d_y, k, seed=2) / 2
    return Family(NETWORKS[name](of), weights, moments, data, forward)


def single_index_family(name: str, layers: str) -> Family:
    task = composed(
        "task=single_index", "task.d=5", "task.width=6", "task.activation=tanh",
        "task.kappa_x=10", f"task.layers={layers}", "task.readout_scale=1.0",
    ).task  # fmt: skip
    instances = [draw_instance(task, seed) for seed in SEEDS]
    network = SingleIndexNetwork(name, task, instances)
    readout = torch.stack([one.readout for one in instances])[:, None, None]
    features = torch.stack([one.features for one in instances])[:, None]
    weights = (features, readout) if layers == "both" else (features,)

    def drawn(t: int) -> Batch:
        x, y = random(2, BATCH, 5, seed=3 * t) + 0.3, random(2, BATCH, seed=3 * t + 1)
        return Batch(lambda: (x, y))

    batches = [[drawn(t)] * 2 for t in range(3)]

    def data(batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        x, instance = batch.x[seed], instances[seed]
        if name == "whitened":
            x = x @ (instance.eigenvectors / instance.eigenvalues.sqrt()) @ instance.eigenvectors.mT
        if name == "bn_input":
            x = torch.nn.BatchNorm1d(5, affine=False, dtype=x.dtype)(x)
        return x, batch.y[seed][:, None]

    def head(own: Layers, seed: int) -> Tensor:
        return own[1] if layers == "both" else readout[seed, 0]

    def forward(own: Layers, x: Tensor, seed: int) -> tuple[list[Tensor], Tensor]:
        hidden = x @ own[0].mT
        if name == "bn_hidden":
            hidden = torch.nn.BatchNorm1d(6, affine=False, dtype=x.dtype)(hidden)
        z = torch.tanh(hidden)
        return [x, z][: len(own)], z @ head(own, seed).mT

    def power(own: Layers, seed: int) -> float:
        return float(head(own, seed).square().sum())

    return Family(network, weights, batches, data, forward, damped=True, power=power)


def with_one(h: Tensor) -> Tensor:
    """[tanh(h); 1] of the last axis."""
    return torch.cat([torch.tanh(h), torch.ones_like(h[..., :1])], dim=-1)


def student_family(name: str) -> Family:
    """Three layers with biases; P is not damped."""
    task = small_task("task.activation=tanh").model_copy(update={"output_damping": 0.0})
    network = small_network(name, task)

    def data(batch: object, seed: int) -> tuple[Tensor, Tensor]:
        return network.prepared(batch).x[seed].mT, batch.y[seed]

    def forward(layers: Layers, x: Tensor, seed: int) -> tuple[list[Tensor], Tensor]:
        inputs = [x]
        for layer in layers[:-1]:
            h = inputs[-1] @ layer.mT
            if name == "bn_hidden":
                h = inputs[-1][:, :-1] @ layer[:, :-1].mT
                h = torch.nn.BatchNorm1d(6, affine=False, dtype=x.dtype)(h) + layer[:, -1]
            inputs.append(with_one(h))
        return inputs, inputs[-1] @ layers[-1].mT

    batches = [[small_batch(task, 5 * t)] * 2 for t in range(3)]
    return Family(network, small_weights(task), batches, data, forward, damped=True, biases=True)


FAMILIES: dict[str, Callable[[], Family]] = {
    **{f"linear {name}": (lambda name=name: linear_family(name)) for name in NETWORKS},
    **{
        f"single_index {name}, {layers}": (
            lambda name=name, layers=layers: single_index_family(name, layers)
        )
        for name in TASKS["single_index"].networks
        for layers in ("first", "both")
    },
    **{
        f"teacher_student {name}": (lambda name=name: student_family(name))
        for name in TASKS["teacher_student"].networks
    },
}


@cache
def offered(name: str) -> frozenset[str]:
    """What a family's network offers; made once, since every pair asks for it when tests are collected."""
    return FAMILIES[name]().network.offers


class Textbook:
    """One run of a rule by autograd and dense algebra: ``step`` takes its layers and the step's batches."""

    def __init__(self, family: Family, seed: int, lr: float, damping: float, options: dict) -> None:
        self.forward = lambda layers, x: family.forward(layers, x, seed)
        self.family, self.seed, self.lr, self.damping = family, seed, lr, damping
        self.options, self.memory, self.count = options, [], 0

    def loss(self, layers: Layers, batch: object) -> Tensor:
        x, y = self.family.data(batch, self.seed)
        return 0.5 * (y - self.forward(layers, x)[1]).square().sum(dim=1).mean()

    def gradients(self, layers: Layers, batch: object) -> Layers:
        leaves = tuple(layer.detach().clone().requires_grad_() for layer in layers)
        return torch.autograd.grad(self.loss(leaves, batch), leaves)

    def moved(self, layers: Layers, directions: Layers) -> Layers:
        return tuple(w - self.lr * d for w, d in zip(layers, directions, strict=True))

    def SGD(self, layers: Layers, batches: list) -> Layers:
        return self.moved(layers, self.gradients(layers, batches[0]))

    def SpectralDescent(self, layers: Layers, batches: list) -> Layers:
        parts = [
            torch.linalg.svd(g, full_matrices=False) for g in self.gradients(layers, batches[0])
        ]
        return self.moved(layers, tuple(s.sum() * U @ Vh for U, s, Vh in parts))

    def _optimizer(self, layers: Layers, batches: list, make: Callable) -> Layers:
        if not self.memory:
            self.memory = [torch.nn.Parameter(layer.clone()) for layer in layers]
            self.optimizer = make(self.memory)
        for parameter, gradient in zip(
            self.memory, self.gradients(tuple(self.memory), batches[0]), strict=True
        ):
            parameter.grad = gradient
        self.optimizer.step()
        return tuple(parameter.detach().clone() for parameter in self.memory)

    def Momentum(self, layers: Layers, batches: list) -> Layers:
        make = lambda p: torch.optim.SGD(p, lr=self.lr, momentum=0.9)  # noqa: E731
        return self._optimizer(layers, batches, make)

    def Adam(self, layers: Layers, batches: list) -> Layers:
        return self._optimizer(layers, batches, lambda p: torch.optim.Adam(p, lr=self.lr))

    def TorchOptimizer(self, layers: Layers, batches: list) -> Layers:
        make = lambda p: torch.optim.SGD(p, lr=self.lr, momentum=0.9, nesterov=True)  # noqa: E731
        return self._optimizer(layers, batches, make)

    def Shampoo(self, layers: Layers, batches: list) -> Layers:
        return self._optimizer(layers, batches, lambda p: pytorch_optimizer.Shampoo(p, lr=self.lr))

    def Muon(self, layers: Layers, batches: list) -> Layers:
        if self.options["bfloat16"]:
            make = lambda p: torch.optim.Muon(p, lr=self.lr, weight_decay=0.0)  # noqa: E731
            return self._optimizer(layers, batches, make)
        self.memory = self.memory or [torch.zeros_like(layer) for layer in layers]
        moves = []
        for place, gradient in enumerate(self.gradients(layers, batches[0])):
            self.memory[place] = 0.95 * self.memory[place] + 0.05 * gradient
            ahead = 0.95 * self.memory[place] + 0.05 * gradient
            U, s, Vh = torch.linalg.svd(ahead, full_matrices=False)
            s = s / s.norm()
            for _ in range(5):  # what the quintic does to singular values
                s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
            moves.append(max(1, len(gradient) / gradient.shape[1]) ** 0.5 * (U * s) @ Vh)
        return self.moved(layers, tuple(moves))

    def KFAC(self, layers: Layers, batches: list) -> Layers:
        batch, decay = batches[0], self.options.get("factor_decay", 0.0)
        x, _ = self.family.data(batch, self.seed)
        self.memory = self.memory or [[] for _ in layers]
        layers, count = list(layers), len(layers)
        for place in range(count):
            a = self.forward(tuple(layers), x)[0][place]
            Q = a.mT @ a / len(a)
            readout = place == count - 1 and count > 1
            if not readout:
                self.memory[place].append(Q)
                ages = [decay**age for age in reversed(range(len(self.memory[place])))]
                Q = sum(w * m for w, m in zip(ages, self.memory[place], strict=True)) / sum(ages)
            damping = self.damping * Q.trace() / len(Q)
            if readout and not self.family.damped:
                damping = 0.0
            gradient = self.gradients(tuple(layers), batch)[place]
            if self.options["precondition_outputs"] and place < count - 1:
                gradient = torch.linalg.solve(self._outputs(tuple(layers), x, place), gradient)
            damped = Q + damping * torch.eye(len(Q), dtype=Q.dtype)
            if place and self.options.get("first_layer_only"):
                damped = torch.eye(len(Q), dtype=Q.dtype)
            layers[place] = layers[place] - self.lr * gradient @ damped.inverse()
        return tuple(layers)

    def _outputs(self, layers: Layers, x: Tensor, place: int) -> Tensor:
        """P = E J^T J, with J the Jacobian of f by a layer's outputs, sample by sample."""
        bend = with_one if self.family.biases else lambda h: h
        total = 0.0
        for a in self.forward(layers, x)[0][place]:

            def rest(h: Tensor) -> Tensor:
                for layer in layers[place + 1 :]:
                    h = layer @ bend(h)
                return h

            J = torch.autograd.functional.jacobian(rest, layers[place] @ a)
            total = total + J.mT @ J
        return total / len(x)

    def DFW(self, layers: Layers, batches: list, whiten: bool = True) -> Layers:
        x, _ = self.family.data(batches[0], self.seed)
        direction = self.gradients(layers, batches[0])[0]
        if whiten:
            Q = x.mT @ x / len(x)
            damping = self.damping * Q.trace() / len(Q)
            direction = direction @ (Q + damping * torch.eye(len(Q), dtype=x.dtype)).inverse()
        G = torch.linalg.qr((layers[0] - self.lr * direction).mT).Q.mT
        x, y = self.family.data(batches[1], self.seed)
        return G, torch.linalg.lstsq(x @ G.mT, y).solution.mT

    def AMGD(self, layers: Layers, batches: list) -> Layers:
        return self.DFW(layers, batches, whiten=False)

    def _flat(self, layers: Layers) -> Tensor:
        return torch.cat([layer.flatten() for layer in layers])

    def _layers(self, flat: Tensor, like: Layers) -> Layers:
        parts = flat.split([layer.numel() for layer in like])
        return tuple(part.view_as(layer) for part, layer in zip(parts, like, strict=True))

    def GaussNewton(self, layers: Layers, batches: list) -> Layers:
        x, _ = self.family.data(batches[0], self.seed)
        flat = self._flat(layers)
        J = torch.autograd.functional.jacobian(
            lambda w: self.forward(self._layers(w, layers), x)[1], flat
        )
        J = J.reshape(-1, len(flat))
        units = torch.ones_like(flat)
        units[: layers[0].numel()] = self.family.power(layers, self.seed)
        H = J.mT @ J / len(x)
        damping = self.damping * (H.diagonal() / units).mean()
        damped = H + damping * torch.diag(units)
        step = torch.linalg.solve(damped, self._flat(self.gradients(layers, batches[0])))
        return self._layers(flat - self.lr * step, layers)

    def Newton(self, layers: Layers, batches: list) -> Layers:
        flat = self._flat(layers)
        H = torch.autograd.functional.hessian(
            lambda w: self.loss(self._layers(w, layers), batches[0]), flat
        )
        damping = self.damping * H.diagonal().abs().mean()
        damped = H + damping * torch.eye(len(flat), dtype=flat.dtype)
        step = torch.linalg.solve(damped, self._flat(self.gradients(layers, batches[0])))
        return self._layers(flat - self.lr * step, layers)


def settings(rule: str) -> MethodSettings:
    options, damping = RULES[rule]
    return MethodSettings(
        name="tested", rule=rule.split(" ")[0], network="plain", lr=list(LRS),
        damping=list(damping), options=options,
    )  # fmt: skip


def lacking(rule: str, offers: frozenset[str]) -> set[str]:
    """What a rule needs and is not offered."""
    method = settings(rule)
    extra = {n for o, n in method.card.option_needs.items() if method.options.get(o)}
    return ({*method.card.needs} | extra) - offers


def loaded(rule: str, family: Family):
    """The rule on a family's layers, with step sizes as they stand."""
    method = settings(rule)
    units = [1.0] * len(family.weights)
    return load_rule(method, steps_of(method.lr, method.damping, units, family.weights[0]))


PAIRS = list(product(RULES, FAMILIES))


@pytest.mark.parametrize(
    ("rule", "name"), [pair for pair in PAIRS if not lacking(pair[0], offered(pair[1]))]
)  # fmt: skip
def test_an_offered_pair_steps_by_the_textbook(rule, name):
    """Three steps of every seed and variant, which share their weights at first."""
    family, (options, dampings) = FAMILIES[name](), RULES[rule]
    tested = loaded(rule, family)
    weights, memory = family.weights, tested.start(family.weights)
    paths = []
    for batches in family.batches:
        views = [family.network.view(weights, one) for one in batches[: tested.batches]]
        weights, memory = tested.step(views, memory)
        paths.append(weights)
    variants = list(product(dampings or (0.0,), LRS))
    for s, (v, (damping, lr)) in product(range(2), enumerate(variants)):
        textbook = Textbook(family, s, lr, damping, options)
        layers = tuple(layer[s, 0] for layer in family.weights)
        for batches, found in zip(family.batches, paths, strict=True):
            method = settings(rule).rule.split(".")[1]
            layers = getattr(textbook, method)(layers, batches)
            own = [layer[s, v] for layer in found]
            if method in ("DFW", "AMGD"):  # up to the features' basis
                assert_close(own[1] @ own[0], layers[1] @ layers[0], 1e-8)
                assert_close(own[0].mT @ own[0], layers[0].mT @ layers[0], 1e-8)
            else:
                # bfloat16 rounds the last bits of the gradients away.
                tolerance = 2e-2 if options.get("bfloat16") else 1e-8
                for actual, expected in zip(own, layers, strict=True):
                    assert_close(actual, expected, tolerance)


@pytest.mark.parametrize(
    ("rule", "name"), [pair for pair in PAIRS if lacking(pair[0], offered(pair[1]))]
)  # fmt: skip
def test_a_pair_without_the_need_is_refused(rule, name):
    """By the view that is asked, and for the networks of a task by the settings, before any run."""
    family = FAMILIES[name]()
    tested = loaded(rule, family)
    if lacking(rule, family.network.offers) != {"linear"}:
        with pytest.raises((NotOfferedError, IndexError)) as refusal:
            views = [family.network.view(family.weights, one) for one in family.batches[0]]
            tested.step(views[: tested.batches], tested.start(family.weights))
        assert refusal.type is NotOfferedError or len(family.weights) == 1
    task, network = name.split(",")[0].split(" ")
    task = {"linear": "linear_representation"}.get(task, task)
    options = {k: "null" if v is None else str(v).lower() for k, v in RULES[rule][0].items()}
    with pytest.raises(ConfigError, match="tested needs .* which this network has not"):
        composed(
            f"task={task}", "method=sgd", "method.name=tested", f"method.network={network}",
            f"method.rule={settings(rule).rule}", f"method.damping={list(RULES[rule][1])}",
            *(f"+method.options.{key}={value}" for key, value in options.items()),
        )  # fmt: skip


def test_every_rule_and_every_offer_is_in_the_contract():
    from layerwise.settings.rule import _known

    assert {rule.split(" ")[0] for rule in RULES} == set(_known())
    for rule in RULES:
        card, made = rule_card(rule.split(" ")[0]), rule_class(settings(rule))
        for key in ("needs", "batches", "scale", "takes_damping", "option_needs", "where_offered"):
            assert getattr(card, key) == getattr(made, key)  # what plans read is what runs
    for name, task in TASKS.items():
        for network, offers in task.networks.items():
            family = {"linear_representation": "linear", "digits": "teacher_student"}.get(
                name, name
            )
            key = f"{family} {network}" + (", both" if name == "single_index" else "")
            assert FAMILIES[key]().network.offers == offers


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["single_index plain, both", "single_index bn_hidden, both"])
def test_every_activations_gradient_is_autograds(name, activation):
    family = FAMILIES[name]()
    network = family.network
    network._activation = ACTIVATIONS[activation]
    batch = family.batches[0][0]
    view = network.view(family.weights, batch)
    for s in range(2):
        leaves = [layer[s, 0].clone().requires_grad_() for layer in family.weights]
        hidden = batch.x[s] @ leaves[0].mT
        if "bn_hidden" in name:
            hidden = torch.nn.BatchNorm1d(6, affine=False, dtype=hidden.dtype)(hidden)
        prediction = ACTIVATIONS[activation].value(hidden) @ leaves[1][0]
        loss = 0.5 * (batch.y[s] - prediction).square().mean()
        assert_close(view.loss[s, 0], loss.detach())
        for found, expected in zip(view.gradients, torch.autograd.grad(loss, leaves), strict=True):
            assert_close(found[s, 0], expected)
