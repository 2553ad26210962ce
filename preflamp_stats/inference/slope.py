"""What a difference upstream buys downstream: a slope over methods, both metrics noisy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Resample
from preflamp_stats.inference.alignment import AlignedModel, align_metrics, over_models
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.tau_evidence import TauEvidence, model_evidence
from preflamp_stats.io.select import Results
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["slope_between", "slope_draws", "slope_test"]

Array = NDArray[np.float64]


def slope_draws(evidence: TauEvidence) -> Array:
    """Slope of the downstream on the upstream metric's true values, in each draw of them.

    Least squares over these methods. Of the estimates it would be pulled to 0 by the noise of the
    upstream metric; of the true values it is not.
    """
    x, y = evidence.latent.theta_x, evidence.latent.theta_y
    x = x - x.mean(axis=1, keepdims=True)
    variation = (x**2).sum(axis=1)
    slope = np.full(len(x), np.nan)
    np.divide((x * y).sum(axis=1), variation, out=slope, where=variation > 0)
    return slope


def slope_test(
    ds: Results,
    upstream: str = "rm_accuracy",
    downstream: str = "rouge1",
    *,
    step: float = 0.2,
    margin: float = 0.01,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Difference downstream that goes with a step upstream, over these methods.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream : str
        Metrics that predict and that are to be predicted.
    step : float
        Difference upstream; 0.2 is twenty points of accuracy.
    margin : float
        Difference downstream within which the step makes no difference.
    resample, n_resamples, seed, level, options, include_seeds
        As for :func:`preflamp_stats.tau_test`; methods are never drawn.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate, low, high`` in units of the downstream metric, for the step; ``p_equivalence``,
        the larger of the probabilities that it lies beyond either margin, given the data (at most
        1 − level for a claim that the step buys less than the margin); ``n_methods``, ``n_users``
        and ``note``.

    Raises
    ------
    InputError
        If the dataset lacks a metric or an option is out of range.

    Notes
    -----
    An errors-in-variables regression by the structural model of
    :mod:`preflamp_stats.kernels.latent_normal`; see Fuller (1987), Measurement Error Models.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = pls.simulate(n_users=40, n_examples=5, seed=1).to_dataset()
    >>> found = slope_test(ds, n_resamples=100)
    >>> bool(found.low <= found.estimate <= found.high)
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
        margin=margin,
        include_seeds=include_seeds,
    )
    return slope_between(study, upstream, downstream, step=step)


def slope_between(
    study: ResampledStudy, upstream: str, downstream: str, *, step: float = 0.2
) -> xr.Dataset:
    """Difference downstream that goes with a step upstream; see :func:`slope_test`."""
    x, y = study.drawn[upstream], study.drawn[downstream]
    margin = study.settings.margin
    asked = replace(study.settings, resample="users", variant="b")

    def row(here: AlignedModel) -> dict[str, Any]:
        evidence = model_evidence(here, x, y, asked, study.name, oriented=False)
        told = {"n_methods": evidence.compared.sum(), "note": evidence.obstacle}
        if evidence.obstacle:
            return told
        bought = step * slope_draws(evidence)
        low, high = evidence.limits(bought)
        beyond = np.mean(bought >= margin), np.mean(bought <= -margin)
        numbers = (np.nanmedian(bought), low, high, max(*beyond, 1 / (len(bought) + 1)))
        return told | dict(zip(_NUMBERS, numbers, strict=True))

    columns = {**dict.fromkeys(_NUMBERS, np.nan), "n_methods": 0, "note": ""}
    return over_models(align_metrics({"x": x, "y": y}), columns, row).assign_attrs(
        upstream=upstream, downstream=downstream, step=step, margin=margin, level=asked.level
    )


_NUMBERS = ("estimate", "low", "high", "p_equivalence")
