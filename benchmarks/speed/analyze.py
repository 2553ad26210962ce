"""Time an analysis stage by stage, and its memory against the size of the file.

``python benchmarks/speed/analyze.py stages`` analyses 12 methods × 3 models × 100,000 examples and
says where the processor time goes. ``python benchmarks/speed/analyze.py size`` writes files of 20
methods × 3 models with reward traces of 64 tokens and growing numbers of examples, block by block,
and analyses each in processes of their own, by our own blocks and through dask in threads, whose
tables must be the same to the byte (on a cluster: tests/analysis/test_dask.py); ``--plot FILE``
draws time and memory against size. 1,000,000 examples take 31 GB of disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from preflamp_stats import __version__
from preflamp_stats.io.variables import SCHEMA_VERSION

_BLOCK = 2_000
_EXAMPLES_A_USER = 50


def write_study(
    path: Path, n_examples: int, *, n_methods: int, n_models: int, n_tokens: int
) -> float:
    """Write a results file block by block and return the size of its numbers, bytes.

    Rewards are noise around an advantage of the chosen response that differs between methods;
    with ``n_tokens`` the reward of each prefix is written too. Nothing is compressed, so that the
    numbers must really be read.
    """
    rng = np.random.default_rng(0)
    edge = np.linspace(0.2, 1.0, n_methods)[:, None, None]
    with netCDF4.Dataset(path, "w") as file:
        file.preflamp_schema = SCHEMA_VERSION
        file.source = f"benchmark of preflamp-stats {__version__}"
        sizes = {"example": n_examples, "candidate": 2, "model": n_models, "method": n_methods}
        if n_tokens:
            sizes["token"] = n_tokens
        for name, size in sizes.items():
            file.createDimension(name, size)

        def variable(name: str, kind: object, *dims: str) -> netCDF4.Variable:
            whole = sizes | {"example": min(_BLOCK, n_examples), "method": 1, "model": 1}
            return file.createVariable(name, kind, dims, chunksizes=[whole[d] for d in dims])

        candidates = np.array(["chosen", "rejected"], object)
        file.createVariable("candidate", str, ("candidate",))[:] = candidates
        for name in ("model", "method"):
            labels = np.array([f"{name} {i}" for i in range(sizes[name])], object)
            file.createVariable(name, str, (name,))[:] = labels
        user = file.createVariable("user", str, ("example",))
        user[:] = np.array([f"u{i // _EXAMPLES_A_USER}" for i in range(n_examples)], object)
        rest = ("model", "example", "candidate")
        reward = variable("reward", "f4", "method", *rest)
        logprob = variable("logprob", "f4", *rest)
        rouge = variable("rouge1", "f4", "model", "method", "example")
        if n_tokens:
            trace = variable("reward_trace", "f4", "method", *rest, "token")
        for start in range(0, n_examples, _BLOCK):
            rows = slice(start, min(start + _BLOCK, n_examples))
            shape = (n_methods, n_models, rows.stop - start, 2)
            final = rng.standard_normal(shape, np.float32)
            final[..., 0] += edge
            reward[:, :, rows] = final
            logprob[:, rows] = -20 + rng.standard_normal(shape[1:], np.float32)
            rouge[:, :, rows] = rng.random((n_models, n_methods, shape[2]), np.float32)
            if n_tokens:
                steps = rng.standard_normal((n_tokens,), np.float32)
                trace[:, :, rows] = final[..., None] * np.linspace(0.1, 1, n_tokens) + steps
        numbers = [v for v in file.variables.values() if v.dtype != str]
        return float(sum(np.prod(v.shape) * v.dtype.itemsize for v in numbers))


WAYS = ("blocks", "dask")
"""How a file is read: by our own blocks, or by dask in threads."""


def measure(path: Path, resamples: int, way: str) -> dict[str, Any]:
    """Analyse a file; seconds of each stage, peak memory, and a checksum of the tables."""
    from preflamp_stats.analysis.run import analyze
    from preflamp_stats.io.files import open_results
    from preflamp_stats.outputs.write import write_analysis  # noqa: F401  (its imports count as such)
    from preflamp_stats.settings import Settings

    estimating: list[float] = []

    def progress(what: str, *_: int) -> None:
        if what.startswith("estimating"):
            estimating.append(time.process_time())

    wall, start = time.perf_counter(), time.process_time()
    chunks = None if way == "blocks" else {"example": _BLOCK}
    with open_results(path, chunks=chunks) as tree:
        analysis = analyze(tree, Settings(resamples=resamples), progress=progress)
    analysed = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        analysis.write(folder + "/out")
        digest = hashlib.sha256()
        for table in sorted(Path(folder, "out", "tables").glob("*.csv")):
            digest.update(table.read_bytes())
    return {
        "reading": estimating[0] - start,
        "inference": analysed - estimating[0],
        "writing": time.process_time() - analysed,
        "wall": time.perf_counter() - wall,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tables": digest.hexdigest(),
    }


def in_own_process(path: Path, resamples: int, way: str = "blocks") -> dict[str, Any]:
    """Measure in a process whose peak memory is its own."""
    command = [sys.executable, __file__, "measure", str(path), "--resamples", str(resamples)]
    command += ["--way", way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def stages(resamples: int, folder: Path) -> None:
    """Print where the time of an analysis goes."""
    path = folder / "stages.nc"
    write_study(path, 100_000, n_methods=12, n_models=3, n_tokens=0)
    found = in_own_process(path, resamples)
    total = found["reading"] + found["inference"] + found["writing"]
    print(f"12 methods x 3 models x 100,000 examples, {resamples:,} resamples, processor seconds")
    for name, what in (
        ("reading", "one pass over the examples: read, score, sum by user, resample"),
        ("inference", "intervals, tests, tables"),
        ("writing", "figures, LaTeX, Markdown, report"),
    ):
        print(f"  {what:62} {found[name]:6.2f}  {found[name] / total:4.0%}")


def size(resamples: int, folder: Path, examples: Sequence[int], plot: Path | None) -> None:
    """Print, and draw, time and memory against size."""
    heads = [f"{what} ({way})" for way in WAYS for what in ("seconds", "peak MiB")]
    print("| examples | GB | " + " | ".join(heads) + " | same bytes |")
    print("|" + "---:|" * (2 + len(heads)) + "---|")
    path = folder / "size.nc"
    rows = []
    for n_examples in examples:
        gb = write_study(path, n_examples, n_methods=20, n_models=3, n_tokens=64) / 1e9
        found = [in_own_process(path, resamples, way) for way in WAYS]
        row = [value for each in found for value in (each["wall"], each["peak_mib"])]
        same = "yes" if len({each["tables"] for each in found}) == 1 else "NO"
        rows.append((n_examples, gb, *row))
        cells = f"{gb:.2f} | " + " | ".join(f"{value:,.0f}" for value in row)
        print(f"| {n_examples:,} | {cells} | {same} |", flush=True)
        if plot:
            draw(np.array(rows), plot)


def draw(rows: NDArray[np.float64], path: Path) -> None:
    """Time and memory against size, on logarithmic axes."""
    from matplotlib.figure import Figure

    looks = (("o-", "#0072B2", "blocks"), ("s--", "#D55E00", "dask, 2 threads"))
    figure = Figure(figsize=(7.5, 3.0), layout="constrained")
    for column, axes in enumerate(figure.subplots(1, 2)):
        what = ("seconds", "peak memory, MiB")[column]
        for at, (style, colour, name) in enumerate(looks):
            axes.loglog(rows[:, 0], rows[:, 2 + 2 * at + column], style, color=colour, label=name)
        if what != "seconds":
            axes.axhline(4096, color="black", linewidth=0.8)
            axes.annotate("4 GiB", (rows[0, 0], 4096), (0, -10), textcoords="offset points")
        axes.set(xlabel="examples", ylabel=what)
        axes.grid(which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["stages", "size", "measure"])
    parser.add_argument("file", nargs="?", type=Path, help="for measure")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--way", choices=WAYS, default="blocks", help="for measure")
    parser.add_argument(
        "--examples", type=int, nargs="+", default=[10_000, 30_000, 100_000], help="for size"
    )
    parser.add_argument("--plot", type=Path, help="for size: an SVG file")
    parser.add_argument("--folder", type=Path, help="where files are written; a temporary one")
    options = parser.parse_args()
    if options.what == "measure":
        found = measure(options.file, options.resamples, options.way)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.what == "stages":
            stages(options.resamples, Path(folder))
        else:
            size(options.resamples, Path(folder), options.examples, options.plot)


if __name__ == "__main__":
    main()
