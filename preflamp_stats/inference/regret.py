"""What is lost by choosing the method that the upstream metric ranks first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from preflamp_stats.choices import Resample
from preflamp_stats.inference.alignment import AlignedModel, align_metrics, over_models
from preflamp_stats.inference.contrasts import MetricDifferences, metric_differences
from preflamp_stats.inference.floors import unknown_direction
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.io.select import Results
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["Regret", "choice_regret", "regret_between", "selection_regret"]

Array = NDArray[np.float64]

# A method chosen in fewer resamples cannot have been the choice by luck.
_PLAUSIBLE = 0.01


def selection_regret(
    ds: Results,
    upstream: str = "rm_accuracy",
    downstream: str = "rouge1",
    *,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Downstream loss from choosing the method that the upstream metric ranks first.

    The target is the regret of the choice made here: the best method's true downstream value less
    that of the method chosen. The interval holds although the choice was made on the same data,
    and although which method is best is unknown. The file must say of its own metrics whether
    higher or lower values are better (attribute ``direction``); where it does not, nothing is
    chosen, and ``note`` says so.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream : str
        Metric by which a method is chosen, and metric in which the loss is measured.
    resample : {"users", "examples"}
        Unit drawn with replacement. ("methods" and "both" mean "users" here.)
    n_resamples, seed, level, options, include_seeds
        As for :func:`preflamp_stats.bootstrap`.

    Returns
    -------
    Dataset, dims ([model])
        ``chosen, best`` (methods; several, separated by commas, where they tie), ``estimate, low,
        high`` (the regret, in units of the downstream metric, corrected for bias), ``naive`` (the
        difference as observed), ``random`` (the regret to expect from picking a method at random),
        ``relative`` (estimate divided by random: 0 is a perfect choice, 1 one no better than
        chance), ``gain, gain_low, gain_high`` (what the choice gains over a random pick),
        ``n_methods, n_examples, n_users, note``.

    Raises
    ------
    InputError
        If the dataset lacks a metric or some examples lack a user.

    Notes
    -----
    Only methods that have both metrics can be chosen, or be best. See ``docs/methods/association``
    for the formulas and the measured coverage.

    References
    ----------
    Hsu (1984), Constrained simultaneous confidence intervals for multiple comparisons with the
    best, Annals of Statistics 12:1136-1144; Andrews, Kitagawa and McCloskey (2024), Inference on
    winners, Quarterly Journal of Economics 139:305-358.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=40, n_examples=5, seed=1)).values()))
    >>> found = selection_regret(ds, n_resamples=500)
    >>> bool(0 <= found["low"] <= found["estimate"] <= found["high"])
    True
    """
    study = study_of_call(
        ds,
        [upstream, downstream],
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        include_seeds=include_seeds,
    )
    return regret_between(study, upstream, downstream)


def regret_between(study: ResampledStudy, upstream: str, downstream: str) -> xr.Dataset:
    """Regret of choosing by a metric of a study; see :func:`selection_regret`."""
    x, y = study.drawn[upstream], study.drawn[downstream]
    undirected = unknown_direction(x.info, y.info)
    pairs = metric_differences(y.ranked, include_seeds=False) if y.sums is not None else None

    def row(here: AlignedModel) -> dict[str, Any]:
        there = ~(np.isnan(here.estimates["x"]) | np.isnan(here.estimates["y"]))
        if not there.any():
            return {"note": "no method has both metrics"}
        if undirected:
            return {"note": undirected, "n_methods": there.sum()}
        methods = here.methods[there]
        regret = choice_regret(
            x.info.sign * here.estimates["x"][there],
            y.info.sign * here.estimates["y"][there],
            x.info.sign * here.draws["x"][:, there],
            y.info.sign * here.draws["y"][:, there],
            n_units=here.n_users,
            level=study.settings.level,
            alike=None
            if pairs is None
            else partial(_leads_of_alike, pairs, here, y.info.sign, methods.tolist()),
        )
        return {
            "chosen": ", ".join(methods[regret.chosen > 0].tolist()),
            "best": ", ".join(methods[regret.best > 0].tolist()),
            "note": _NO_INTERVAL if np.isnan(regret.low) else "",
            **{name: getattr(regret, name) for name in _NUMBERS},
            "n_methods": there.sum(),
        }

    texts, numbers = dict.fromkeys(("chosen", "best", "note"), ""), dict.fromkeys(_NUMBERS, np.nan)
    columns = {**texts, **numbers, "n_methods": 0}
    return over_models(align_metrics({"x": x, "y": y}), columns, row).assign_attrs(
        upstream=upstream,
        downstream=downstream,
        level=study.settings.level,
        target="regret of this choice among these methods",
        interval="simultaneous, choice redrawn",
    )


