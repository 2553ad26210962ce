"""What is known of two metrics over the same methods, from which every statement on tau is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from preflamp_stats.choices import Variant
from preflamp_stats.inference.alignment import AlignedModel
from preflamp_stats.inference.floors import NO_VARIATION
from preflamp_stats.inference.method_metrics import MethodMetric
from preflamp_stats.inference.sampling_error import SamplingError, sampling_error
from preflamp_stats.inference.streams import stream
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.latent_normal import LatentDraws, latent_draws
from preflamp_stats.kernels.posterior_limits import central_limits, surest_disagreements
from preflamp_stats.settings import Settings

__all__ = ["TauEvidence", "model_evidence"]

Array = NDArray[np.float64]

_LEAST_DENSITY, _FEW_METHODS = 0.15, 6
_FAR_FROM_PERFECT, _OF_ONE_USER = 0.15, 5.0


@dataclass(frozen=True)
class TauEvidence:
    """What is known of two metrics over the same methods.

    Parameters
    ----------
    x, y : ndarray, shape (method,)
        Estimates; NaN where a method lacks the metric.
    x_draws, y_draws : ndarray, shape (resample, method)
        Bootstrap draws, paired.
    n_units : int
        Units of resampling behind them.
    level : float
        Confidence level.
    variant : {"a", "b", "c", "weighted"}
        Kendall's tau.
    picks : ndarray of int, shape (resample, method), optional
        Methods of each resample, where methods are drawn; the target is then the population of
        methods.
    error : SamplingError, optional
        Of the methods that have both metrics; None where nothing is known of it.
    families : ndarray, shape (method,), optional
        Family of each method.
    seed : numpy.random.SeedSequence, optional
        Source of the random numbers of the model-based and the guaranteed interval.
    """

    x: Array
    y: Array
    x_draws: Array
    y_draws: Array
    n_units: int
    level: float
    variant: Variant
    picks: NDArray[np.intp] | None = None
    error: SamplingError | None = None
    families: NDArray[Any] | None = None
    seed: np.random.SeedSequence | None = None

    @cached_property
    def tau(self) -> float:
        """Tau of the estimates; NaN where undefined."""
        return float(kendall_tau(self.x, self.y, variant=self.variant))

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Methods that have both metrics."""
        return ~(np.isnan(self.x) | np.isnan(self.y))

    @property
    def estimates(self) -> Array:
        """Both metrics of the compared methods, shape (2 × method,)."""
        return np.concatenate([self.x[self.compared], self.y[self.compared]])

    @property
    def covariance(self) -> Array:
        """Sampling covariance of the estimates' contrasts; zeros where no error is known."""
        size = 2 * int(self.compared.sum())
        return np.zeros((size, size)) if self.error is None else self.error.of_contrasts.covariance

    @property
    def obstacle(self) -> str:
        """Why tau or its interval is undefined; empty where both are defined."""
        if self.compared.sum() < 2:
            return "fewer than two methods have both metrics"
        if any(np.ptp(values[self.compared]) == 0 for values in (self.x, self.y)):
            return "all methods have the same value in one metric"
        if self.picks is None and self.n_units == 0:
            return "no interval: no sampling error is known for either metric; resample methods"
        if self.picks is None and self.n_units == 1:
            return "no interval: a single unit to resample"
        if self.picks is None and self.error is not None and not self.covariance.any():
            return NO_VARIATION
        return ""

    @cached_property
    def latent(self) -> LatentDraws:
        """Draws of the methods' true values, given the estimates and their sampling error."""
        own = place = np.arange(int(self.compared.sum()))
        error = self.error
        if error is not None and len(error.distinct[0]) < len(own):
            own, place = error.distinct
            error = error.of_methods(own)
        covariance = self.covariance if error is None else error.of_contrasts.covariance
        numbers = (
            np.asarray(values, dtype=np.float64).tobytes()
            for values in (self.estimates.reshape(2, -1)[:, own], covariance)
        )
        families = self.families
        labels = None if families is None else tuple(families[self.compared][own].tolist())
        draws = _latent(*numbers, labels, *self._stream(0))
        if place is own:
            return draws
        return replace(draws, theta_x=draws.theta_x[:, place], theta_y=draws.theta_y[:, place])

    @cached_property
    def latent_tau(self) -> Array:
        """Tau of the true values in each draw."""
        return _tau_of_latent(self.latent, self.variant)

    @property
    def effective_users(self) -> float:
        """Users of equal size that would be worth as much; inf where no error is known."""
        return self.error.of_contrasts.df + 1 if self.error is not None else np.inf

    @property
    def least_density(self) -> float:
        """Probability per unit of tau below which a tail is not worth its width.

        Were nothing known, a unit would hold 0.5. The more methods, the less coverage there is to
        spare.
        """
        return _LEAST_DENSITY * _FEW_METHODS / max(_FEW_METHODS, int(self.compared.sum()))

    def limits(self, draws: Array, *, users_times: float = 1.0) -> tuple[float, float]:
        """Limits from draws of a functional of the true values, had there been more users."""
        return central_limits(draws, self.level, n_users=users_times * self.effective_users)

    def tau_limits(self, draws: Array, *, users_times: float = 1.0) -> tuple[float, float]:
        """Limits from draws of the tau of these methods, without thin tails."""
        return central_limits(
            draws,
            self.level,
            n_users=users_times * self.effective_users,
            least_density=self.least_density,
        )

    def with_perfect(self, low: float, high: float) -> tuple[float, float]:
        """Limits moved out to ±1 where they are near and no two methods contradict it.

        A population whose metrics agree along a wavy line is no normal one.

        Notes
        -----
        If the true tau is 1, no two methods truly differ in opposite directions. For two methods to
        be found to, both of their differences must lie beyond a two-sided t quantile, one of them
        on the side where it truly is not (an intersection-union test, Berger 1982), so its size is
        that of a single test. Over the M(M − 1)/2 pairs the sizes add up to 1 − ``level`` at most:
        so often, whatever the methods and however their errors go together, is a true ±1 ruled out.
        The fewer users the covariance comes from, the less the model knows how near it is.

        References
        ----------
        Berger (1982), Multiparameter hypothesis testing and acceptance sampling, Technometrics
        24:295-300.
        """
        opposite, equal = surest_disagreements(self.estimates, self.covariance)
        n = int(self.compared.sum())
        sure = stdtrit(self.effective_users - 1, 1 - (1 - self.level) / (n * (n - 1)))
        near = 1 - _FAR_FROM_PERFECT * (1 + _OF_ONE_USER / self.effective_users)
        if high >= near and opposite < sure:
            high = 1.0
        if low <= -near and equal < sure:
            low = -1.0
        return low, high

    def tau_draws(self) -> Array:
        """Tau of each bootstrap resample; NaN where a resample leaves it undefined."""
        x, y = self.x_draws, self.y_draws
        if self.picks is not None:
            x = np.take_along_axis(x, self.picks, axis=1)
            y = np.take_along_axis(y, self.picks, axis=1)
        return np.asarray(kendall_tau(x, y, variant=self.variant))

    def generator(self, purpose: int = 0) -> np.random.Generator:
        """Random numbers of a purpose, the same at every call."""
        return _generator(*self._stream(purpose))

    def _stream(self, purpose: int) -> tuple[Any, tuple[int, ...]]:
        root = self.seed or np.random.SeedSequence(0)
        entropy = root.entropy
        return tuple(entropy) if isinstance(entropy, list) else entropy, (*root.spawn_key, purpose)


