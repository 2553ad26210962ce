"""Will it hold elsewhere? What an upstream difference says of a method, model or dataset to come.

A surrogate endpoint is judged at two levels (Buyse et al. 2000): over trials, whether effects on it
predict effects on the true endpoint; over individuals, whether it goes with it. Here the "trials"
are methods, within a stratum (a model of a dataset), and the individuals are examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.choices import Resample
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import joined_notes
from preflamp_stats.inference.example_level import example_products
from preflamp_stats.inference.pooled import pool_strata
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.inference.strata import Stratum, gather_strata, read_studies
from preflamp_stats.kernels.posterior_limits import central_limits
from preflamp_stats.kernels.surrogate import DifferenceModel, within_correlation
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.settings import Settings

__all__ = ["NewPopulations", "new_populations", "surrogacy", "surrogacy_between"]

Array = NDArray[np.float64]

_LARGEST_STEP = 0.05
_FURTHEST = 2.0
_STRATA_EACH = 15
_ONE_STRATUM = "one dataset and model only: nothing is known of another"


def surrogacy(
    datasets: Mapping[str, xr.Dataset] | xr.DataTree,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    step: float | None = None,
    resample: Resample = "users",
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.Dataset:
    """How well the upstream metric stands for the downstream one, here and elsewhere.

    Parameters
    ----------
    datasets : mapping of str to Dataset, or DataTree
        Benchmark datasets by name. Methods of the same name are the same method in all of them.
    upstream, downstream : str
        Surrogate, and what it is to stand for. Datasets that lack one are left out.
    step : float, optional
        Upstream difference of two methods, in units of the metric, of which a downstream difference
        is predicted; by default half the range of the methods at hand, rounded down to one digit,
        five points of an accuracy at most.
    resample : {"users", "examples"}
        As for :func:`preflamp_stats.pooled_tau`.
    n_resamples, seed, level, options, include_seeds
        As for :func:`preflamp_stats.tau_test`.

    Returns
    -------
    Dataset
        Without dims: ``r2_trial``, the square of the correlation, averaged over strata, of the true
        upstream and downstream values of methods like these, and ``r2_individual``, that of the
        values of examples within a method and stratum, both with ``_low`` and ``_high``; ``step,
        n_strata, n_datasets, n_methods, n_examples, n_users, note``. Dim (new), of "method",
        "model" and "dataset": ``estimate, low, high``, the true downstream difference of two
        methods that truly differ by ``step`` upstream, where that is new, and ``threshold``, the
        smallest upstream difference whose prediction interval leaves 0 out (the surrogate threshold
        effect), NaN with a ``new_note`` where there is none. Dim (stratum): ``stratum_estimate,
        stratum_low, stratum_high``, of new methods in that stratum, with coordinates ``dataset``
        and ``model``.

    Raises
    ------
    InputError
        If no dataset has both metrics, or an option is out of range.

    Notes
    -----
    True values are those of the structural model of
    :mod:`preflamp_stats.kernels.latent_normal`, pooled as for :func:`preflamp_stats.pooled_tau`.
    For new methods, strata with the same methods count as one between them; for a new dataset, the
    models of a dataset do. A new stratum is drawn from the population of strata. Differences are
    not turned round: where lower is better, a gain is negative.

    References
    ----------
    Buyse, Molenberghs, Burzykowski, Renard and Geys (2000), The validation of surrogate endpoints
    in meta-analyses of randomized experiments, Biostatistics 1:49-67; Burzykowski and Buyse (2006),
    Surrogate threshold effect, Pharmaceutical Statistics 5:173-186.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> tree = pls.simulate(datasets=["tldr", "prism"], n_users=20, n_examples=5, seed=1)
    >>> found = surrogacy(tree, n_resamples=100)
    >>> found["new"].values.tolist(), bool(found["low"].sel(new="dataset") < found["step"])
    (['method', 'dataset'], True)
    """
    if step is not None and not 0 < step < np.inf:
        raise InputError(Problem(f"is {step}", "give a positive difference", variable="step"))
    settings = Settings.of_call(
        options,
        resample=resample,
        n_resamples=n_resamples,
        seed=seed,
        level=level,
        include_seeds=include_seeds,
    )
    studies = read_studies(datasets, [upstream, downstream], settings)
    return surrogacy_between(studies, upstream, downstream, step=step)


def surrogacy_between(
    studies: Sequence[ResampledStudy], upstream: str, downstream: str, *, step: float | None = None
) -> xr.Dataset:
    """Surrogacy of a metric of several studies for another; see :func:`surrogacy`."""
    gathered = gather_strata(studies, upstream, downstream, oriented=False)
    level = gathered.settings.level
    usable = [each for each in gathered.strata if not each.evidence.obstacle]
    obstacles = sorted({e.evidence.obstacle for e in gathered.strata} - {""})
    told = joined_notes(*obstacles, *gathered.notes) if usable or obstacles else _UNDEFINED
    individual, individual_note = _individual(studies, upstream, downstream, level)
    found: dict[str, Any] = _interval("r2_individual", individual) | {
        "n_strata": len(usable),
        "n_datasets": len({each.dataset for each in usable}),
        "n_methods": len({method for each in usable for method in each.methods}),
        "n_examples": gathered.n_examples,
        "n_users": gathered.n_users,
        "note": joined_notes(told, individual_note),
    }
    attrs = {"upstream": upstream, "downstream": downstream, "level": level}
    if not usable:
        empty = {**_interval("r2_trial", (np.nan,) * 3), "step": np.nan if step is None else step}
        return xr.Dataset(empty | found, attrs=attrs)
    ranges = np.array([np.ptp(each.evidence.x[each.evidence.compared]) for each in usable])
    if step is None:
        step = _rounded_down(float(np.median(ranges)) / 2)
        if studies[0].summed[upstream].info.values in ("credit", "share"):
            step = min(step, _LARGEST_STEP)
    at = [place for place, each in enumerate(gathered.strata) if not each.evidence.obstacle]
    elsewhere = new_populations(usable, gathered.shared_error[np.ix_(at, at)])
    furthest = _FURTHEST * float(ranges.max())

    def predict(model: DifferenceModel) -> tuple[float, float, float]:
        # A bent relation, or a method of another kind, lets σ reach far beyond what was seen.
        beyond = abs(step) > furthest
        return (np.nan,) * 3 if beyond else elsewhere.predict(step, level, model)

    found |= _interval("r2_trial", elsewhere.trial(level))
    rows = []
    for model in elsewhere.models.values():
        threshold = model.threshold(furthest, level)
        row = (*predict(model), threshold)
        rows.append((*row, _why_not(row, step)))
    by_stratum = [predict(model) for model in elsewhere.by_stratum]
    columns = zip(*rows, strict=True)
    names = ("estimate", "low", "high", "threshold", "new_note")
    found |= {name: ("new", list(v)) for name, v in zip(names, columns, strict=True)}
    limits = zip(*by_stratum, strict=True)
    found |= {f"stratum_{n}": ("stratum", list(v)) for n, v in zip(names, limits, strict=False)}
    coords = {
        "new": list(elsewhere.models),
        "dataset": ("stratum", [each.dataset for each in usable]),
        "model": ("stratum", [each.model for each in usable]),
    }
    if len(usable) == 1:
        found["note"] = joined_notes(found["note"], _ONE_STRATUM)
    return xr.Dataset(found | {"step": step}, coords=coords, attrs=attrs)


_UNDEFINED = "the metrics are compared in no stratum"
_OF = ("rho", "sigma_x", "sigma_y")


@dataclass(frozen=True)
class NewPopulations:
    """What is known of methods to come, in the strata at hand and in others.

    Parameters
    ----------
    strata : sequence of Stratum
    by_stratum : sequence of DifferenceModel
        Populations of new methods in each stratum.
    models : dict of str to DifferenceModel
        By what is new: "method" (in any of the strata), "model", "dataset".
    """

    strata: Sequence[Stratum]
    by_stratum: Sequence[DifferenceModel]
    models: Mapping[str, DifferenceModel]

    @property
    def _fewest_users(self) -> float:
        return min(each.evidence.effective_users for each in self.strata)

    def predict(
        self, step: float, level: float, model: DifferenceModel
    ) -> tuple[float, float, float]:
        """Median and limits of the downstream difference; NaN where none lie so far apart."""
        if not model.reaches(step):
            return np.nan, np.nan, np.nan
        draws = model.predict(step, self.strata[0].evidence.generator(6))
        return float(np.median(draws)), *central_limits(draws, level, n_users=self._fewest_users)

    def trial(self, level: float) -> tuple[float, float, float]:
        """Square of the strata's mean correlation over methods: median and limits."""
        freedom = [len(each.methods) - 1 for each in self.strata]
        correlation = np.average([m.rho for m in self.by_stratum], axis=0, weights=freedom)
        low, high = central_limits(correlation, level, n_users=self._fewest_users)
        return float(np.median(correlation) ** 2), *_squared(low, high)


