"""The planted truth of a simulated study: each method's true accuracies and ROUGE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import fixed_quad
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.simulation.design import MethodEffects, StudyDesign

Floats = NDArray[np.float64]
_Real = TypeVar("_Real", np.float32, np.float64)

# How alike a method is on two base models: the correlation of its effects.
_MODEL_CORRELATION = 0.8
# Each further in-context method is this much worse than the one before, in probits.
_ICL_STEP = 0.03
_LARGEST_ASYMMETRY = 64.0


@dataclass(frozen=True)
class PlantedTruth:
    """Probits of the methods' true values; dims (method, model).

    Parameters
    ----------
    rm, policy : array (n_methods, n_models)
        Of RM accuracy and policy accuracy, reward-guided methods only.
    rouge : array (n_methods, n_models)
        Of mean ROUGE-1 of the reward-guided methods.
    icl_rouge : array (n_icl, n_models)
        Of mean ROUGE-1 of the in-context methods.
    """

    rm: Floats
    policy: Floats
    rouge: Floats
    icl_rouge: Floats


def _standard_effects(
    rng: np.random.Generator, kind: MethodEffects, shape: tuple[int, ...]
) -> Floats:
    """Draws with mean 0 and variance 1 of the given shape of distribution."""
    if kind == "t3":
        return np.asarray(rng.standard_t(3, shape) / np.sqrt(3))
    if kind == "skewed":
        return rng.standard_exponential(shape) - 1
    if kind == "clusters":
        centre = 0.95
        side = 2.0 * rng.integers(0, 2, shape) - 1
        return np.asarray(centre * side + np.sqrt(1 - centre**2) * rng.standard_normal(shape))
    return rng.standard_normal(shape)


def plant_truth(design: StudyDesign, stream: np.random.SeedSequence) -> PlantedTruth:
    """Draw the methods' true values.

    RM accuracy's effects are drawn first; those of policy accuracy and ROUGE-1 are mixtures of
    them with independent draws of the same distribution, which gives exactly the correlations
    that were asked for, whatever the distribution.

    Parameters
    ----------
    design : StudyDesign
        Means, spreads, correlations, distribution and base models.
    stream : numpy.random.SeedSequence
        Source of every random number used here.

    Returns
    -------
    PlantedTruth
        Probits, dims (method, model).
    """
    n_models = len(design.sizes)
    shared_rng, own_rng = (np.random.default_rng(child) for child in stream.spawn(2))
    # Methods lead, so that adding one leaves the others as they were.
    effects = _standard_effects(shared_rng, design.method_effects, (design.n_methods, 1, 3))
    if n_models > 1:
        own = own_rng.standard_normal((design.n_methods, n_models, 3))
        share = _MODEL_CORRELATION
        effects = np.sqrt(share) * effects + np.sqrt(1 - share) * own

    def mixed(column: int, correlation: float) -> Floats:
        own = np.sqrt(1 - correlation**2) * effects[..., column]
        return np.asarray(correlation * effects[..., 0] + own)

    size = np.log10(np.fromiter(design.sizes.values(), dtype=float))
    rouge_centre = ndtri(design.rouge1) + design.model_gain * (size - size[0])
    spread = design.spread
    rouge_spread = spread if design.generation_spread is None else design.generation_spread
    steps = _ICL_STEP * np.arange(design.n_icl)[:, None]
    advantage = design.icl_advantage * (size - np.log10(design.icl_crossover))
    return PlantedTruth(
        rm=ndtri(design.rm_accuracy) + spread * effects[..., 0],
        policy=ndtri(design.policy_accuracy) + spread * mixed(1, design.correlation),
        rouge=rouge_centre + rouge_spread * mixed(2, design.generation_correlation),
        icl_rouge=rouge_centre + advantage - steps,
    )


def scale_margin(margin: NDArray[_Real], asymmetry: NDArray[_Real] | float) -> NDArray[_Real]:
    """Stretch positive margins by a factor and shrink negative ones by it; signs stay."""
    return np.where(margin > 0, margin * asymmetry, margin / asymmetry)


def tilted_accuracy(rm_probit: float, asymmetry: float, base_probit: float) -> float:
    """Policy accuracy of the ``sequence`` score for a given asymmetry of the reward's margins.

    In units of the standard deviation of the log-probability difference, that difference is
    normal with mean `base_probit`, and w times the reward difference is a normal margin with mean
    `rm_probit`, rescaled by :func:`scale_margin`, independent of it.

    Parameters
    ----------
    rm_probit : float
        Probit of the RM accuracy.
    asymmetry : float
        Factor, positive.
    base_probit : float
        Probit of the base model's likelihood accuracy.

    Returns
    -------
    float
        The accuracy, in (0, 1), to about 1e-10.

    Examples
    --------
    >>> round(tilted_accuracy(0.5, 1.0, 0.0), 6) == round(float(ndtr(0.5 / 2**0.5)), 6)
    True
    """

    def integrand(margin: Floats) -> Floats:
        tilted = ndtr(base_probit + scale_margin(margin, asymmetry))
        return np.asarray(np.exp(-0.5 * (margin - rm_probit) ** 2) / np.sqrt(2 * np.pi) * tilted)

    reach = 9.0
    low, high = min(rm_probit - reach, 0.0), max(rm_probit + reach, 0.0)
    # The margin has a kink at 0, so each side is integrated apart.
    return float(
        fixed_quad(integrand, low, 0.0, n=100)[0] + fixed_quad(integrand, 0.0, high, n=100)[0]
    )


def plant_asymmetry(rm: Floats, policy: Floats, base_likelihood: float) -> Floats:
    """Asymmetry of each method's reward margins that yields its planted policy accuracy.

    How often a reward ranks a pair right says nothing about how large its margins are when it is
    right and when it is wrong, and only the margins decide against the base model's likelihood.
    Stretching one side and shrinking the other therefore moves policy accuracy from the product
    of RM and base accuracy to the chance that either is right, while RM accuracy stays.

    Parameters
    ----------
    rm, policy : array (n_methods, n_models)
        Probits of RM accuracy and policy accuracy.
    base_likelihood : float
        Accuracy of the base model's own likelihood.

    Returns
    -------
    array (n_methods, n_models)
        Positive factors.

    Raises
    ------
    InputError
        If a planted policy accuracy lies outside what the method's RM accuracy allows.
    """
    base = float(ndtri(base_likelihood))
    bound = np.log(_LARGEST_ASYMMETRY)

    def solve(rm_probit: float, policy_probit: float) -> float:
        target = float(ndtr(policy_probit))

        def excess(log_asymmetry: float) -> float:
            return tilted_accuracy(rm_probit, float(np.exp(log_asymmetry)), base) - target

        if excess(-bound) > 0 or excess(bound) < 0:
            what = f"a method with RM accuracy {ndtr(rm_probit):.3f} cannot have policy accuracy "
            what += f"{target:.3f} beside a base model right in {base_likelihood:.3f}"
            mend = "lower the spread, bring policy_accuracy nearer to rm_accuracy, or take "
            mend += 'scoring="stored"'
            raise InputError(Problem(what, mend, variable="policy_accuracy"))
        return float(np.exp(brentq(excess, -bound, bound, xtol=1e-12)))

    pairs = zip(rm.ravel(), policy.ravel(), strict=True)
    return np.array([solve(float(x), float(y)) for x, y in pairs]).reshape(rm.shape)
