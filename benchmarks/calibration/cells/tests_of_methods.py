"""Size and power of the tests that compare methods, one simulated study at a time.

Each ``*_study`` function draws one study with known truth and returns which tests rejected (0 or
1). Averaged over studies under a null that is exactly at its margin they give a test's size; with
an effect they give its power. The customary ways stand beside ours: Holm-corrected t-tests that
take examples as independent, and t-tests over the users' means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, ndtri

from preflamp_stats.inference.contrasts import corrected
from preflamp_stats.inference.decoupling import judge_pairs
from preflamp_stats.inference.in_context import lead_over_best
from preflamp_stats.kernels.equivalence import equivalence_test, minimum_effect_test
from preflamp_stats.kernels.multiplicity import holm
from preflamp_stats.kernels.paired import PairedDifferences, paired_differences

Array = NDArray[np.float64]
Outcomes = dict[str, int]

LEVEL, ALPHA = 0.95, 0.05
MARGIN, DISCRIMINATION_MARGIN = 0.01, 0.05
N_DRAWS = 999

# Shares of the unit latent variance behind each example that all methods share.
_SHARED_USER, _SHARED_EXAMPLE = 0.09, 0.16
_MEAN_EXAMPLES = 20


@dataclass(frozen=True)
class Cell:
    """A design: how many users and methods, and how users differ.

    Parameters
    ----------
    n_users, n_methods : int
    unequal : bool
        Log-normal numbers of examples (median 10, mean about 20) instead of 20 each.
    user_method_sd : float
        Effect of a user on one method, in units of the latent variable; 0.6 is strong.
    quality_sd : float
        Standard deviation of an example's generation quality.
    """

    n_users: int
    n_methods: int
    unequal: bool = False
    user_method_sd: float = 0.1
    quality_sd: float = 0.15


@dataclass(frozen=True)
class _Study:
    """One metric: sums and squares per user and method, and the counts."""

    sums: Array
    squares: Array
    counts: Array

    def pairs(self) -> PairedDifferences:
        counts = np.broadcast_to(self.counts[:, None], self.sums.shape)
        return paired_differences(self.sums[:, :, None], counts[:, :, None])

    def over_examples(self) -> tuple[Array, Array, float]:
        """Differences, standard errors and degrees of freedom, were examples independent.

        The covariance of two methods on the same example is left out, which favours no way.
        """
        total = self.counts.sum()
        variance = self.squares.sum(axis=0) / total - (self.sums.sum(axis=0) / total) ** 2
        mean = self.sums.sum(axis=0) / total
        i, j = np.triu_indices(len(mean), 1)
        within_users = self._covariance(i, j) / total
        error = np.sqrt(np.maximum(variance[i] + variance[j] - 2 * within_users, 0) / total)
        return mean[i] - mean[j], error, total - 1

    def _covariance(self, i: NDArray[np.intp], j: NDArray[np.intp]) -> Array:
        """Sum of products that users' common level gives two methods."""
        mean = self.sums / self.counts[:, None]
        centred = mean - self.sums.sum(axis=0) / self.counts.sum()
        products = (centred * self.counts[:, None]).T @ centred
        return np.asarray(products[i, j])

    def over_user_means(self) -> tuple[Array, Array, float]:
        """Differences, standard errors and degrees of freedom of paired t-tests on user means."""
        mean = self.sums / self.counts[:, None]
        i, j = np.triu_indices(mean.shape[1], 1)
        difference = mean[:, i] - mean[:, j]
        error = difference.std(axis=0, ddof=1) / np.sqrt(len(mean))
        return difference.mean(axis=0), error, float(len(mean) - 1)


