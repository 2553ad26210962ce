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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from harness.peers import COMPARISONS, R_COMPARISONS, Comparison, RComparison

HAS_R = shutil.which("Rscript") is not None
_BLOCK = 250


@dataclass
class Result:
    """What came of the cases of one quantity.

    Attributes
    ----------
    cases : int
    numbers : int
        Numbers compared.
    undefined : int
        Of those, NaN by both.
    largest : float
        Largest difference, relative to a peer's number above 1.
    wrong : list of str
        Cases beyond the tolerance.
    """

    quantity: str
    peer: str
    cases: int
    numbers: int
    undefined: int
    largest: float
    wrong: list[str]

    def __add__(self, other: Result) -> Result:
        return Result(
            self.quantity,
            self.peer,
            self.cases + other.cases,
            self.numbers + other.numbers,
            self.undefined + other.undefined,
            max(self.largest, other.largest),
            self.wrong + other.wrong,
        )


def generator(quantity: str, case: int) -> np.random.Generator:
    """Random numbers of one case."""
    return np.random.default_rng([case, *quantity.encode()])


def compared(of: Comparison | RComparison, pairs: Iterator[tuple[int, Any, Any]]) -> Result:
    """Compare the numbers of cases, given with the case's number, ours first."""
    result = Result(of.quantity, of.peer, 0, 0, 0, 0.0, [])
    for case, mine, other in pairs:
        ours = np.asarray(mine, dtype=np.float64).ravel()
        theirs = np.asarray(other, dtype=np.float64).ravel()
        result.cases += 1
        result.numbers += theirs.size
        if ours.shape != theirs.shape or (np.isnan(ours) != np.isnan(theirs)).any():
            result.wrong.append(f"case {case}: {ours} against {theirs}")
            continue
        there = ~np.isnan(ours)
        result.undefined += int((~there).sum())
        # Equal infinities differ by nothing.
        apart = np.where(ours == theirs, 0.0, np.abs(ours - theirs))[there]
        apart = apart / np.maximum(1.0, np.abs(theirs[there]))
        largest = float(apart.max(initial=0.0))
        result.largest = max(result.largest, largest)
        if not largest <= of.tolerance:
            result.wrong.append(f"case {case}: {ours} against {theirs}")
    return result


def _block(job: tuple[int, int, int]) -> Result:
    place, start, stop = job
    of = COMPARISONS[place]

    def pairs() -> Iterator[tuple[int, Any, Any]]:
        for case in range(start, stop):
            drawn = of.draw(generator(of.quantity, case))
            yield case, of.ours(*drawn), of.theirs(*drawn)

    with warnings.catch_warnings():
        # Packages warn of constant or empty input, of which the cases are full.
        warnings.simplefilter("ignore")
        return compared(of, pairs())


def in_r(of: RComparison, cases: range) -> Result:
    """Compare with R, which reads all the cases from one table."""
    drawn = {case: of.draw(generator(of.quantity, case)) for case in cases}
    frames = [pd.DataFrame(of.table(*each)).assign(case=case) for case, each in drawn.items()]
    program = (
        "a <- commandArgs(TRUE); d <- read.csv(a[1]);"
        "d <- split(d[names(d) != 'case'], d$case);"
        f"f <- function(d) {of.script};"
        "r <- lapply(names(d), function(n) {v <- f(d[[n]]);"
        "data.frame(case=n, value=sprintf('%.17g', v))});"
        "write.csv(do.call(rbind, r), a[2], row.names=FALSE)"
    )
    with tempfile.TemporaryDirectory() as folder:
        told, answer = Path(folder) / "in.csv", Path(folder) / "out.csv"
        pd.concat(frames).to_csv(told, index=False)
        command = ["Rscript", "-e", program, str(told), str(answer)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        found = pd.read_csv(answer).groupby("case")["value"].apply(np.asarray)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compared(of, ((case, of.ours(*each), found[case]) for case, each in drawn.items()))


def run(cases: int, workers: int) -> list[Result]:
    """Compare so many cases of every quantity."""
    jobs = [
        (place, start, min(cases, start + _BLOCK))
        for place in range(len(COMPARISONS))
        for start in range(0, cases, _BLOCK)
    ]
    results: dict[int, Result] = {}
    with ProcessPoolExecutor(workers) as pool:
        blocks = pool.map(_block, jobs)
        for (place, _, _), result in zip(jobs, blocks, strict=True):
            results[place] = results[place] + result if place in results else result
    found = [results[place] for place in sorted(results)]
    if HAS_R:
        found += [in_r(of, range(cases)) for of in R_COMPARISONS]
    return found


def table(results: list[Result]) -> str:
    """Markdown table of the results."""
    lines = [
        "| quantity | beside | cases | numbers | undefined in both | largest difference | beyond |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.quantity} | {r.peer} | {r.cases:,} | {r.numbers:,} | {r.undefined:,} |"
        f" {r.largest:.1g} | {len(r.wrong)} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="compare")
    running.add_argument("--cases", type=int, default=5000, help="of each quantity")
    running.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    results = run(chosen.cases, chosen.workers)
    print(table(results))
    if not HAS_R:
        print("Rscript is not there: nothing was compared with R")
    for each in results:
        for wrong in each.wrong[:5]:
            print(f"{each.quantity}, {each.peer}, {wrong}")
    return any(each.wrong for each in results)


if __name__ == "__main__":
    sys.exit(main())