def _leads_of_alike(
    pairs: MetricDifferences, here: AlignedModel, sign: int, methods: list[str], tail: float
) -> tuple[Array, Array]:
    """Limits of every method's lead over every other that most users find like it, else NaN."""
    model = "" if pairs.models is None or here.model is None else str(here.model)
    found = pairs.by_model[model]
    low, high = np.full((2, len(pairs.methods), len(pairs.methods)), np.nan)
    if found.few is not None:
        ends = np.sort(sign * np.stack(found.few.limits(tail)), axis=0)
        for (i, j), turn in (((found.first, found.second), 1), ((found.second, found.first), -1)):
            low[i, j], high[i, j] = ends[::turn] * turn
    own = np.ix_(*2 * [[pairs.methods.index(name) for name in methods]])
    return low[own], high[own]


_NO_INTERVAL = "no interval: nothing tells how far off the downstream values are"
_NUMBERS = (
    "estimate",
    "low",
    "high",
    "naive",
    "random",
    "relative",
    "gain",
    "gain_low",
    "gain_high",
)


@dataclass(frozen=True)
class Regret:
    """Regret of a choice; see :func:`selection_regret` for the numbers.

    Parameters
    ----------
    chosen, best : ndarray, shape (method,)
        Share of each method in the choice and among the best: 1, or 1/k for k that tie.
    """

    chosen: Array
    best: Array
    estimate: float
    low: float
    high: float
    naive: float
    random: float
    gain: float
    gain_low: float
    gain_high: float

    @property
    def relative(self) -> float:
        """Regret as a share of that of a random pick; NaN where all methods are equal."""
        return self.estimate / self.random if self.random > 0 else np.nan


def choice_regret(
    x: Array,
    y: Array,
    x_draws: Array,
    y_draws: Array,
    *,
    n_units: int,
    level: float = 0.95,
    alike: Callable[[float], tuple[Array, Array]] | None = None,
) -> Regret:
    """Regret, in y, of choosing the method with the largest x.

    The choice is made anew in each resample, so that the critical values hold the price of having
    chosen on the same data. The lower limit needs every difference from the choice to be bounded
    at once; the upper limit only that of the one method that is truly best, whichever it is.

    Parameters
    ----------
    x, y : ndarray, shape (method,)
        Estimates, without NaN.
    x_draws, y_draws : ndarray, shape (resample, method)
        Bootstrap draws, paired.
    n_units : int
        Units behind them.
    level : float
        Confidence level.
    alike : callable, optional
        Takes the probability of a tail, returns limits of each method's lead over each other, shape
        (method, method), where their difference seems to have no error, or less than it has.

    Returns
    -------
    Regret
        Limits are NaN where y does not vary between resamples or rests on fewer than two units.

    Examples
    --------
    >>> x, y = np.array([3.0, 1.0, 2.0]), np.array([0.2, 0.1, 0.3])
    >>> noise = 0.001 * np.random.default_rng(0).normal(size=(500, 3))
    >>> found = choice_regret(x, y, x + 0 * noise, y + noise, n_units=100)
    >>> found.chosen, round(found.estimate, 2), round(found.low, 2), round(found.high, 2)
    (array([1., 0., 0.]), 0.1, 0.1, 0.1)
    """
    usable = ~(np.isnan(x_draws) | np.isnan(y_draws)).any(axis=1)
    x_draws, y_draws = x_draws[usable], y_draws[usable]
    chosen, best = _shares_of_largest(x), _shares_of_largest(y)
    naive = float(y.max() - chosen @ y)
    gain = float(chosen @ y - y.mean())
    limits = np.full(4, np.nan)
    estimate, bias_of_best = naive, 0.0
    if len(y_draws) > 1 and np.ptp(y_draws, axis=0).any() and n_units > 1:
        choices = _shares_of_largest(x_draws)
        bias_of_best = float((y_draws.max(axis=1) - y.max()).mean())
        bias_of_chosen = float(((choices * (y_draws - y)).sum(axis=1)).mean())
        estimate = max(0.0, naive - bias_of_best + bias_of_chosen)
        limits = _limits(y, chosen, y_draws, choices, n_units, level, alike)
        # Limits are conservative; only a rare and lucky draw puts the corrected estimate outside.
        estimate = float(np.clip(estimate, limits[0], limits[1]))
    low, high, gain_low, gain_high = limits.tolist()
    random = max(0.0, float(y.max() - y.mean()) - bias_of_best)
    return Regret(chosen, best, estimate, low, high, naive, random, gain, gain_low, gain_high)


