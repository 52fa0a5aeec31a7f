"""One step of the two-layer network: against autograd, dense algebra, torch.optim and the theory."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from helpers import assert_close, single_index_task
from layerwise.data.covariance import spectrum
from layerwise.data.single_index import draw_sample
from layerwise.methods.base import load_rule, steps_of
from layerwise.networks.activations import ACTIVATIONS
from layerwise.planning.compose import compose_config, settings_of
from layerwise.settings.tasks.single_index import SingleIndexTask
from layerwise.settings.validation import ConfigError
from layerwise.theory.alignment import predicted_alignment
from single_index_runs import (
    METHODS,
    card,
    covariance,
    make_run,
    method_file,
    output,
    power,
    reaching,
    settings,
    stepped,
    table,
    transform,
)
from textbook import damped

SMALL = single_index_task()
WIDE = single_index_task(aspect_ratio=1.5)  # fewer samples than dimensions
ALL = list(SingleIndexTask.measures)
SINGULAR = [f"singular_values_{of}_{i}" for of in ("update", "before", "after") for i in (1, 2)]
both_shapes = pytest.mark.parametrize("task", [SMALL, WIDE], ids=["n > d", "n < d"])
every_method = pytest.mark.parametrize("method", METHODS)
# SOAP's first step only sets up its bases.
moving_method = pytest.mark.parametrize("method", [name for name in METHODS if name != "soap"])


def network_of(method):
    return method_file(method)["network"]


def change(method, task=SMALL, damping=0.1, seed=0, lr=1.0):
    """A step's change of the map of the original coordinates, at a step size of one in the units of the
    rule itself: natural ones are a multiple of 1/|f|^2."""
    run = make_run(method, [lr], [damping], task, [seed])
    (stepped_layer,), (batch,) = stepped(run, 1)
    moved = (stepped_layer - run.weights[0])[0, 0]
    unit = power(run) if card(method).scale in ("gradient", "natural") else 1.0
    return moved @ transform(network_of(method), batch.x[0], run.instances[0]) * unit


def direction(method, task=SMALL, damping=0.1, seed=0):
    """What the rule makes of the first batch's labels alone, and that batch."""
    run = make_run(method, [1.0], [damping], task, [seed])
    batch = run.batches.next()
    view = run.network.labels(batch)
    own = settings(method, [1.0], [damping], task).method
    rule = load_rule(own, steps_of(own.lr, own.damping, [1.0], batch.x))
    (learnt,), _ = rule.step([view], rule.start(view.weights))
    return learnt[0, 0, 0], batch.x[0], batch.y[0]


def descent_by_autograd(method, task, seed=0):
    """Minus autograd's gradient, in the original coordinates, and the batch."""
    run = make_run(method, task=task, seeds=[seed])
    (instance,), batch = run.instances, run.batches.next()
    x, y, network = batch.x[0], batch.y[0], network_of(method)
    G = instance.features.clone().requires_grad_()
    inputs = reaching(network, x, instance)
    prediction = output(network, G, instance.readout[None], inputs, task.activation)
    (0.5 * (y - prediction).square().mean()).backward()
    return -G.grad @ transform(network, x, instance), x, y


# --- Updates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("aspect_ratio", [0.3, 1.5], ids=["n > d", "n < d"])
@pytest.mark.parametrize("method", ["sgd", "bn_hidden_sgd", "bn_input_sgd", "whitened_sgd"])
def test_gradients_are_autograds(method, aspect_ratio, activation):
    task = single_index_task(aspect_ratio=aspect_ratio, activation=activation)
    expected, _, _ = descent_by_autograd(method, task)
    assert_close(change(method, task), expected)


@pytest.mark.parametrize("damping", [0.0, 1e-3, 0.3, 10.0])
@both_shapes
def test_kfac_is_the_gradient_times_a_dense_inverse(task, damping):
    descent, x, y = descent_by_autograd("sgd", task)
    Q = damped(x.mT @ x / len(y), damping)
    inverse = torch.linalg.pinv(Q, hermitian=True) if damping == 0 else Q.inverse()
    assert_close(change("kfac", task, damping), descent @ inverse, 1e-9)
    learnt, _, _ = direction("kfac", task, damping)
    assert_close(learnt, inverse @ x.mT @ y / len(y), 1e-9)


