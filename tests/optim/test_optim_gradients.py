"""Factors of layerwise.optim.KFAC belong to gradients: which passes count, and which leave no trace."""

import contextlib
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from helpers import assert_close
from layerwise.optim import KFAC
from optim_problems import (
    KINDS,
    N,
    Wrapped,
    all_equal,
    attack,
    backward,
    batch,
    change,
    deep_net,
    half_mse,
    parameters_of,
    steps_between,
    take_step,
)


def first_step(kind, disturb=lambda model, optimizer: None, **options):
    """A step on batch 0, after what ``disturb`` does with the model and its optimiser."""
    model = deep_net()
    optimizer = KFAC(model, 0.1, precondition_outputs=kind, **options)
    disturb(model, optimizer)
    torch.manual_seed(1)  # of sampled targets
    x, y = batch(0)
    half_mse(model(x), y).backward()
    optimizer.step()
    return parameters_of(model)


# What leaves no trace


def skipped(clear):
    """A batch 100 times as large, whose gradient is cleared."""

    def disturb(model, optimizer):
        x, y = batch(5)
        half_mse(model(100 * x), y).backward()
        clear(model, optimizer)

    return disturb


def set_to_none(model, optimizer):
    for parameter in model.parameters():
        parameter.grad = None


def set_to_zero(model, optimizer):
    for parameter in model.parameters():
        parameter.grad.zero_()


def set_data_to_zero(model, optimizer):
    for parameter in model.parameters():
        parameter.grad.data.zero_()  # which autograd's version counter does not see


def hand_out_gradients(model, optimizer):
    x, y = batch(5)
    torch.autograd.grad(half_mse(model(100 * x), y), list(model.parameters()))


def evaluate(model, optimizer):
    model.eval()
    model(batch(5)[0])
    model.train()


def evaluate_without_gradients(model, optimizer):
    with torch.no_grad():
        model(batch(5)[0])


def ask_about_samples(model, optimizer):
    x, y = batch(5)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters, x, y):
        return half_mse(torch.func.functional_call(model, parameters, (x[None],)), y[None])

    torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, x, y)
    torch.func.jvp(model, (x,), (x,))
    torch.func.vmap(torch.func.jacrev(lambda a: model(a[None])))(x)


