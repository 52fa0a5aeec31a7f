"""KFAC in low and in mixed precision, against the same step in double precision."""

import copy
import warnings

import pytest
import torch

import optim_problems
from helpers import assert_close, random
from layerwise.optim import KFAC
from layerwise.optim.precision import LAST_DIGITS, rounding_of_step
from layerwise.optim.update import direction
from optim_problems import (
    KINDS,
    all_equal,
    batch,
    change,
    deep_net,
    half_mse,
    mixed_net,
    parameters_of,
    steps_between,
    take_step,
)

pytestmark = pytest.mark.filterwarnings("ignore:Gradients of layer")  # but where it is expected

# Damped enough that rounding of gradients is about that of steps.
OPTIONS = {"damping": 0.1, "output_damping": 0.1}


def relative_error(steps, expected):
    pairs = zip(steps, expected, strict=True)
    return max(((a.double() - b).norm() / b.norm()).item() for a, b in pairs)


def rounded_batch(dtype, seed=0):
    """A batch that the precision holds exactly."""
    return tuple(part.to(dtype) for part in batch(seed))


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_of_half_precision_take_the_step(dtype, kind):
    """From the same rounded weights; the step is rounded to weights, so it is taken large."""
    model = deep_net(dtype=dtype)
    exact = deep_net()
    exact.load_state_dict(model.state_dict())
    data = rounded_batch(dtype)
    options = OPTIONS | {"precondition_outputs": kind}
    actual = change(model, lambda m: KFAC(m, 4.0, **options), data)
    expected = change(exact, lambda m: KFAC(m, 4.0, **options), [part.double() for part in data])
    assert relative_error(actual, expected) < 8 * torch.finfo(dtype).eps
    assert all(step.dtype == dtype for step in actual)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_resumed_run_keeps_its_factors_in_single_precision(dtype):
    """torch.optim would cast them to the parameters' precision."""
    model = deep_net(dtype=dtype)
    make = lambda m: KFAC(m, 0.1, momentum=0.9, factor_decay=0.5, update_interval=2)  # noqa: E731
    optimizer = make(model)
    for t in range(3):
        take_step(model, optimizer, rounded_batch(dtype, t))
    twin = deep_net(dtype=dtype)
    twin.load_state_dict(model.state_dict())
    resumed = make(twin)
    resumed.load_state_dict(optimizer.state_dict())
    kinds = {v.dtype for s in resumed.state.values() for v in s.values() if torch.is_tensor(v)}
    assert kinds == {torch.float32}
    for t in range(3, 6):
        take_step(model, optimizer, rounded_batch(dtype, t))
        take_step(twin, resumed, rounded_batch(dtype, t))
    assert all_equal(parameters_of(model), parameters_of(twin))


def test_a_state_follows_its_parameter():
    """Saved in double precision and resumed in single, it is that run to single precision."""
    model, single = deep_net(), deep_net(dtype=torch.float32)
    make = lambda m: KFAC(m, 0.05, factor_decay=0.5, update_interval=3, **OPTIONS)  # noqa: E731
    optimizer, resumed = make(model), make(single)
    for t in range(4):
        take_step(model, optimizer, batch(t))
    single.load_state_dict(model.state_dict())
    resumed.load_state_dict(optimizer.state_dict())
    for t in range(4, 9):
        take_step(model, optimizer, batch(t))
        take_step(single, resumed, batch(t, dtype=torch.float32))
    assert relative_error(parameters_of(single), parameters_of(model)) < 1e-5


def test_a_model_may_be_moved_to_another_precision():
    model = deep_net(dtype=torch.float32)
    optimizer = KFAC(model, 0.1, factor_decay=0.5, update_interval=2, momentum=0.5)
    take_step(model, optimizer, batch(0, dtype=torch.float32))
    model.double()
    for t in (1, 2):
        take_step(model, optimizer, batch(t))
    assert optimizer.state[model[0].weight]["input_factor"].dtype == torch.float64


# Autocast


def autocast_step(seed=0, dtype=torch.bfloat16, where=("forward",), make_model=deep_net, **options):
    """Steps of a model in single precision, of which these parts are in an autocast region."""
    model, (x, y) = make_model(seed).float(), batch(seed, dtype=torch.float32)
    optimizer, before = KFAC(model, 0.1, **options), parameters_of(model)
    region = lambda part: torch.autocast("cpu", dtype=dtype, enabled=part in where)  # noqa: E731
    with region("forward"):
        output = model(x)
    loss = half_mse(output.float(), y)
    with region("backward"):
        loss.backward()
    with region("step"):
        optimizer.step()
    return steps_between(parameters_of(model), before), optimizer