def test_kfac_without_damping_fits_the_labels_best():
    """(X^T X)^-1 X^T y is the least-squares solution, and where n < d the one of least norm."""
    for task in (SMALL, WIDE):
        learnt, x, y = direction("kfac", task, 0.0)
        assert_close(learnt, torch.linalg.lstsq(x, y[:, None], driver="gelsd").solution[:, 0])


@pytest.mark.parametrize("method", ["adam", "spectral", "gauss_newton", "newton"])
def test_what_other_rules_learn_from_the_labels_alone(method):
    """One linear unit started at zero: its gradient is -X^T y / n, its Hessian X^T X / n."""
    learnt, x, y = direction(method, damping=0.2)
    labels, moment = x.mT @ y / len(y), x.mT @ x / len(y)
    expected = {
        "adam": labels.sign(),
        "spectral": labels,
        "gauss_newton": torch.linalg.solve(damped(moment, 0.2), labels),
        "newton": torch.linalg.solve(damped(moment, 0.2), labels),
    }[method]
    assert_close(learnt, expected, 1e-6 if method == "adam" else 1e-9)  # Adam's epsilon


def test_the_labels_direction_is_measured_in_the_original_coordinates():
    """The alignment is the cosine of beta with rows T, not with what acts on the network's inputs."""
    for method in ("sgd", "bn_input_sgd", "whitened_sgd", "kfac"):
        learnt, x, _ = direction(method, seed=1)
        task = single_index_task(metrics=["alignment_direction"])
        instance = make_run(method).instances[1]
        row = learnt @ transform(network_of(method), x, instance)
        expected = float(row @ instance.direction / row.norm() / instance.direction.norm())
        found = table(method, task=task)["alignment_direction"]
        assert found.tolist()[2:] == pytest.approx([expected, expected], abs=1e-9)


@both_shapes
@pytest.mark.parametrize("method", ["kfac", "gauss_newton"])
def test_large_damping_is_sgd(method, task):
    descent, large = change("sgd", task), 1e9
    found = change(method, task, large, lr=large)  # a step of order one keeps its digits
    assert_close(found / found.norm(), descent / descent.norm(), 1e-7)
    task = task.model_copy(update={"metrics": ["alignment", "alignment_direction"]})
    columns, sgd = table(method, [1e9], [large], task, [0]), table("sgd", [1.0], (), task, [0])
    for name in task.metrics:
        assert columns[name][1] == pytest.approx(sgd[name][1], abs=1e-7)


def test_adam_is_torch_optims_first_step():
    run, lr = make_run("adam", [0.05], seeds=[0]), 0.05
    (instance,), (moved,), (batch,) = run.instances, *stepped(run, 1)
    G = torch.nn.Parameter(instance.features.clone())
    optimiser = torch.optim.Adam([G], lr=lr)
    prediction = output("plain", G, instance.readout[None], batch.x[0])
    (0.5 * (batch.y[0] - prediction).square().mean()).backward()
    optimiser.step()
    assert_close(moved[0, 0] - instance.features, G.detach() - instance.features)


@both_shapes
def test_gauss_newton_is_the_dense_one(task):
    """Autograd's Jacobian of f(x_i) by G, and the system of width * d unknowns."""
    _, x, y = descent_by_autograd("sgd", task)
    run, damping = make_run("gauss_newton", task=task, seeds=[0]), 0.2
    G, f = run.instances[0].features, run.instances[0].readout
    jacobian = torch.autograd.functional.jacobian(
        lambda weights: output("plain", weights, f[None], x, task.activation), G
    ).reshape(len(y), -1)
    residual = y - output("plain", G, f[None], x, task.activation)
    system = damped(jacobian.mT @ jacobian / len(y), damping)
    expected = torch.linalg.solve(system, jacobian.mT @ residual / len(y))
    assert_close(change("gauss_newton", task, damping), expected.view_as(G))


def test_newton_is_the_dense_one():
    """Autograd's Hessian of the loss by G."""
    _, x, y = descent_by_autograd("sgd", SMALL)
    run, damping = make_run("newton", seeds=[0]), 0.7
    G, f = run.instances[0].features, run.instances[0].readout

    def loss(flat):
        return 0.5 * (y - output("plain", flat.view_as(G), f[None], x)).square().mean()

    hessian = torch.autograd.functional.hessian(loss, G.flatten())
    gradient = torch.autograd.functional.jacobian(loss, G.flatten())
    expected = -torch.linalg.solve(damped(hessian, damping), gradient).view_as(G)
    assert_close(change("newton", SMALL, damping), expected, 1e-9)


