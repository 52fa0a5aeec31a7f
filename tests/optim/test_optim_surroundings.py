"""KFAC leaves the user's model alone: copies, files, exports, transforms, compilers, threads."""

import copy
import gc
import io
import pickle
import re
import sys
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from helpers import assert_close, random
from layerwise.optim import KFAC
from optim_problems import (
    D_Y,
    KINDS,
    all_equal,
    backward,
    batch,
    count_backward_passes,
    deep_net,
    half_mse,
    parameters_of,
    take_step,
)


def trained_net():
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch())
    return model, optimizer


def through_a_file(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def averaged(model):
    return AveragedModel(model).module


# Copies


def test_the_model_holds_no_trace():
    """Neither in its modules, nor in its parameters, nor in what is written of it."""
    model, optimizer = trained_net()
    backward(model, optimizer, batch(1))
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert set(vars(module)) == set(
            vars(type(module)(*([1, 1] if hasattr(module, "bias") else [])))
        )
    for parameter in model.parameters():
        assert type(parameter) is nn.Parameter
        assert not parameter._backward_hooks and not parameter._post_accumulate_grad_hooks
    assert b"layerwise" not in pickle.dumps(model)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, averaged, through_a_file])
def test_a_copy_is_trained_as_if_kfac_had_never_been(duplicate, monkeypatch):
    """It takes no Jacobians, adds nothing to the factors, and may have a KFAC of its own."""
    model, optimizer = trained_net()
    twin = duplicate(model)
    calls = count_backward_passes(monkeypatch)
    take_step(twin, torch.optim.SGD(twin.parameters(), lr=0.1), batch(1))
    assert not calls
    twin.load_state_dict(model.state_dict())
    twins = KFAC(twin, 0.1)
    backward(model, optimizer, batch(1))
    backward(twin, twins, batch(2))
    optimizer.step()
    twins.step()
    alone, its_own = trained_net()
    take_step(alone, its_own, batch(1))
    assert all_equal(parameters_of(model), parameters_of(alone))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, through_a_file])
def test_a_copied_pair_trains_on(duplicate):
    """Between updates, with momentum, and with another optimiser inside."""
    torch.manual_seed(0)
    model = nn.Sequential(deep_net(), nn.LayerNorm(2)).double()
    optimizer = KFAC(
        model,
        0.1,
        momentum=0.9,
        update_interval=2,
        factor_decay=0.5,
        other=lambda ps: torch.optim.Adam(ps, lr=0.01),
    )
    take_step(model, optimizer, batch(0))
    pairs = [(model, optimizer), duplicate((model, optimizer))]
    for t in (1, 2, 3):
        for pair in pairs:
            take_step(*pair, batch(t))
    assert all_equal(*(parameters_of(model) for model, _ in pairs))


def test_an_optimiser_is_freed_with_its_model():
    """The hook that it puts up is taken down, also where a scheduler makes a cycle."""
    gc.collect()  # optimisers of other tests
    hooks = torch.nn.modules.module._global_forward_hooks
    before = len(hooks)
    model, optimizer = trained_net()
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    assert len(hooks) == before + 1
    references = [weakref.ref(model), weakref.ref(optimizer)]
    del model, optimizer
    gc.collect()
    assert [reference() for reference in references] == [None, None]
    assert len(hooks) == before


def test_restarts_from_copies_do_not_get_slower(monkeypatch):
    """A step takes a backward pass for each output, and none for an optimiser of former copies."""
    model, optimizer = trained_net()
    kept, calls = [(model, optimizer)], count_backward_passes(monkeypatch)
    for t in range(4):
        model = copy.deepcopy(model)
        kept.append((model, KFAC(model, 0.1)))
        calls.clear()
        take_step(*kept[-1], batch(t))
        assert len(calls) == D_Y


# Exports


def export(model, x):
    return torch.export.export(model, (x,)).module()


def trace(model, x):
    return torch.jit.trace(model, x)


def script(model, x):
    return torch.jit.script(model)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("way", [export, trace, script])
def test_exports_are_those_of_a_plain_model(way):
    model, optimizer = trained_net()
    x = batch(1)[0]
    exported = way(model, x)
    assert torch.equal(exported(x), model(x))
    plain = deep_net()
    plain.load_state_dict(model.state_dict())
    graphs = [re.sub(r"___torch_mangle_\d+\.", "", str(e.graph)) for e in (exported, way(plain, x))]
    assert graphs[0] == graphs[1]


# Transforms and compilers