DISTURBANCES = [
    *[
        skipped(clear)
        for clear in (
            lambda model, optimizer: optimizer.zero_grad(),
            lambda model, optimizer: optimizer.zero_grad(set_to_none=False),
            lambda model, optimizer: model.zero_grad(),
            set_to_none,
            set_to_zero,
            set_data_to_zero,
        )
    ],
    attack,
    hand_out_gradients,
    evaluate,
    evaluate_without_gradients,
    ask_about_samples,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("disturb", DISTURBANCES)
def test_what_does_not_end_in_a_gradient_leaves_no_trace(disturb, kind):
    assert all_equal(first_step(kind, disturb), first_step(kind))


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical"])
def test_a_pass_for_a_penalty_is_in_the_gradient_and_not_in_the_factors(kind):
    """The penalty on d output / d input at other samples changes the step, by its gradient alone."""
    gradients, factors = [], []
    for weight in (0.0, 0.1):
        model, (x, y) = deep_net(), batch()
        optimizer = KFAC(model, 0.1, precondition_outputs=kind)
        at = batch(3)[0].requires_grad_()
        (slope,) = torch.autograd.grad(model(at).sum(), at, create_graph=True)
        (half_mse(model(x), y) + weight * slope.square().sum(dim=1).mean()).backward()
        gradients.append(model[0].weight.grad.clone())
        optimizer.step()
        state = optimizer.state[model[0].weight]
        factors.append((state["input_factor"], state["output_factor"]))
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3
    for a, b in zip(*factors, strict=True):
        assert_close(a, b)


def test_a_penalty_on_weights_is_preconditioned_with_the_rest_of_the_gradient():
    model, (x, y) = deep_net(), batch()
    plain = change(model, lambda m: KFAC(m, 0.1), (x, y))
    before, optimizer = parameters_of(model), KFAC(model, 0.1)
    (half_mse(model(x), y) + 0.05 * model[0].weight.square().sum()).backward()
    optimizer.step()
    state = optimizer.state[model[0].weight]
    penalty = nn.functional.pad(0.1 * before[0], (0, 1))
    extra = -0.1 * state["output_inverse"] @ penalty @ state["input_inverse"]
    steps = steps_between(parameters_of(model), before)
    assert_close(steps[0], plain[0] + extra[:, :-1])


def test_an_exception_in_forward_leaves_nothing():
    """The next pass is as the first, and the failed one's tensors are freed at once."""

    def forward(self, x):
        hidden = self.net[:2](x)
        output = self.net[2:](hidden)
        if self.fails:
            self.inputs = weakref.ref(hidden.untyped_storage())
            raise KeyError
        return output

    model = Wrapped(forward, net=deep_net())
    optimizer = KFAC(model, 0.1)
    model.fails = True
    with contextlib.suppress(KeyError):
        model(batch(5)[0])
    assert model.inputs() is None
    model.fails = False
    take_step(model, optimizer, batch(0))
    assert all_equal(parameters_of(model), first_step("gauss_newton"))


def penalise(model):
    """A gradient of the weights alone, which no pass of the model leads to."""
    (0.01 * sum(p.square().sum() for p in model.parameters())).backward()


@pytest.mark.parametrize("clear", [lambda m, o: o.zero_grad(False), set_to_zero, set_data_to_zero])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_that_was_set_to_zero_is_gone_whatever_is_added_next(clear, kind):
    """A penalty of the weights alone has its own backward pass, before that of the loss."""

    def after(model, optimizer):
        penalise(model)

    def disturb(model, optimizer):
        skipped(clear)(model, optimizer)
        penalise(model)

    for a, b in zip(first_step(kind, disturb), first_step(kind, after), strict=True):
        assert_close(a, b)


def test_a_penalty_that_is_added_to_no_loss_is_refused():
    """Also where the gradient of a loss was there before."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    skipped(set_to_zero)(model, optimizer)
    penalise(model)
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient, but since it was last cl"):
        optimizer.step()


def fail(*_):
    raise KeyError


def failing_backward(model, parameter):
    """A backward pass that fails where the parameter's gradient is to be added."""
    x, y = batch(5)
    loss, hook = half_mse(model(100 * x), y), parameter.register_hook(fail)
    with contextlib.suppress(KeyError):
        loss.backward()
    hook.remove()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_gradient_of_a_backward_pass_that_failed_is_refused_until_it_is_cleared(before, after):
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    if before:
        half_mse(model(x), y).backward()
    failing_backward(model, model[2].weight)  # whose bias comes before it
    if after:
        half_mse(model(x), y).backward()
    start = parameters_of(model)
    with pytest.raises(RuntimeError, match="Layer '2' has a gradient .* that failed"):
        optimizer.step()
    assert all_equal(parameters_of(model), start)
    model.zero_grad(set_to_none=after)
    half_mse(model(x), y).backward()
    optimizer.step()
    assert all_equal(parameters_of(model), first_step("gauss_newton"))


def test_a_backward_pass_that_failed_matters_where_it_came_only():
    """It added to nothing that there was: the last layer's gradient is the first to come."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    half_mse(model(x), y).backward()
    failing_backward(model, model[4].bias)
    failing_backward(model, model[4].weight)
    model[4].zero_grad()
    optimizer.step()
    expected, start = first_step("gauss_newton"), parameters_of(deep_net())
    assert all_equal(parameters_of(model), [*expected[:4], *start[4:]])


# What counts


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_parts_of_a_batch_are_the_whole_batch(kind):
    """Parts of 10 and 30 samples, each with its share of the mean loss; an empty one adds nothing."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1, precondition_outputs=kind)
    for part in (slice(0, 10), slice(10, N)):
        (half_mse(model(x[part]), y[part]) * len(x[part]) / N).backward()
    model(x[:0]).sum().backward()
    optimizer.step()
    for a, b in zip(parameters_of(model), first_step(kind), strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("kind", ["gauss_newton", "none"])
def test_a_pass_that_is_backpropagated_twice_counts_as_one(kind):
    """Two halves of the loss, one after the other through the same graph."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1, precondition_outputs=kind)
    output = model(x)
    (half_mse(output, y) / 2).backward(retain_graph=True)
    (half_mse(output, y) / 2).backward()
    optimizer.step()
    for a, b in zip(parameters_of(model), first_step(kind), strict=True):
        assert_close(a, b)


def test_halves_of_samples_gradients_are_refused():
    """Where squares of gradients are asked for, those of parts of a loss are of no use."""
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1, precondition_outputs="empirical")
    output = model(x)
    (half_mse(output, y) / 2).backward(retain_graph=True)
    (half_mse(output, y) / 2).backward()
    with pytest.raises(RuntimeError, match="Layer '0' was backpropagated twice through one pass"):
        optimizer.step()


def test_a_second_step_on_the_same_gradient_has_the_same_factors():
    """As with torch.optim, what is in .grad is stepped on until it is cleared."""
    model = deep_net()
    optimizer = KFAC(model, 0.1)
    before = parameters_of(model)
    take_step(model, optimizer, batch())
    middle = parameters_of(model)
    optimizer.step()
    for first, second in zip(
        steps_between(middle, before), steps_between(parameters_of(model), middle), strict=True
    ):
        assert_close(first, second)


def test_gradients_that_were_clipped_in_place_are_stepped_on():
    model, (x, y) = deep_net(), batch()
    optimizer, before = KFAC(model, 0.1), parameters_of(model)
    half_mse(model(x), y).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    optimizer.step()
    whole = steps_between(first_step("gauss_newton"), before)
    for a, b in zip(steps_between(parameters_of(model), before), whole, strict=True):
        assert_close(a, b * 1e-3 / (norm + 1e-6))


def test_gradients_put_in_place_of_those_that_were_seen_are_refused():
    model, (x, y) = deep_net(), batch()
    optimizer = KFAC(model, 0.1)
    half_mse(model(x), y).backward()
    model[2].weight.grad = model[2].weight.grad / 2
    with pytest.raises(RuntimeError, match="Layer '2' has a gradient, but .* in place"):
        optimizer.step()


def test_a_gradient_from_before_is_refused_until_it_is_cleared():
    """Half of it would be without factors."""
    model, (x, y) = deep_net(), batch()
    half_mse(model(x), y).backward()
    optimizer = KFAC(model, 0.1)
    half_mse(model(x), y).backward()
    with pytest.raises(RuntimeError, match="Layer '0' has a gradient .* came before KFAC was made"):
        optimizer.step()
    model.zero_grad(set_to_none=False)
    half_mse(model(x), y).backward()
    optimizer.step()
    assert all_equal(parameters_of(model), first_step("gauss_newton"))


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_gradients_may_be_replaced_within_the_pass(kind):
    """By hooks after accumulation, which may as well change them in place."""
    ends = []
    for in_place in (False, True):

        def halve(parameter, in_place=in_place):
            if in_place:
                parameter.grad.mul_(0.5)
            else:
                parameter.grad = parameter.grad * 0.5

        model, (x, y) = deep_net(), batch()
        optimizer = KFAC(model, 0.1, precondition_outputs=kind)
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(halve)
        for part in (slice(0, 10), slice(10, N)):
            half_mse(model(x[part]), y[part]).backward()
        optimizer.step()
        ends.append(parameters_of(model))
    assert all_equal(*ends)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_grad_may_come_between_the_passes(kind):
    ends = []
    for late in (False, True):
        torch.manual_seed(0)
        model = deep_net()
        optimizer = KFAC(model, 0.1, precondition_outputs=kind, factor_decay=0.5)
        for t in range(3):
            x, y = batch(t)
            if not late:
                optimizer.zero_grad()
            loss = half_mse(model(x), y)
            if late:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends.append(parameters_of(model))
    assert all_equal(*ends)


@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_activation_checkpoints_change_nothing(kind):
    def forward(self, x):
        return self.net[3:](checkpoint(self.net[:3], x, use_reentrant=False))

    model = Wrapped(forward, net=deep_net())
    take_step(model, KFAC(model, 0.1, precondition_outputs=kind), batch())
    for a, b in zip(parameters_of(model), first_step(kind), strict=True):
        assert_close(a, b)


def test_reentrant_checkpoints_are_refused():
    """Their passes are in graphs of their own, which the model's output does not lead to."""

    def forward(self, x):
        return self.net[3:](checkpoint(self.net[:3], x.requires_grad_(), use_reentrant=True))

    model = Wrapped(forward, net=deep_net())
    optimizer = KFAC(model, 0.1)
    backward(model, optimizer, batch())
    with pytest.raises(RuntimeError, match=r"Layer 'net\.0' has a gradient, .* use_reentrant"):
        optimizer.step()