def test_whitening_of_isotropic_inputs_is_sgd():
    task = single_index_task(kappa_x=1.0)
    assert_close(change("whitened_sgd", task), change("sgd", task))


def test_batch_norms_depend_on_the_basis_or_do_not():
    """Batch-norm on the inputs undoes a diagonal Sigma_x, and nothing of a rotated one."""

    def before(method, basis):
        task = single_index_task(d=60, aspect_ratio=0.02, kappa_x=100.0, basis=basis, width=20)
        run = make_run(method, task=task, seeds=[0])
        prepared = run.network.prepared(run.batches.next())
        return prepared.on_original(run.weights[0])[0, 0]

    ratio = before("bn_input_sgd", "axis").norm(dim=0) / before("whitened_sgd", "axis").norm(dim=0)
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=0.05)
    ratio = before("bn_input_sgd", "rotated").norm(dim=0) / before("sgd", "rotated").norm(dim=0)
    assert float(ratio.max() / ratio.min()) < 3


@moving_method
def test_step_size_one_moves_the_preactivations_by_their_own_size(method):
    """In root mean square over the population's x and the units; step size two by twice that."""
    task = single_index_task(lr_unit="preactivations")
    run = make_run(method, [1.0, 2.0], task=task, seeds=[0])
    (moved,), (batch,) = stepped(run, 1)
    T = transform(network_of(method), batch.x[0], run.instances[0])
    sigma, start = covariance(run.instances[0]), run.weights[0][0, 0]
    for v, lr in enumerate((1.0, 2.0)):
        maps = ((moved[0, v] - start) @ T, start @ T)
        size, unit = (torch.trace(rows @ sigma @ rows.mT).sqrt() for rows in maps)
        assert_close(size, lr * unit)


@moving_method
def test_the_preactivations_unit_leaves_the_direction_as_it_is(method):
    """Both units' steps are multiples of each other, whatever the step size."""
    natural, scaled = (
        (stepped(run, 1)[0][0] - run.weights[0])[0, 0]
        for run in (
            make_run(method, [0.3], task=single_index_task(lr_unit=unit), seeds=[0])
            for unit in ("natural", "preactivations")
        )
    )
    assert_close(scaled / scaled.norm(), natural / natural.norm(), 1e-7)


# --- Runs ------------------------------------------------------------------------------------------


@every_method
def test_columns_and_rows(method):
    """Rows for the start, where nothing has been learnt, and for the step."""
    task = single_index_task(
        metrics=ALL, lr_unit="preactivations" if method != "soap" else "natural"
    )
    runs = table(method, [1e-9, 1.0], [0.1, 1.0], task, [4, 1])
    dampings = settings(method, damping=[0.1, 1.0]).method.damping or [0.0]
    keys = runs[["damping", "lr", "seed", "step"]].to_numpy().tolist()
    expected = [list(key) for key in product(dampings, [1e-9, 1.0], [4, 1], [0, 1])]
    assert keys == expected
    assert set(task.metrics) - {"singular_values"} | set(SINGULAR) <= set(runs.columns)
    own = [name for name in ALL if name not in ("singular_values", "alignment_theory")]
    after = runs[runs["step"] == 1]
    if method != "soap":
        assert np.isfinite(after[own + SINGULAR].to_numpy()).all()
        assert after["alignment_direction"].abs().max() <= 1 + 1e-12
        assert after["alignment"].between(0, 1 + 1e-12).all()
        assert (after["spike_ratio"] >= 1).all()
    assert (runs["noise_floor"] <= runs["test_error_linear"]).all()
    assert (runs["test_error_linear"] <= 1).all()
    before = runs[runs["step"] == 0]
    assert before[["alignment", "alignment_readout", "spike_ratio"]].isna().all(axis=None)
    # A step of next to nothing leaves the random features' error.
    tiny = after[after["lr"] == 1e-9]["test_error"].to_numpy()
    assert tiny == pytest.approx(before[before["lr"] == 1e-9]["test_error"].to_numpy(), rel=1e-5)


@every_method
def test_a_seed_is_the_same_alone_and_among_others(method):
    task = single_index_task(metrics=["alignment", "test_error", "network_error"])
    among = table(method, [0.05], [0.1, 1.0], task, [0, 3, 8])
    alone = table(method, [0.05], [1.0], task, [3])
    rows = among[(among["seed"] == 3) & among["damping"].isin(alone["damping"])]
    # All of spectral descent's singular values are equal: no vector is its top one.
    for name in task.metrics[1 if method == "spectral" else 0 :]:
        assert rows[name].tolist() == pytest.approx(alone[name].tolist(), rel=1e-9, nan_ok=True)