def _squared(low: float, high: float) -> tuple[float, float]:
    """Limits of the square of what lies between two limits."""
    squares = sorted((low**2, high**2))
    return (0.0 if low <= 0 <= high else squares[0]), squares[1]


def new_populations(strata: Sequence[Stratum], shared: Array) -> NewPopulations:
    """Populations of methods to come, given strata and the correlation of their errors.

    Parameters
    ----------
    strata : sequence of Stratum
        None with an obstacle.
    shared : ndarray, shape (stratum, stratum)

    Returns
    -------
    NewPopulations
        "model" is there where a dataset has several, "dataset" where there are several.
    """
    rng = strata[0].evidence.generator(5)
    models: dict[str, DifferenceModel] = {}
    cases = _dependence(strata, shared)
    pools = pool_strata([each.evidence for each in strata], *cases.values())
    for new, pooled in zip(cases, pools, strict=True):
        own = [
            DifferenceModel(*(getattr(draws, of)[picks] for of in _OF))
            for draws, picks in zip(pooled.latent, pooled.picks.T, strict=True)
        ]
        if new == "method":
            by_stratum = own
            models[new] = DifferenceModel(
                *(np.concatenate([getattr(m, of) for m in own]) for of in _OF)
            )
        else:
            models[new] = DifferenceModel(*pooled.population.new_strata(rng, _STRATA_EACH))
    return NewPopulations(strata, by_stratum, models)


