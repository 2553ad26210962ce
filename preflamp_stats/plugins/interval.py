"""Mean of scores with an interval over users, as ``analyze`` gives it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from preflamp_stats.inference.bootstrap import bootstrap

__all__ = ["mean_with_interval"]


def mean_with_interval(
    values: Sequence[float],
    users: Sequence[object],
    *,
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Mean of scores by sample, users resampled whole.

    Parameters
    ----------
    values : sequence of float, length n
        NaN where a sample has no score; it then counts nowhere.
    users : sequence, length n
        Who stands behind each sample.
    level, n_resamples, seed
        As of :func:`preflamp_stats.bootstrap`.

    Returns
    -------
    dict of str to float
        ``mean, low, high, users``. Scores within [0, 1] keep an interval where users agree; others
        have none there (NaN), nor has a single user.

    Raises
    ------
    InputError
        For an option out of range.

    Examples
    --------
    >>> found = mean_with_interval([1.0] * 50, [n // 2 for n in range(50)], n_resamples=100)
    >>> {name: round(value, 3) for name, value in found.items()}
    {'mean': 1.0, 'low': 0.863, 'high': 1.0, 'users': 25.0}
    """
    scores = np.asarray(values, dtype=np.float64)
    if not np.isfinite(scores).any():
        return {"mean": np.nan, "low": np.nan, "high": np.nan, "users": 0.0}
    there = scores[np.isfinite(scores)]
    ds = xr.Dataset(
        {"user": ("example", [f"{type(user).__name__} {user}" for user in users])},
        coords={"model": [""], "method": [""], "candidate": ["chosen", "rejected"]},
    )
    # The roads of values of one kind, whose limits mind users not seen: of credits, then of shares.
    if np.isin(there, (0.0, 0.5, 1.0)).all():
        name, pair = "rm_accuracy", np.stack([scores, 1 - scores], axis=-1)
        ds["reward"] = (("method", "example", "candidate"), pair[None])
    else:
        name = "rouge1" if ((there >= 0) & (there <= 1)).all() else "score"
        ds[name] = (("model", "method", "example"), scores[None, None])
    found = bootstrap(ds, name, level=level, n_resamples=n_resamples, seed=seed).squeeze()
    told = {"mean": "estimate", "low": "low", "high": "high", "users": "n_users"}
    return {ours: float(found[theirs]) for ours, theirs in told.items()}
