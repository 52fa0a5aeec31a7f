"""KFAC's factors where weights are shared: positions, convolutions, repeated calls; and their losses."""

import pytest
import torch
from curvlinops import FisherType, KFACLinearOperator, KFACType
from torch import nn

from helpers import assert_close, random
from layerwise.optim import KFAC
from optim_problems import (
    D_X,
    D_Y,
    KINDS,
    N,
    Wrapped,
    all_equal,
    batch,
    change,
    half_mse,
    parameters_of,
    take_step,
    two_layers,
)

R = 7  # positions


def pooled(layer, head):
    """A layer at all positions, their mean, and a head; the positions of images are pixels."""

    def forward(self, x):
        hidden = torch.tanh(self.layer(x))
        return self.head(hidden.mean(dim=1) if x.ndim == 3 else hidden.flatten(2).mean(dim=2))

    return Wrapped(forward, layer=layer, head=head).double()


def sequences():
    torch.manual_seed(0)
    return pooled(nn.Linear(D_X, 4), nn.Linear(4, D_Y)), random(N, R, D_X, seed=0)


def images():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1)
    return pooled(layer, nn.Linear(4, D_Y)), random(N, 2, 6, 5, seed=0)


LOSSES = {"squared_error": half_mse, "cross_entropy": nn.functional.cross_entropy}


def targets(loss):
    if loss == "squared_error":
        return random(N, D_Y, seed=1)
    return random(N, D_Y, seed=1).argmax(dim=1)


def factors_of(model, x, loss, **options):
    """The state of the layer and of the head after a step."""
    optimizer = KFAC(model, 0.1, loss=loss, **options)
    take_step(model, optimizer, (x, targets(loss)), LOSSES[loss])
    return [optimizer.state[part.weight] for part in (model.layer, model.head)]