def _interval(name: str, values: Sequence[float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _dependence(strata: Sequence[Stratum], shared: Array) -> dict[str, Array]:
    """How far strata say the same of what is new, by what is new, as correlations."""

    def alike(same: Any) -> Array:
        return np.array([[float(same(a, b)) for b in strata] for a in strata])

    def methods_shared(a: Stratum, b: Stratum) -> float:
        return len(set(a.methods) & set(b.methods)) / max(len(a.methods), len(b.methods))

    same_dataset = alike(lambda a, b: a.dataset == b.dataset)
    found = {"method": np.maximum(shared, alike(methods_shared))}
    if (same_dataset.sum(axis=1) > 1).any():
        found["model"] = shared
    if not same_dataset.all():
        found["dataset"] = np.maximum(shared, same_dataset)
    return found


def _why_not(row: tuple[float, ...], step: float) -> str:
    if np.isnan(row[0]):
        return f"methods like these do not differ by {step:g} upstream"
    if np.isnan(row[3]):
        return (
            "no threshold: no upstream difference among methods like these predicts the sign of "
            "the downstream one"
        )
    return ""


def _individual(
    studies: Sequence[ResampledStudy], upstream: str, downstream: str, level: float
) -> tuple[tuple[float, float, float], str]:
    """Squared correlation over examples within methods and strata, and why there is none."""
    nothing = (np.nan, np.nan, np.nan)
    if any(studies[0].summed[name].sums is None for name in (upstream, downstream)):
        return nothing, "no individual level: a metric is known only per method"
    strata = []
    for study in studies:
        # Without names of users, examples of one dataset are nobody's elsewhere.
        prefix = "" if study.units.kind == "users" else f"{study.name}: "
        people = [f"{prefix}{label}" for label in study.units.labels]
        found = example_products(study.ds, upstream, downstream, study.units, study.settings)
        strata += [(products, people) for products in found]
    correlation, low, high = within_correlation(strata, level)
    if np.isnan(correlation):
        return nothing, "no individual level: a metric does not vary within methods"
    return (correlation**2, *_squared(low, high)), ""


def _rounded_down(value: float) -> float:
    """Value with its first digit only."""
    size = 10 ** np.floor(np.log10(value))
    return float(f"{np.floor(value / size + 1e-9) * size:.1g}")
