"""Analyse one file on several threads, through dask and on several Pythons: the same bytes?

``python benchmarks/robustness/determinism.py .venv312/bin/python …`` simulates a study, analyses it
with the running interpreter on 1, 2 and 4 threads and through dask, does the same with every
interpreter named (in which the package is installed), and compares the bytes of all CSV files. It
ends with status 1 where any differ.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SIMULATE = """
import sys, preflamp_stats as pls
study = pls.simulate(datasets=["a", "b"], models=["1B", "10B"], n_methods=6, n_users=80,
                     n_examples=(2, 30), n_seeds=2, tokens=6, missing=1, ties=0.1, seed=3)
pls.write_results(study, sys.argv[1])
"""
_ANALYZE = """
import sys, preflamp_stats as pls
chunks = {"example": 100} if sys.argv[3] == "dask" else None
with pls.open_results(sys.argv[1], chunks=chunks) as tree:
    pls.analyze(tree, pls.Settings(resamples=2000)).write(sys.argv[2])
"""
_SAY = """
import sys, numpy, scipy, pandas
print(f"Python {sys.version.split()[0]}, numpy {numpy.__version__}, scipy {scipy.__version__},"
      f" pandas {pandas.__version__}")
"""


def _run(python: str, code: str, *arguments: str, threads: int = 1) -> str:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    command = [python, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def checksums(python: str, results: Path, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each way of running an interpreter, and the checksums of the CSV files."""
    ways = [("1 thread", 1, ""), ("2 threads", 2, ""), ("4 threads", 4, ""), ("dask", 2, "dask")]
    for way, threads, how in ways:
        out = folder / way.replace(" ", "-")
        _run(python, _ANALYZE, str(results), str(out), how, threads=threads)
        tables = sorted((out / "tables").glob("*.csv"))
        yield way, {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in tables}


def main() -> int:
    """Compare, and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", nargs="*", help="other interpreters")
    chosen = parser.parse_args()
    wanted: dict[str, str] = {}
    differing = 0
    with tempfile.TemporaryDirectory() as made:
        results = Path(made, "results.nc")
        _run(sys.executable, _SIMULATE, str(results))
        for place, python in enumerate([sys.executable, *chosen.python]):
            name = _run(python, _SAY)
            for way, found in checksums(python, results, Path(made, str(place))):
                wanted = wanted or found
                other = [table for table in wanted if found.get(table) != wanted[table]]
                differing += len(other)
                said = f"{', '.join(other)} differ" if other else f"{len(found)} tables, the same"
                print(f"{name}, {way}: {said}", flush=True)
    return differing > 0


if __name__ == "__main__":
    sys.exit(main())