# Oracles


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["gauss_newton", "empirical"])
@pytest.mark.parametrize("make", [two_layers, sequences, images])
def test_factors_are_curvlinops(make, kind, loss, sharing):
    """curvlinops' empirical factor for MSELoss is d_y times that of the loss of Eq. 5."""
    model, x = make()
    reference = nn.MSELoss() if loss == "squared_error" else nn.CrossEntropyLoss()
    operator = KFACLinearOperator(
        model,
        reference,
        list(model.parameters()),
        [(x, targets(loss))],
        fisher_type=FisherType.TYPE2 if kind == "gauss_newton" else FisherType.EMPIRICAL,
        kfac_approx=KFACType.EXPAND if sharing == "expand" else KFACType.REDUCE,
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    operator.compute_kronecker_factors()
    ratio = D_Y if (kind, loss) == ("empirical", "squared_error") else 1
    states = factors_of(model, x, loss, precondition_outputs=kind, sharing=sharing)
    for name, state in zip(("layer", "head"), states, strict=True):
        assert_close(state["input_factor"], operator._input_covariances[name])
        assert_close(ratio * state["output_factor"], operator._gradient_covariances[name])


def dense_output_factor(model, x, loss, sharing):
    """The layer's P from Jacobians of each sample alone and the loss's dense Hessian."""
    P = 0
    for sample in x:
        z = model.layer(sample[None]).detach()

        def rest(z):
            hidden = torch.tanh(z)
            pooled = hidden.mean(dim=1) if z.ndim == 3 else hidden.flatten(2).mean(dim=2)
            return model.head(pooled)[0]

        J = torch.func.jacrev(rest)(z)[:, 0]
        J = J.mT if z.ndim == 3 else J.flatten(2)  # (d_y, d_out, positions)
        p = rest(z).softmax(dim=0)
        H = torch.eye(D_Y, dtype=x.dtype)
        if loss == "cross_entropy":
            H = p.diag() - torch.outer(p, p)
        if sharing == "reduce":
            J = J.sum(dim=2, keepdim=True)
        P = P + torch.einsum("cir,cd,djr->ij", J, H, J) / len(x)
    return P.detach()


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("make", [sequences, images])
def test_the_output_factor_is_that_of_dense_jacobians(make, loss, sharing):
    model, x = make()
    expected = dense_output_factor(model, x, loss, sharing)
    state, _ = factors_of(model, x, loss, sharing=sharing)
    assert_close(state["output_factor"], expected)


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("loss", LOSSES)
def test_sampled_factors_are_gauss_newtons_on_average(loss, sharing):
    """The mean of 300 draws is within five of its standard errors, entry by entry."""
    model, x = sequences()
    exact, _ = factors_of(model, x, loss, sharing=sharing)
    model, x = sequences()
    torch.manual_seed(0)
    optimizer = KFAC(
        model, 0.0, loss=loss, sharing=sharing, precondition_outputs="sampled", damping=1.0
    )
    draws = []
    for _ in range(300):
        take_step(model, optimizer, (x, targets(loss)), LOSSES[loss])
        draws.append(optimizer.state[model.layer.weight]["output_factor"].clone())
    spread, mean = torch.std_mean(torch.stack(draws), dim=0)
    error = (mean - exact["output_factor"]).abs()
    assert (error < 5 * spread / len(draws) ** 0.5).all()
    assert (spread > 0).all()


def test_curvlinops_sampled_factor_is_the_same_on_average():
    """A different sampler of the same Fisher, on average over as many draws."""
    model, x = sequences()
    exact, _ = factors_of(model, x, "cross_entropy")
    model, x = sequences()
    operator = KFACLinearOperator(
        model,
        nn.CrossEntropyLoss(),
        list(model.parameters()),
        [(x, targets("cross_entropy"))],
        fisher_type=FisherType.MC,
        mc_samples=2000,
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    operator.compute_kronecker_factors()
    assert_close(operator._gradient_covariances["layer"], exact["output_factor"], 0.05)


# Positions


@pytest.mark.parametrize("kind", KINDS)
def test_equal_positions_are_one_in_the_reduce_setting(kind):
    """With R equal positions and mean pooling the model is the same function as with one."""
    steps = []
    for positions in (1, R):
        model, _ = sequences()
        x = batch()[0][:, None].expand(N, positions, D_X)
        torch.manual_seed(0)
        make = lambda m: KFAC(m, 0.1, precondition_outputs=kind, sharing="reduce")  # noqa: E731
        steps.append(change(model, make, (x, batch()[1])))
    for a, b in zip(*steps, strict=True):
        assert_close(a, b)


def test_expand_counts_each_position():
    """With outputs at each position and a loss that sums over them, positions are samples.

    So a batch of N samples at R positions is one of N R samples, whose mean loss is R times less.
    """
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D_X, 4), nn.Tanh(), nn.Linear(4, D_Y)).double()
    x, y = random(N, R, D_X, seed=0), random(N, R, D_Y, seed=1)
    options = {"damping": 0.1, "output_damping": 0.0}
    shared = change(model, lambda m: KFAC(m, 0.1, **options), (x, y))
    flat = change(model, lambda m: KFAC(m, 0.1, **options), (x.flatten(0, 1), y.flatten(0, 1)))
    for a, b in zip(shared, flat, strict=True):
        assert_close(a, b)


