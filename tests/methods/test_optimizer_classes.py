"""Optimisers that users bring: found by any path, used as they mean to be, lost alone, or refused."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from helpers import SMALL, assert_close, random, run, small_settings
from layerwise.methods.base import load_rule, steps_of
from layerwise.methods.torch_optimizer import TRIED_STEPS, TorchOptimizer
from layerwise.networks.base import View
from layerwise.notebook import run as run_one
from layerwise.planning.plan import plan
from layerwise.settings.validation import ConfigError

LAZY = """
def __dir__():
    return ["Lazy"]

def __getattr__(name):
    if name == "Lazy":
        from outside_optimizers.core import Lazy
        return Lazy
    raise AttributeError(name)
"""
CORE = """
import torch

class Lazy(torch.optim.SGD):
    pass

class PassesOn(torch.optim.SGD):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)

class TakesOut(torch.optim.Optimizer):
    def __init__(self, weights, **kwargs):
        super().__init__(weights, {"lr": kwargs.pop("lr"), "power": kwargs.pop("power", 1.0)})
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(group["lr"] * p.grad)

class Swallows(torch.optim.SGD):
    def __init__(self, params, lr, **kwargs):
        super().__init__(params, lr)

class NoStepSize(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, 0.1)

class NeedsTheModel(torch.optim.SGD):
    def __init__(self, params, model, lr):
        super().__init__(params, lr)

class NeedsAClosure(torch.optim.SGD):
    def step(self, closure):
        return closure()

class OneShape(torch.optim.SGD):
    def step(self):
        torch.stack([p.grad for p in self.param_groups[0]["params"]])

class Inert(torch.optim.SGD):
    def step(self):
        pass

class Noisy(torch.optim.SGD):
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.data.add_(torch.randn_like(p))

class SmallSteps(torch.optim.SGD):
    def __init__(self, params, lr):
        if lr > 1:
            raise ValueError("steps of at most one")
        super().__init__(params, lr)

class OwnGroups(torch.optim.SGD):
    def __init__(self, params, lr):
        for group in params:
            if "rank" not in group:
                raise ValueError("`rank` must be set")
        super().__init__(params, lr)

class Starting(torch.optim.SGD):
    "Moves from its sixth step on."
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.calls = 0
    def step(self):
        self.calls += 1
        if self.calls > 5:
            super().step()

class Raises(torch.optim.SGD):
    "Gives up after its twentieth step where its lr is 0.04."
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.calls = 0
    def step(self):
        self.calls += 1
        if self.calls > 20 and self.param_groups[0]["lr"] == 0.04:
            raise RuntimeError("no more,\\n of this")
        super().step()

class Leaves(Raises):
    "Likewise, and leaves Python."
    def step(self):
        try:
            super().step()
        except RuntimeError as error:
            raise SystemExit(str(error))

class Reshapes(torch.optim.SGD):
    "Likewise, and flattens its parameters."
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.calls = 0
    def step(self):
        super().step()
        self.calls += 1
        if self.calls > 20 and self.param_groups[0]["lr"] == 0.04:
            for p in self.param_groups[0]["params"]:
                p.data = p.data.flatten()

class Rounds(torch.optim.SGD):
    def step(self):
        for p in self.param_groups[0]["params"]:
            p.data = p.data.float()

broken = 3
"""


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package on Python's path, for the length of a test."""
    package = tmp_path / "path/outside_optimizers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(LAZY)
    (package / "core.py").write_text(CORE)
    monkeypatch.syspath_prepend(package.parent)
    yield
    for name in [name for name in sys.modules if name.startswith("outside_optimizers")]:
        del sys.modules[name]


def with_class(name: str, *overrides: str) -> tuple[str, ...]:
    return (
        f"method.options.optimizer=outside_optimizers.{name}",
        "~method.options.weight_decay",
        "optimizer_packages=[outside_optimizers]",
        *overrides,
    )