def _generator(entropy: Any, key: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))


@lru_cache(maxsize=32)
def _latent(
    estimates: bytes,
    covariance: bytes,
    families: tuple[Any, ...] | None,
    entropy: Any,
    key: tuple[int, ...],
) -> LatentDraws:
    """Draws given these numbers; several questions ask for the same."""
    values = np.frombuffer(estimates)
    noise = np.frombuffer(covariance).reshape(len(values), -1)
    draws = latent_draws(values, noise, families=families, rng=_generator(entropy, key))
    for shared in vars(draws).values():
        shared.setflags(write=False)  # the next question must find them as they were drawn
    return draws


@lru_cache(maxsize=32)
def _tau_of_latent(latent: LatentDraws, variant: Variant) -> Array:
    tau = np.asarray(kendall_tau(latent.theta_x, latent.theta_y, variant=variant))
    tau.setflags(write=False)
    return tau


def model_evidence(
    here: AlignedModel,
    x: MethodMetric,
    y: MethodMetric,
    settings: Settings,
    dataset: str,
    *,
    oriented: bool = True,
) -> TauEvidence:
    """Gather what is known of two metrics for one model.

    Parameters
    ----------
    here : AlignedModel
        One model of :func:`~preflamp_stats.inference.alignment.align_metrics` of ``x`` and ``y``.
    x, y : MethodMetric
        Upstream and downstream metric, drawn.
    settings : Settings
        What is drawn, the variant of tau, the level and the seed.
    dataset : str
        Names the random streams.
    oriented : bool
        Turn a metric of which lower values are better round, so that tau is of what is good. One
        whose direction is not known stays as it is.

    Returns
    -------
    TauEvidence
    """
    signs = [(m.info.sign or 1) if oriented else 1 for m in (x, y)]
    x_hat, y_hat = signs[0] * here.estimates["x"], signs[1] * here.estimates["y"]
    x_draws, y_draws = signs[0] * here.draws["x"], signs[1] * here.draws["y"]
    there = ~(np.isnan(x_hat) | np.isnan(y_hat))
    model = here.model
    if settings.resample == "methods":  # the metrics stay as they are
        x_draws = np.broadcast_to(x_hat, x_draws.shape)
        y_draws = np.broadcast_to(y_hat, y_draws.shape)
        error = None
    else:
        methods = here.methods[there].tolist()
        error = sampling_error(x, y, methods, model, include_seeds=settings.include_seeds)
        error = error and error.oriented(*signs)
    picks = None
    if settings.resample in ("methods", "both"):
        picks = _picks(there, len(x_draws), stream(settings.seed, dataset, "methods"))
    family = y.family if x.family is None else x.family
    if family is not None:
        # A method of no known family is one of its own.
        family = family.where(family.notnull(), family.coords["method"])
        family = family.sel({"method": here.methods})
    return TauEvidence(
        x_hat,
        y_hat,
        x_draws,
        y_draws,
        n_units=here.n_users,
        level=settings.level,
        variant=settings.variant,
        picks=picks,
        error=error,
        families=None if family is None else family.values.astype(str),
        seed=stream(settings.seed, dataset, "tau", str(model), x.info.name, y.info.name),
    )


def _picks(
    there: NDArray[np.bool_], n_resamples: int, seed: np.random.SeedSequence
) -> NDArray[np.intp]:
    """Methods of each resample, drawn among those that have both metrics."""
    methods = np.flatnonzero(there)
    uniforms = np.random.default_rng(seed).random((n_resamples, len(methods)))
    return methods[(uniforms * len(methods)).astype(np.intp)]
