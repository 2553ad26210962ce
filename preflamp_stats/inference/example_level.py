"""Does ranking this pair right go with writing this user's text better?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import check_choice
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.floors import NO_VARIATION
from preflamp_stats.inference.units import Units, user_units
from preflamp_stats.io.blocks import example_blocks, load_block
from preflamp_stats.io.select import Results, one_dataset
from preflamp_stats.kernels.clustered import UserProducts, clustered_slope, user_products
from preflamp_stats.kernels.user_variance import UserVariance
from preflamp_stats.metric import Metric
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import example_values, metric_info
from preflamp_stats.settings import Settings

__all__ = ["Estimator", "example_association", "example_products"]

Array = NDArray[np.float64]
Estimator = Literal["mixed", "gee", "within"]

MOST_MIXED_ROWS = 100_000
MOST_MIXED_USERS = 1_000
"""Rows (examples × methods × seeds) and users up to which a mixed model is fitted by default."""

_FAR = 1e3
"""Standard deviations from 0 beyond which values are summed about their mean."""


def example_association(
    ds: Results,
    downstream: str = "rouge1",
    *,
    upstream: str = "rm_accuracy",
    estimator: Estimator | None = None,
    level: float = 0.95,
    options: MetricOptions | None = None,
) -> xr.Dataset:
    """Association, over examples, of ranking a pair right with writing its user's text better.

    The estimate is how much better the text of an example is, in units of the downstream metric,
    where the pair is ranked right instead of wrong: the slope of quality on credit beside an effect
    of every method (and training seed) and of every user. It is an association: an example that is
    easy to rank may also be easy to write.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    downstream : str
        Metric with a value for each example, usually a generation metric.
    upstream : str
        Metric with a value for each example, usually an accuracy.
    estimator : {"mixed", "gee", "within"}, optional
        How users enter: "mixed" as random intercepts, whose variance is fitted by REML; "gee" by
        the exchangeable correlation of generalised estimating equations; "within" as fixed effects,
        so that only examples of the same user are compared. By default the mixed model, generalised
        estimating equations where it does not converge or finds no variance between users, and
        "within" above :data:`MOST_MIXED_ROWS` rows or :data:`MOST_MIXED_USERS` users.
    level : float
        Confidence level in (0, 1).
    options : MetricOptions, optional
        How the metrics are computed. The average does not matter: every example counts once.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate, low, high, p_value, estimator`` (the one used), ``user_share`` (variance between
        users as a share of that left by the methods; NaN for "within"), ``n_rows, n_examples,
        n_users`` and ``note``, which says why another estimator was used or a result is undefined.

    Raises
    ------
    InputError
        If the dataset lacks a metric, a metric has no values by example, or an option is unknown.

    Notes
    -----
    The three ask the same question and differ in how much they trust differences *between* users.
    For all of them the standard error comes from leaving out each user in turn, and limits from
    Student's t with the effective number of users, less one, as degrees of freedom: examples that
    all methods share make the errors of a user's rows dependent in ways that a random intercept
    does not describe, and a model's own standard error would be too small. Where the dataset has no
    users, an example takes the place of a user.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=40, n_examples=5, seed=1)).values()))
    >>> found = example_association(ds, estimator="within")
    >>> bool(found["low"] < found["estimate"] < found["high"]), found["n_users"].item()
    (True, 40)
    """
    ds, options = one_dataset(ds), Settings.of_call(options, level=level)
    infos = [_by_example(ds, name, options) for name in (upstream, downstream)]
    if estimator is not None:
        check_choice("estimator", estimator, Estimator)
    units = user_units(ds)
    results = {}
    for model, example in _read(ds, infos, units, options, estimator):
        results[model] = _fit(example, estimator, level)
    frames = [xr.Dataset(found) for found in results.values()]
    if list(results) == [None]:
        joined = frames[0]
    else:
        joined = xr.concat(frames, dim="model").assign_coords(model=list(results))
    return joined.assign_attrs(
        upstream=upstream, downstream=downstream, level=level, unit=units.kind
    )


def example_products(
    ds: xr.Dataset, upstream: str, downstream: str, units: Units, options: MetricOptions
) -> list[UserProducts]:
    """Sums over examples by unit and method (and training seed), one of every model.

    Raises
    ------
    InputError
        If a metric has no values by example.
    """
    infos = [_by_example(ds, name, options) for name in (upstream, downstream)]
    read = _read(ds, infos, units, options, "within")
    return [values.products for _, values in read if values.products is not None]


def _by_example(ds: xr.Dataset, name: str, options: MetricOptions) -> Metric:
    info = metric_info(ds, name, options)
    if info.kind == "method":
        raise InputError(
            Problem(
                "is known only per method",
                "choose a metric with a value for each example",
                variable=name,
            )
        )
    return info


@dataclass
class _Values:
    """Values of one model: their sums, and whether a mixed model may be fitted to them.

    The sums are of y less an origin: squares of values that differ little beside their size have
    no digits left for the difference.
    """

    products: UserProducts | None
    few: bool
    origin: float | None = None
    n_rows: int = 0
    n_examples: int = 0


def _read(
    ds: xr.Dataset,
    infos: list[Metric],
    units: Units,
    options: MetricOptions,
    estimator: Estimator | None,
) -> Iterator[tuple[str | None, _Values]]:
    """Values of each model, read block by block."""
    names = sorted({name for info in infos for name in info.needs})
    found: dict[str | None, _Values] = {}
    for block in example_blocks(ds[names]):
        loaded = load_block(ds, block, names=names)
        pair = [
            example_values(loaded[list(info.needs)], info, options).reset_coords(drop=True)
            for info in infos
        ]
        first, second = xr.broadcast(*xr.align(*pair, join="inner", exclude={"example"}))
        by_model: dict[str | None, tuple[xr.DataArray, xr.DataArray]] = {None: (first, second)}
        if "model" in first.dims:
            by_model = {
                str(model): (first.sel(model=model), second.sel(model=model))
                for model in first["model"].values
            }
        for model, both in by_model.items():
            x, y = (
                v.transpose("example", ...).values.reshape(v.sizes["example"], -1) for v in both
            )
            if model not in found:
                whole = x.shape[1] * ds.sizes["example"]
                few = whole <= MOST_MIXED_ROWS and len(units.labels) <= MOST_MIXED_USERS
                found[model] = _Values(None, few or estimator is not None)
            _add(found[model], x, y, units.codes[block], len(units.labels))
    yield from found.items()


def _add(values: _Values, x: Array, y: Array, codes: NDArray[np.intp], n_users: int) -> None:
    there = ~(np.isnan(x) | np.isnan(y))
    if values.origin is None and there.any():
        mean = float(y[there].mean())
        values.origin = mean if abs(mean) > _FAR * y[there].std() else 0.0
    products = user_products(x, y - (values.origin or 0.0), codes, n_users)
    values.products = products if values.products is None else values.products + products
    values.n_rows += int(there.sum())
    values.n_examples += int(there.any(axis=1).sum())


def _fit(values: _Values, estimator: Estimator | None, level: float) -> dict[str, object]:
    products = values.products
    if products is None:
        raise InputError(Problem("holds no examples", "add the examples that were scored"))
    ratio, note, used = math.inf, "", estimator or "mixed"
    fixed = clustered_slope(products)
    if np.isnan(fixed.slope) or np.isnan(fixed.error):
        used = "within"
        note = (
            "the upstream metric does not vary within a user and method"
            if np.isnan(fixed.slope)
            else "no interval: a single user decides"
        )
    elif not values.few:
        used, note = "within", "too large for a mixed model by default: compared within users"
    elif used != "within":
        ratio, used, note = _variance_ratio(products, used)
    fit = clustered_slope(products, ratio)
    if fit.error == 0:
        note = NO_VARIATION
    low, high = fit.interval(level)
    return {
        "estimate": fit.slope,
        "low": low,
        "high": high,
        "p_value": fit.p_value,
        "estimator": used,
        "user_share": np.nan if math.isinf(ratio) else ratio / (1 + ratio),
        "n_rows": values.n_rows,
        "n_examples": values.n_examples,
        "n_users": fit.n_users,
        "note": note,
    }


def _variance_ratio(products: UserProducts, wanted: Estimator) -> tuple[float, Estimator, str]:
    """Variance between users in units of the residuals', and where it comes from."""
    users, problem = UserVariance(products), ""
    if wanted == "mixed":
        ratio = users.reml
        if 0 < ratio < math.inf:
            return _rounded(ratio), "mixed", ""
        why = "did not converge" if ratio else "no variance between users (singular)"
        problem = f"mixed model: {why}; generalised estimating equations instead"
    ratio = _rounded(users.exchangeable)
    if np.isnan(ratio) or 1 + float(products.n.sum(axis=1).max()) * ratio <= 0:
        reason = "no valid exchangeable correlation; compared within users instead"
        return math.inf, "within", "; ".join(filter(None, [problem, reason]))
    return ratio, "gee", problem


def _rounded(ratio: float) -> float:
    """Drop digits that the order of the file may move and the slope does not feel."""
    return float(f"{ratio:.4g}")
