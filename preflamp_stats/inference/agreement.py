"""Agreement of two metrics on pairs of methods, beside Kendall's tau."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import AlignedModel, align_metrics, over_models
from preflamp_stats.inference.floors import unknown_direction
from preflamp_stats.inference.intervals import percentile_limits
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.tau_evidence import TauEvidence, model_evidence
from preflamp_stats.inference.tau_intervals import DEFAULT_INTERVAL, INTERVALS
from preflamp_stats.kernels.agreement import (
    soft_pairwise_accuracy,
    swap_p_values,
    tie_calibrated_accuracy,
)

__all__ = ["agreement_between"]

Array = NDArray[np.float64]

PERMUTATIONS = 1000
"""Of the swap tests, as many as Thompson et al. (2024) take."""
_VALUES_AT_ONCE = 1 << 21


def agreement_between(study: ResampledStudy, upstream: str, downstream: str) -> xr.Dataset:
    """Agreement of two metrics of a study on the pairs of its methods.

    Parameters
    ----------
    study : ResampledStudy
        Whose settings say which measure: ``soft-pairwise``, one minus the mean distance of the
        one-sided p-values that the two metrics give to each pair, by swapping users between
        methods; or ``pairwise-tie``, the share of pairs that both order alike or both call a tie,
        values of the upstream metric within the best threshold being tied.
    upstream, downstream : str
        Metrics; one of which lower values are better is turned round.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate``, in [0, 1]; ``low, high``; of ``pairwise-tie`` ``tied_within``, in the units
        of the upstream metric; ``n_methods, n_examples, n_users, note``. The interval of
        ``soft-pairwise`` is for what studies of so many users find on average (with more users
        every metric is surer): percentiles of the bootstrap, moved so that its mean is the
        estimate, since a resample is noisier than the sample it is drawn from. That of
        ``pairwise-tie`` is that of tau, (1 + τ) / 2, for the true values of these methods, of which
        none are tied; with the interval "percentile" it is the bootstrap's, the threshold chosen
        anew each time.

    Raises
    ------
    InputError
        If tau is asked for, which has a function of its own, or methods are to be resampled.
    """
    asked, x, y = study.settings, study.drawn[upstream], study.drawn[downstream]
    if asked.resample in ("methods", "both"):
        what = f"{asked.agreement!r} compares these very methods, and a pair of one method is none"
        raise InputError(Problem(what, "resample users or examples", variable="resample"))
    if asked.agreement == "tau":
        raise InputError(Problem("is 'tau'", "call tau_between", variable="agreement"))
    estimated, draws = _MEASURES[asked.agreement]
    soft = asked.agreement == "soft-pairwise"
    kind = "shifted percentile" if soft else asked.interval or DEFAULT_INTERVAL
    aligned = align_metrics({"x": x, "y": y})

    def row(here: AlignedModel) -> dict[str, Any]:
        evidence = model_evidence(here, x, y, asked, study.name)
        told: dict[str, Any] = {"n_methods": evidence.compared.sum(), "note": evidence.obstacle}
        if evidence.compared.sum() < 2:
            return told
        told |= estimated(evidence)
        if not evidence.obstacle:
            if kind in INTERVALS and kind != "percentile":
                low, high = ((1 + limit) / 2 for limit in INTERVALS[kind](evidence))
            else:
                drawn = draws(evidence)
                moved = told["estimate"] - drawn.mean() if soft else 0.0
                limits = percentile_limits(drawn + moved, asked.level)
                low, high = (float(np.clip(limit, 0, 1)) for limit in limits)
            told["low"] = min(low, told["estimate"])
            told["high"] = max(high, told["estimate"])
        told["note"] = told["note"] or unknown_direction(x.info, y.info)
        return told

    columns: dict[str, object] = dict.fromkeys(("estimate", "low", "high"), np.nan)
    columns |= {} if soft else {"tied_within": np.nan}
    found = over_models(aligned, columns | {"n_methods": 0, "note": ""}, row)
    return found.assign_attrs(
        upstream=upstream,
        downstream=downstream,
        agreement=asked.agreement,
        level=asked.level,
        resample=study.units.kind,
        interval=kind,
    )


@dataclass(frozen=True)
class _Pairs:
    """The pairs of compared methods, as one of two metrics sees them.

    ``units`` are what each user adds to the value of each method, (unit, method); None for a metric
    without sampling error, such as a number known only per method.
    """

    values: Array
    draws: Array
    units: Array | None

    @classmethod
    def of(cls, evidence: TauEvidence) -> list[_Pairs]:
        """Those of the upstream and of the downstream metric."""
        there, error = evidence.compared, evidence.error
        halves: list[Array | None] = [None, None]
        if error is not None:
            # A number known only per method is spread evenly over the users.
            each = np.hsplit(error.sums / error.counts.sum(axis=0), 2)
            halves = [half if (half != half[0]).any() else None for half in each]
        sides = ((evidence.x, evidence.x_draws), (evidence.y, evidence.y_draws))
        return [
            cls(values[there], draws[:, there], half)
            for (values, draws), half in zip(sides, halves, strict=True)
        ]

    def permuted_p(self, signs: NDArray[Any]) -> Array:
        """P-values of swap tests, (pair,); where there is no error 0, 1, or ½ for a tie."""
        if self.units is not None:
            return swap_p_values(self.units, signs)
        i, j = np.triu_indices(len(self.values), 1)
        return np.asarray((1 - np.sign(self.values[i] - self.values[j])) / 2)

    def drawn_p(self, rows: slice) -> Array:
        """Their normal limit in some resamples, (resample, pair)."""
        i, j = np.triu_indices(len(self.values), 1)
        differences = self.draws[rows][:, i] - self.draws[rows][:, j]
        spread = np.zeros(len(i))
        if self.units is not None:
            squares = self.units.T @ self.units
            own = np.diag(squares)
            spread = np.sqrt(np.maximum(own[i] + own[j] - 2 * squares[i, j], 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            certain = np.sign(differences) * np.inf
            steps = np.where(spread > 0, differences / spread, np.where(differences, certain, 0.0))
        return np.asarray(ndtr(-steps))


def _soft_estimate(evidence: TauEvidence) -> dict[str, float]:
    n_units = 0 if evidence.error is None else len(evidence.error.counts)
    signs = np.float64(2) * evidence.generator(4).integers(0, 2, (PERMUTATIONS, n_units)) - 1.0
    p_x, p_y = (side.permuted_p(signs) for side in _Pairs.of(evidence))
    return {"estimate": float(soft_pairwise_accuracy(p_x, p_y))}


def _soft_draws(evidence: TauEvidence) -> Array:
    """Soft pairwise accuracy of each resample, from the normal limit of its p-values.

    Swapping the users between two methods leaves a sum of independent terms ± d_u, whose variance
    is Σ d_u²: a resample then costs a normal probability instead of a thousand permutations.
    """
    x, y = _Pairs.of(evidence)
    draws = np.empty(len(x.draws))
    step = max(1, _VALUES_AT_ONCE // len(x.values) ** 2)
    for start in range(0, len(draws), step):
        rows = slice(start, start + step)
        draws[rows] = soft_pairwise_accuracy(x.drawn_p(rows), y.drawn_p(rows))
    return draws


def _tie_estimate(evidence: TauEvidence) -> dict[str, float]:
    found = tie_calibrated_accuracy(evidence.x[None], evidence.y[None])
    return dict(zip(("estimate", "tied_within"), map(float, found), strict=True))


def _tie_draws(evidence: TauEvidence) -> Array:
    there = evidence.compared
    x, y = (draws[:, None, there] for draws in (evidence.x_draws, evidence.y_draws))
    return np.asarray(tie_calibrated_accuracy(x, y)[0])


_MEASURES = {
    "soft-pairwise": (_soft_estimate, _soft_draws),
    "pairwise-tie": (_tie_estimate, _tie_draws),
}
"""How each is estimated, and drawn."""