def refusal(name: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        method = small_settings("soap", *with_class(name, *overrides)).method
        load_rule(method, steps_of(method.lr, [], [1.0, 1.0], torch.zeros(1).double()))
    return str(caught.value)


@pytest.mark.parametrize("name", ["Lazy", "core.Lazy", "core.PassesOn", "core.TakesOut"])
def test_a_class_is_found_and_trained_however_it_is_exported(name):
    """Each of them is SGD."""
    table = run("soap", *with_class(name, "method.lr=0.1"))
    expected = run("sgd", "method.lr=0.1")
    assert np.allclose(table.excess_loss, expected.excess_loss, rtol=1e-10)
    assert table.failure.isna().all()


def test_a_keyword_goes_through_kwargs():
    with_momentum = run(
        "soap", *with_class("core.PassesOn", "+method.options.momentum=0.9", "method.lr=0.05")
    )
    plain = run("soap", *with_class("core.PassesOn", "method.lr=0.05"))
    assert not np.allclose(with_momentum.excess_loss, plain.excess_loss)
    run("soap", *with_class("core.TakesOut", "+method.options.power=2.0", "method.lr=0.05"))


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        ("Lasy", [], "class of outside_optimizers, did you mean 'Lazy'?"),
        ("core.broken", [], "allowed is a torch.optim.Optimizer class of outside_optimizers.core"),
        ("core.Swallows", ["+method.options.nestrov=true"], "method.options.nestrov = True is not allowed"),
        ("core.PassesOn", ["+method.options.momentun=0.9"], "did you mean 'momentum'?"),
        ("core.NoStepSize", [], "allowed are optimisers that take lr"),
        ("core.NeedsTheModel", [], "and it needs model as well"),
        ("core.NeedsAClosure", [], "missing 1 required positional argument: 'closure'"),
        ("core.OneShape", [], "stack expects each tensor to be equal size"),
        ("core.Inert", [], "it does not move the weights in 12 steps at lr = 0.1"),
        ("core.Rounds", [], "a step has made a parameter torch.float32 of shape"),
        ("core.Noisy", [], "it draws random numbers, so that no run could be repeated"),
        ("core.SmallSteps", ["method.lr=[0.1,3]"], "'steps of at most one'"),
        ("core.OwnGroups", [], "answers '`rank` must be set' to a parameter group with no keys of its own"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_reason(name, overrides, sentence):
    text = refusal(name, *(overrides or ["method.lr=0.1"]))
    assert sentence in text and "\n" not in text
    assert text.startswith("method.options.")


def test_a_class_that_starts_late_is_used():
    table = run("soap", *with_class("core.Starting", "method.lr=0.1", "steps=8"))
    loss = table.pivot(index="seed", columns="step", values="excess_loss")
    assert (loss[5] == loss[0]).all() and (loss[6] != loss[0]).all()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Raises", "no more, of this"),
        ("Leaves", "no more, of this"),
        ("Reshapes", "a step has made a parameter torch.float64 of shape"),
    ],
)
def test_a_run_whose_step_raises_is_recorded_as_failed_alone(name, why):
    """With what it said, from the step that was refused on; the others keep every bit."""
    overrides = ("steps=24", "task.noise=0.1")
    table = run("soap", *with_class(f"core.{name}", "method.lr=[0.02,0.04]", *overrides))
    calm = run("soap", *with_class("core.Lazy", "method.lr=0.02", *overrides))
    failed = table[table.lr == 0.04]
    assert failed.failure.str.startswith(why).all()
    assert (failed.diverged_at == 21).all()
    assert (failed.status == np.where(failed.step < 21, "ok", "failed")).all()
    assert (failed.excess_loss.isna() == (failed.step >= 21)).all()
    pd.testing.assert_frame_equal(
        table[table.lr == 0.02].reset_index(drop=True), calm, check_exact=True
    )


def test_what_raises_once_it_has_diverged_has_diverged():
    """At lr = 1000 the weights pass their bound within a few steps, long before the step that raises."""
    table = run("soap", *with_class("core.Raises", "method.lr=[0.1,1000]", "steps=24"))
    assert set(table[table.lr == 1000].status) == {"ok", "diverged"}
    assert table.failure.isna().all()


# --- Classes that train at one point and are evaluated at another --------------------------------------


class Bowl(View):
    """Half the squared distance to one and minus a half, whatever the batch."""

    targets = (1.0, -0.5)

    def __init__(self, weights: tuple[Tensor, ...]) -> None:
        self.weights = weights

    def gradient(self, layer: int) -> Tensor:
        return self.weights[layer] - self.targets[layer]

    def at(self, weights: tuple[Tensor, ...]) -> "Bowl":
        return Bowl(weights)


@pytest.mark.parametrize(
    "name", ["ScheduleFreeSGD", "ScheduleFreeAdamW", "ScheduleFreeRAdam", "SPlus"]
)
def test_what_is_recorded_is_the_point_of_eval(name):
    """After twenty steps of two seeds and two step sizes: the class alone, asked for eval() in the end."""
    import pytorch_optimizer

    start = random(2, 1, 3, 6, seed=0), random(2, 1, 5, 3, seed=1)
    path = f"pytorch_optimizer.{name}"
    rule = TorchOptimizer(steps_of([0.1, 0.3], [], [1.0, 1.0], start[0]), optimizer=path)
    weights, memory = start, rule.start(start)
    for _ in range(20):
        weights, memory = rule.step([Bowl(weights)], memory)
    for s in range(2):
        for v, lr in enumerate((0.1, 0.3)):
            parts = [torch.nn.Parameter(layer[s, 0].clone()) for layer in start]
            alone = getattr(pytorch_optimizer, name)(parts, lr=lr)
            alone.train()
            for _ in range(20):
                for part, target in zip(parts, Bowl.targets, strict=True):
                    part.grad = part.detach() - target
                alone.step()
            trained = [part.detach().clone() for part in parts]
            alone.eval()
            for layer, part, before in zip(weights, parts, trained, strict=True):
                assert_close(layer[s, v], part.detach(), 1e-9)
                assert (part - before).abs().max() > 1e-6  # another point


