"""Any torch optimiser as an update rule: it walks its own path, runs keep apart, bad names are refused."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import (
    Stepper,
    Weights,
    assert_close,
    method_settings,
    population,
    random_batch,
    random_weights,
    run,
    small_settings,
)
from layerwise import simulate
from layerwise.data.moments import Moments
from layerwise.methods.base import load_rule, steps_of
from layerwise.settings.validation import ConfigError
from layerwise.tasks import loop
from textbook import Textbook, forwards

plain = forwards(torch.eye(6, dtype=torch.float64))["plain"]
RULE = "torch_optimizer.TorchOptimizer"
# The base class, one that needs a closure and one for sparse gradients.
UNUSABLE = {"Optimizer", "LBFGS", "SparseAdam"}
OPTIMIZERS = [
    *(
        (f"torch.optim.{name}", {})
        for name, value in sorted(vars(torch.optim).items())
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and name not in UNUSABLE
    ),
    ("torch.optim.SGD", {"momentum": 0.9, "nesterov": True}),
    ("torch.optim.Adam", {"betas": [0.6, 0.8], "foreach": True}),
    ("pytorch_optimizer.Shampoo", {}),
    ("pytorch_optimizer.Lion", {}),
    ("pytorch_optimizer.Prodigy", {"d0": 0.01}),  # one scalar for both layers
]
LRS = [0.01, 0.05]


def method_of(optimizer, weights, lrs=LRS, **settings):
    of = population(seeds=(3, 7))
    return of, Stepper(method_settings(RULE, lrs, optimizer=optimizer, **settings), of, weights)


@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
def test_every_run_is_the_class_itself_alone(optimizer, settings):
    """Ten steps of 2 seeds and 2 step sizes: the class on autograd's gradients, to 1e-9."""
    of = population(seeds=(3, 7))
    start = weights = random_weights(of, len(LRS))
    of, method = method_of(optimizer, start, **settings)
    batches = [random_batch(of, 16, seed=10 * t) for t in range(10)]
    for batch in batches:
        weights = method.step(weights, [Moments.of_batch(*batch)])
    for s, (v, lr) in product(range(2), enumerate(LRS)):
        textbook = Textbook(RULE, plain, lr, 0.0, optimizer=optimizer, **settings)
        G, F = start.features[s, v], start.head[s, v]
        for x, y in batches:
            G, F = textbook.step(G, F, [(x[s], y[s])])
        assert_close(weights.features[s, v], G, 1e-9)
        assert_close(weights.head[s, v], F, 1e-9)
        assert (G - start.features[s, v]).abs().max() > 1e-5  # it went somewhere


def test_a_list_is_passed_on_as_a_tuple():
    """QHAdam tells its two factors from one number by the type tuple, which YAML does not have."""
    method = method_of("pytorch_optimizer.QHAdam", random_weights(population(), 2), nus=[0.7, 1.0])[
        1
    ]
    assert method.rule.start(random_weights(population(), 2))[0].optimizer.defaults["nus"] == (
        0.7,
        1.0,
    )


def test_a_step_starts_from_the_weights_that_it_is_given_and_returns_copies():
    """SGD from other weights than its last goes from there; what it returned before stays."""
    of = population(seeds=(3, 7))
    weights, others = random_weights(of, 2), random_weights(of, 2, seed=9)
    of, method = method_of("torch.optim.SGD", weights)
    _, fresh = method_of("torch.optim.SGD", others)
    batch = [Moments.of_batch(*random_batch(of, 16, seed=0))]
    first = method.step(weights, batch)
    copies = [part.clone() for part in first]
    second = method.step(others, batch)
    assert all(map(torch.equal, first, copies))
    assert all(map(torch.equal, second, fresh.step(others, batch)))


def test_a_run_whose_linear_algebra_fails_is_lost_alone():
    """Shampoo's decomposition raises on infinite sums: that run is NaN from then on, even from
    good weights, and the others keep every bit."""
    of = population(seeds=(3, 7))
    start = random_weights(of, 2)
    batches = [random_batch(of, 16, seed=10 * t) for t in range(3)]
    huge = start.features.clone()
    huge[0, 0] = 1e200
    textbook = Textbook(RULE, plain, LRS[0], 0.0, optimizer="pytorch_optimizer.Shampoo")
    with pytest.raises(torch.linalg.LinAlgError):
        textbook.step(huge[0, 0], start.head[0, 0], [(batches[0][0][0], batches[0][1][0])])
    paths = []
    for features in (start.features, huge):
        _, method = method_of("pytorch_optimizer.Shampoo", start)
        weights = Weights(features, start.head)
        for batch in batches:
            stepped = method.step(weights, [Moments.of_batch(*batch)])
            bad = stepped.features.isnan().any(-1, keepdim=True).any(-2, keepdim=True)
            weights = Weights(
                torch.where(bad, start.features, stepped.features),
                torch.where(bad, start.head, stepped.head),
            )
        paths.append(stepped)
    calm, broken = (torch.cat([part.flatten(2) for part in path], dim=2) for path in paths)
    assert broken[0, 0].isnan().all()
    assert torch.equal(calm.flatten(0, 1)[1:], broken.flatten(0, 1)[1:])


