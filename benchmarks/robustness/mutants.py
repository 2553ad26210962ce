"""Change the kernels and inference a little, at random, and see whether their tests notice.

``python benchmarks/robustness/mutants.py --sample 400 --seed 1 --folder FOLDER`` clones the
repository into FOLDER as it is committed, lets mutmut (``pip install 'mutmut>=3.8,<4'``; its
settings are in pyproject.toml) make every mutant of ``preflamp_stats/kernels`` and
``preflamp_stats/inference``, draws a sample of them, runs the tests of these two packages on each
and prints how many were killed; which survived is written to FOLDER/survivors.txt, each to be read
with ``mutmut show NAME`` in FOLDER. A stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kernels", "inference")
SURVIVED = (0,)
UNTESTED = (5, 33)
"""Exit codes of pytest and of mutmut where no test ran."""


def run_mutmut(folder: Path, names: list[str], workers: int) -> None:
    """Run the tests on some mutants; the first call makes all mutants and times the tests."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(workers), *names]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # The profile CI draws the same examples every time.
    done = subprocess.run(
        command, cwd=folder, env=os.environ | threads | {"CI": "1"}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


def outcomes(folder: Path) -> dict[str, int | None]:
    """Exit code of the tests by name of the mutant; None where it was not run."""
    found: dict[str, int | None] = {}
    for package in PACKAGES:
        for path in sorted((folder / "mutants/preflamp_stats" / package).glob("*.meta")):
            found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def report(codes: dict[str, int | None]) -> str:
    """Table of what came of the mutants that were run."""
    lines = ["| code | mutants | killed | share |", "|---|---:|---:|---:|"]
    for package in (*PACKAGES, ""):
        some = [c for name, c in codes.items() if c is not None and f".{package}" in name]
        killed = len(some) - sum(code in (*SURVIVED, *UNTESTED) for code in some)
        share = f"{killed / len(some):.0%}" if some else "-"
        lines.append(f"| {package or 'both'} | {len(some):,} | {killed:,} | {share} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, required=True, help="to be made, or gone on with")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not (folder / "mutants").exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        run_mutmut(folder, ["preflamp_stats.kernels.kendall.x_kendall_tau__mutmut_1"], 1)
    every = sorted(outcomes(folder))
    drawn = random.Random(options.seed).sample(every, min(options.sample, len(every)))
    codes = outcomes(folder)
    waiting = [name for name in drawn if codes[name] is None]
    print(f"{len(every):,} mutants; {len(drawn)} drawn, {len(waiting)} of them to run", flush=True)
    if waiting:
        run_mutmut(folder, waiting, options.workers)
    codes = outcomes(folder)
    codes = {name: codes[name] for name in drawn}
    survivors = [name for name, code in codes.items() if code in (*SURVIVED, *UNTESTED)]
    (folder / "survivors.txt").write_text("".join(f"{name}\n" for name in survivors))
    print(report(codes))
    print("exit codes:", dict(Counter(codes.values())))


if __name__ == "__main__":
    main()