def test_cross_entropy_over_positions_is_over_samples():
    """CrossEntropyLoss averages over both, so that flattened logits are the same problem."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D_X, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, y = random(N, R, D_X, seed=0), random(N, R, 3, seed=1).argmax(dim=2)
    loss = lambda f, y: nn.functional.cross_entropy(f.flatten(0, -2), y.flatten())  # noqa: E731
    make = lambda m: KFAC(m, 0.1, loss="cross_entropy", output_damping=0.1)  # noqa: E731
    flat = change(model, make, (x.flatten(0, 1), y.flatten()), loss)
    shared = change(model, make, (x, y), loss)
    for a, b in zip(shared, flat, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("kind", ["gauss_newton", "sampled"])
def test_positions_without_a_target_do_not_count(kind):
    """A batch whose second half has no target has the output factors of the first half."""
    factors = []
    for x, y in ((batch()[0], targets("cross_entropy")), (batch()[0][:20], None)):
        model, _ = two_layers()
        y = (
            targets("cross_entropy")[:20]
            if y is None
            else y.index_fill(0, torch.arange(20, N), -100)
        )
        torch.manual_seed(0)
        optimizer = KFAC(model, 0.1, loss="cross_entropy", precondition_outputs=kind)
        take_step(model, optimizer, (x, y), nn.functional.cross_entropy)
        factors.append(optimizer.state[model.layer.weight]["output_factor"])
    if kind == "gauss_newton":
        assert_close(*factors)
    else:  # other draws
        assert_close(*(factor.trace() for factor in factors), 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_positions_first_are_refused_where_their_order_matters(kind):
    """Also as many as the samples. Where each counts as a row, it is the same whichever is first."""

    def forward(self, x):
        x = x.transpose(0, 1) if self.first else x
        return self.head(torch.tanh(self.layer(x)).mean(dim=0 if self.first else 1))

    x, y, ends = random(R, R, D_X, seed=0), random(R, D_Y, seed=1), []
    for first in (False, True):
        torch.manual_seed(0)
        model = Wrapped(forward, layer=nn.Linear(D_X, 4), head=nn.Linear(4, D_Y)).double()
        model.first = first
        start = parameters_of(model)
        reduced = KFAC(model, 0.1, sharing="reduce", precondition_outputs=kind)
        if first:
            with pytest.raises(RuntimeError, match="Layer 'layer' got inputs with samples in ano"):
                take_step(model, reduced, (x, y))
            assert all_equal(parameters_of(model), start)
        else:
            take_step(model, reduced, (x, y))
            for parameter, old in zip(model.parameters(), start, strict=True):
                parameter.data.copy_(old)
        reduced.close()
        torch.manual_seed(0)
        take_step(model, KFAC(model, 0.1, precondition_outputs=kind), (x, y))
        ends.append(parameters_of(model))
    for a, b in zip(*ends, strict=True):
        assert_close(a, b)


def test_flattened_positions_are_refused():
    """Rows that are samples and positions alike could be in any order, and of any scale."""

    def forward(self, x):
        hidden = torch.tanh(self.layer(x.flatten(0, 1))).unflatten(0, (len(x), R))
        return self.head(hidden.mean(dim=1))

    model = Wrapped(forward, layer=nn.Linear(D_X, 4), head=nn.Linear(4, D_Y)).double()
    optimizer = KFAC(model, 0.1)
    with pytest.raises(RuntimeError, match="Layer 'layer' got 280 rows .* 40 samples"):
        take_step(model, optimizer, (random(N, R, D_X, seed=0), batch()[1]))


# Convolutions


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv2d(2, 3, 3), (2, 6, 5)),
        (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), (2, 7, 6)),
        (nn.Conv2d(2, 3, 4, padding="same", padding_mode="reflect"), (2, 6, 6)),
        (nn.Conv2d(2, 3, 2, padding=1, padding_mode="circular", bias=False), (2, 4, 4)),
        (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 8)),
        (nn.Conv1d(2, 3, 4, padding="same", dilation=2), (2, 9)),
    ],
)
def test_a_convolution_is_linear_in_its_patches(layer, shape):
    """Least squares: P = I, no damping and lr = 1 end at the best weights in one step."""
    layer = layer.double()
    x = random(N, *shape, seed=0)
    model = nn.Sequential(layer)
    target = random(*layer(x).shape, seed=1)
    optimizer = KFAC(model, 1.0, damping=0.0, precondition_outputs="none")
    # The mean over positions as well, for which Q is the Hessian.
    positions = layer(x)[0, 0].numel()
    take_step(model, optimizer, (x, target), lambda f, y: half_mse(f, y) / positions)
    half_mse(model(x), target).backward()
    optimizer.zero_grad()
    half_mse(model(x), target).backward()
    for parameter in layer.parameters():
        assert parameter.grad.abs().max() < 1e-10


def test_a_convolution_over_one_pixel_is_linear():
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Linear(D_X, 4), nn.Tanh(), nn.Linear(4, D_Y)).double()
    pixel = nn.Sequential(
        nn.Conv2d(D_X, 4, 1), nn.Tanh(), nn.Conv2d(4, D_Y, 1), nn.Flatten()
    ).double()
    for a, b in zip(pixel.parameters(), flat.parameters(), strict=True):
        a.data.copy_(b.data.view_as(a))
    x, y = batch()
    expected = change(flat, lambda m: KFAC(m, 0.1), (x, y))
    actual = change(pixel, lambda m: KFAC(m, 0.1), (x[:, :, None, None], y))
    for a, b in zip(actual, expected, strict=True):
        assert_close(a.view_as(b), b)


def test_grouped_convolutions_belong_to_the_other_optimiser():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, D_Y))
    with pytest.raises(ValueError, match="'0.weight' belongs to no layer"):
        KFAC(model, 0.1)
    others = []
    KFAC(model, 0.1, other=lambda ps: others.extend(ps) or torch.optim.SGD(ps, lr=0.1))
    assert [p is q for p, q in zip(others, model[0].parameters(), strict=True)] == [True, True]


# Weights used twice


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize("kind", ["gauss_newton", "empirical", "none"])
def test_calls_in_one_pass_are_positions(kind, sharing):
    """A layer called for each of two inputs, by one name or two, is called once for both."""
    x, y = random(N, 2, D_X, seed=0), batch()[1]

    def twice(self, x):
        first, second = self.layer(x[:, 0]), self.again(input=x[:, 1])
        return self.head((torch.tanh(first) + torch.tanh(second)) / 2)

    steps = []
    for tied in (False, True):
        model, _ = sequences()
        if tied:
            model.function, model.again = twice, nn.Linear(D_X, 4).double()
            model.again.weight, model.again.bias = model.layer.weight, model.layer.bias
        make = lambda m: KFAC(m, 0.1, precondition_outputs=kind, sharing=sharing)  # noqa: E731
        steps.append(change(model, make, (x, y)))
    for a, b in zip(*steps, strict=True):
        assert_close(a, b)


def test_a_layer_under_two_names_is_one_layer():
    def aliased():
        model, x = two_layers()
        model.net = nn.Sequential(model.layer, nn.Tanh(), model.head)
        model.function = lambda self, x: self.net(x)
        return model

    plain, aliased = two_layers()[0], aliased()
    for model in (plain, aliased):
        take_step(model, KFAC(model, 0.1), batch())
    assert all_equal(parameters_of(plain), parameters_of(aliased))


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: self.layer(x) @ self.layer.weight,  # a tied autoencoder
        lambda self, x: self.layer(x) + nn.functional.linear(x, self.layer.weight),
        lambda self, x: nn.functional.linear(self.layer(x), torch.eye(4).double(), self.layer.bias),
    ],
)
def test_a_use_outside_the_layers_call_is_refused(function):
    model = Wrapped(function, layer=nn.Linear(D_X, 4)).double()
    optimizer = KFAC(model, 0.1)
    x = batch()[0]
    with pytest.raises(RuntimeError, match="Layer 'layer' is used outside its own call"):
        take_step(model, optimizer, (x, torch.zeros_like(model(x))))


def test_a_weight_that_an_embedding_has_too_belongs_to_the_other_optimiser():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Linear(4, 5, bias=False))
    model[2].weight = model[0].weight
    with pytest.raises(ValueError, match="'0.weight' belongs to no layer"):
        KFAC(model, 0.1)
    optimizer = KFAC(model, 0.1, other=lambda ps: torch.optim.SGD(ps, lr=0.1))
    assert optimizer.param_groups[1]["params"][0] is model[0].weight


def test_a_model_of_its_own_output_is_refused():
    """Its first output is an output and an input, and its factors would count twice."""
    model = nn.Linear(4, 4).double()
    optimizer = KFAC(model, 0.1)
    x = random(N, 4, seed=0)
    half_mse(model(model(x)), x).backward()
    with pytest.raises(RuntimeError, match="Layer 'Linear' led to two outputs"):
        optimizer.step()
