"""Numbers for each seed that single claims need, from the tables of one experiment each."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from layerwise.claims.claim import Results
from layerwise.claims.statistics import Values, by_seed, rows_of, selected, table_of
from layerwise.results.selection import width


def contraction_errors(results: Results) -> pd.DataFrame:
    """KFAC's late contraction less 1 − η, for each problem and step size."""
    table = rows_of(table_of(results, "contraction", "summary"), method="kfac")
    error = table["contraction"] - (1 - table["lr"])
    return by_seed(table.assign(error=error), "error", ["problem", "lr"])


def after_one_step(results: Results, experiment: str) -> pd.DataFrame:
    """An experiment's rows after one step, of one step size: alignments do not depend on it."""
    table = rows_of(table_of(results, experiment, "runs"), step=1)
    return table.drop_duplicates(["problem", "method", "damping", "seed"])


def alignment_errors(results: Results) -> pd.DataFrame:
    """Measured less predicted alignment, for each problem, method and damping."""
    table = after_one_step(results, "one_step_alignment")
    error = table["alignment_direction"] - table["alignment_theory"]
    return by_seed(table.assign(error=error), "error", ["problem", "method", "damping"])


def isotropic_alignments(results: Results) -> pd.DataFrame:
    """With Σ_x = I: KFAC's alignment at the damping that the formula prefers, and SGD's; each the
    mean over links and spectra."""
    table = rows_of(after_one_step(results, "one_step_alignment"), kappa_x=1)
    kfac = rows_of(table, method="kfac")
    best = kfac.groupby("damping")["alignment_theory"].mean().idxmax()
    pair = [rows_of(kfac, damping=best), rows_of(table, method="sgd")]
    return pd.concat([one.groupby("seed")["alignment_direction"].mean() for one in pair], axis=1)


def spike_cosines(method: str) -> Values:
    """|cos| of the update with Σ_x β⋆, and with β⋆; each the mean over links."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(after_one_step(results, "spike"), method=method)
        return table.groupby("seed")[["cosine_biased", "alignment"]].mean()

    return values


def one_step_alignments(*methods: str) -> Values:
    """After one step at κ_x = 100, for each basis: the alignments of SGD and of KFAC at λ = 0.1, then
    of each of ``methods``."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(after_one_step(results, "one_step_methods"), kappa_x=100)
        columns = []
        for basis in sorted(table["basis"].unique()):
            here = rows_of(table, basis=basis)
            own = [rows_of(here, method="sgd"), rows_of(here, method="kfac", damping=0.1)]
            own += [rows_of(here, method=method) for method in methods]
            columns += [one.groupby("seed")["alignment_readout"].mean() for one in own]
        return pd.concat(columns, axis=1)

    return values


def trained_alignments(method: str) -> Values:
    """After many steps at κ_x = 1000: the alignments of SGD, of KFAC and of a method."""

    def values(results: Results) -> pd.DataFrame:
        table = rows_of(selected(results, "modern_alignment"), kappa_x=1000)
        own = [rows_of(table, method=name) for name in ("sgd", "kfac", method)]
        return pd.concat([one.set_index("seed")["alignment"] for one in own], axis=1)

    return values


def largest_share_of_gap(methods: int) -> Callable[[np.ndarray], float]:
    """The largest share, over bases and methods, of the gap from SGD's to KFAC's mean alignment that a
    method closes, for rows of :func:`one_step_alignments` or :func:`trained_alignments`; negative where
    it opens."""

    def statistic(rows: np.ndarray) -> float:
        sgd, kfac, *others = rows.mean(axis=0).reshape(-1, 2 + methods).T
        return float(max(((other - sgd) / (kfac - sgd)).max() for other in others))

    return statistic


def stable_shares(results: Results) -> pd.DataFrame:
    """The share of step sizes, dampings and batch sizes at which a seed does not diverge:
    Gauss–Newton's and KFAC's."""
    table = table_of(results, "second_order", "summary")
    shares = [
        rows_of(table, method=method)["status"].eq("ok").groupby(table["seed"]).mean()
        for method in ("gauss_newton", "kfac")
    ]
    return pd.concat(shares, axis=1)