def test_a_metric_is_the_same_alone_and_among_others():
    """What is measured changes nothing of the run, nor of what else is measured."""
    full = table("kfac", task=single_index_task(metrics=ALL))
    for name in ALL:
        alone = table("kfac", task=single_index_task(metrics=[name]))
        own = [column for column in alone.columns if column.startswith(name)]
        assert own
        for column in own:
            assert np.array_equal(alone[column], full[column], equal_nan=True)


def test_a_step_of_kfac_helps_more_than_one_of_sgd():
    """With a readout refitted on fresh samples, against random features; medians over 3 seeds."""
    task = single_index_task(
        d=100, aspect_ratio=0.2, width=100, kappa_x=30.0, readout_scale=0.1,
        n_choice=30, n_test=1000, lr_unit="preactivations", metrics=["test_error"],
    )  # fmt: skip
    best = {}
    for method in ("sgd", "kfac"):
        runs = table(method, [0.3, 1.0, 3.0, 10.0], [0.1], task, [0, 1, 2])
        medians = runs[runs["step"] == 1].groupby("lr")["test_error"].median()
        best[method] = medians.min()
    random_features = runs[runs["step"] == 0]["test_error"].median()
    assert best["kfac"] < best["sgd"] < random_features


def test_spectral_descent_has_one_singular_value_and_descends_by_the_nuclear_norm():
    """-|grad|_* U V^T: its singular values are all the nuclear norm."""
    found, descent = change("spectral"), change("sgd")
    nuclear = torch.linalg.matrix_norm(descent, "nuc")
    values = torch.linalg.svdvals(found)
    assert_close(values, nuclear.expand(min(found.shape)), 1e-10)
    assert_close((found * descent).sum(), nuclear**2, 1e-10)


# No vector is the top one of spectral descent and, up to its approximation, of Muon.
@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("spectral", "muon", "soap")])
def test_spike(method):
    task = single_index_task(
        lr_unit="preactivations",
        metrics=["alignment", "cosine_biased", "spike_ratio", "singular_values"],
    )
    found = table(method, [2.0], task=task, seeds=[0]).iloc[1]
    run = make_run(method, [2.0], task=task, seeds=[0])
    (moved,), _ = stepped(run, 1)
    (instance,) = run.instances
    fit = fresh_fit_sample(task, instance)
    T = transform(network_of(method), fit, instance)
    update, before = (moved[0, 0] - instance.features) @ T, instance.features @ T
    exact = torch.linalg.svd(update)
    for name, values in (
        ("update", exact.S),
        ("before", torch.linalg.svdvals(before)),
        ("after", torch.linalg.svdvals(before + update)),
    ):
        columns = [f"singular_values_{name}_{i + 1}" for i in range(len(values))]
        assert f"singular_values_{name}_{len(values) + 1}" not in found
        # Through their squares: what lies below the root of the rounding error is lost.
        assert found[columns].to_numpy(float) == pytest.approx(
            values.numpy(), abs=1e-7 * float(values[0])
        )
    beta = instance.direction
    for name, vector in (("alignment", beta), ("cosine_biased", covariance(instance) @ beta)):
        expected = float((exact.Vh[0] @ vector).abs() / vector.norm())
        assert found[name] == pytest.approx(expected, abs=1e-8)
    assert found["spike_ratio"] == pytest.approx(float(exact.S[0] / exact.S[1]))


def fresh_fit_sample(task, instance, seed=0):
    """x of the sample that a readout is refitted on, whose statistics batch-norms take."""
    return instance.from_eigenbasis(draw_sample(task, instance, "refit", task.n, seed).inputs)


# --- Theory against the network ----------------------------------------------------------------------

LAW = {
    "d": 200, "width": 200, "readout_scale": 0.05, "lr_unit": "preactivations",
    "metrics": ["alignment_direction", "alignment", "alignment_theory"],
}  # fmt: skip
SEEDS = range(8)
SETTINGS = [
    (single_index_task(**LAW | changes), damping)
    for changes, damping in (
        ({}, 0.1),
        ({"kappa_x": 100.0, "activation": "erf"}, 0.0),
        ({"aspect_ratio": 2.0, "spectrum": "two_level", "link": "erf"}, 0.3),
        ({"aspect_ratio": 2.0, "activation": "relu", "link": "relu"}, 0.0),
        ({"spectrum": "power_law", "link": "linear", "basis": "axis"}, 1.0),
    )
]
SLOW = [
    (
        single_index_task(
            **LAW | {"aspect_ratio": gamma, "kappa_x": kappa, "spectrum": kind, "link": link,
                     "d": 400, "width": 400}
        ),
        damping,
    )
    for (kind, kappa), gamma, (link, damping) in product(
        (("log", 10.0), ("log", 1000.0), ("two_level", 30.0), ("power_law", 10.0)),
        (0.3, 2.0),
        (("tanh", 0.0), ("relu", 0.1), ("he1_plus_he3", 1.0)),
    )
]  # fmt: skip


