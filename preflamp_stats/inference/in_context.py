"""Methods without a reward model against the best of those with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.contrasts import metric_differences
from preflamp_stats.inference.floors import unknown_direction
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.io.select import Results
from preflamp_stats.kernels.multiplicity import holm, max_t_critical
from preflamp_stats.kernels.paired import AnytimeDifferences, PairedDifferences
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["in_context_between", "in_context_test", "lead_over_best"]

_GUIDED = "reward-guided"


def in_context_test(
    ds: Results,
    metric: str = "rouge1",
    *,
    resample: Literal["users", "examples"] = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
    anytime: bool = False,
) -> xr.Dataset:
    """Compare each method of another family with the best reward-guided method, model by model.

    The best of several estimates owes part of its lead to luck, so the difference from the method
    that *looks* best is biased against the contender and its usual interval is wrong. The target
    here is δ = contender − max over guided methods of their true values, whichever is best. Where
    lower values are better δ has the other sign, so that a positive one is always a lead; where the
    file does not say which are, nothing leads: NaN, and ``note`` says so.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file, with the coordinate ``method_family``.
    metric : str
        Metric of generation quality.
    resample, n_resamples, seed, options, include_seeds, anytime
        As for :func:`compare_methods`.
    level : float
        Confidence level in (0, 1) of each interval, whichever guided method is best.

    Returns
    -------
    Dataset, dims ([model], method)
        For every method that is not reward-guided: ``estimate`` of δ (median-unbiased or, at
        worst, too high in half of studies), ``low``, ``high``; ``best_guided``, the method that
        looks best, and ``naive_estimate``, the difference from it; ``p_value`` of δ ≤ 0, doubled to
        agree with the two-sided interval; ``p_adjusted`` for all models and contenders;
        ``dominates``, whether that is at most 1 − level; ``n_guided`` and ``n_users``. Over
        methods alone: ``dominates_from``, the smallest model from which on every model dominates
        (empty where none does). Models are tested from the largest down, each only where all
        larger ones dominate, which costs nothing for their number; contenders cost Bonferroni's
        factor. Where ``parameters`` is lacking, Holm over all of them and no ``dominates_from``.

    Raises
    ------
    InputError
        If the dataset lacks the metric, the families, or one of the two sides.

    References
    ----------
    Hsu (1984), Annals of Statistics 12:1136-1144 (comparison with the best); Chernozhukov, Lee
    and Rosen (2013), Econometrica 81:667-737 (upper limit and estimate of a minimum).

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(models=["1B", "30B"], n_methods=4, icl_advantage=0.6, seed=1)
    >>> found = in_context_test(study.to_dataset())
    >>> found.dominates.values.tolist(), found.dominates_from.values.tolist()
    ([[False], [True]], ['30B'])
    """
    study = study_of_call(
        ds,
        [metric],
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        include_seeds=include_seeds,
        anytime=anytime,
    )
    return in_context_between(study, metric)


def in_context_between(study: ResampledStudy, metric: str) -> xr.Dataset:
    """Compare with the best guided method of a study in a metric; see :func:`in_context_test`."""
    asked, summed, family = study.settings, study.summed[metric], study.ds.get("method_family")
    if family is None:
        raise InputError(
            Problem(
                "is not in the file",
                f"add a coordinate that names each method's family, such as {_GUIDED}",
                variable="method_family",
            )
        )
    families = dict(zip(map(str, family["method"].values), map(str, family.values), strict=True))
    differences = metric_differences(
        summed, include_seeds=asked.include_seeds, anytime=asked.anytime
    )
    methods = differences.methods
    guided = [i for i, name in enumerate(methods) if families[name] == _GUIDED]
    contenders = [i for i, name in enumerate(methods) if families[name] != _GUIDED]
    if not guided or not contenders:
        raise InputError(
            Problem(
                f"has {len(guided)} {_GUIDED} methods and {len(contenders)} others",
                "at least one of each is needed",
                variable="method_family",
            )
        )
    rows = []
    for model, as_measured in differences.by_model.items():
        every = np.arange(len(as_measured.estimate))
        # Without a direction nobody leads.
        sign = np.where(summed.info.sign, float(summed.info.sign), np.nan)
        pairs = as_measured.oriented(every, np.broadcast_to(sign, every.shape))
        rng = np.random.default_rng(stream(asked.seed, study.name, "best guided", metric, model))
        found = [
            lead_over_best(pairs, i, guided, level=asked.level, n_draws=asked.resamples, rng=rng)
            for i in contenders
        ]
        rows.append({name: np.array([one[name] for one in found]) for name in found[0]})
    labels = [methods[i] for i in contenders]
    data = {name: (("model", "method"), np.stack([r[name] for r in rows])) for name in rows[0]}
    result = xr.Dataset(data, {"method": labels})
    best = result["best_guided"]
    names = np.asarray([*methods, ""], dtype=object)
    result["best_guided"] = best.copy(data=names[best.values])
    if differences.models is None:
        result = result.isel(model=0)
    else:
        result = result.assign_coords(model=differences.models)
    if undirected := unknown_direction(summed.info):
        result["note"] = xr.full_like(result["best_guided"], undirected)
    return _with_dominance(result, asked.level).assign_attrs(metric=metric, level=asked.level)


def lead_over_best(
    pairs: PairedDifferences,
    contender: int,
    guided: Sequence[int],
    *,
    level: float,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Estimate a contender's lead over the best of the guided methods; see `in_context_test`.

    Parameters
    ----------
    pairs : PairedDifferences
        Of all methods.
    contender : int
        Its place among the methods.
    guided : sequence of int
        Places of those that it is compared with.
    level : float
        Confidence level.
    n_draws : int
        Draws behind the upper limit and the estimate.
    rng : numpy.random.Generator
        Their source.

    Returns
    -------
    dict
        ``estimate, low, high, naive_estimate, p_value, best_guided`` (a place; -1 for none),
        ``n_guided, n_users``.
    """
    where, sign = _pairs_with(pairs, contender, guided)
    there = ~np.isnan(pairs.estimate[where]) & (pairs.n_users[where] > 1)
    where, sign = where[there], sign[there]
    found: dict[str, Any] = dict.fromkeys(
        ("estimate", "low", "high", "naive_estimate", "p_value"), np.nan
    )
    if not len(where):
        return {**found, "best_guided": -1, "n_guided": 0, "n_users": 0}
    leads = pairs.oriented(where, sign)
    apparent = int(np.argmin(leads.estimate))
    best = where[apparent]
    n_users = int(leads.n_users.min())
    found |= {
        "naive_estimate": float(leads.estimate[apparent]),
        "best_guided": int(pairs.second[best] if sign[apparent] > 0 else pairs.first[best]),
        "n_guided": len(where),
        "n_users": n_users,
    }
    if np.isnan(leads.se).any():  # whoever is truly best may be one of those
        return found
    tail = (1 - level) / 2
    # The lead over the best is the smallest lead; a lower limit of every single one will do for it.
    low = float(np.min(leads.limits(-float(special.ndtri(tail)))[0]))
    p_value = float(min(1.0, 2 * special.ndtr(-leads.statistic.min())))
    if isinstance(leads, AnytimeDifferences):
        high = float(np.min(leads.limits(-float(special.ndtri(tail / len(where))))[1]))
        estimate = found["naive_estimate"]
        return found | {"estimate": estimate, "low": low, "high": high, "p_value": p_value}
    # From above, the smallest limit counts, so all must hold together: but only for those methods
    # that can be the best.
    maxima = pairs.null_maxima(rng, n_draws, pairs=where, signs=sign)
    sure = max_t_critical(maxima, level=1 - 0.1 / np.log(max(n_users, 3)))
    above = leads.limits(sure)[1]
    possible = leads.estimate <= np.min(above) + 2 * (above - leads.estimate)
    maxima = pairs.null_maxima(rng, n_draws, pairs=where[possible], signs=sign[possible])

    def critical(share: float) -> float:
        return max(float(special.ndtri(share)), max_t_critical(maxima, level=share))

    middle = leads.estimate + leads.half_widths(critical(0.5))
    return found | {
        "estimate": float(np.min(middle[possible])),
        "low": low,
        "high": float(np.min(leads.limits(critical(1 - tail))[1][possible])),
        "p_value": p_value,
    }


