"""Spoil inputs of every kind and see that each command succeeds or says in one line what is wrong.

``python benchmarks/robustness/fuzz.py run --cases 20000 --out FILE`` runs the cases, each in a
child process under limits of memory and time, appends one line a case to FILE and prints what
failed; a stopped run goes on where it was. ``python benchmarks/robustness/fuzz.py replay KIND
SEED`` runs one case again and shows what it prints; ``--keep FOLDER`` keeps its input. ``python
benchmarks/robustness/fuzz.py report FILE`` prints the tables of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TextIO

# Before numpy: a child under a limit of memory has no room for the stacks of threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "agg")

from harness.inputs import make_inputs  # noqa: E402
from harness.kinds import KINDS, prepare  # noqa: E402
from harness.sandbox import Outcome, run_forked  # noqa: E402

HAS_BACKEND = bool(importlib.util.find_spec("torch"))


@dataclass(frozen=True)
class Verdict:
    """What came of a case."""

    kind: str
    seed: int
    status: int
    seconds: float
    peak: int
    fault: str


def cases(count: int, first: int = 0, kinds: list[str] | None = None) -> Iterator[tuple[str, int]]:
    """Names of cases: each kind has its share, and its seeds from ``first`` on."""
    chosen = {
        name: kind
        for name, kind in KINDS.items()
        if (not kinds or name in kinds) and (HAS_BACKEND or not kind.backend)
    }
    total = sum(kind.share for kind in chosen.values())
    counts = {name: max(1, round(count * kind.share / total)) for name, kind in chosen.items()}
    # In turn, so that a run that is stopped has met every kind.
    found = [((at + 0.5) / n, name, first + at) for name, n in counts.items() for at in range(n)]
    for _, name, seed in sorted(found):
        yield name, seed


def run_case(kind: str, seed: int, inputs: Path, folder: Path) -> Outcome:
    """Run one case in ``folder``, which is made."""
    return run_forked(prepare(kind, seed, inputs), folder)


def judge(kind: str, seed: int, inputs: Path) -> Verdict:
    """Run one case in a folder of its own, and say what came of it."""
    with tempfile.TemporaryDirectory(prefix="preflamp-fuzz-") as scratch:
        outcome = run_case(kind, seed, inputs, Path(scratch) / "case")
    return Verdict(
        kind, seed, outcome.status, round(outcome.seconds, 3), outcome.peak, outcome.fault()
    )


def warm_up(*, backend: bool = HAS_BACKEND) -> None:
    """Import what the commands import, so that a child does not."""
    modules = ["pyarrow.compute", "pyarrow.parquet", "rich.console", "rich.table"]
    for name in ("preflamp_stats", "preflamp_backend" if backend else "preflamp_backend.data"):
        path = importlib.import_module(name).__path__
        found = (each.name for each in pkgutil.walk_packages(path, f"{name}."))
        # What other tools load may need these tools.
        modules += [each for each in found if ".plugins" not in each]
    if backend:
        modules += [f"transformers.models.{name}.modeling_{name}" for name in ("gpt2", "qwen3")]
    for each in modules:
        importlib.import_module(each)
    if backend:
        importlib.import_module("torch").set_num_threads(1)


def inputs_in(folder: Path, *, backend: bool = HAS_BACKEND) -> Path:
    """Make the valid inputs in a child, so that no library of this process has opened a file."""
    making = get_context("fork").Process(
        target=make_inputs, args=(folder,), kwargs={"backend": backend}
    )
    making.start()
    making.join()
    if making.exitcode:
        raise RuntimeError("the valid inputs could not be made")
    return folder


def run(
    out: Path, count: int, *, first: int = 0, kinds: list[str] | None = None, workers: int = 1
) -> list[Verdict]:
    """Run cases that FILE does not hold yet; returns all verdicts."""
    verdicts = read(out)
    done = {(each.kind, each.seed) for each in verdicts}
    todo = [case for case in cases(count, first, kinds) if case not in done]
    # Without torch a child costs half as much.
    hung = [(each.kind, each.seed) for each in verdicts if each.fault == "hangs"]
    backend = any(KINDS[kind].backend for kind, _ in [*todo, *hung])
    warm_up(backend=backend)
    start = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="preflamp-fuzz-") as scratch,
        out.open("a", encoding="utf-8") as file,
    ):
        inputs = inputs_in(Path(scratch) / "inputs", backend=backend)
        for verdict in _verdicts(todo, inputs, workers):
            verdicts.append(verdict)
            _note(verdict, file)
        # Cores that others use too stretch the processor's time: what took too long is tried alone.
        for at, verdict in enumerate(verdicts):
            if verdict.fault == "hangs":
                verdicts[at] = judge(verdict.kind, verdict.seed, inputs)
                _note(verdicts[at], file)
    print(f"{len(todo)} cases in {time.monotonic() - start:.0f} s, {len(done)} done before")
    return verdicts


def _note(verdict: Verdict, file: TextIO) -> None:
    file.write(json.dumps(verdict.__dict__) + "\n")
    file.flush()
    if verdict.fault:
        print(f"{verdict.kind} {verdict.seed}: {verdict.fault}", flush=True)


def _verdicts(todo: list[tuple[str, int]], inputs: Path, workers: int) -> Iterator[Verdict]:
    if workers == 1:
        for kind, seed in todo:
            yield judge(kind, seed, inputs)
        return
    with ProcessPoolExecutor(workers) as pool:
        for future in as_completed(pool.submit(judge, kind, seed, inputs) for kind, seed in todo):
            yield future.result()


def read(path: Path) -> list[Verdict]:
    """Last verdict on each case that a file holds; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [Verdict(**json.loads(line)) for line in lines if line.endswith("}\n")]
    return list({(each.kind, each.seed): each for each in found}.values())


