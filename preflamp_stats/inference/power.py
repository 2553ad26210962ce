"""How many users and methods a study needs, and what a study at hand could have shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.detectable_effect import minimum_detectable_effect
from preflamp_stats.inference.metric_design import MetricDesign
from preflamp_stats.inference.tau_power import TauPlan, tau_power
from preflamp_stats.kernels.power import (
    detectable_difference,
    difference_power,
    equivalence_power,
    smallest_number,
)

__all__ = ["minimum_detectable_effect", "power"]

Array = NDArray[np.float64]
Numbers = float | Sequence[float]


def power(
    *,
    tau: Numbers | None = None,
    difference: Numbers | None = None,
    margin: Numbers | None = None,
    true_difference: float = 0.0,
    methods: int | Sequence[int] = (8, 12, 24),
    users: int | Sequence[int] = (50, 100, 200, 500),
    design: MetricDesign | None = None,
    downstream: MetricDesign | None = None,
    spread: float = 0.15,
    half_width: float = 0.2,
    level: float = 0.95,
    target: float = 0.8,
    n_studies: int = 2000,
    n_intervals: int = 40,
    seed: int = 0,
) -> xr.Dataset:
    """Power of a planned study, and the users that it needs.

    One of three questions: is there an association over methods (``tau``), do two methods differ
    (``difference``), are they equivalent (``margin``)?

    Parameters
    ----------
    tau : float or sequence, optional
        True tau in the population of methods, in (−1, 1).
    difference : float or sequence, optional
        True difference between two methods, in the metric's units.
    margin : float or sequence, optional
        Equivalence margin of two methods whose true difference is ``true_difference``.
    true_difference : float
        Smaller than every margin.
    methods, users : int or sequence of int
        Sizes of study. Differences and equivalence are corrected for all pairs of methods at
        Holm's strictest step, (1 − level) / pairs: a pair is found at least as often.
    design : MetricDesign, optional
        The metric, and the users' share in it; for tau the upstream metric.
    downstream : MetricDesign, optional
        For tau, where the downstream metric differs from the upstream one.
    spread : float
        For tau: standard deviation of the methods' true values, in probits.
    half_width : float
        For tau: half the width of interval that is asked for.
    level : float
        Confidence level; tests have size 1 − level.
    target : float
        Power asked for.
    n_studies, n_intervals, seed
        For tau, which is simulated: studies for the permutation test and for interval and verdict
        (0 for none), and their seed. Standard errors are at most .011 for 2000 and .08 for 40.

    Returns
    -------
    Dataset, dims (tau or difference or margin, methods, users)
        ``power``, and ``users_needed`` for the target (without the dim users). For differences also
        ``detectable``, the smallest difference found with the target power, dims (methods, users).
        For tau ``power`` is of the permutation test, ``power_verdict`` of the p of ``tau_test``,
        which knows the noise too and rejects more rarely; ``power_interval`` and ``width`` are of
        the default interval for these methods (excludes 0; mean width); ``observed`` is the mean
        observed tau; ``users_needed`` and ``users_narrow`` (for a mean width of at most twice
        ``half_width``) are the smallest of the given ``users`` that suffice, inf where none does;
        they go by ``power_verdict`` where intervals are simulated.

    Raises
    ------
    InputError
        If not exactly one question is asked, or a number is out of range.

    Examples
    --------
    Is one of 4 methods 3 points more accurate than another?

    >>> found = power(difference=0.03, methods=4, users=[100, 400])
    >>> found["power"].values.round(2)
    array([[[0.2 , 0.85]]])
    >>> float(found["users_needed"].squeeze())
    363.0
    """
    asked = {"tau": tau, "difference": difference, "margin": margin}
    asked = {name: value for name, value in asked.items() if value is not None}
    if len(asked) != 1:
        raise InputError(
            Problem(
                f"{' and '.join(asked) or 'nothing'} given",
                "ask one question: tau, difference or margin",
                variable="power",
            )
        )
    ((question, values),) = asked.items()
    coords = {
        question: np.atleast_1d(np.asarray(values, dtype=np.float64)),
        "methods": np.atleast_1d(np.asarray(methods)),
        "users": np.atleast_1d(np.asarray(users)),
    }
    shares = {"level": level, "target": target}
    _check(coords, true_difference, shares | {"spread": spread, "half_width": half_width})
    design = design or MetricDesign()
    settings = {"level": level, "target": target}
    if question == "tau":
        plans = {"upstream": design, "downstream": downstream or design, "spread": spread}
        simulation = {"n_studies": n_studies, "n_intervals": n_intervals, "seed": seed}
        found = _tau(coords, plans, simulation, half_width=half_width, **settings)
        return found.assign_attrs(
            settings | simulation | {"spread": spread, "half_width": half_width}
        )
    if question == "difference":
        found = _difference(coords, design, **settings)
    else:
        found = _equivalence(coords, design, true_difference, **settings)
        settings["true_difference"] = true_difference
    return found.assign_attrs(settings)


def _tau(
    coords: dict[str, Array],
    plans: dict[str, Any],
    simulation: dict[str, int],
    *,
    half_width: float,
    level: float,
    target: float,
) -> xr.Dataset:
    names = ("power", "power_verdict", "power_interval", "width", "observed")
    shape = tuple(len(values) for values in coords.values())
    columns = {name: np.full(shape, np.nan) for name in names}
    for at in np.ndindex(shape):
        tau, n_methods, n_users = (v[i].item() for v, i in zip(coords.values(), at, strict=True))
        plan = TauPlan(tau=tau, n_methods=n_methods, n_users=n_users, level=level, **plans)
        outcome = tau_power(plan, **simulation)
        for name in names:
            columns[name][at] = getattr(outcome, name)
    found = xr.Dataset({name: (tuple(coords), v) for name, v in columns.items()}, coords)
    enough = {"users_needed": found["power"] >= target}
    if simulation["n_intervals"]:
        enough["users_needed"] = found["power_verdict"] >= target
        enough["users_narrow"] = found["width"] <= 2 * half_width
    return found.assign(
        {
            name: found["users"].where(there).min("users").fillna(np.inf)
            for name, there in enough.items()
        }
    )


def _difference(
    coords: dict[str, Array], design: MetricDesign, *, level: float, target: float
) -> xr.Dataset:
    difference, methods, users = np.ix_(*coords.values())
    alpha = (1 - level) / (methods * (methods - 1) / 2)

    def with_users(n: Array) -> Array:
        return difference_power(difference, design.difference_se(n), design.df(n), alpha=alpha)

    shape = (difference.size, methods.size)
    needed = smallest_number(lambda n: with_users(n[..., None])[..., 0], shape, target=target)
    detectable = detectable_difference(
        design.difference_se(users[0]), design.df(users[0]), alpha=alpha[0], target=target
    )
    return xr.Dataset(
        {
            "power": (tuple(coords), with_users(users)),
            "users_needed": (("difference", "methods"), needed),
            "detectable": (("methods", "users"), detectable),
        },
        coords,
    )


def _equivalence(
    coords: dict[str, Array],
    design: MetricDesign,
    true_difference: float,
    *,
    level: float,
    target: float,
) -> xr.Dataset:
    margin, methods, users = np.ix_(*coords.values())
    alpha = (1 - level) / (methods * (methods - 1) / 2)

    def with_users(n: Array) -> Array:
        error = design.difference_se(n)
        return equivalence_power(true_difference, error, design.df(n), margin=margin, alpha=alpha)

    shape = (margin.size, methods.size)
    needed = smallest_number(lambda n: with_users(n[..., None])[..., 0], shape, target=target)
    return xr.Dataset(
        {
            "power": (tuple(coords), with_users(users)),
            "users_needed": (("margin", "methods"), needed),
        },
        coords,
    )


def _check(coords: dict[str, Array], true_difference: float, numbers: dict[str, float]) -> None:
    """Refuse what cannot be planned, all of it at once."""
    question, values = next(iter(coords.items()))
    whole = {n: np.issubdtype(coords[n].dtype, np.integer) for n in ("methods", "users")}
    good = {
        "tau": bool((np.abs(values) < 1).all()),
        "difference": bool((values != 0).all() and np.isfinite(values).all()),
        "margin": bool((values > abs(true_difference)).all()),
        "methods": whole["methods"] and bool((coords["methods"] >= 2).all()),
        "users": whole["users"] and bool((coords["users"] >= 2).all()),
        **{name: 0 < numbers[name] < 1 for name in ("level", "target")},
        **{name: numbers[name] > 0 for name in ("spread", "half_width")},
    }
    mend = {
        "tau": "take numbers between -1 and 1",
        "difference": "take numbers other than 0",
        "margin": f"take numbers larger than the true difference, {true_difference:g}",
        "methods": "take whole numbers, 2 or more",
        "users": "take whole numbers, 2 or more",
        "level": "take a share between 0 and 1, such as 0.95",
        "target": "take a share between 0 and 1, such as 0.8",
        "spread": "take a positive number of probits",
        "half_width": "take a positive number",
    }
    relevant = [question, *(name for name in good if name not in ("tau", "difference", "margin"))]
    given = {name: values.tolist() for name, values in coords.items()} | numbers
    problems = [
        Problem(f"is {given[name]!r}", mend[name], variable=name)
        for name in relevant
        if not good[name]
    ]
    if problems:
        raise InputError(problems)