def test_an_averaging_class_trains_beside_one_that_diverges():
    overrides = ("method.options.optimizer=pytorch_optimizer.ScheduleFreeSGD", "steps=12")
    both = run("soap", "~method.options.weight_decay", "method.lr=[0.1,1e9]", *overrides)
    calm = run("soap", "~method.options.weight_decay", "method.lr=0.1", *overrides)
    assert (both[both.lr == 1e9].status.iloc[-1:] == "diverged").all()
    pd.testing.assert_frame_equal(
        both[both.lr == 0.1].reset_index(drop=True), calm, check_exact=True
    )
    loss = calm.groupby("step").excess_loss.mean()
    assert loss.iloc[-1] < loss.iloc[0]


# --- A folder of the user's ----------------------------------------------------------------------------

METHOD = """
name: brought
label: brought
rule: torch_optimizer.TorchOptimizer
network: plain
lr: [0.02]
damping: []
options: {optimizer: brought_optimizer.Brought}
"""


def test_a_class_in_a_file_beside_its_method_is_used(tmp_path):
    """Also where another file of that name, and of one that it imports, is on Python's path; and an edit of
    it is another code."""
    folder, elsewhere = tmp_path / "mine", tmp_path / "path"
    folder.mkdir()
    (folder / "brought.yaml").write_text(METHOD)
    (folder / "brought_helper.py").write_text("FACTOR = 2\n")
    code = (
        "import torch\nfrom brought_helper import FACTOR\n"
        "class Brought(torch.optim.SGD):\n    def __init__(self, params, lr):\n"
        "        super().__init__(params, FACTOR * lr)\n"
    )
    (folder / "brought_optimizer.py").write_text(code)
    for name in ("brought_helper", "brought_optimizer"):
        (elsewhere / f"{name}.py").write_text("raise ImportError('another one')\n")
    table = run_one("method=brought", *SMALL, methods_from=str(folder))
    expected = run_one("method=sgd", "method.lr=0.04", *SMALL)
    assert np.allclose(table.excess_loss, expected.excess_loss, rtol=1e-10)
    words = ["+method=brought", f"methods_from={folder}"]
    jobs = plan("contraction", "quick", words).jobs().values()
    (brought,) = (
        one for job in jobs for one in job.methods if one["settings"]["method"]["name"] == "brought"
    )
    assert brought["settings"]["method"]["optimizer_file"] == str(folder / "brought_optimizer.py")
    for name in ("brought_helper", "brought_optimizer"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import no_such_package", "ModuleNotFound"),
        ("raise SystemExit('done')", "SystemExit: done"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_its_error(tmp_path, code, why):
    (tmp_path / "brought.yaml").write_text(METHOD)
    (tmp_path / "brought_optimizer.py").write_text(f"{code}\n")
    with pytest.raises(ConfigError, match=f"brought_optimizer.py cannot be loaded: {why}"):
        run_one("method=brought", *SMALL, methods_from=str(tmp_path))


# --- Every class that there is -------------------------------------------------------------------------

# What needs more than four steps before it moves: ten gradients are kept, or a rectified variance is first
# defined at the sixth step.
LATE = {"AdaShift", "RAdam", "ScheduleFreeRAdam"}


@pytest.mark.slow
@pytest.mark.parametrize("package", ["torch.optim", "pytorch_optimizer"])
def test_every_class_is_used_or_refused_with_a_sentence(package):
    module = __import__(package, fromlist=["_"])
    start = random(1, 1, 3, 6, seed=0), random(1, 1, 5, 3, seed=1)
    steps = steps_of([0.1], [], [1.0, 1.0], start[0])
    used, late = {}, set()
    for name, value in sorted(vars(module).items()):
        if not (isinstance(value, type) and issubclass(value, torch.optim.Optimizer)):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                rule = TorchOptimizer(steps, optimizer=f"{package}.{name}")
            except ConfigError as error:
                used[name] = str(error)
                assert str(error).startswith(
                    f"method.options.optimizer = '{package}.{name}' is not"
                )
                continue
            weights, memory = start, rule.start(start)
            for step in range(TRIED_STEPS):
                weights, memory = rule.step([Bowl(weights)], memory)
                if step == 3 and any(map(torch.equal, weights, start)):
                    late.add(name)
        used[name] = "used"
        assert all(layer.isfinite().all() for layer in weights), name
        assert not any(map(torch.equal, weights, start)), name
    for name, outcome in used.items():
        print(f"{package}.{name}: {outcome}")
    assert late <= LATE and list(used.values()).count("used") > 0.7 * len(used)
