"""Time what users run, beside an earlier build: ratios of processor time and of memory.

``python benchmarks/speed/user.py`` exports the revision ``--earlier`` and runs both builds in turn,
each case in a process of its own, and takes the least of several runs. The earlier build takes the
packages of this environment, or those of another, ``--python``. A command counts whole, imports and
all; a call counts alone, after a first one on another study. Name cases to run some of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STUDIES = {
    "default": {},
    "demo": {
        "datasets": ["reviews", "titles"], "models": 3, "n_users": 120, "n_examples": 15,
        "tokens": 24, "icl_advantage": 0.9, "icl_crossover": 1e9, "correlation": 0.6,
        "generation_correlation": 0.1,
    },
    "large": {"datasets": ["a", "b", "c"], "models": 3, "n_methods": 12, "n_users": 250},
    "12 methods": {"n_methods": 12, "n_icl": 0, "n_users": 200, "n_examples": 25},
    "24 methods": {"n_methods": 24, "n_icl": 0, "n_users": 50},
    "100 methods": {"n_methods": 100, "n_icl": 0, "n_users": 50},
}  # fmt: skip
"""Options of the simulated studies; the demo's are those of the command."""
COMMANDS = {
    "--help": ["--help"],
    **{
        f"analyze {study}, {what}": ["analyze", f"{study}.nc", *more]
        for study in ("default", "demo", "large")
        for what, more in (("all formats", []), ("CSV", ["--format", "csv"]))
    },
}
CALLS = {
    "import preflamp_stats": ("", "None"),
    "first rm_accuracy": ("", "pls.rm_accuracy(read('default'))"),
    "tau_test, percentile, 24 methods": ("24 methods", "pls.tau_test(ds, interval='percentile')"),
    "tau_test, 24 methods": ("24 methods", "pls.tau_test(ds)"),
    "tau_test, 100 methods": ("100 methods", "pls.tau_test(ds)"),
    "decoupling_test, 100 methods": ("100 methods", "pls.decoupling_test(ds)"),
    "example_association, 100 methods": ("100 methods", "pls.example_association(ds)"),
    "tau_test, 12 methods, 2,000 resamples": (
        "12 methods", "pls.tau_test(ds, interval='percentile', n_resamples=2000)",
    ),
    "power(tau=0.5)": ("", "pls.power(tau=0.5)"),
}  # fmt: skip
"""The study and what is called; without one, imports count."""
MAIN = "from preflamp_stats.cli import main; main()"


def call(study: str, what: str) -> None:
    """Print the processor seconds of a call, and by how many MB it raises the peak of memory."""
    start = time.process_time()
    import preflamp_stats as pls

    def read(name: str) -> Any:
        return next(iter(pls.datasets(pls.open_results(f"{name}.nc").load()).values()))

    ds = None
    if study:
        ds, small = read(study), read("12 methods")
        eval(what.split("(")[0] + "(ds)", {"pls": pls, "ds": small})
        start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    eval(what, {"pls": pls, "ds": ds, "read": read})
    took = time.process_time() - start
    print(json.dumps([took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))


def measured(python: str, path: str, case: str, folder: Path) -> tuple[float, float]:
    """Processor seconds and MB of a case in a build."""
    where = {"PYTHONPATH": path} if path else {}
    how: Any = {"cwd": folder, "env": os.environ | {"OMP_NUM_THREADS": "1"} | where}
    if case in CALLS:
        command = [python, __file__, "--call", *CALLS[case]]
        seconds, grown = json.loads(subprocess.check_output(command, **how))
        return seconds, grown
    with tempfile.TemporaryDirectory() as out:
        more = [] if case == "--help" else ["--out", f"{out}/out"]
        command = [python, "-c", MAIN, *COMMANDS[case], *more]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, **how)
        _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{case} failed in {path or python}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Run both builds in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="parts of their names; all by default")
    parser.add_argument("--earlier", default="b327c08", help="revision")
    parser.add_argument("--python", help="interpreter that has the earlier build installed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--call", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        call(*options.call)
        return
    every = [*COMMANDS, *CALLS]
    cases = [c for c in every if not options.cases or any(part in c for part in options.cases)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        builds = [(options.python or sys.executable, "" if options.python else f"{name}/earlier")]
        if not options.python:
            (folder / "earlier").mkdir()
            archive = ["git", "-C", str(ROOT), "archive", options.earlier, "preflamp_stats"]
            packed = subprocess.check_output(archive)
            subprocess.run(["tar", "x", "-C", f"{name}/earlier"], input=packed, check=True)
        builds.append((sys.executable, str(ROOT)))
        write = "import sys, json, preflamp_stats as pls\n"
        write += "for name, how in json.loads(sys.argv[1]).items():\n"
        write += "    pls.write_results(pls.simulate(**how), f'{name}.nc')"
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", write, json.dumps(STUDIES)]
        subprocess.run(command, cwd=folder, env=env, check=True)
        print(f"| case | {options.earlier} | now | time | memory |\n|---|---:|---:|---:|---:|")
        for case in cases:
            runs = [
                [measured(*build, case, folder) for build in builds] for _ in range(options.repeats)
            ]
            (old, old_mb), (new, new_mb) = (
                [min(run[build][what] for run in runs) for what in (0, 1)] for build in (0, 1)
            )
            memory = f"{new_mb / old_mb:.2f}" if old_mb > 20 else "–"
            print(
                f"| {case} | {old:.2f} s | {new:.2f} s | {new / old:.2f} | {memory} |", flush=True
            )


if __name__ == "__main__":
    main()
