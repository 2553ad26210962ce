"""Measure the coverage of every interval and the size and power of every test, by simulation.

``python benchmarks/calibration/calibration.py run --out FILE`` simulates the studies of every cell
in parallel and appends the outcome of each finished chunk to FILE; a stopped run goes on where it
was. ``--studies 2 --only tau`` is a quick look; ``--where n_methods=6 correlation=0 --studies
5000`` looks closely at some cells. ``python benchmarks/calibration/calibration.py report FILE``
writes the tables and plots of docs/calibration.md. ``worlds`` and ``plasmode`` are those of
worlds.py; ``report`` of their rows prints what came of them, and puts it into the page with
``--page``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

# One thread a process: the processes share the cores already.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import worlds  # noqa: E402
from cells.grid import GROUPS  # noqa: E402

CHUNK = 25


@dataclass(frozen=True)
class Task:
    """Some studies of one cell."""

    group: str
    cell: int
    chunk: int
    n_studies: int

    @property
    def key(self) -> str:
        """Name of the task: what was simulated, not where it stands in the grid."""
        design, kwargs = GROUPS[self.group].cells[self.cell]
        return json.dumps([self.group, asdict(design), kwargs, self.chunk, self.n_studies])


def tasks(
    only: list[str],
    studies: int | None,
    cells: int | None = None,
    where: Mapping[str, str] | None = None,
) -> Iterator[Task]:
    """Every task of the first ``cells`` cells, the chunks of a cell one after the other.

    Raises
    ------
    ValueError
        If no cell has all the values that ``where`` names.
    """
    found = False
    for name, group in GROUPS.items():
        if only and name not in only:
            continue
        n_studies = studies or group.n_studies
        for cell, (design, kwargs) in enumerate(group.cells[:cells]):
            if not _matches(asdict(design) | dict(kwargs), where or {}):
                continue
            found = True
            for chunk, start in enumerate(range(0, n_studies, CHUNK)):
                yield Task(name, cell, chunk, min(CHUNK, n_studies - start))
    if not found:
        raise ValueError(f"no cell has {where}")


def _matches(design: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    """Whether a design has these values, written as the command line has them."""
    texts = {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in design.items()}
    return where.items() <= texts.items()


def _named_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def simulate(task: Task) -> dict[str, Any]:
    """Sums and squares of every outcome over the studies of a task."""
    group = GROUPS[task.group]
    design, kwargs = group.cells[task.cell]
    entropy = [group.seed, zlib.crc32(task.key.encode())]
    outcomes: dict[str, list[float]] = {}
    start = time.process_time()
    for stream in np.random.SeedSequence(entropy).spawn(task.n_studies):
        for name, value in group.study(np.random.default_rng(stream), design, **kwargs).items():
            outcomes.setdefault(name, []).append(float(value))
    return {
        "group": task.group,
        "design": asdict(design) | kwargs,
        "key": task.key,
        "seconds": time.process_time() - start,
        "outcomes": {
            name: [int(np.sum(~np.isnan(v))), float(np.nansum(v)), float(np.nansum(np.square(v)))]
            for name, v in outcomes.items()
        },
    }


def read(path: Path) -> list[dict[str, Any]]:
    """Chunks that are done; a line cut short by a stop is left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}}")]


def run(
    path: Path,
    *,
    only: list[str],
    studies: int | None,
    workers: int,
    cells: int | None = None,
    where: Mapping[str, str] | None = None,
) -> None:
    """Simulate what is not in the file yet, and append it."""
    done = {record["key"] for record in read(path)}
    waiting = [task for task in tasks(only, studies, cells, where) if task.key not in done]
    print(f"{len(waiting)} chunks to go, {len(done)} done", flush=True)
    start = time.monotonic()
    with path.open("a") as file, ProcessPoolExecutor(workers) as pool:
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            file.write("\n")  # close the line that a stop cut short
        # Chunk by chunk over all cells, so that an early look sees every cell.
        waiting.sort(key=lambda task: task.chunk)
        futures = [pool.submit(simulate, task) for task in waiting]
        for number, future in enumerate(as_completed(futures), 1):
            file.write(json.dumps(future.result()) + "\n")
            file.flush()
            if number % 50 == 0 or number == len(futures):
                rate = number / (time.monotonic() - start)
                left = (len(futures) - number) / rate / 60
                print(f"{number}/{len(futures)} chunks, {left:.0f} min left", flush=True)


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands: Callable[..., Any] = parser.add_subparsers(dest="command", required=True).add_parser
    simulating = commands("run")
    simulating.add_argument("--out", type=Path, required=True)
    simulating.add_argument("--only", nargs="*", default=[], choices=list(GROUPS))
    simulating.add_argument("--studies", type=int)
    simulating.add_argument("--cells", type=int, help="only so many cells of each group")
    wanted = {"nargs": "*", "default": [], "type": _named_value, "metavar": "NAME=VALUE"}
    simulating.add_argument("--where", **wanted, help="only cells of this design")
    simulating.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    reporting = commands("report")
    reporting.add_argument("results", type=Path, nargs="+", help="of worlds: two are compared")
    reporting.add_argument("--docs", type=Path, default=Path("docs"))
    reporting.add_argument("--page", action="store_true", help="of worlds: write the page too")
    worlds.add_commands(commands)
    options = parser.parse_args()
    if options.command in ("worlds", "plasmode"):
        worlds.run_command(options)
    elif options.command == "run":
        chosen = {name: getattr(options, name) for name in ("only", "studies", "workers", "cells")}
        run(options.out, **chosen, where=dict(options.where))
    else:
        _report(options.results, options.docs, page=options.page)


def _report(results: list[Path], docs: Path, *, page: bool) -> None:
    from cells.report import replaced, write_report

    files = [read(path) for path in results]
    if not files[0] or "world" not in files[0][0]:
        write_report(files[0], docs)
        return
    worlds.print_report(*files)
    if page:
        path = docs / "calibration.md"
        text = path.read_text(encoding="utf-8")
        for name, content in worlds.page_parts(files[0]).items():
            text = replaced(text, name, content)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