def difference_study(rng: np.random.Generator, cell: Cell, *, effect: float = 0.0) -> Outcomes:
    """Test whether methods differ in accuracy; the first is ahead by ``effect``.

    Without an effect every rejection is false and the outcomes are family-wise; with one they
    are about the first pair.
    """
    accuracy = np.full(cell.n_methods, 0.65)
    accuracy[0] += effect
    study = _accuracy(rng, cell, _examples(rng, cell), accuracy)
    pairs = study.pairs()
    found = {
        way: corrected(pairs, correction=way, level=LEVEL, n_draws=N_DRAWS, rng=rng)["p_adjusted"]
        for way in ("max-t", "holm")
    }
    for name, known in (
        ("t over examples", study.over_examples()),
        ("t over user means", study.over_user_means()),
    ):
        found[name] = holm(minimum_effect_test(*known, margin=0))
    outcomes = {name: _rejected(p, effect) for name, p in found.items()}
    single = minimum_effect_test(pairs.estimate[0], pairs.se[0], pairs.df[0], margin=0)
    return {**outcomes, "single pair": int(single <= ALPHA)}


def equivalence_study(rng: np.random.Generator, cell: Cell, *, true: float = MARGIN) -> Outcomes:
    """TOST of generation quality; methods come in two groups that are ``true`` apart.

    With ``true`` at the margin, a rejection for a pair across the groups is false.
    """
    far = _halves(cell.n_methods)
    study = _quality(rng, cell, _examples(rng, cell), 0.30 + true * far)
    pairs = study.pairs()
    across = far[pairs.first] != far[pairs.second]
    found = {
        "holm": holm(equivalence_test(pairs.estimate, pairs.se, pairs.df, margin=MARGIN)),
        "t over examples": holm(equivalence_test(*study.over_examples(), margin=MARGIN)),
        "t over user means": holm(equivalence_test(*study.over_user_means(), margin=MARGIN)),
    }
    first = int(np.flatnonzero(across)[0])
    single = equivalence_test(
        pairs.estimate[first], pairs.se[first], pairs.df[first], margin=MARGIN
    )
    outcomes = {name: int((p[across] <= ALPHA).any()) for name, p in found.items()}
    return {**outcomes, "single pair": int(single <= ALPHA)}


def minimum_effect_study(
    rng: np.random.Generator, cell: Cell, *, true: float = DISCRIMINATION_MARGIN
) -> Outcomes:
    """Minimum-effect test of accuracy; methods come in two groups that are ``true`` apart."""
    far = _halves(cell.n_methods)
    pairs = _accuracy(rng, cell, _examples(rng, cell), 0.60 + true * far).pairs()
    across = far[pairs.first] != far[pairs.second]
    p = minimum_effect_test(pairs.estimate, pairs.se, pairs.df, margin=DISCRIMINATION_MARGIN)
    first = int(np.flatnonzero(across)[0])
    return {"holm": int((holm(p)[across] <= ALPHA).any()), "single pair": int(p[first] <= ALPHA)}


def decoupling_study(
    rng: np.random.Generator, cell: Cell, *, accuracy_gap: float, quality_gap: float
) -> Outcomes:
    """Verdicts on pairs; methods come in two groups, apart by the two gaps.

    With a gap exactly at its margin no pair is decoupled, and the outcomes are false positives,
    family-wise. Beside ours: the verdict without correction, and the customary reading of
    Holm-corrected t-tests over examples, "significant in accuracy, not significant in quality".
    """
    far = _halves(cell.n_methods)
    counts = _examples(rng, cell)
    x_study = _accuracy(rng, cell, counts, 0.55 + accuracy_gap * far)
    y_study = _quality(rng, cell, counts, 0.30 + quality_gap * far)
    x, y = x_study.pairs(), y_study.pairs()
    margins = {"margin": MARGIN, "discrimination_margin": DISCRIMINATION_MARGIN}
    outcomes = {}
    for way in ("holm", "none"):
        verdict = judge_pairs(x, y, correction=way, level=LEVEL, **margins)["verdict"]
        outcomes[way] = int((verdict == "decoupled").any())
        if way == "holm":
            across = verdict[far[x.first] != far[x.second]]
            outcomes["holm, first pair"] = int(across[0] == "decoupled")
            outcomes["holm, coupled"] = int((verdict == "coupled").any())
    differs = holm(minimum_effect_test(*x_study.over_examples(), margin=0)) <= ALPHA
    same = holm(minimum_effect_test(*y_study.over_examples(), margin=0)) > ALPHA
    return {**outcomes, "t over examples": int((differs & same).any())}


