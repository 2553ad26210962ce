"""How far sampling noise alone can pull a tau down."""

from __future__ import annotations

from typing import Any

import xarray as xr

from preflamp_stats.inference.tau import tau_test
from preflamp_stats.io.select import Results

__all__ = ["noise_ceiling"]

_TOLD = (
    "estimate",
    "ceiling",
    "tau_corrected",
    "reliability_upstream",
    "reliability_downstream",
    "users_needed",
    "users_needed_note",
    "n_methods",
    "n_users",
    "note",
)


def noise_ceiling(
    ds: Results,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    **choices: Any,
) -> xr.Dataset:
    """Tau that sampling noise alone would leave if the two rankings truly agreed.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream : str
        Metrics.
    **choices
        Keywords of :func:`preflamp_stats.tau_test`.

    Returns
    -------
    Dataset, dims ([model])
        ``ceiling`` beside the observed tau ``estimate``, the noise-corrected ``tau_corrected``, the
        ``reliability`` of both metrics and ``users_needed`` for an interval within ± 0.2; see
        :class:`~preflamp_stats.inference.tau_noise.TauNoise`.

    Raises
    ------
    InputError
        As :func:`preflamp_stats.tau_test`.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=40, n_examples=5, seed=1)).values()))
    >>> found = noise_ceiling(ds, n_resamples=100)
    >>> bool((found.ceiling <= 1).all())
    True
    """
    found = tau_test(ds, upstream, downstream, **choices)
    return found[[*_TOLD]]
