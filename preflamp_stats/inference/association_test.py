"""The test that the true values of two metrics are unrelated among methods like these."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.inference.tau_evidence import TauEvidence
from preflamp_stats.kernels.permutation import tau_permutation_test
from preflamp_stats.kernels.posterior_limits import two_sided_p
from preflamp_stats.kernels.shared_noise import without_shared_noise

__all__ = ["association_p_value"]

Array = NDArray[np.float64]


def association_p_value(evidence: TauEvidence, n_resamples: int) -> float:
    """p-value of the null that two metrics' true values are unrelated in the population of methods.

    The largest of the p-values of tests, each of which holds where another may fail:

    * permutation of one metric over methods, which assumes no distribution, but that the errors of
      the metrics are independent. Families change places as a whole, and so do methods that share
      a reward model (the same value from every user); methods do within them;
    * the same in blocks, after one metric is freed of the errors that it shares with the other;
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

    def permuted(x: Array, y: Array, blocks: list[NDArray[np.intp]]) -> float:
        return tau_permutation_test(
            x,
            y,
            n_resamples=n_resamples,
            rng=evidence.generator(3),
            variant=evidence.variant,
            blocks=blocks,
        ).p_value

    p_values = []
    for blocks in _blockings(evidence):
        p_values.append(permuted(x, y, blocks))
        if blocks and not evidence.obstacle:
            freed = without_shared_noise(evidence.estimates, evidence.covariance, blocks[0])
            p_values.append(permuted(*freed, blocks))
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
        found.extend(evidence.error.alike)
    told = [labels for labels in found if 0 < labels.max() < len(labels) - 1]
    yield from [[labels] for labels in told] or [[]]