def report(verdicts: list[Verdict]) -> str:
    """Table of what came of the cases, by kind."""
    lines = [
        "| kind | cases | read | refused | failed | slowest (s of CPU) | most memory (MiB) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind in [*KINDS, ""]:
        if some := [each for each in verdicts if each.kind == kind or not kind]:
            ends = [3 if each.fault else each.status for each in some]
            counts = [len(some), ends.count(0), ends.count(2), ends.count(3)]
            slowest = max(each.seconds for each in some)
            peak = max(each.peak for each in some) / 2**20
            cells = " | ".join(f"{count:,}" for count in counts)
            lines.append(f"| {kind or 'all'} | {cells} | {slowest:.1f} | {peak:.0f} |")
    return "\n".join(lines)


def replay(kind: str, seed: int, keep: Path | None) -> int:
    """Run one case and show what it prints."""
    warm_up()
    with tempfile.TemporaryDirectory(prefix="preflamp-fuzz-") as scratch:
        inputs = inputs_in(Path(scratch) / "inputs")
        outcome = run_case(kind, seed, inputs, keep or Path(scratch) / "case")
    print(outcome.stdout, end="")
    print(outcome.stderr, end="", file=sys.stderr)
    fault = outcome.fault()
    print(f"exit {outcome.status}, {outcome.seconds:.2f} s, left {outcome.left}: {fault or 'good'}")
    return bool(fault)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run cases")
    running.add_argument("--cases", type=int, default=20_000)
    running.add_argument("--first", type=int, default=0, help="first seed of each kind")
    running.add_argument("--kinds", nargs="*", choices=list(KINDS))
    running.add_argument("--workers", type=int, default=1)
    running.add_argument("--out", type=Path, default=Path("fuzz.jsonl"))
    again = commands.add_parser("replay", help="run one case again")
    again.add_argument("kind", choices=list(KINDS))
    again.add_argument("seed", type=int)
    again.add_argument("--keep", type=Path, help="folder to make and keep the input in")
    reporting = commands.add_parser("report", help="print the table of a file of verdicts")
    reporting.add_argument("file", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "replay":
        return replay(chosen.kind, chosen.seed, chosen.keep)
    if chosen.command == "report":
        print(report(read(chosen.file)))
        return 0
    options = {"first": chosen.first, "kinds": chosen.kinds, "workers": chosen.workers}
    verdicts = run(chosen.out, chosen.cases, **options)
    print(report(verdicts))
    return any(each.fault for each in verdicts)


if __name__ == "__main__":
    sys.exit(main())