def batch_norm_losses(results: Results) -> pd.DataFrame:
    """For each variant with batch-norm and its plain method on each problem, four columns: average
    training loss with and without, transfer loss with and without."""
    table = selected(results, "batch_norm")
    columns = []
    for name in table["method"].unique():
        if not name.startswith("bn_"):
            continue
        plain = rows_of(table, method=name.rsplit("_", 1)[1])
        own = rows_of(table, method=name)
        for problem in own["problem"].unique():
            pair = [rows_of(one, problem=problem).set_index("seed") for one in (own, plain)]
            columns += [one[m] for m in ("mean_train_loss", "transfer_loss") for one in pair]
    return pd.concat(columns, axis=1).fillna(np.inf)


def largest_transfer_ratio(rows: np.ndarray) -> float:
    """The largest ratio of median transfer losses, with over without, among the cases of
    :func:`batch_norm_losses` that train, and whose training loss is no larger with batch-norm; 0 without
    such a case."""
    cases = np.median(rows, axis=0).reshape(-1, 4)
    kept = cases[np.isfinite(cases[:, 0]) & (cases[:, 0] <= cases[:, 1])]
    return float((kept[:, 2] / kept[:, 3]).max()) if len(kept) else 0.0


def distances_and_losses(results: Results) -> pd.DataFrame:
    """In the strong regime, the final subspace distance of each method, then the transfer loss."""
    table = rows_of(selected(results, "head_to_head"), regime="strong")
    pair = [by_seed(table, metric, "method") for metric in ("subspace_distance", "transfer_loss")]
    return pd.concat(pair, axis=1)


def rank_correlation(rows: np.ndarray) -> float:
    """Spearman's correlation of the medians of the first half of the columns with the second's; equal
    ones, as infinite ones are, share their rank."""
    halves = np.split(np.median(rows, axis=0), 2)
    return float(np.corrcoef(pd.DataFrame(halves).rank(axis=1))[0, 1])


def step_size_distances(results: Results) -> pd.DataFrame:
    """In the mild regime, where both learn, final subspace distances over the step sizes: KFAC's and then
    SGD's, each followed by the step sizes themselves; all four of one width, the shorter grid filled up
    with infinity."""
    table = rows_of(table_of(results, "step_size", "summary"), regime="mild")
    each = [
        by_seed(rows_of(table, method=name), "subspace_distance", "lr") for name in ("kfac", "sgd")
    ]
    longest = max(distances.shape[1] for distances in each)
    columns = []
    for distances in each:
        lrs = pd.DataFrame({lr: lr for lr in distances}, index=distances.index)
        for part in (distances, lrs):
            filler = range(longest - part.shape[1])
            columns.append(part.assign(**{f"filler {i}": np.inf for i in filler}))
    return pd.concat(columns, axis=1)


def difference_of_widths(rows: np.ndarray) -> float:
    """Decades around the best step size within a factor of two of it: KFAC's less SGD's."""
    kfac, kfac_lr, sgd, sgd_lr = np.split(rows, 4, axis=1)
    return width(kfac_lr[0], np.median(kfac, axis=0)) - width(sgd_lr[0], np.median(sgd, axis=0))


def rademacher_and_gaussian(results: Results) -> pd.DataFrame:
    """For each method the average subspace distance with Rademacher inputs and with Gaussian ones."""
    table = selected(results, "inputs")
    return by_seed(table, "mean_subspace_distance", ["method", "inputs"]).sort_index(axis=1)


def largest_log_ratio(rows: np.ndarray) -> float:
    """The largest |log ratio| of the medians of the columns' successive pairs."""
    first, second = np.log(np.median(rows, axis=0)).reshape(-1, 2).T
    return float(np.abs(first - second).max())


def small_readout_errors(results: Results) -> pd.DataFrame:
    """The update's alignment less the formula's, at readouts no larger than the mean-field scale."""
    table = after_one_step(results, "readout_scale")
    table = table[table["readout_scale"] <= table["width"] ** -0.5]
    error = table["alignment"] - table["alignment_theory"]
    return by_seed(table.assign(error=error), "error", ["problem", "method", "damping"])


def large_readout_drop(results: Results) -> pd.DataFrame:
    """SGD's update at readout scale one: its alignment and the formula's, means over problems."""
    table = rows_of(after_one_step(results, "readout_scale"), readout_scale=1.0, method="sgd")
    return table.groupby("seed")[["alignment_theory", "alignment"]].mean()
