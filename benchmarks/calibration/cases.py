"""What a run of worlds is made of: cases, each a way of drawing studies and measuring them.

A case gives rows: one for each quantity that a study estimates, with its truth, estimate, limits
and p-value. Only public functions of the package are called.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from generator import DOWNSTREAM, UPSTREAM, World

import preflamp_stats as pls

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """How intervals are made: resamples, and the kind of interval (the default one where None)."""

    n_resamples: int = 500
    interval: str | None = None


Study = Callable[[np.random.Generator, np.random.Generator, Asked], list[Row]]


@dataclass(frozen=True)
class Case:
    """A way of drawing studies.

    Parameters
    ----------
    name : str
    study : callable
        Takes random numbers for the methods and for everything else, and what is asked; returns
        rows.
    features : mapping
        Told in every row.
    fixed : bool
        The methods stay the same from study to study.
    """

    name: str
    study: Study
    features: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False

    def rows(self, seed: int, number: int, asked: Asked) -> list[Row]:
        """Rows of one study: the same whichever others are simulated, and in which build."""
        root = [seed, zlib.crc32(self.name.encode())]
        rng = np.random.default_rng([*root, 1, number])
        methods = np.random.default_rng([*root, 0]) if self.fixed else rng
        start = time.process_time()
        rows = self.study(methods, rng, asked)
        told = {
            "seed": seed,
            "world": self.name,
            "study": number,
            "seconds": round((time.process_time() - start) / max(1, len(rows)), 4),
            "features": dict(self.features),
        }
        return [row | told for row in rows]


def row(what: str, truth: float, found: Mapping[str, Any], **more: Any) -> Row:
    """Make the row of an estimate with limits; those that are not there cover nothing: NaN."""
    values = {name: float(found[name]) for name in ("estimate", "low", "high")}
    low, high = values["low"], values["high"]
    told = not np.isnan([truth, low, high]).any()
    covered = float(low - 1e-9 <= truth <= high + 1e-9) if told else np.nan
    return {"what": what, "truth": truth, **values, "covered": covered, **more}


def tau_row(
    ds: xr.Dataset,
    truth: float,
    asked: Asked,
    pair: tuple[str, str] = (UPSTREAM, DOWNSTREAM),
    **more: Any,
) -> Row:
    """Estimate tau in a study."""
    kind = {"interval": asked.interval} if asked.interval else {}
    found = pls.tau_test(ds, *pair, n_resamples=asked.n_resamples, **kind).squeeze()
    wanted = ("population_low", "population_high", "tau_corrected")
    names = [name for name in wanted if name in found]
    more |= {name: float(found[name]) for name in names}
    p = float(found["p_value"])
    return row(" ~ ".join(pair), truth, found, p=p, note=str(found["note"].item()), **more)


def world_case(name: str, world: World, *, fixed: bool = False, **features: Any) -> Case:
    """Make the case of a design: tau of its methods."""

    def study(methods: np.random.Generator, rng: np.random.Generator, asked: Asked) -> list[Row]:
        ds, truth = world.study(rng, methods)
        return [tau_row(ds, truth, asked)]

    told = {"reliability": round(world.reliability, 3), "null": world.null}
    return Case(name, study, asdict(world) | told | features, fixed)