@pytest.mark.parametrize("damping", [1.0, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_the_step_by_last_digits_or_says_so(dtype, kind, damping):
    """Gradients under autocast are off by 0.5%; with less damping, steps are off by more."""
    for seed in range(3):
        options = {"damping": damping, "output_damping": damping, "precondition_outputs": kind}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            actual, _ = autocast_step(seed, dtype, **options)
        expected = change(deep_net(seed), lambda m: KFAC(m, 0.1, **options), batch(seed))  # noqa: B023
        error = relative_error(actual, expected) / torch.finfo(dtype).eps
        assert len(said) <= 1
        if said:
            named = f"{str(dtype)[6:]}, which with damping = {damping} "
            assert named in str(said[0].message) and error > LAST_DIGITS / 4
        else:
            assert error < 1.5 * LAST_DIGITS


def test_the_size_of_rounding_is_that_of_random_rounding():
    """Up or down by half of the last digit, whichever comes."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch())
    state, gradient = optimizer.state[model[0].weight], random(5, 7, seed=1)
    unit = torch.finfo(torch.bfloat16).eps / 2
    errors = [
        direction(state, unit * gradient * random(5, 7, seed=seed).sign())
        for seed in range(2, 2002)
    ]
    spread = torch.stack(errors).square().mean(dim=0).sqrt()
    assert_close(spread, rounding_of_step(state, gradient, torch.bfloat16), 0.1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_size_of_rounding_is_in_the_units_of_the_gradient(scale):
    state = {"input_inverse": 3 * torch.eye(2), "columns": (0, 2)}
    error = rounding_of_step(state, scale * torch.tensor([[1.0, 2.0]]), torch.bfloat16)
    assert_close(error / scale, torch.tensor([[3.0, 6.0]]) / 256, 1e-6)


def test_rounding_is_spoken_of_once_and_before_the_step():
    model, data = deep_net(dtype=torch.bfloat16), rounded_batch(torch.bfloat16)
    before, optimizer = parameters_of(model), KFAC(model, 0.1, pi_damping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="bfloat16, which with damping = 0.001 changes"):
            take_step(model, optimizer, data)
    assert all_equal(parameters_of(model), before)
    with pytest.warns(UserWarning, match=r"by some [\d.]+ %: .* KFAC says this once") as said:
        take_step(model, optimizer, data)
    assert said[0].filename == optim_problems.__file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take_step(model, optimizer, data)
        take_step(*copy.deepcopy((model, optimizer)), data)


@pytest.mark.parametrize("kind", KINDS)
def test_factors_and_steps_are_not_rounded_by_an_autocast_region(kind):
    """Where backward and step are in it too, as they should not be, all is as where they are not."""
    ends = []
    for where in (("forward",), ("forward", "backward", "step")):
        torch.manual_seed(0)
        ends.append(autocast_step(where=where, precondition_outputs=kind, **OPTIONS))
    (steps, optimizer), (steps_within, within) = ends
    assert all_equal(steps, steps_within)
    for old, new in zip(optimizer.state.values(), within.state.values(), strict=True):
        tensors = [key for key, value in old.items() if torch.is_tensor(value)]
        assert all(torch.equal(old[key], new[key]) for key in tensors)


# Scaled losses


def scaled_step(kind, unscales=False, make_model=deep_net, factor=1.0):
    """Steps of a model in single precision under a GradScaler."""
    model = make_model().float()
    optimizer = KFAC(
        model,
        0.1,
        precondition_outputs=kind,
        other=lambda ps: torch.optim.SGD(ps, lr=0.1),
        **OPTIONS,
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    before = parameters_of(model)
    x, y = batch(dtype=torch.float32)
    scaler.scale(factor * half_mse(model(x), y)).backward()
    if unscales:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    return steps_between(parameters_of(model), before), scaler


@pytest.mark.parametrize("make_model", [deep_net, mixed_net])
@pytest.mark.parametrize(
    "kind, unscales",
    [("gauss_newton", False), ("gauss_newton", True), ("none", True), ("empirical", False)],
)
def test_a_scaled_loss_takes_the_same_step(kind, unscales, make_model):
    """Also for the other optimiser's parameters, which LayerNorm's are."""
    steps, _ = scaled_step(kind, unscales, make_model)
    make = lambda m: KFAC(  # noqa: E731
        m, 0.1, precondition_outputs=kind, other=lambda ps: torch.optim.SGD(ps, lr=0.1), **OPTIONS
    )
    assert relative_error(steps, change(make_model(), make, batch())) < 1e-4


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical"])
def test_an_overflow_is_skipped(kind):
    steps, scaler = scaled_step(kind, make_model=mixed_net, factor=1e35)
    assert not any(step.any() for step in steps)
    assert scaler.get_scale() < 2.0**16


def test_squares_of_gradients_need_the_scale():
    with pytest.raises(RuntimeError, match="Layer '0' .* scale that GradScaler.unscale_ took off"):
        scaled_step("empirical", unscales=True)
