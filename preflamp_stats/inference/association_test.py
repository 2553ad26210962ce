"""The test that the true values of two metrics are unrelated among methods like these."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.inference.sampling_error import SamplingError
from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.permutation import tau_permutation_test
from preflamp_stats.kernels.posterior_limits import two_sided_p

__all__ = ["association_p_value"]


def association_p_value(evidence: TauEvidence, n_resamples: int) -> float:
    """p-value of the null that two metrics' true values are unrelated in the population of methods.

    The largest of the p-values of two tests, each of which holds where the other may fail:

    * permutation of one metric over methods, which assumes no distribution, but that the errors of
      the metrics are independent. Families change places as a whole, and so do methods that share
      a reward model (the same value from every user); methods do within them;
    * the limits of the population's tau inverted: they know how the users' errors of the metrics
      go together, but assume a distribution of the methods.

    Parameters
    ----------
    evidence : TauEvidence
        With a defined tau.
    n_resamples : int
        Permutations where they are too many to list.

    Returns
    -------
    float
        Where there is an obstacle to limits, of the permutation alone.
    """
    x, y = evidence.x[evidence.compared], evidence.y[evidence.compared]
    p_values = [
        tau_permutation_test(
            x,
            y,
            n_resamples=n_resamples,
            rng=evidence.generator(3),
            variant=evidence.variant,
            blocks=blocks,
        ).p_value
        for blocks in _blockings(evidence)
    ]
    if not evidence.obstacle:
        draws = evidence.latent.population_tau
        p_values.append(two_sided_p(draws, n_users=evidence.effective_users))
    return float(max(p_values))


def _blockings(evidence: TauEvidence) -> Iterator[list[NDArray[np.intp]]]:
    """Ways in which methods stand in blocks; one without blocks where there are none."""
    found = []
    if evidence.families is not None:
        families = evidence.families[evidence.compared]
        found.append(np.unique(families, return_inverse=True)[1])
    if evidence.error is not None:
        found.extend(_clones(evidence.error))
    told = [labels for labels in found if 0 < labels.max() < len(labels) - 1]
    yield from [[labels] for labels in told] or [[]]


def _clones(error: SamplingError) -> Iterator[NDArray[np.intp]]:
    """Methods that every user gave the same value, by metric; no covariance shows it so surely."""
    for sums, counts in zip(
        *(np.split(v, 2, axis=1) for v in (error.sums, error.counts)), strict=True
    ):
        _, labels = np.unique(np.vstack([sums, counts]), axis=1, return_inverse=True)
        # Methods that are right for every user, or without numbers by user, only seem alike.
        varied = np.ptp(sums, axis=0) > 0 if len(sums) else np.zeros(sums.shape[1], dtype=bool)
        alone = labels.max(initial=0) + 1 + np.arange(sums.shape[1])
        yield np.unique(np.where(varied, labels.ravel(), alone), return_inverse=True)[1]
