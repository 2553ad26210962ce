"""Compute every estimate a second time with somebody else's code, on random cases.

``python benchmarks/robustness/differential.py run --cases 5000`` draws so many cases of each
quantity, with ties, NaN and unequal users, and prints the table of docs/reliability.md; a case
beyond its tolerance is printed with its number, and the command ends with status 1. R's comparisons
run where ``Rscript`` and the packages boot and psych are found, and are said to be left out where
not.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness.peers import COMPARISONS, R_COMPARISONS, Comparison

HAS_R = shutil.which("Rscript") is not None
_BLOCK = 250


def compare(of: Comparison, cases: Iterable[int]) -> pd.DataFrame:
    """Compare the numbers of cases.

    Parameters
    ----------
    of : Comparison
    cases : iterable of int
        Each draws from its own random numbers.

    Returns
    -------
    DataFrame
        A row a case: ``numbers`` compared, those ``undefined`` by both, the largest difference
        ``apart`` relative to a peer's number above 1 (infinite where one is undefined), and what is
        ``wrong``, empty within the tolerance.
    """
    drawn = {case: of.draw(np.random.default_rng([case, *of.quantity.encode()])) for case in cases}
    with warnings.catch_warnings():
        # Packages warn of constant or empty input, of which the cases are full.
        warnings.simplefilter("ignore")
        theirs = _in_r(of, drawn) if of.columns else {c: of.theirs(*d) for c, d in drawn.items()}
        rows = [_row(of, case, of.ours(*each), theirs[case]) for case, each in drawn.items()]
    return pd.DataFrame(rows).assign(quantity=of.quantity, peer=of.peer)


def _row(of: Comparison, case: int, mine: Any, other: Any) -> dict[str, Any]:
    ours, theirs = (np.asarray(each, dtype=np.float64).ravel() for each in (mine, other))
    apart, undefined = np.inf, np.isnan(theirs)
    if ours.shape == theirs.shape and (np.isnan(ours) == undefined).all():
        # Equal infinities differ by nothing.
        gaps = np.where(ours == theirs, 0.0, np.abs(ours - theirs)) / np.maximum(1, np.abs(theirs))
        apart = float(gaps[~undefined].max(initial=0.0))
    wrong = "" if apart <= of.tolerance else f"case {case}: {ours} against {theirs}"
    counts = {"numbers": theirs.size, "undefined": int(undefined.sum())}
    return counts | {"apart": apart, "wrong": wrong}


def _in_r(of: Comparison, drawn: Mapping[int, Any]) -> Mapping[int, Any]:
    """Numbers of R, which reads all the cases from one table."""
    frames = [pd.DataFrame(of.columns(*each)).assign(case=case) for case, each in drawn.items()]
    program = (
        "a <- commandArgs(TRUE); d <- read.csv(a[1]);"
        "d <- split(d[names(d) != 'case'], d$case);"
        f"f <- function(d) {of.theirs};"
        "r <- lapply(names(d), function(n) {v <- f(d[[n]]);"
        "data.frame(case=n, value=sprintf('%.17g', v))});"
        "write.csv(do.call(rbind, r), a[2], row.names=FALSE)"
    )
    with tempfile.TemporaryDirectory() as folder:
        told, answer = Path(folder) / "in.csv", Path(folder) / "out.csv"
        pd.concat(frames).to_csv(told, index=False)
        command = ["Rscript", "-e", program, str(told), str(answer)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return pd.read_csv(answer).groupby("case")["value"].apply(np.asarray)


def _block(job: tuple[int, range]) -> pd.DataFrame:
    return compare(COMPARISONS[job[0]], job[1])


def run(cases: int, workers: int) -> pd.DataFrame:
    """Compare so many cases of every quantity."""
    starts = range(0, cases, _BLOCK)
    blocks = [range(start, min(cases, start + _BLOCK)) for start in starts]
    jobs = [(place, block) for place in range(len(COMPARISONS)) for block in blocks]
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(_block, jobs))
    return pd.concat(found + [compare(of, range(cases)) for of in R_COMPARISONS if HAS_R])


def table(found: pd.DataFrame) -> str:
    """Markdown table of the results."""
    lines = [
        "| quantity | beside | cases | numbers | undefined in both | largest difference | beyond |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for (quantity, peer), rows in found.groupby(["quantity", "peer"], sort=False):
        counts = f"{len(rows):,} | {rows['numbers'].sum():,} | {rows['undefined'].sum():,}"
        beyond = (rows["wrong"] != "").sum()
        lines.append(f"| {quantity} | {peer} | {counts} | {rows['apart'].max():.1g} | {beyond} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--cases", type=int, default=5000, help="of each quantity")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    found = run(chosen.cases, chosen.workers)
    print(table(found))
    if not HAS_R:
        print("Rscript is not there: nothing was compared with R")
    wrong = found[found["wrong"] != ""]
    for _, row in wrong.groupby(["quantity", "peer"]).head(5).iterrows():
        print(f"{row['quantity']}, {row['peer']}, {row['wrong']}")
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())
