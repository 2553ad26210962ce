"""What came of a run of worlds: coverage of each case and over worlds, and comparisons.

With 20 studies a world, chance alone spreads the observed coverage of worlds: of worlds that all
cover 95 %, one in thirteen shows 17 of 20 or fewer. The 5th percentile over worlds is therefore
that of a beta distribution of true coverages under binomial sampling (beta-binomial, by maximum
likelihood), with the one of the observed shares beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import betaln, expit, logit

Array = NDArray[Any]

LEAST_COVERAGE, LARGEST_SIZE = 0.93, 0.06
_ALPHA = 0.05
# In order of how a world is told; what is at these values is not worth telling.
_PLAIN = {
    "users": "equal",
    "effects": "normal",
    "shape": "line",
    "n_families": 1,
    "clones": 0,
    "outlier": False,
    "shared_models": False,
    "shared_noise": 0.0,
    "missing": 0.0,
}
_BINS = {
    "n_methods": [0, 7, 15, 40],
    "n_users": [0, 24, 99, 1000],
    "reliability": [0, 0.5, 0.8, 1],
    "abs_correlation": [-1, 0, 0.5, 0.949, 0.9999, 1],
    "clones": [-1, 0, 100],
    "missing": [-1, 0, 0.3, 1],
    "shared_noise": [-1, 0, 0.6, 1],
    "level": [-10, 1.5, 10],
}


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One line an estimate; the features of its case are columns."""
    found = pd.DataFrame([{**row, **row["features"]} for row in rows]).drop(columns="features")
    found["width"] = found["width"].fillna(np.nan) if "width" in found else np.nan
    if "low" in found:
        found["width"] = found["width"].fillna(found["high"] - found["low"])
    if "p" not in found:
        found["p"] = np.nan
    return found