def test_gradients_through_a_transform_are_refused():
    """vmap's samples are no rows that KFAC could see."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    half_mse(torch.func.vmap(lambda a: model(a[None])[0])(x), y).backward()
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient, but .* no call of the whole"):
        optimizer.step()


@pytest.mark.filterwarnings("ignore:.*global hooks on modules")
@pytest.mark.parametrize("kind", ["gauss_newton", "empirical"])
@pytest.mark.parametrize(
    "order", ["optimiser first", "compiled first", "called first", "of compiled"]
)
def test_compiled_models_take_the_same_steps(order, kind):
    torch._dynamo.reset()
    expected = deep_net()
    eager = KFAC(expected, 0.1, precondition_outputs=kind)
    model = deep_net()
    make = lambda m: KFAC(m, 0.1, precondition_outputs=kind)  # noqa: E731
    optimizer = make(model) if order == "optimiser first" else None
    compiled = torch.compile(model, backend="aot_eager")
    if order == "called first":
        compiled(batch(3)[0])
    if optimizer is None:
        optimizer = make(compiled if order == "of compiled" else model)
    for t in range(2):
        take_step(expected, eager, batch(t))
        take_step(compiled, optimizer, batch(t))
    for a, b in zip(parameters_of(model), parameters_of(expected), strict=True):
        assert_close(a, b)


def test_compiled_backward_passes_are_refused():
    """They have no nodes to find layers by."""
    torch._dynamo.reset()
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    with torch._dynamo.compiled_autograd._enable(torch.compile(backend="eager")):
        half_mse(model(x), y).backward()
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient, but .* no call of the whole"):
        optimizer.step()


@pytest.mark.filterwarnings("ignore:.*global hooks on modules")
def test_a_compiled_model_is_evaluated_in_one_graph():
    """Only passes with gradients are cut at the layers; a full graph of one is refused."""
    torch._dynamo.reset()
    model, optimizer = trained_net()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    x = batch(1)[0]
    with torch.no_grad():
        assert torch.equal(compiled(x), model(x))
    with pytest.raises(torch._dynamo.exc.Unsupported, match="KFAC needs the autograd nodes"):
        compiled(x)


@pytest.mark.filterwarnings("ignore:.*global hooks on modules")
def test_a_model_of_nobodys_is_compiled_in_one_graph():
    """The hook of another model's optimiser cuts no graph but its own model's."""
    gc.collect()  # or hooks of models that are gone are removed while it is compiled
    torch._dynamo.reset()
    kept, other = trained_net(), deep_net(3)
    compiled, (x, y) = torch.compile(other, backend="eager", fullgraph=True), batch(1)
    half_mse(compiled(x), y).backward()
    assert all(p.grad is not None for p in other.parameters()) and kept


# Threads


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_train_as_each_would_alone(kind):
    """Sampled targets come from PyTorch's one generator, so that only their steps' number is held."""

    def train(seed, ends):
        model = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 12)).double()
        for index, parameter in enumerate(model.parameters()):
            parameter.data.copy_(random(*parameter.shape, seed=10 * seed + index) / 5)
        optimizer = KFAC(model, 0.05, precondition_outputs=kind)
        for t in range(15):
            optimizer.zero_grad()
            for part in range(3):
                data_seed = 1000 * seed + 6 * t + 2 * part
                x, y = random(40, 20, seed=data_seed), random(40, 12, seed=data_seed + 1)
                (half_mse(model(x), y) / 3).backward()
            optimizer.step()
        ends[seed] = parameters_of(model)

    alone, together = {}, {}
    for seed in (1, 2):
        train(seed, alone)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        threads = [threading.Thread(target=train, args=(seed, together)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert set(together) == {1, 2}
    if kind != "sampled":
        for seed in (1, 2):
            assert all_equal(alone[seed], together[seed])


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_threads_may_accumulate_into_one_gradient(kind):
    """They wait for each other before their backward passes, so that these overlap."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1, precondition_outputs=kind)
    ready = threading.Barrier(4)

    def wait(gradient):
        ready.wait(10)

    def train(part):
        loss = half_mse(model(x[part]), y[part]) / 4
        loss.register_hook(wait)
        loss.backward()

    threads = [threading.Thread(target=train, args=(slice(10 * i, 10 * i + 10),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    optimizer.step()
    alone = deep_net()
    take_step(alone, KFAC(alone, 0.1, precondition_outputs=kind), (x, y))
    for a, b in zip(parameters_of(model), parameters_of(alone), strict=True):
        assert_close(a, b)


def test_a_shallow_copy_within_a_gradient_is_refused():
    """It has the gradient, and not the sums that belong to it."""
    model, optimizer = trained_net()
    backward(model, optimizer, batch(1))
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient .* came before KFAC was made"):
        copy.copy(optimizer).step()
    twin = copy.copy(optimizer)
    take_step(model, twin, batch(1))


def test_nothing_is_said_in_training():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, optimizer = trained_net()
        take_step(model, optimizer, batch(1))