def measured(task, method, damping):
    """Means and standard errors over seeds of both alignments, and what the table predicts."""
    runs = table(method, [1.0], [damping], task, SEEDS)
    runs = runs[runs["step"] == 1]
    values = runs[["alignment_direction", "alignment"]].to_numpy().T
    (predicted,) = runs["alignment_theory"].unique()
    return values.mean(axis=1), values.std(axis=1, ddof=1) / math.sqrt(len(SEEDS)), predicted


def disagreements(cases):
    """Where a mean is further from the prediction than three standard errors and finite size.

    For the direction finite size shifts by m2 / d: the variance of beta^T x fluctuates about its
    mean by sqrt(2 m2 / d) of itself, and a smooth function of it shifts by about half that squared.
    The update has the rest of the gradient beside its spike, and follows y - f_0(x), not y: at a
    readout of 0.05 that is allowed 0.02.
    """
    found = []
    for (task, damping), method in product(cases, ("sgd", "kfac")):
        values = spectrum(task.spectrum, task.d, task.kappa_x)
        limit = predicted_alignment(
            method,
            values,
            task.d / task.n,
            task.link,
            task.noise,
            damping if method == "kfac" else 0.0,
        )
        mean, error, predicted = measured(task, method, damping)
        assert predicted == pytest.approx(limit, abs=1e-12)
        size = np.mean(values**2) / task.d
        wrong = np.abs(mean - limit) > 3 * error + size + np.array([0.0, 0.02])
        if wrong.any():
            found.append((task, method, damping, limit, mean, error))
    return found


def test_theory_agrees_with_the_network():
    assert disagreements(SETTINGS) == []


@pytest.mark.slow
def test_theory_agrees_with_the_network_on_a_grid():
    assert disagreements(SLOW) == []


def test_a_readout_of_order_one_lowers_the_updates_alignment():
    """The step then follows y - f_0(x): the update's alignment falls, that of X^T y does not."""
    for method in ("sgd", "kfac"):
        (direction, update), *_ = measured(single_index_task(**LAW), method, 0.1)
        large = single_index_task(**LAW | {"readout_scale": 1.0})
        (same, lower), *_ = measured(large, method, 0.1)
        assert same == direction
        assert lower < update - 0.05


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["method=kfca"], "method = 'kfca' is unknown, did you mean 'kfac'"),
        (["method=bn_hiden_sgd"], "did you mean 'bn_hidden_sgd'"),
        (["method=kfac", "method.damping=[0.1,-1.0]"], "method.damping = -1 is not allowed"),
        (["method=kfac", "method.damping=[nan]"], "method.damping = nan is not allowed"),
        (["method=kfac", "method.damping=[]"], "method.damping = [] is not allowed: at least one"),
        (["method=sgd", "method.damping=[0.1]"], "sgd has no damping"),
        (["method=gauss_newton", "method.damping=[0.0]"], "a positive damping is needed"),
        (["method=sgd", "method.lr=[-1.0]"], "method.lr = -1 is not allowed"),
        (["seeds=[]"], "seeds = [] is not allowed"),
        (
            ["method=gauss_newton", "task.d=12", f"task.aspect_ratio={12 / 5000}"],
            "it makes 5000 samples, at most 4096",
        ),
        (
            ["method=newton", "task.d=100", "task.width=11"],
            "task.width * task.d = 1100 is not allowed with method.rule = 'newton.Newton'",
        ),
        (
            ["task.layers=both", "task.lr_unit=preactivations"],
            "task.lr_unit = 'preactivations' is not allowed with task.layers = 'both'",
        ),
        (["engine=moments"], "engine = 'moments' is not allowed with task = 'single_index'"),
    ],
)
def test_refusals_say_why(words, message):
    with pytest.raises(ConfigError) as refusal:
        settings_of(compose_config(["task=single_index", "steps=1", *words]))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
