"""What is gained by choosing the best of k by reward, and where more samples do harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
import xarray as xr

from preflamp_stats.inference.best_of_k import best_of_k_between, some_ks
from preflamp_stats.inference.resampled import ResampledStudy
from preflamp_stats.io.variables import sampled_metrics
from preflamp_stats.metrics.best_of_k import sampled_variables
from preflamp_stats.results import ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.rows import tidy
from preflamp_stats.tables.table import Table

__all__ = ["BEST_OF_K", "OVER_OPTIMISATION"]

_OF_PEAK = ("peak", "peak_low", "peak_high", "largest", "p_value", "note")


def _found(
    studies: Sequence[ResampledStudy],
) -> Iterator[tuple[ResampledStudy, str, xr.Dataset]]:
    for study in studies:
        for metric in sampled_metrics(study.ds):
            _, _, dim = sampled_variables(study.ds, metric)
            key = ("best of k", metric)
            if key not in study.answers:
                ks = some_ks(study.ds.sizes[dim])
                study.answers[key] = best_of_k_between(study, metric, ks)
            yield study, metric, study.answers[key]


def _rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, metric, found in _found(studies):
        frame = tidy(found.drop_vars(_OF_PEAK), study, {"metric": metric})
        yield frame[frame["estimate"].notna()].reset_index(drop=True)


def _peak_rows(studies: Sequence[ResampledStudy]) -> Iterator[pd.DataFrame]:
    for study, metric, found in _found(studies):
        at = found.sel(k=found["largest"]).drop_vars("k")
        kept = at[["gain", "gain_low", "gain_high", "gap", "gap_low", "gap_high", "n_examples"]]
        renamed = {"gain": "estimate", "gain_low": "low", "gain_high": "high"}
        of_peak = kept.rename(renamed).assign(at[["n_users", *_OF_PEAK]])
        yield tidy(of_peak, study, {"metric": metric})


def _finding(table: ResultTable, settings: Settings) -> Iterator[str]:
    """Name the methods whose reward is over-optimised, and those that gain nothing."""
    for dataset, rows in words.by_dataset(table.frame):
        for metric, of_metric in rows.groupby("metric", sort=False):
            falls = of_metric[of_metric["p_value"] <= 1 - settings.level]
            name = table.metric(metric).words
            judged = of_metric["p_value"].notna().sum()
            if judged:
                text = f"{name} falls before the largest k for {len(falls)} of "
                text += f"{words.counted(int(judged), 'method')}"
                best = falls.nsmallest(1, "peak")
                for row in best.to_dict("records"):
                    first, last = int(row["peak_low"]), int(row["peak_high"])
                    least = f"{first} to " * (first < last)
                    text += f", for {row['method']} after {least}{words.counted(last, 'sample')}"
                yield words.capital(f"{text}.", dataset)


BEST_OF_K = Table(
    name="best_of_k",
    title="What does the best of k bring?",
    question="choose",
    rows=_rows,
    caption="Expected quality of the sample with the highest reward among k, over all ways to draw "
    "k of the samples of an example; ties in reward are broken at random ({mean} that have k "
    "samples). The oracle takes the best sample by quality itself; a gap is what the reward lacks "
    "of it, and random is any sample of the same examples. {intervals}",
    reading="A curve that rises with the oracle's has a reward that knows quality; one that falls "
    "again is of a reward that is over-optimised.",
)
OVER_OPTIMISATION = Table(
    name="over_optimisation",
    title="Do more samples do harm?",
    question="choose",
    rows=_peak_rows,
    caption="Gain of the best of the largest k over a random sample, its gap to the oracle, and "
    "the k of the highest quality: in brackets the k that are not significantly below another "
    "(max-T); p is of the hypothesis that no k is better than the largest. {intervals}",
    reading="A small p says that quality falls again before the largest k. The test looks at this "
    "range of k alone.",
    finding=_finding,
    answer=lambda tables: (
        " ".join(tables["over_optimisation"].findings) if "over_optimisation" in tables else ""
    ),
)
