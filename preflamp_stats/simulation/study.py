"""From a design to a results file with known truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import kendalltau

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.variables import SCHEMA_VERSION, annotated
from preflamp_stats.simulation.design import StudyDesign
from preflamp_stats.simulation.draws import Study
from preflamp_stats.simulation.variables import (
    generation_variables,
    input_variables,
    logprob_variables,
    reward_variables,
    user_labels,
)

Floats = NDArray[np.float64]


def simulate(*, datasets: Sequence[str] = (), seed: int = 0, **options: Any) -> xr.DataTree:
    """Simulate a results file with known truth.

    Parameters
    ----------
    datasets : sequence of str
        Names of the benchmark datasets, one group each, with truths of their own; none puts a
        single dataset into the root group.
    seed : int
        Same seed and options, same bytes. Options that concern one part of a study, such as
        ``n_icl`` or ``texts``, leave the numbers of every other part as they are.
    **options
        Fields of :class:`StudyDesign`.

    Returns
    -------
    xarray.DataTree
        A valid results file; its groups are described under :func:`simulate_dataset`.

    Raises
    ------
    InputError
        For options out of range, a policy accuracy that cannot be planted, or a study that this
        machine's memory cannot hold.

    Examples
    --------
    >>> tree = simulate(datasets=["tldr", "prism"], n_users=5, n_examples=4, seed=1)
    >>> sorted(tree.children)
    ['prism', 'tldr']
    >>> dict(tree["tldr"].sizes)["example"]
    20
    """
    design = StudyDesign(**options)
    _check_memory(2 * design.bytes * max(1, len(datasets)))
    attributes = {
        "preflamp_schema": SCHEMA_VERSION,
        "title": "Simulated study with known truth",
        "simulation_seed": seed,
        "simulation_design": design.as_json(),
    }
    if not datasets:
        return xr.DataTree(simulate_dataset(design, seed=seed).assign_attrs(attributes))
    seeds = np.random.SeedSequence(seed).spawn(len(datasets))
    groups = {
        f"/{name}": simulate_dataset(design, seed=own)
        for name, own in zip(datasets, seeds, strict=True)
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes), **groups})


def simulate_dataset(design: StudyDesign, *, seed: int | np.random.SeedSequence = 0) -> xr.Dataset:
    """Simulate one benchmark dataset with known truth.

    The latent difference behind a pair is the method's probit plus a standard normal made of
    effects of the user, the example, the user on the method, the training seed, and noise; true
    RM accuracy is thus Φ of the probit, in the population of users, examples and seeds. Reward
    margins are stretched where positive and shrunk where negative (or the reverse) so that
    log-probability plus w times reward has exactly the planted policy accuracy
    (:func:`preflamp_stats.simulation.truth.plant_asymmetry`).

    Parameters
    ----------
    design : StudyDesign
        What to simulate.
    seed : int or numpy.random.SeedSequence
        Source of every random number.

    Returns
    -------
    xarray.Dataset
        Variables of the results file, and the truth, with attribute ``role = "truth"``:
        ``true_rm_accuracy``, ``true_policy_accuracy`` (both with half a point for a tie) and
        ``true_rouge1``, dims (model, method), and Kendall's tau-b over methods between the first
        and each of the others, ``true_tau_policy_accuracy`` and ``true_tau_rouge1``, dim (model).

    Raises
    ------
    InputError
        If a policy accuracy cannot be planted.

    Examples
    --------
    >>> ds = simulate_dataset(StudyDesign(n_methods=3, n_users=10), seed=2)
    >>> dict(ds["reward"].sizes)
    {'method': 4, 'example': 200, 'candidate': 2}
    """
    study = Study.draw(design, seed)
    variables = {
        **input_variables(study),
        **logprob_variables(study),
        **reward_variables(study),
        **generation_variables(study),
        **_truth_variables(study),
    }
    return annotated(xr.Dataset(variables, coords=_coordinates(study)))


def _check_memory(needed: int) -> None:
    """Refuse what could only end in the process being killed."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        # Where the system does not tell, numpy's own refusal of an allocation remains.
        return
    if needed > memory:
        what = f"the study would take {needed / 2**30:,.1f} GiB of memory or more, "
        what += f"and this machine has {memory / 2**30:,.1f}"
        raise InputError(Problem(what, "take fewer users, examples, methods or tokens"))


def _coordinates(study: Study) -> dict[str, Any]:
    """Coordinates of the dataset."""
    design = study.design
    guided, icl = _labels("guided", design.n_methods), _labels("icl", design.n_icl)
    families = ["reward-guided"] * len(guided) + ["in-context"] * len(icl)
    starts = np.searchsorted(study.user, np.arange(design.n_users))
    within = np.arange(study.user.size) - starts[study.user]
    width = len(str(within.max()))
    places = zip(user_labels(study).tolist(), within.tolist(), strict=True)
    examples = [f"{name}-{place:0{width}d}" for name, place in places]
    coords: dict[str, Any] = {
        "example": ("example", examples, {"long_name": "preference pair"}),
        "candidate": ("candidate", ["chosen", "rejected"]),
        "model": ("model", list(design.sizes)),
        "method": ("method", guided + icl),
        "method_family": ("method", families),
        "parameters": ("model", np.fromiter(design.sizes.values(), dtype=np.int64)),
    }
    if design.n_seeds:
        coords["seed"] = ("seed", np.arange(design.n_seeds), {"long_name": "training seed"})
    return coords


def _truth_variables(study: Study) -> dict[str, xr.Variable]:
    """Planted values, NaN where a method has none, and Kendall's tau between them."""
    design, planted = study.design, study.planted
    ties, base = design.ties, design.base_likelihood
    tied_policy = ties if design.scoring == "sequence" else 0.0
    none = np.full_like(planted.icl_rouge, np.nan)
    true = {
        "rm_accuracy": [(1 - ties) * ndtr(planted.rm) + ties / 2, none],
        "policy_accuracy": [(1 - tied_policy) * ndtr(planted.policy) + tied_policy * base, none],
        "rouge1": [ndtr(planted.rouge), ndtr(planted.icl_rouge)],
    }
    values = {
        name: np.where(study.absent, np.nan, np.concatenate(parts)).T
        for name, parts in true.items()
    }
    found = {
        f"true_{name}": _truth(("model", "method"), value, f"planted {name}")
        for name, value in values.items()
    }
    for name in ("policy_accuracy", "rouge1"):
        pairs = zip(values["rm_accuracy"], values[name], strict=True)
        taus = np.array([_tau(x, y) for x, y in pairs])
        label = f"Kendall's tau-b between planted rm_accuracy and planted {name}"
        found[f"true_tau_{name}"] = _truth(("model",), taus, label)
    return found


def _tau(x: Floats, y: Floats) -> float:
    """Kendall's tau-b of the methods that have both; NaN for fewer than two."""
    both = ~np.isnan(x + y)
    return float(kendalltau(x[both], y[both]).statistic) if both.sum() > 1 else float("nan")


def _labels(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{i + 1:0{max(2, len(str(count)))}d}" for i in range(count)]


def _truth(dims: tuple[str, ...], values: NDArray[Any], long_name: str) -> xr.Variable:
    return xr.Variable(dims, values, {"long_name": long_name, "units": "1", "role": "truth"})