def in_context_study(
    rng: np.random.Generator, cell: Cell, *, lead: float = 0.0, spread: float = 0.0
) -> Outcomes:
    """Lead of one contender over the best of the other methods, which are ``spread`` apart.

    The customary way compares with the method that looks best, by a t interval over users.
    """
    means = np.full(cell.n_methods, 0.30)
    means[1:] -= spread * np.arange(cell.n_methods - 1)
    means[0] += lead
    pairs = _quality(rng, cell, _examples(rng, cell), means).pairs()
    guided = range(1, cell.n_methods)
    found = lead_over_best(pairs, 0, guided, level=LEVEL, n_draws=N_DRAWS, rng=rng)
    naive = int(np.argmin(pairs.estimate[: cell.n_methods - 1]))
    half = stats.t.ppf((1 + LEVEL) / 2, pairs.df[naive]) * pairs.se[naive]
    return {
        "covers": int(found["low"] <= lead <= found["high"]),
        "low above truth": int(found["low"] > lead),
        "high below truth": int(found["high"] < lead),
        "dominates": int(found["p_value"] <= ALPHA),
        "estimate above truth": int(found["estimate"] > lead),
        "naive covers": int(abs(pairs.estimate[naive] - lead) <= half),
        "naive estimate above truth": int(pairs.estimate[naive] > lead),
    }


def _rejected(p: Array, effect: float) -> int:
    return int(p[0] <= ALPHA) if effect else int((p <= ALPHA).any())


def _halves(n_methods: int) -> Array:
    return (np.arange(n_methods) >= (n_methods + 1) // 2).astype(np.float64)


def _examples(rng: np.random.Generator, cell: Cell) -> Array:
    """Examples of each user."""
    if not cell.unequal:
        return np.full(cell.n_users, float(_MEAN_EXAMPLES))
    drawn = np.exp(np.log(_MEAN_EXAMPLES / 2) + 1.2 * rng.standard_normal(cell.n_users))
    return np.asarray(np.maximum(1.0, np.rint(drawn)))


def _accuracy(rng: np.random.Generator, cell: Cell, counts: Array, accuracy: Array) -> _Study:
    """Pairs ranked right; a method's true accuracy is exactly as given."""
    user = np.sqrt(_SHARED_USER) * rng.standard_normal((cell.n_users, 1))
    own = cell.user_method_sd * rng.standard_normal((cell.n_users, cell.n_methods))
    noise_sd = np.sqrt(1 - _SHARED_USER - cell.user_method_sd**2)
    chance = ndtr((ndtri(accuracy) + user + own) / noise_sd)
    right = rng.binomial(counts.astype(np.int64)[:, None], chance).astype(np.float64)
    return _Study(right, right, counts)


def _quality(rng: np.random.Generator, cell: Cell, counts: Array, means: Array) -> _Study:
    """Generation quality of examples, normal; examples are shared by the methods."""
    n = counts[:, None]
    shape = (cell.n_users, cell.n_methods)
    user = np.sqrt(_SHARED_USER) * rng.standard_normal((cell.n_users, 1))
    example = np.sqrt(_SHARED_EXAMPLE / n) * rng.standard_normal((cell.n_users, 1))
    own = cell.user_method_sd * rng.standard_normal(shape)
    noise = 1 - _SHARED_USER - _SHARED_EXAMPLE - cell.user_method_sd**2
    latent = user + example + own + np.sqrt(noise / n) * rng.standard_normal(shape)
    mean = means + cell.quality_sd * latent
    within = cell.quality_sd**2 * (_SHARED_EXAMPLE + noise) * np.maximum(n - 1, 0)
    return _Study(n * mean, n * mean**2 + within, counts)
