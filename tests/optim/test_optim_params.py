"""What KFAC trains: every form of params, parts of layers, and parameters that are altered later."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from helpers import assert_close
from layerwise.optim import KFAC
from optim_problems import (
    all_equal,
    batch,
    change,
    deep_net,
    mixed_net,
    parameters_of,
    steps_between,
    take_step,
)

FORMS = {
    "named": lambda m: m.named_parameters(),
    "group of names": lambda m: [{"params": m.named_parameters()}],
    "bare parameters": lambda m: [{"params": p} for p in m.parameters()],
    "a generator of groups": lambda m: ({"params": layer.parameters()} for layer in m[::2]),
    "decay apart": lambda m: [
        {"params": [p for p in m.parameters() if p.ndim > 1], "weight_decay": 0.0},
        {"params": [p for p in m.parameters() if p.ndim == 1]},
    ],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_params_take_every_form_of_torch_optim(form):
    """And mean the same step. A caller's groups stay as they are."""
    model = deep_net()
    torch.optim.SGD(form(model), lr=0.1)
    expected = change(model, lambda m: KFAC(m, 0.1), batch())
    assert all_equal(change(model, lambda m: KFAC(m, 0.1, params=form(m)), batch()), expected)
    groups = [{"params": list(model.parameters())}]
    KFAC(model, 0.1, params=groups)
    assert list(groups[0]) == ["params"]


def test_names_stay_with_their_parameters():
    """Also where the other optimiser takes some of a group away."""
    model = mixed_net()
    other = lambda ps: torch.optim.SGD(ps, lr=0.1)  # noqa: E731
    (group, _) = KFAC(model, 0.1, params=model.named_parameters(), other=other).param_groups
    names = {name: p for name, p in model.named_parameters()}
    assert group["param_names"] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(names[n] is p for n, p in zip(group["param_names"], group["params"], strict=True))


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_part_of_a_layer_is_trained_alone(part):
    """The other part stays, and is in no inverse: freezing it is the same."""
    model, frozen = deep_net(), deep_net()
    for name, parameter in frozen.named_parameters():
        parameter.requires_grad_(name.endswith(part))
    chosen = lambda m: [p for n, p in m.named_parameters() if n.endswith(part)]  # noqa: E731
    steps = change(model, lambda m: KFAC(m, 0.1, params=chosen(m)), batch())
    expected = change(frozen, lambda m: KFAC(m, 0.1), batch())
    for a, b in zip(steps, expected, strict=True):
        assert_close(a, b)
    assert sum(bool(step.any()) for step in steps) == 3


def test_parameters_may_be_frozen_and_set_free_between_steps():
    """With factor_decay = 0 a step knows nothing of the earlier ones."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    frozen = [[], [model[0].weight], [model[0].bias, *model[2].parameters()], []]
    for t, still in enumerate(frozen):
        for parameter in model.parameters():
            parameter.requires_grad_(not any(parameter is p for p in still))
        expected = change(model, lambda m: KFAC(m, 0.1), batch(t))
        before = parameters_of(model)
        take_step(model, optimizer, batch(t))
        for step, other in zip(steps_between(parameters_of(model), before), expected, strict=True):
            assert_close(step, other)


def test_groups_may_be_added():
    """Layer by layer, and LayerNorm's parameters to the other optimiser."""
    model = mixed_net()
    other = lambda ps: torch.optim.SGD(ps, lr=0.2)  # noqa: E731
    expected = change(model, lambda m: KFAC(m, 0.1, other=other), batch())
    before = parameters_of(model)
    optimizer = KFAC(model, 0.1, params=[*model[0].parameters(), model[1].weight], other=other)
    optimizer.add_param_group({"params": [*model[2].parameters(), model[1].bias], "lr": 0.1})
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2, 1, 1]
    take_step(model, optimizer, batch())
    assert all_equal(steps_between(parameters_of(model), before), expected)


def test_a_group_that_is_refused_is_not_added():
    model = mixed_net()
    optimizer = KFAC(model, 0.1, params=model[0].parameters())
    for group, message in (
        ({"params": model[1].parameters()}, "'1.weight' belongs to no layer"),
        ({"params": model[0].parameters()}, "more than one parameter group"),
        ({"params": model[2].parameters(), "damping": -1.0}, "damping = -1.0 is not allowed"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1
    take_step(model, optimizer, batch())


@pytest.mark.parametrize(
    "alter",
    [
        lambda layer: prune.l1_unstructured(layer, "weight", amount=0.3),
        parametrizations.spectral_norm,
        lambda layer: setattr(layer, "weight", nn.Parameter(layer.weight.detach().clone())),
    ],
)
def test_a_layer_with_other_parameters_is_refused(alter):
    """By its name, and before anything moves."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    take_step(model, optimizer, batch(0))
    alter(model[2])
    before = parameters_of(model)
    with pytest.raises(RuntimeError, match="Layer '2' was pruned, reparametrised or given other"):
        take_step(model, optimizer, batch(1))
    assert all_equal(parameters_of(model), before)


def test_a_layer_that_was_pruned_for_good_is_trained_on():
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    prune.l1_unstructured(model[2], "weight", amount=0.3)
    prune.remove(model[2], "weight")
    expected = change(model, lambda m: KFAC(m, 0.1), batch())
    before = parameters_of(model)
    take_step(model, optimizer, batch())
    steps = steps_between(parameters_of(model), before)
    assert all_equal(steps, expected)
    assert all(step.any() for step in steps)
