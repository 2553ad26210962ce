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

import xarray as xr

from preflamp_stats import __version__, results
from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.resampled import ResampledStudy, read_study
from preflamp_stats.io.from_tables import convert, say_to_stderr
from preflamp_stats.io.schema import datasets
from preflamp_stats.io.select import open_any
from preflamp_stats.io.variables import sampled_metrics
from preflamp_stats.metric import Metric
from preflamp_stats.metrics.values import available_metrics, metric_words
from preflamp_stats.settings import Settings
from preflamp_stats.tables import registry
from preflamp_stats.tables.metrics import shared_metrics
from preflamp_stats.tables.rows import joined
from preflamp_stats.tables.words import capital, counted, direction_unknown

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, repr=False)
class Analysis(results.Analysis):
    """All estimates of one run, as :class:`preflamp_stats.results.Analysis`, to be written."""

    def write(self, directory: str | Path) -> list[Path]:
        """Write every table, figure and the report into a directory, whole or not at all.

        Parameters
        ----------
        directory : path
            Made where absent. Files of an earlier analysis in it are replaced.

        Returns
        -------
        list of Path
            Every file written.

        Raises
        ------
        InputError
            If the directory cannot be written.
        """
        # Drawing costs a second of imports, which an analysis that is not written need not pay.
        from preflamp_stats.outputs.write import write_analysis

        return write_analysis(self, Path(directory))


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
        Called with what is being done, how much of it is done, and how much there is: the
        examples of each dataset read, then the tables estimated.

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
    ['coverage', 'tau']
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
    # The checksum would be that of another content.
    for path, state in zip(paths, states, strict=True):
        if _state(path) != state:
            raise _changed(path)
    metrics = shared_metrics(evidence)
    tables = {}
    for place, table in enumerate(registry.TABLES):
        if progress:
            progress(f"estimating {table.name}", place, len(registry.TABLES))
        frame = joined(list(table.rows(evidence)))
        if not frame.empty:
            tables[table.name] = registry.make_table(table, frame, metrics, settings)
    return Analysis(
        settings,
        tables,
        inputs=fingerprints,
        versions=_versions(),
        questions=registry.make_questions(tables),
        notes=_notes(evidence, settings),
    )


def _notes(evidence: Sequence[ResampledStudy], settings: Settings) -> list[str]:
    """List what was left out and why, and what a reader must mind."""
    found = []
    asked = dict.fromkeys([*settings.upstream, *settings.downstream])
    unknown: dict[str, Metric] = {}
    for dataset in evidence:
        own, users = [], len(dataset.units.labels)
        if absent := [metric_words(name) for name in asked if name not in dataset.metrics]:
            own.append(f"not in the file and left out: {', '.join(absent)}.")
        if users and dataset.units.kind == "examples" and settings.resample != "examples":
            own.append(
                "the file names no users, so each example is taken as its own unit; if "
                "users wrote several examples each, the intervals are too narrow."
            )
        elif dataset.units.kind == "users" and users < 20:
            few = counted(users, "user")
            own.append(f"only {few}; intervals that resample so few are rough.")
        of = f"{dataset.name}: " if len(evidence) > 1 else ""
        found += [capital(f"{of}{note}") for note in own]
        there = [dataset.metrics[name].info for name in asked if name in dataset.metrics]
        unknown |= {metric.name: metric for metric in there if not metric.sign}
    if settings.anytime:
        found.append(
            "Accuracies, generation quality, comparisons, decoupling and the in-context lead hold "
            "whenever one looks and stops adding users, for metrics whose scale has ends; tau, "
            "slope, regret and all else hold for a number of users fixed beforehand."
        )
    return found + [
        f"{capital(direction_unknown(metric))}: give --lower-is-better {metric.name} or "
        f"--higher-is-better {metric.name}, or the attribute direction."
        for metric in unknown.values()
    ]


def _check_metrics(found: Mapping[str, xr.Dataset], settings: Settings) -> None:
    """Refuse metrics that no dataset has: a misspelt name must not pass for an empty result."""
    if not found:
        raise InputError(Problem("holds no dataset", "write at least one group with variables"))
    available = (available_metrics(ds, settings) for ds in found.values())
    measured = {metric.name for metrics in available for metric in metrics}
    names = sorted(measured.union(*map(sampled_metrics, found.values())))
    if not names:
        mend = "add reward, or generation and reference, or a generation metric"
        raise InputError(Problem("holds neither rewards nor generations", mend))
    # The defaults may be absent: either half of a file is enough.
    known = {*names, *Settings().upstream, *Settings().downstream}
    problems = []
    for option in ("upstream", "downstream", "lower_is_better", "higher_is_better"):
        for metric in [metric for metric in getattr(settings, option) if metric not in known]:
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
        progress(f"reading {name}", done, total)

    return report


def _sources(tree: Any) -> list[str]:
    return [*filter(None, [getattr(tree, "encoding", {}).get("source")])]


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


def _changed(path: Path) -> InputError:
    mend = "leave it in place and unchanged until the analysis ends, and run it again"
    return InputError(Problem("changed or vanished while it was read", mend, str(path)))


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "xarray", "netCDF4", "rouge-score")
    return {"preflamp-stats": __version__, **{package: version(package) for package in packages}}


def report(
    data: Any,
    out: str | os.PathLike[str] = "preflamp-analysis",
    settings: Settings | None = None,
    *,
    say: Callable[[str], None] = say_to_stderr,
    **columns: Any,
) -> Analysis:
    """Analyse a table or a results file and write tables, figures and report.html.

    Parameters
    ----------
    data : path, data frame, DataTree or Dataset
        A results file, a table (CSV, JSON, JSONL, Parquet), a frame of pandas, polars or arrow, or
        results that are open.
    out : path
        Folder to write.
    settings : Settings, optional
        What to estimate and how.
    say : callable
        Told how columns were understood.
    **columns
        ``ignore``, ``mapping``, ``lower_is_better``, ``higher_is_better`` of
        :func:`preflamp_stats.convert`, for a table or a data frame.

    Returns
    -------
    Analysis
        As written.

    Raises
    ------
    InputError, SchemaError
        As :func:`preflamp_stats.convert` and :func:`preflamp_stats.analyze`.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"user": list("wxyz"), "example": [1, 2, 3, 4], "a_chosen": 1.0, "a_rejected": 0.0,
    ...      "b_chosen": 0.0, "b_rejected": 0.5}
    ... )
    >>> quick = Settings(resamples=100, formats=("csv",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     analysis = report(table, folder, quick, say=lambda line: None)
    >>> analysis.tables["rm_accuracy"].frame["estimate"].tolist()
    [1.0, 0.0]
    """
    inputs: list[str] = []
    if isinstance(data, str | os.PathLike):
        inputs = [os.fspath(data)]
        [tree] = open_any(inputs, say=say, **columns).values()
    elif isinstance(data, xr.DataTree | xr.Dataset):
        tree = data if isinstance(data, xr.DataTree) else xr.DataTree(data)
    else:
        tree = convert([data], say=say, **columns)
    try:
        analysis = analyze(tree, settings, inputs=inputs)
        analysis.write(os.fspath(out))
    finally:
        if inputs:
            tree.close()
    return analysis
