"""What a difference upstream buys downstream: a slope over methods, both metrics noisy."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.inference.alignment import align_metrics, each_model, joined_notes
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.tau_evidence import TauEvidence, model_evidence

__all__ = ["slope_between", "slope_draws"]

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


def slope_between(
    x: MethodMetric,
    y: MethodMetric,
    *,
    step: float = 0.2,
    margin: float = 0.01,
    seed: int = 0,
    dataset: str = "",
    level: float = 0.95,
    include_seeds: bool = True,
) -> xr.Dataset:
    """Difference downstream that goes with a step upstream, over these methods.

    Parameters
    ----------
    x, y : MethodMetric
        Upstream and downstream metric, drawn on the same resamples.
    step : float
        Difference upstream; 0.2 is twenty points of accuracy.
    margin : float
        Difference downstream within which the step makes no difference.
    seed, dataset, level, include_seeds
        As for :func:`preflamp_stats.tau_test`.

    Returns
    -------
    Dataset, dims ([model])
        ``estimate, low, high`` in units of the downstream metric, for the step; ``p_equivalence``,
        the larger of the probabilities that it lies beyond either margin, given the data (at most
        1 − level for a claim that the step buys less than the margin); ``n_methods``, ``n_users``
        and ``note``.

    Notes
    -----
    An errors-in-variables regression by the structural model of
    :mod:`preflamp_stats.kernels.latent_normal`; see Fuller (1987), Measurement Error Models.
    """
    pair = align_metrics({"x": x, "y": y})
    like = pair["n_users"]
    found = xr.Dataset(
        {
            name: xr.full_like(like, np.nan, dtype=np.float64)
            for name in ("estimate", "low", "high", "p_equivalence")
        }
    ).assign(n_methods=xr.zeros_like(like), note=xr.full_like(like, "", dtype=object))
    for at in each_model(pair):
        evidence = model_evidence(
            pair.isel(at),
            x,
            y,
            resample="users",
            level=level,
            variant="b",
            include_seeds=include_seeds,
            seed=seed,
            dataset=dataset,
            oriented=False,
        )
        found["n_methods"][at] = evidence.compared.sum()
        found["note"][at] = joined_notes(evidence.obstacle, pair["note"][at].item())
        if not evidence.obstacle:
            bought = step * slope_draws(evidence)
            found["estimate"][at] = np.nanmedian(bought)
            found["low"][at], found["high"][at] = evidence.limits(bought)
            beyond = np.mean(bought >= margin), np.mean(bought <= -margin)
            found["p_equivalence"][at] = max(*beyond, 1 / (len(bought) + 1))
    return found.assign(n_users=pair["n_users"], n_examples=pair["n_examples"]).assign_attrs(
        upstream=x.info.name, downstream=y.info.name, step=step, margin=margin, level=level
    )