@pytest.mark.parametrize("method", ["muon", "shampoo", "soap"])
def test_a_diverging_run_in_single_precision_does_not_disturb_its_neighbour(method, monkeypatch):
    """float32 overflows inside the optimisers; a whole run beside it keeps every bit."""
    monkeypatch.setattr(loop, "LOOK_EVERY", 1000)
    calm, wild = (
        run(method, f"method.lr=[0.1,{lr}]", "dtype=float32", "steps=6") for lr in (0.2, 1e30)
    )
    assert (wild[wild.lr > 1].diverged_at <= 2).all()
    pd.testing.assert_frame_equal(
        calm[calm.lr < 0.15].reset_index(drop=True),
        wild[wild.lr < 0.15].reset_index(drop=True),
        check_exact=True,
    )


def test_both_sides_of_both_layers_are_preconditioned():
    """SOAP's state holds a square matrix for each side of each layer, at the default dimensions."""
    of = population(seeds=(0,), d_x=100, d_y=15, rank=8)
    settings = small_settings("soap", "method.lr=0.1").method
    weights = random_weights(of, 1)
    stepper = Stepper(settings, of, weights)
    stepper.step(weights, [Moments.of_batch(*random_batch(of, 200, seed=0))])
    (lone,) = stepper.memory
    for parameter in lone.parameters:
        factors = lone.optimizer.state[parameter]["GG"]
        assert [tuple(factor.shape) for factor in factors] == [(n, n) for n in parameter.shape]
        assert all(factor.any() for factor in factors)


def refusal(*overrides):
    """The sentence that refuses a small run."""
    with pytest.raises(ConfigError) as caught:
        settings = small_settings("soap", *overrides).method
        load_rule(settings, steps_of(settings.lr, [], [1.0, 1.0], torch.zeros(1).double()))
    return str(caught.value)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        ("torch.optim.Moun", "Optimizer class of torch.optim, did you mean 'Muon'?"),
        ("torch.optim.lr_scheduler.StepLR", "allowed is a torch.optim.Optimizer class of"),
        ("torch.optim.nothing.Adam", "torch.optim.nothing cannot be imported"),
        ("torch.optim.Optimizer", "allowed are optimisers that take lr"),
        ("torch.optim.LBFGS", "required positional argument: 'closure'"),
        ("torch.optim.SparseAdam", "SparseAdam does not support dense gradients"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_used_is_refused(optimizer, sentence):
    text = refusal("~method.options.weight_decay", f"method.options.optimizer={optimizer}")
    assert text.startswith(f"method.options.optimizer = '{optimizer}' is not allowed")
    assert sentence in text


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["+method.options.momentun=0.9"], "method.options.momentun = 0.9 is not allowed: "
                                          "pytorch_optimizer.SOAP takes betas, shampoo_beta, weight_decay"),
        (["+method.options.shampo_beta=0.9"], "did you mean 'shampoo_beta'?"),
        (["method.options.optimizer=torch.optim.Muon", "+method.options.lr=0.1"],
         "method.options.lr = 0.1 is not allowed"),
        (["+method.options.kwargs=1"],
         "method.options.kwargs = 1 is not allowed"),
        (["method.options.optimizer=torch.optim.Muon", "+method.options.adjust_lr_fn=wrong"],
         "Adjust learning rate function wrong is not supported"),
    ],
)  # fmt: skip
def test_a_keyword_that_the_class_does_not_take_is_refused(overrides, sentence):
    """Also where the class would swallow it, as pytorch_optimizer's **kwargs do."""
    assert sentence in refusal(*overrides)


@pytest.mark.parametrize(
    "optimizer", ["this.Zen", "torch.optimistic.Muon", "torch.optim", "torch.nn.Linear"]
)
def test_nothing_is_imported_from_other_packages(optimizer):
    text = refusal(f"method.options.optimizer={optimizer}")
    assert text.startswith(
        f"method.options.optimizer = '{optimizer}' is not allowed: allowed is a class of torch.optim, "
        "pytorch_optimizer (the key optimizer_packages lists the packages)"
    )
    assert "this" not in sys.modules


def test_another_package_is_allowed_by_the_key(tmp_path, monkeypatch):
    """A class of one's own trains once its package is listed; elsewhere it is SGD."""
    code = "import torch\nclass Mine(torch.optim.SGD):\n    pass\n"
    (tmp_path / "my_optimizers.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    table = run(
        "soap",
        "method.lr=0.1",
        "method.options.optimizer=my_optimizers.Mine",
        "optimizer_packages=[my_optimizers]",
    )
    expected = run("sgd", "method.lr=0.1")
    assert np.allclose(table.excess_loss, expected.excess_loss, rtol=1e-10)


def test_the_app_refuses_with_one_sentence(tmp_path: Path, monkeypatch, capsys) -> None:
    words = ["method=soap", "task.d_x=8", "task.d_y=8", "method.options.optimizer=torch.optim.Moun"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["simulate", *words])
    with pytest.raises(SystemExit) as ended:
        simulate.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: method.options.optimizer = 'torch.optim.Moun'")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