def _limits(
    y: Array,
    chosen: Array,
    y_draws: Array,
    choices: Array,
    n_units: int,
    level: float,
    alike: Callable[[float], tuple[Array, Array]] | None = None,
) -> Array:
    """Limits of the regret, then of the gain over a random pick."""
    tail = (1 - level) / 2
    covariance = np.atleast_2d(np.cov(y_draws, rowvar=False))
    # The bootstrap's variance is that of U units, not U − 1, and its tails are those of a known
    # standard error.
    small_sample = np.sqrt(n_units / (n_units - 1)) * (
        special.stdtrit(n_units - 1, tail) / special.ndtri(tail)
    )
    every = np.eye(len(y))
    deviation = y_draws - y

    def studentised(errors: Array, leads: Array) -> Array:
        noise = np.zeros_like(leads)
        np.divide(leads, errors, out=noise, where=errors > 0)
        return np.asarray(small_sample * noise)

    # Each method's lead over the choice of the resample.
    noise = studentised(
        _errors(every, choices, covariance),
        deviation - (choices * deviation).sum(axis=1, keepdims=True),
    )
    below = np.quantile(noise.max(axis=1), 1 - tail)
    above = np.maximum(0.0, np.quantile(-noise, 1 - tail, axis=0))
    lead = y - chosen @ y
    error = _errors(every, chosen[None], covariance)[0]
    # The gain of every method that might have been chosen, bounded at once.
    average = np.full((1, len(y)), 1 / len(y))
    plausible = (choices.mean(axis=0) >= _PLAUSIBLE) | (chosen > 0)
    own_error = _errors(average, every, covariance)[:, 0]
    gains = studentised(own_error, deviation - deviation.mean(axis=1, keepdims=True))
    reach = np.quantile(np.abs(gains[:, plausible]).max(axis=1), level)
    gain = chosen @ y - y.mean()
    gain_error = float(_errors(average, chosen[None], covariance)[0, 0])
    leads = [lead - below * error, lead + above * error]
    ends = [gain - reach * gain_error, gain + reach * gain_error]
    if alike is not None:
        some = chosen > 0
        low, high = (alike(t)[s] for t, s in ((tail / max(len(y) - 1, 1), 0), (tail, 1)))
        lower, upper = (limit[:, some] @ chosen[some] for limit in (low, high))
        leads = [np.fmin(leads[0], lower), np.fmax(leads[1], upper)]
        if (~np.isnan(upper)).sum() == len(y) - 1:
            other = -np.nansum([upper, lower], axis=1) / len(y)
            ends = [min(ends[0], other[0]), max(ends[1], other[1])]
    return np.array([*(max(0.0, one.max()) for one in leads), *ends])


def _errors(targets: Array, choices: Array, covariance: Array) -> Array:
    """Standard errors of each target less each choice, shape (choice, target)."""
    between = choices @ covariance @ targets.T
    own_target = np.einsum("tm,mn,tn->t", targets, covariance, targets)
    own_choice = ((choices @ covariance) * choices).sum(axis=1)
    variance = own_target + own_choice[:, None] - 2 * between
    # Rounding leaves a little where a target is the choice itself.
    variance[variance < 1e-12 * covariance.max(initial=0.0)] = 0.0
    return np.asarray(np.sqrt(variance))


def _shares_of_largest(values: Array) -> Array:
    largest = (values == values.max(axis=-1, keepdims=True)).astype(np.float64)
    return np.asarray(largest / largest.sum(axis=-1, keepdims=True))
