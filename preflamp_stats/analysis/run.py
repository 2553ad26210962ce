"""The analysis: every table of every dataset, with captions, notes and a summary in words."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from preflamp_stats import __version__
from preflamp_stats.analysis import association, captions, comparison, estimates
from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.analysis.sentences import findings, notes, summary
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.resampled import read_study
from preflamp_stats.metrics.values import available_metrics
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.schema import datasets
from preflamp_stats.settings import Settings

__all__ = ["analyze"]


Progress = Callable[[str, int, int], None]
"""Told a dataset's name, the examples read so far, and their number."""


Maker = Callable[[Sequence[DatasetEvidence]], pd.DataFrame]


@dataclass(frozen=True)
class _Recipe:
    name: str
    title: str
    make: Maker
    caption: Callable[[Settings, pd.DataFrame], str]
    higher_is_better: bool = False


def _each(make: Callable[[DatasetEvidence], pd.DataFrame]) -> Maker:
    """Make a table of each dataset and put them one below the other."""

    def joined(evidence: Sequence[DatasetEvidence]) -> pd.DataFrame:
        frames = [frame for frame in map(make, evidence) if not frame.empty]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    return joined


_RECIPES = (
    _Recipe("tau", "Does accuracy predict?", _each(association.tau), captions.tau),
    _Recipe(
        "pooled_tau",
        "Does accuracy predict, over all datasets and models?",
        association.pooled_tau,
        captions.pooled_tau,
    ),
    _Recipe("slope", "What do twenty points buy?", _each(association.slope), captions.slope),
    _Recipe(
        "decoupling",
        "Do gains upstream come with gains downstream?",
        association.decoupling,
        captions.decoupling,
    ),
    _Recipe(
        "example_level",
        "Is the text better where the pair is ranked right?",
        _each(association.example_level),
        captions.example_level,
    ),
    _Recipe(
        "rm_accuracy",
        "Reward model accuracy",
        _each(estimates.rm_accuracy),
        captions.rm_accuracy,
        True,
    ),
    _Recipe(
        "policy_accuracy",
        "Policy accuracy",
        _each(estimates.policy_accuracy),
        captions.policy_accuracy,
        True,
    ),
    _Recipe(
        "generation", "Generation quality", _each(estimates.generation), captions.generation, True
    ),
    _Recipe(
        "method_metrics",
        "Numbers known only per method",
        _each(estimates.method_metrics),
        captions.method_metrics,
    ),
    _Recipe(
        "in_context",
        "Does in-context learning win, and from which size?",
        _each(comparison.in_context),
        captions.in_context,
    ),
    _Recipe(
        "regret",
        "What would choosing by the upstream metric cost?",
        _each(association.regret),
        captions.regret,
    ),
    _Recipe("contrasts", "Methods compared", _each(comparison.contrasts), captions.contrasts),
    _Recipe(
        "weight_curve",
        "Policy accuracy over the reward weight",
        _each(estimates.weight_curve),
        captions.weight_curve,
    ),
    _Recipe(
        "prefix_accuracy",
        "When does the reward know?",
        _each(estimates.prefix_accuracy),
        captions.prefix_accuracy,
    ),
    _Recipe(
        "length_difference",
        "Is it only length?",
        _each(estimates.length_difference),
        captions.length,
    ),
)


def analyze(
    tree: xr.DataTree | xr.Dataset | Mapping[str, xr.Dataset],
    settings: Settings | None = None,
    *,
    inputs: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Analysis:
    """Estimate everything that a results file allows.

    Parameters
    ----------
    tree : DataTree, Dataset, or mapping of str to Dataset
        An opened results file, or its benchmark datasets by name.
    settings : Settings, optional
        What to estimate and how.
    inputs : sequence of path, optional
        Files behind the tree, to be recorded with their checksums. A tree from
        :func:`preflamp_stats.open_results` names its own.
    progress : callable, optional
        Called with the dataset's name, the examples read and their number.

    Returns
    -------
    Analysis

    Raises
    ------
    InputError
        If there is nothing to analyse, no dataset has a metric that was asked for, or an input
        changes while it is read.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=4, n_users=30, n_examples=5, seed=1)
    >>> analysis = pls.analyze(study, pls.Settings(resamples=200))
    >>> list(analysis.tables)[:2]
    ['tau', 'slope']
    """
    settings = settings or Settings()
    found = datasets(tree) if isinstance(tree, xr.DataTree | xr.Dataset) else dict(tree)
    _check_metrics(found, settings)
    paths = [Path(path) for path in inputs or _sources(tree)]
    states = [_state(path) for path in paths]
    fingerprints = [_fingerprint(path) for path in paths]
    evidence = [
        read_study(ds, settings, name=name, progress=_reporter(progress, name, ds))
        for name, ds in found.items()
    ]
    _check_unchanged(paths, states)
    tables = {}
    for recipe in _RECIPES:
        frame = recipe.make(evidence)
        if not frame.empty:
            tables[recipe.name] = ResultTable(
                recipe.name,
                frame,
                recipe.title,
                recipe.caption(settings, frame),
                recipe.higher_is_better,
            )
    return Analysis(
        settings,
        tables,
        inputs=fingerprints,
        versions=_versions(),
        summary=summary(tables, settings),
        notes=notes(evidence, settings),
        findings=findings(tables, settings),
    )


def _check_metrics(found: Mapping[str, xr.Dataset], settings: Settings) -> None:
    """Refuse metrics that no dataset has: a misspelt name must not pass for an empty result."""
    if not found:
        raise InputError(Problem("holds no dataset", "write at least one group with variables"))
    available = {name: available_metrics(ds, settings) for name, ds in found.items()}
    names = sorted({metric.name for metrics in available.values() for metric in metrics})
    if not names:
        raise InputError(
            Problem(
                "holds neither rewards nor generations",
                "add reward, or generation and reference, or a generation metric",
            )
        )
    options = ("upstream", "downstream", "lower_is_better", "higher_is_better")
    asked = {option: getattr(settings, option) for option in options}
    # The defaults may be absent: either half of a file is enough.
    known = {*names, *Settings().upstream, *Settings().downstream}
    problems = []
    for option, metrics in asked.items():
        for metric in metrics:
            if metric not in known:
                near = difflib.get_close_matches(metric, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"choose among {', '.join(names)}"
                problems.append(Problem(f"unknown metric {metric!r}", hint, variable=option))
    if problems:
        raise InputError(problems)


def _reporter(progress: Progress | None, name: str, ds: xr.Dataset) -> Callable[[int], None] | None:
    if progress is None:
        return None
    done, total = 0, ds.sizes.get("example", 0)

    def report(examples: int) -> None:
        nonlocal done
        done += examples
        progress(name, done, total)

    return report


def _sources(tree: Any) -> list[str]:
    source = getattr(tree, "encoding", {}).get("source")
    return [source] if source else []


def _fingerprint(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"path": path.name, "sha256": digest, "bytes": os.fstat(file.fileno()).st_size}
    except OSError as error:
        raise _changed(path) from error


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        raise _changed(path) from error
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _check_unchanged(paths: Sequence[Path], states: Sequence[tuple[int, ...]]) -> None:
    """Refuse a file that was written to: its checksum would be that of another content."""
    for path, state in zip(paths, states, strict=True):
        if _state(path) != state:
            raise _changed(path)


def _changed(path: Path) -> InputError:
    mend = "leave it in place and unchanged until the analysis ends, and run it again"
    return InputError(Problem("changed or vanished while it was read", mend, str(path)))


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "xarray", "netCDF4", "rouge-score")
    return {"preflamp-stats": __version__, **{package: version(package) for package in packages}}