def by_case(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Coverage, width and rejections of every quantity of every case.

    Returns
    -------
    DataFrame, indexed by (world, what)
        ``n``: studies; ``told``: those with limits; ``covered``, ``width``, ``truth``: means over
        these; ``rejects``: share of p ≤ .05 among those with a p-value.
    """
    table = frame(rows)
    table["rejects"] = (table["p"] <= _ALPHA).astype(float).where(table["p"].notna())
    if "truth" not in table:
        table["truth"] = np.nan
    groups = table.groupby(["world", "what"], sort=False)
    return groups.agg(
        n=("covered", "size"),
        told=("covered", "count"),
        truth=("truth", "mean"),
        covered=("covered", "mean"),
        width=("width", "mean"),
        rejects=("rejects", "mean"),
    )


def beta_of(covered: Array, told: Array) -> tuple[float, float]:
    """Fit the beta distribution of true coverages from counts, by maximum likelihood.

    Parameters
    ----------
    covered, told : ndarray, shape (world,)
        Studies that cover, of so many.

    Returns
    -------
    a, b : float

    References
    ----------
    Skellam (1948), A probability distribution derived from the binomial distribution by regarding
    the probability of success as variable, JRSS-B 10:257-261.

    Examples
    --------
    >>> a, b = beta_of(np.array([19, 19, 20, 18]), np.full(4, 20))
    >>> round(a / (a + b), 2)
    0.95
    """
    share = np.clip(covered.sum() / told.sum(), 0.001, 0.999)

    def loss(parameters: Array) -> float:
        mean, size = expit(parameters[0]), np.exp(parameters[1])
        a, b = mean * size, (1 - mean) * size
        return -float((betaln(covered + a, told - covered + b) - betaln(a, b)).sum())

    # Bounds keep a world of equals (whose size is infinite) from running away.
    start, bounds = [logit(share), np.log(30.0)], [(-8, 8), (-3, 9)]
    mean, size = optimize.minimize(loss, start, bounds=bounds, method="L-BFGS-B").x
    return float(expit(mean) * np.exp(size)), float((1 - expit(mean)) * np.exp(size))


def distribution(counts: pd.DataFrame, *, seed: int = 0) -> dict[str, float]:
    """Mean and 5th percentile of coverage over worlds, with what chance does to them.

    Parameters
    ----------
    counts : DataFrame
        A world a line, columns ``told`` and ``covered`` (a share).

    Returns
    -------
    dict
        ``mean`` with ``mean_se`` (worlds are drawn); ``observed_5th``; ``fifth``, of true
        coverages, with ``fifth_low`` and ``fifth_high``, 90 % limits from 200 resamples of worlds;
        ``below_90``: share of worlds that truly cover less than 90 %.
    """
    counts = counts[counts["told"] > 0]
    told = counts["told"].to_numpy()
    covered = np.rint(counts["covered"].to_numpy() * told)
    a, b = beta_of(covered, told)
    rng = np.random.default_rng(seed)
    fifths = []
    for _ in range(200):
        drawn = rng.integers(len(told), size=len(told))
        fifths.append(stats.beta.ppf(0.05, *beta_of(covered[drawn], told[drawn])))
    return {
        "mean": float(counts["covered"].mean()),
        "mean_se": float(counts["covered"].std() / np.sqrt(len(counts))),
        "observed_5th": float(counts["covered"].quantile(0.05)),
        "fifth": float(stats.beta.ppf(0.05, a, b)),
        "fifth_low": float(np.quantile(fifths, 0.05)),
        "fifth_high": float(np.quantile(fifths, 0.95)),
        "below_90": float(stats.beta.cdf(0.9, a, b)),
    }


def report(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sum a run up in Markdown: a line a case, or the distribution over random worlds."""
    cases = by_case(rows)
    if not is_random(rows):
        return _design_table(rows, cases)
    features = frame(rows).drop_duplicates("world").set_index("world")
    features = features.drop(columns=features.columns.intersection(cases.columns))
    worlds = cases.reset_index("what", drop=True).join(features)
    worlds["abs_correlation"] = worlds["correlation"].abs()
    found = distribution(worlds)
    untold = 1 - worlds["told"].sum() / worlds["n"].sum()
    nulls = worlds[worlds["null"].astype(bool)]
    seeds = ", ".join(sorted({str(row["seed"]) for row in rows}))
    text = [
        f"{len(worlds)} worlds, {worlds['n'].mean():.0f} studies each, seed {seeds}; no interval "
        f"in {untold:.1%} of the studies.",
        f"* Coverage over worlds: mean {found['mean']:.3f} ± {found['mean_se']:.3f}; 5th "
        f"percentile {found['fifth']:.3f} (90 % limits {found['fifth_low']:.3f} to "
        f"{found['fifth_high']:.3f}; beta-binomial, the noise of few studies taken out), "
        f"{found['observed_5th']:.3f} as "
        f"observed. {found['below_90']:.0%} of the worlds truly cover less than 90 %.",
        f"* Test of no association where there is none: rejects in "
        f"{_mean(nulls['rejects'])} of {len(nulls)} such worlds.",
        "",
        "The tenth of the worlds with the least coverage:",
        "",
        _worst(worlds),
        "",
        "Coverage, and size of the test, by feature:",
        "",
        _by_feature(worlds),
    ]
    return "\n".join(text)


def compare(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> str:
    """Set two runs of the same studies side by side: coverage, and widths study by study.

    Raises
    ------
    ValueError
        If they share no study, or the same study has other data in each.
    """
    keys = ["seed", "world", "what", "study"]
    measured = frame(second).filter([*keys, *_MEASURED])
    both = frame(first).merge(measured, on=keys, suffixes=("_a", "_b"))
    if both.empty:
        raise ValueError("the files share no study: run both with the same --seed")
    if "truth_a" in both and not np.allclose(both["truth_a"], both["truth_b"], equal_nan=True):
        raise ValueError("the same studies have other truths: the generator was changed between")
    both["ratio"] = both["width_a"] / both["width_b"].where(both["width_b"] > 0)
    for side in "ab":
        p = both[f"p_{side}"]
        both[f"rejects_{side}"] = (p <= _ALPHA).astype(float).where(p.notna())
    random = both["world"].str.startswith("world ").all()
    names = dict.fromkeys(("covered", "width", "rejects", "seconds"), "mean")
    columns = {f"{n}_{s}": (f"{n}_{s}", how) for n, how in names.items() for s in "ab"}
    every = both.groupby(["world", "what"], sort=False).agg(
        n=("study", "size"), **columns, median_ratio=("ratio", "median")
    )
    every.insert(5, "width_ratio", every["width_a"] / every["width_b"].where(every["width_b"] > 0))
    overall = every.mean().to_frame(("mean over cases", "")).T
    overall.index.names = every.index.names
    well = every[every["covered_b"] >= LEAST_COVERAGE]
    lines = [
        f"{len(both)} studies in both (a: first file, b: second).",
        f"Where b covers at least {LEAST_COVERAGE:.0%} ({len(well)} cases), the ratio of widths a "
        f"/ b is {well['width_ratio'].median():.3f} (median), "
        f"{well['width_ratio'].max():.3f} at most.",
        "",
        _markdown((overall if random else pd.concat([every, overall])).reset_index()),
    ]
    if random:
        for side in "ab":
            counts = both.groupby("world")[f"covered_{side}"].agg(["count", "mean"])
            found = distribution(counts.set_axis(["told", "covered"], axis=1))
            lines.append(f"\n{side}: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    return "\n".join(lines)


_MEASURED = ("truth", "covered", "low", "high", "width", "p", "seconds")


def _design_table(rows: Sequence[Mapping[str, Any]], cases: pd.DataFrame) -> str:
    nulls = {row["world"] for row in rows if row["features"].get("null")}
    told = []
    for one in cases.reset_index().to_dict("records"):
        size = _marked(one["rejects"], one["n"], LARGEST_SIZE, below=False)
        told.append(
            {
                "design": one["world"],
                "estimate": one["what"],
                "studies": one["n"],
                "no interval": one["n"] - one["told"],
                "truth": f"{one['truth']:.2f}",
                "covers": _marked(one["covered"], one["told"], LEAST_COVERAGE, below=True),
                "width": f"{one['width']:.3f}",
                "rejects": size if one["world"] in nulls else "",
            }
        )
    return _markdown(pd.DataFrame(told))


def _marked(share: float, n: float, limit: float, *, below: bool) -> str:
    """Bold where past the limit, with ! where by more than simulation error."""
    if np.isnan(share) or not n:
        return "–"
    smoothed = (share * n + 1) / (n + 2)
    se = np.sqrt(smoothed * (1 - smoothed) / n)
    past = limit - share if below else share - limit
    text = f"{share:.3f} ± {se:.3f}"
    return text if past <= 0 else f"**{text}**{' !' if past > 1.96 * se else ''}"


def page_parts(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Parts of the page by the name of their markers: random worlds, or designs, not one a line.

    Designs that differ in the number of users or the set of methods alone share a line.
    """
    if is_random(rows):
        text = report(rows)
        return {"worlds": text[: text.index("Coverage, and size")].rstrip()}
    cases = by_case(rows).reset_index()
    cases["kind"] = cases["world"].str.replace(_ONE_OF_MANY, "", regex=True)
    nulls = {row["world"] for row in rows if row["features"].get("null")}
    lines = []
    for kind, here in cases.groupby("kind", sort=False):
        least = here.loc[here["covered"].fillna(2).idxmin()]
        most = here.loc[here["rejects"].fillna(-1).idxmax()]
        size = _marked(most["rejects"], most["n"], LARGEST_SIZE, below=False)
        lines.append(
            {
                "design": kind,
                "cells": len(here),
                "studies a cell": here["n"].min(),
                "covers": f"{here['covered'].mean():.3f}" if here["told"].any() else "–",
                "at least": _marked(least["covered"], least["told"], LEAST_COVERAGE, below=True),
                "width": f"{here['width'].mean():.2f}",
                "rejects, at most": size if most["world"] in nulls else "",
            }
        )
    seeds = ", ".join(sorted({str(row["seed"]) for row in rows}))
    return {"designs": f"Seed {seeds}.\n\n{_markdown(pd.DataFrame(lines))}"}


_ONE_OF_MANY = r",? (U=\d+|set \d+)$"


def is_random(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all rows are of worlds drawn at random."""
    return all(row["world"].startswith("world ") for row in rows)


def _worst(worlds: pd.DataFrame) -> str:
    worst = worlds.sort_values(["covered", "width"]).head(max(1, len(worlds) // 10))
    lines = []
    for name, one in worst.to_dict("index").items():
        more = [f"{k} {_short(one[k])}" for k, plain in _PLAIN.items() if one[k] != plain]
        if one["n_families"] > 1:
            between = one["family_correlation"]
            more.append(f"between them rho {between:.2f}, {one['family_share']:.0%}")
        lines.append(
            {
                "world": name,
                "covers": f"{one['covered']:.2f}",
                "width": f"{one['width']:.2f}",
                "true tau": f"{one['truth']:.2f}",
                "M × U × n": f"{one['n_methods']} × {one['n_users']} × {one['n_examples']}",
                "rho": f"{one['correlation']:.3f}",
                "reliability": f"{one['reliability']:.2f}",
                "metrics": f"{one['upstream']}, {one['downstream']} at {one['level']:.1f}",
                "besides": "; ".join(more),
            }
        )
    return _markdown(pd.DataFrame(lines))


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _by_feature(worlds: pd.DataFrame) -> str:
    tenth = worlds["covered"].rank(method="first") <= max(1, len(worlds) // 10)
    lines = []
    for name in (*_BINS, *(n for n in _PLAIN if n not in _BINS), "upstream", "downstream"):
        values = worlds[name]
        levels = pd.cut(values, _BINS[name]) if name in _BINS else values.astype(str)
        for level, here in worlds.groupby(levels, observed=True):
            null = here[here["null"].astype(bool)]
            lines.append(
                {
                    "feature": f"{name} {level}",
                    "worlds": len(here),
                    "covers": f"{here['covered'].mean():.3f}",
                    "in the worst tenth": f"{tenth[here.index].mean():.0%}",
                    "size": _mean(null["rejects"]),
                    "null worlds": len(null),
                }
            )
    return _markdown(pd.DataFrame(lines))


def _mean(values: pd.Series) -> str:
    found = values.dropna()
    se = found.std() / np.sqrt(len(found)) if len(found) > 1 else np.nan
    return f"{found.mean():.3f} ± {se:.3f}" if len(found) else "–"


def _markdown(table: pd.DataFrame) -> str:
    cells = [[_short(cell) for cell in line] for line in table.to_numpy().tolist()]
    rows = [list(table.columns), ["---"] * table.shape[1], *cells]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
