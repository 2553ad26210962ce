"""Time an analysis stage by stage, and its memory against the size of the file.

``python benchmarks/analyze.py stages`` analyses 12 methods × 3 models × 100,000 examples and says
where the processor time goes. ``python benchmarks/analyze.py size`` writes files of growing size
with reward traces, block by block, and analyses each in a process of its own; ``--gigabytes 10``
takes as much disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import netCDF4
import numpy as np

from preflamp_stats import __version__
from preflamp_stats.schema import SCHEMA_VERSION

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
            chunks = [min(_BLOCK, sizes[d]) if d == "example" else sizes[d] for d in dims]
            chunks = [
                1 if d in ("method", "model") else c for d, c in zip(dims, chunks, strict=True)
            ]
            return file.createVariable(name, kind, dims, chunksizes=chunks)

        file.createVariable("candidate", str, ("candidate",))[:] = np.array(
            ["chosen", "rejected"], object
        )
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
        return float(
            sum(
                np.prod(v.shape) * v.dtype.itemsize
                for v in file.variables.values()
                if v.dtype != str
            )
        )


def measure(path: Path, resamples: int) -> dict[str, float]:
    """Analyse a file; processor seconds of each stage and peak memory beside the imports."""
    import preflamp_stats.analysis.run as run
    from preflamp_stats.io.files import open_results
    from preflamp_stats.outputs.write import write_analysis  # noqa: F401  (its imports count as such)
    from preflamp_stats.settings import Settings

    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading = 0.0
    gather = run.gather

    def timed(*args: object, **options: object) -> object:
        nonlocal reading
        start = time.process_time()
        found = gather(*args, **options)
        reading += time.process_time() - start
        return found

    run.gather = timed
    wall, start = time.perf_counter(), time.process_time()
    with open_results(path) as tree:
        analysis = run.analyze(tree, Settings(resamples=resamples))
    analysed = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        analysis.write(folder + "/out")
    return {
        "reading": reading,
        "inference": analysed - start - reading,
        "writing": time.process_time() - analysed,
        "wall": time.perf_counter() - wall,
        "peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - imports) / 1024,
    }


def in_own_process(path: Path, resamples: int) -> dict[str, float]:
    """Measure in a process whose peak memory is its own."""
    command = [sys.executable, __file__, "measure", str(path), "--resamples", str(resamples)]
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


def size(resamples: int, folder: Path, gigabytes: Sequence[float]) -> None:
    """Print time and memory against size."""
    print("  GB of numbers   examples   seconds   peak MB beside imports")
    path = folder / "size.nc"
    shape = {"n_methods": 12, "n_models": 3, "n_tokens": 64}
    an_example = write_study(path, _BLOCK, **shape) / _BLOCK
    for asked in gigabytes:
        n_examples = round(asked * 1e9 / an_example)
        written = write_study(path, n_examples, **shape) / 1e9
        found = in_own_process(path, resamples)
        print(
            f"  {written:13.2f} {n_examples:10,} {found['wall']:9.1f} {found['peak_mb']:10.0f}",
            flush=True,
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["stages", "size", "measure"])
    parser.add_argument("file", nargs="?", type=Path, help="for measure")
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument(
        "--gigabytes", type=float, nargs="+", default=[0.5, 1, 2], help="of numbers, for size"
    )
    parser.add_argument("--folder", type=Path, help="where files are written; a temporary one")
    options = parser.parse_args()
    if options.what == "measure":
        print(json.dumps(measure(options.file, options.resamples)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.what == "stages":
            stages(options.resamples, Path(folder))
        else:
            size(options.resamples, Path(folder), options.gigabytes)


if __name__ == "__main__":
    main()
