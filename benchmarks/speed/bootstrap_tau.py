"""Time the bootstrapped Kendall's tau over users against the ways people do it now.

Run with ``python benchmarks/speed/bootstrap_tau.py``; ``pip install 'preflamp-stats[bench]'`` adds
nlpstats, which is otherwise reported as not installed. Every figure is of the same run on the same
data; read the ratios, not the seconds. The large cases run in a process of their own, whose peak
memory beside the imports is compared with the size of the two matrices of correctness.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import timeit
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.kernels.resampling import resampled_ratios
from preflamp_stats.kernels.user_sums import sum_by_user

Correct = NDArray[np.bool_]


def study(
    n_examples: int, n_users: int, n_methods: int
) -> tuple[Correct, Correct, NDArray[np.intp]]:
    """Correctness of two metrics, shape (example, method), and each example's user."""
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.55, 0.75, n_methods)
    x, y = np.empty((2, n_examples, n_methods), dtype=np.bool_)
    for start in range(0, n_examples, 10_000):  # bounds the memory of the floats
        rows = slice(start, start + 10_000)
        for matrix in (x, y):
            matrix[rows] = rng.random(matrix[rows].shape, dtype=np.float32) < accuracy
    return x, y, rng.permutation(np.arange(n_examples) % n_users)


def ours(
    x: Correct, y: Correct, users: NDArray[np.intp], n_users: int, resamples: int
) -> NDArray[np.float64]:
    """Tau of each resample by this package."""
    sums = np.hstack([sum_by_user(x, users, n_users), sum_by_user(y, users, n_users)])
    counts = np.bincount(users, minlength=n_users)[:, None].astype(np.float64)
    draws = resampled_ratios(sums, counts, resamples, np.random.SeedSequence(0))
    return kendall_tau(draws[:, : x.shape[1]], draws[:, x.shape[1] :])


def numpy_scipy_loop(
    x: Correct, y: Correct, users: NDArray[np.intp], n_users: int, resamples: int
) -> NDArray[np.float64]:
    """Tau of each resample by a loop; users are summed once, which favours the loop."""
    sum_x, sum_y = (np.array([m[users == u].sum(0) for u in range(n_users)]) for m in (x, y))
    counts = np.bincount(users, minlength=n_users)
    rng = np.random.default_rng(0)
    tau = np.empty(resamples)
    for b in range(resamples):
        drawn = rng.integers(0, n_users, n_users)
        n = counts[drawn].sum()
        tau[b] = stats.kendalltau(sum_x[drawn].sum(0) / n, sum_y[drawn].sum(0) / n).statistic
    return tau


def nlpstats_bootstrap(
    x: Correct, y: Correct, users: NDArray[np.intp], n_users: int, resamples: int
) -> NDArray[np.float64]:
    """Tau of each resample by nlpstats, which resamples examples and knows no users."""
    from nlpstats.correlations.bootstrap import bootstrap

    found = bootstrap(
        x.T.astype(float), y.T.astype(float), "system", "kendall", "inputs", n_resamples=resamples
    )
    return np.asarray(found.samples)


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs."""
    return min(timeit.repeat(run, number=1, repeat=repeats))


def small_case(repeats: int) -> None:
    """M = 12, N = 5,000, U = 200, B = 2,000 against the peers."""
    n_users, resamples = 200, 2000
    x, y, users = study(5000, n_users, 12)
    ways = {"preflamp-stats": ours, "numpy + scipy.stats.kendalltau": numpy_scipy_loop}
    try:
        import nlpstats  # noqa: F401
    except ImportError:
        print("nlpstats: not installed (pip install 'preflamp-stats[bench]')")
    else:
        ways["nlpstats"] = nlpstats_bootstrap
    print("12 methods, 5,000 examples, 200 users, 2,000 resamples")
    seconds = {
        name: best_seconds(lambda way=way: way(x, y, users, n_users, resamples), repeats)
        for name, way in ways.items()
    }
    for name, took in seconds.items():
        print(f"  {name:32s} {took:8.4f} s   ×{took / seconds['preflamp-stats']:.0f}")


def large_case(n_users: int) -> None:
    """M = 50, N = 1,000,000, B = 10,000; prints one line of JSON."""
    # Imports and thread pools are there before the measurement begins.
    ours(*study(2000, 50, 12), 50, 200)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x, y, users = study(1_000_000, n_users, 50)
    seconds = best_seconds(lambda: ours(x, y, users, n_users, 10_000), 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    matrices = (x.nbytes + y.nbytes) / 1024
    print(json.dumps({"seconds": seconds, "peak_ratio": peak / matrices}))


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.large:
        large_case(options.large)
        return
    small_case(options.repeats)
    print("50 methods, 1,000,000 examples, 10,000 resamples")
    for n_users in (200, 20_000):
        child = [sys.executable, __file__, "--large", str(n_users)]
        found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        print(
            f"  {n_users:6,d} users {found['seconds']:8.3f} s   "
            f"peak memory {found['peak_ratio']:.2f}× the two matrices"
        )


if __name__ == "__main__":
    main()
