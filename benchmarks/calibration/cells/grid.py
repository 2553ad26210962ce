"""What the calibration study simulates: groups of cells, each with its study and its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from cells import nearly_alike as alike
from cells import tests_of_association as association
from cells import tests_of_methods as methods
from cells.pooled import PooledCell, pooled_study, surrogacy_study
from cells.tau_intervals import TauCell, peer_study, slope_study, tau_study

Cells = Sequence[tuple[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class Group:
    """Cells that share a study.

    Parameters
    ----------
    study : callable
        Takes a random generator, a design and keywords; returns outcomes by name.
    cells : sequence of (design, keywords)
    n_studies : int
        Studies of each cell.
    seed : int
        Seed of the group.
    """

    study: Callable[..., Mapping[str, float]]
    cells: Cells
    n_studies: int
    seed: int


def _plain(designs: Sequence[Any]) -> Cells:
    return [(design, {}) for design in designs]


_GRID = [
    TauCell(*cell)
    for cell in product((6, 12, 24), (50, 200, 1000), (-0.5, 0.0, 0.5, 0.95), (0.03, 0.15, 0.5))
]
_BEYOND = [
    *(TauCell(12, 100, rho, 0.15, users="unequal") for rho in (0.0, 0.5, 0.95)),
    *(TauCell(12, 200, rho, 0.15, users="strong effects") for rho in (0.0, 0.5, 0.95)),
    *(TauCell(4, 200, rho, spread) for rho in (0.0, 0.95) for spread in (0.03, 0.15)),
    *(
        TauCell(12, 200, rho, 0.15, effects)
        for effects in ("t3", "skewed", "clusters", "shared clusters")
        for rho in (0.0, 0.95)
    ),
    *(TauCell(24, 50, rho, 0.15, effects) for effects in ("t3", "clusters") for rho in (0.0, 0.95)),
]

_FEW = [
    TauCell(12, n_users, rho, spread)
    for n_users in (50, 200)
    for rho in (0.0, 0.95)
    for spread in (0.03, 0.15)
]

_POOLED = [
    *(
        PooledCell(n_datasets, 8, 50, rho, 0.03)
        for n_datasets, rho in product((2, 4, 8, 16), (0.0, 0.5, 0.95, 1.0))
    ),
    *(
        PooledCell(n_datasets, 8, 50, rho, 0.15, between=0.3)
        for n_datasets, rho in product((2, 8), (0.0, 0.5, 0.95))
    ),
    *(PooledCell(4, 8, 50, rho, 0.03, recurring=True) for rho in (0.0, 0.5, 0.95, 1.0)),
]
_SURROGACY = [
    *(
        PooledCell(n_datasets, n_methods, 50, rho, 0.15)
        for n_datasets, n_methods, rho in product((2, 4, 8), (4, 8, 12), (0.0, 0.5, 0.95, 1.0))
    ),
    *(PooledCell(4, 8, 50, rho, 0.03) for rho in (0.0, 0.5, 0.95, 1.0)),
    *(PooledCell(4, 8, 50, rho, 0.15, between=0.3) for rho in (0.0, 0.5, 0.95)),
    *(PooledCell(4, 8, 50, rho, 0.15, recurring=True) for rho in (0.0, 0.5, 0.95)),
]

_METHODS = [
    methods.Cell(n_users, n_methods, **users)
    for n_users, n_methods in product((20, 50, 200), (2, 6, 12))
    for users in ({}, {"unequal": True, "user_method_sd": 0.6})
]
_SIZES = [
    methods.Cell(n_users, n_methods) for n_users in (50, 200, 1000) for n_methods in (2, 6, 12)
]
_DECOUPLING = [
    methods.Cell(n_users, n_methods, **users)
    for n_users, n_methods in product((50, 200), (2, 6, 12))
    for users in ({}, {"unequal": True, "user_method_sd": 0.6})
]
_ASSOCIATION = [
    association.AssociationCell(n_users, n_methods)
    for n_users, n_methods in product((50, 200), (4, 6, 12))
]
_SAME_METHODS = [
    association.AssociationCell(n_users, n_methods, same_methods=True, unequal=unequal)
    for n_users, n_methods, unequal in product((50, 200), (4, 6, 12), (False, True))
]

_UNLIKE = [
    *product(("same",), (0.2, 0.1, 0.05, 0.02, 0.01)),
    *product(("normal", "exponential", "two sizes"), (0.3, 0.1, 0.05)),
]
_ALIKE = [
    alike.AlikeCell(n_users, share, kind, unequal)
    for (kind, share), n_users in product(_UNLIKE, (8, 20, 50, 100, 200, 500))
    for unequal in (False, True)
]
_NO_ENDS = [replace(cell, bounded=False) for cell in _ALIKE if not cell.unequal]
_NEAR_ONE = [
    alike.AlikeCell(n_users, share, unequal=unequal, n_examples=n_examples)
    for share, n_users in product((0.0, 0.005, 0.01, 0.03, 0.05), (10, 20, 50, 200))
    for unequal, n_examples in product((False, True), (5, 20))
]
_STOPPED = [alike.AlikeCell(600, share, kind) for kind, share in (
    ("same", 0.05), ("same", 0.2), ("exponential", 0.2), ("normal", 1.0))]  # fmt: skip

GROUPS: dict[str, Group] = {
    "tau": Group(tau_study, _plain([*_GRID, *_BEYOND]), 1000, 1),
    "peers": Group(
        peer_study,
        _plain([TauCell(12, 200, rho, spread) for rho in (0.0, 0.95) for spread in (0.03, 0.15)]),
        100,
        2,
    ),
    "slope": Group(slope_study, _plain(_FEW), 200, 14),
    "pooled tau": Group(pooled_study, _plain(_POOLED), 100, 15),
    "surrogacy": Group(surrogacy_study, _plain(_SURROGACY), 100, 17),
    "difference": Group(methods.difference_study, _plain(_METHODS), 2000, 3),
    "difference power": Group(
        methods.difference_study, [(cell, {"effect": 0.04}) for cell in _SIZES], 400, 4
    ),
    "equivalence": Group(methods.equivalence_study, _plain(_METHODS), 2000, 5),
    "minimum effect": Group(methods.minimum_effect_study, _plain(_METHODS), 2000, 6),
    "decoupling": Group(
        methods.decoupling_study,
        [
            (cell, gaps)
            for cell in _DECOUPLING
            for gaps in (
                {"accuracy_gap": 0.15, "quality_gap": methods.MARGIN},
                {"accuracy_gap": methods.DISCRIMINATION_MARGIN, "quality_gap": 0.0},
            )
        ],
        2000,
        7,
    ),
    "decoupling power": Group(
        methods.decoupling_study,
        [(cell, {"accuracy_gap": 0.12, "quality_gap": 0.0}) for cell in _SIZES],
        400,
        8,
    ),
    "in context": Group(methods.in_context_study, _plain(_DECOUPLING), 1000, 9),
    "no association": Group(association.no_association_study, _plain(_ASSOCIATION), 1000, 10),
    "two predictors": Group(association.two_predictors_study, _plain(_ASSOCIATION), 1000, 11),
    "two predictors, same methods": Group(
        association.two_predictors_study, _plain(_SAME_METHODS), 1000, 16
    ),
    "regret": Group(association.regret_study, _plain(_ASSOCIATION), 1000, 12),
    "nearly alike": Group(alike.alike_study, _plain(_ALIKE), 25, 21),
    "nearly alike, no ends": Group(alike.alike_study, _plain(_NO_ENDS), 25, 25),
    "nearly alike power": Group(
        alike.alike_study,
        [(alike.AlikeCell(n_users, 0.05), {"true": 0.0}) for n_users in (50, 200, 1000)],
        25,
        22,
    ),
    "accuracy near 1": Group(alike.accuracy_study, _plain(_NEAR_ONE), 25, 23),
    "stopping": Group(
        alike.stopping_study, [(cell, {"true": alike.MARGIN}) for cell in _STOPPED], 1000, 24
    ),
    "stopping power": Group(
        alike.stopping_study, [(cell, {"true": 0.0}) for cell in _STOPPED], 1000, 26
    ),
    "example level": Group(association.example_level_study, _plain(_ASSOCIATION), 1000, 13),
}
