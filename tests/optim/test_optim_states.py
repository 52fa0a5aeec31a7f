"""States of KFAC: what a refused step leaves, empty batches, checkpoints, schedules."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from layerwise.optim import KFAC
from optim_problems import (
    D_X,
    D_Y,
    all_equal,
    batch,
    deep_net,
    mixed_net,
    parameters_of,
    steps_between,
    take_step,
)


def test_a_refused_step_changes_nothing():
    """The last layer's factor is singular: no weight, no count and no other optimiser moves."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D_X, 5), nn.PReLU(), nn.Linear(5, D_Y)).double()
    groups = [
        {"params": [*model[0].parameters(), *model[1].parameters()]},
        {"params": model[2].parameters(), "damping": 0.0},
    ]
    other = lambda ps: torch.optim.Adam(ps, lr=0.1)  # noqa: E731
    optimizer = KFAC(model, 0.1, params=groups, momentum=0.9, weight_decay=0.1, other=other)
    take_step(model, optimizer, batch(0))
    before, saved = parameters_of(model), copy.deepcopy(optimizer.state_dict())
    with pytest.raises(RuntimeError, match="input factor of layer '2'"):
        take_step(model, optimizer, batch(1, n=2))
    assert all_equal(parameters_of(model), before)
    after = optimizer.state_dict()
    for index, state in saved["state"].items():
        for key, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(after["state"][index][key]))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_empty_batch_is_none(momentum):
    """Neither a step nor a count, also where momentum would go on."""
    model = deep_net()
    optimizer = KFAC(model, 0.1, momentum=momentum, update_interval=2)
    take_step(model, optimizer, batch(0))
    before = parameters_of(model)
    optimizer.zero_grad()
    model(batch()[0][:0]).sum().backward()
    optimizer.step()
    assert all_equal(parameters_of(model), before)
    assert optimizer.state[model[0].weight]["step"] == 1


def test_the_distributed_checkpoint_helpers_save_and_resume():
    """Asking for a state before the first step changes nothing; each parameter has one."""

    def make(model):
        return KFAC(model, 0.1, factor_decay=0.5, update_interval=2, momentum=0.5)

    plain, asked, resumed = deep_net(), deep_net(), deep_net()
    optimizer, of_asked = make(plain), make(asked)
    get_optimizer_state_dict(asked, of_asked)
    for t in range(3):
        take_step(plain, optimizer, batch(t))
        take_step(asked, of_asked, batch(t))
    assert all_equal(parameters_of(plain), parameters_of(asked))
    saved = get_optimizer_state_dict(plain, optimizer)
    assert set(saved["state"]) == {name for name, _ in plain.named_parameters()}
    resumed.load_state_dict(plain.state_dict())
    of_resumed = make(resumed)
    set_optimizer_state_dict(resumed, of_resumed, saved)
    for t in range(3, 6):
        take_step(plain, optimizer, batch(t))
        take_step(resumed, of_resumed, batch(t))
    assert all_equal(parameters_of(plain), parameters_of(resumed))


def test_the_checkpoint_helpers_hold_the_other_optimisers_state():
    def make(model):
        return KFAC(model, 0.1, other=lambda ps: torch.optim.Adam(ps, lr=0.02))

    model, resumed = mixed_net(), mixed_net()
    optimizer = make(model)
    for t in range(2):
        take_step(model, optimizer, batch(t))
    resumed.load_state_dict(model.state_dict())
    of_resumed = make(resumed)
    set_optimizer_state_dict(resumed, of_resumed, get_optimizer_state_dict(model, optimizer))
    take_step(model, optimizer, batch(2))
    take_step(resumed, of_resumed, batch(2))
    assert all_equal(parameters_of(model), parameters_of(resumed))


def test_a_state_in_memory_is_not_shared():
    """What a run does after it was given another's state does not reach the other."""
    first, second, alone = deep_net(), deep_net(), deep_net()
    make = lambda m: KFAC(m, 0.05, factor_decay=0.5, update_interval=2, momentum=0.9)  # noqa: E731
    optimizers = [make(model) for model in (first, second, alone)]
    for t in range(3):
        take_step(first, optimizers[0], batch(t))
        take_step(alone, optimizers[2], batch(t))
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    for t in range(10, 14):
        take_step(second, optimizers[1], batch(t))
    for t in range(3, 6):
        take_step(first, optimizers[0], batch(t))
        take_step(alone, optimizers[2], batch(t))
    assert all_equal(parameters_of(first), parameters_of(alone))


SCHEDULES = {
    "warm-up from 0": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, t / 3)),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(
        o, max_lr=[0.2, 0.02], total_steps=10
    ),
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_schedules_reach_both_optimisers(schedule):
    """Some set momentum, too. At a step size of 0 nothing moves."""
    model = mixed_net()
    other = lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.9)  # noqa: E731
    optimizer = KFAC(model, 0.1, momentum=0.9, other=other)
    scheduler, seen = schedule(optimizer), set()
    for t in range(6):
        rates = [group["lr"] for group in optimizer.param_groups]
        seen.add(tuple(rates))
        before = parameters_of(model)
        take_step(model, optimizer, batch(t))
        moves = [step.any().item() for step in steps_between(parameters_of(model), before)]
        assert moves == [rates[0] > 0] * 2 + [rates[1] > 0] * 2 + [rates[0] > 0] * 2
        scheduler.step(*([1.0 + t] if "Plateau" in type(scheduler).__name__ else []))
    assert len(seen) > 1


@pytest.mark.parametrize("key", ["input_factor", "output_factor", "momentum_buffer"])
def test_a_state_of_another_shape_is_refused_by_the_layers_name(key):
    """With nothing of it taken over."""
    model, other = deep_net(), deep_net()
    optimizer, source = (KFAC(m, 0.1, momentum=0.9, factor_decay=0.5) for m in (model, other))
    take_step(other, source, batch())
    saved = source.state_dict()
    state = saved["state"][2]  # of the second layer's weight
    state[key] = state[key][:-1, :-1]
    with pytest.raises(ValueError, match=f"The saved {key} of layer '2' is of shape "):
        optimizer.load_state_dict(saved)
    assert not optimizer.state