def _pairs_with(
    pairs: PairedDifferences, contender: int, guided: Sequence[int]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pairs of a contender with guided methods, and the sign that makes them its lead."""
    as_first = (pairs.first == contender) & np.isin(pairs.second, guided)
    as_second = (pairs.second == contender) & np.isin(pairs.first, guided)
    where = np.flatnonzero(as_first | as_second)
    return where, np.where(as_first[where], 1.0, -1.0)


def _with_dominance(found: xr.Dataset, level: float) -> xr.Dataset:
    """Correct for models and contenders, and say from which model on a contender dominates."""
    p = found["p_value"]
    n_contenders = int(p.notnull().any("model").sum() if "model" in p.dims else p.notnull().sum())
    if "model" in p.dims and "parameters" not in p.coords:
        adjusted = p.copy(data=holm(p.values.ravel()).reshape(p.shape))
        return found.assign(p_adjusted=adjusted, dominates=adjusted <= 1 - level)
    adjusted = (p * n_contenders).clip(max=1.0)
    if "model" not in p.dims:
        return found.assign(p_adjusted=adjusted, dominates=adjusted <= 1 - level)
    largest_first = adjusted.sortby("parameters", ascending=False)
    # A model without the contender says nothing, and does not end the sequence.
    running = np.fmax.accumulate(largest_first.transpose("model", "method").values, axis=0)
    sequence = largest_first.transpose("model", "method").copy(data=running)
    sequence = sequence.where(largest_first.notnull())
    dominates = sequence <= 1 - level
    last = dominates.values.sum(axis=0) - 1
    models = [
        str(sequence["model"].values[dominates.values[:, k]][-1]) if count >= 0 else ""
        for k, count in enumerate(last)
    ]
    from_model = xr.DataArray(np.asarray(models, dtype=object), dims="method")
    return found.assign(
        p_adjusted=sequence.sel(model=found["model"]),
        dominates=dominates.sel(model=found["model"]),
        dominates_from=from_model,
    )
