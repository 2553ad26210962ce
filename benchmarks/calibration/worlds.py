"""Measure intervals and tests in worlds that nobody chose, and in designs that they failed in.

``worlds --out OUT.jsonl`` draws 300 designs at random (see generator.py), with a seed that is new
in every run, printed, and recorded in every row; ``--seed`` replays it. ``--designs NAME…`` takes
the designs of designs.py instead, ``plasmode FILE`` a file of the user's (plasmode.py). A row of
OUT.jsonl is an estimate of a study; a run that was stopped goes on where it was. ``report
OUT.jsonl`` sums up.

To measure another build on the same studies, run this file with that build's root as PYTHONPATH and
the seed of the first run, then ``report NEW.jsonl OLD.jsonl``: coverage, and ratios of widths study
by study. ``calibration.py`` has the same commands.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

# One thread a process: the processes share the cores already.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from cases import Asked, Case, Row, world_case  # noqa: E402
from designs import designs  # noqa: E402
from generator import draw_world  # noqa: E402
from plasmode import plasmode_cases, read_populations  # noqa: E402
from worlds_report import compare, page_parts, report  # noqa: E402

__all__ = ["add_commands", "page_parts", "print_report", "read", "run", "run_command"]

_CHUNK = 10


def random_cases(n_worlds: int, seed: int, *, fixed: bool = False) -> Iterator[Case]:
    """Worlds drawn at random; the first ones are the same however many there are."""
    for number in range(n_worlds):
        world = draw_world(np.random.default_rng([seed, number]))
        yield world_case(f"world {number:04d}", world, fixed=fixed)


@lru_cache
def _cases(source: str, seed: int) -> dict[str, Case]:
    """Cases of a source by name; made anew in each process, as functions do not travel."""
    asked: dict[str, Any] = json.loads(source)
    found: Iterator[Case]
    if "worlds" in asked:
        found = random_cases(asked["worlds"], seed, fixed=asked["fixed"])
    elif "designs" in asked:
        every = designs(Path(asked["data"]) if asked["data"] else None)
        names = tuple(asked["designs"])
        found = (c for c in every if "all" in names or c.name.startswith(names))
    else:
        pairs = [tuple(pair.split("~")) for pair in asked["pairs"]]
        found = (
            case
            for name, ds in read_populations(asked["file"]).items()
            for case in plasmode_cases(name, ds, asked["users"], pairs)
        )
    return {case.name: case for case in found}


def _chunk(task: tuple[str, int, str, Sequence[int], Asked]) -> list[Row]:
    source, seed, name, studies, asked = task
    case = _cases(source, seed)[name]
    return [row for number in studies for row in case.rows(seed, number, asked)]


def read(path: Path) -> list[Row]:
    """Rows that are there; a line cut short by a stop is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}}")]


def run(
    path: Path,
    source: dict[str, Any],
    *,
    n_studies: int,
    asked: Asked,
    seed: int | None = None,
    workers: int = 1,
) -> int:
    """Simulate what is not in the file yet, and append it.

    Parameters
    ----------
    path : Path
    source : dict
        ``worlds`` and ``fixed``; ``designs`` and ``data``; or ``file``, ``users`` and ``pairs``.
    n_studies : int
        Studies of each case.
    asked : Asked
    seed : int, optional
        Of the file if it has rows; else drawn anew.
    workers : int

    Returns
    -------
    int
        The seed.

    Raises
    ------
    ValueError
        If the file has rows of another seed, or there is no case.
    """
    rows = read(path)
    seeds = {row["seed"] for row in rows}
    if seed is None:
        seed = seeds.pop() if seeds else int(np.random.SeedSequence().generate_state(1)[0])
    elif seeds - {seed}:
        raise ValueError(f"{path} has rows of seed {seeds}: take another file, or leave --seed out")
    text = json.dumps(source)
    cases = _cases(text, seed)
    if not cases:
        raise ValueError(f"there is no case of {source}")
    done = {(row["world"], row["study"]) for row in rows}
    print(f"seed {seed}: {len(cases)} cases, {len(done)} studies done", flush=True)
    # Chunk by chunk over all cases, so that an early look sees every case.
    waiting = [
        (text, seed, name, studies, asked)
        for start in range(0, n_studies, _CHUNK)
        for name in cases
        if (
            studies := [
                study
                for study in range(start, min(start + _CHUNK, n_studies))
                if (name, study) not in done
            ]
        )
    ]
    begin = time.monotonic()
    with path.open("a", encoding="utf-8") as file:
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            file.write("\n")  # close the line that a stop cut short
        pool = ProcessPoolExecutor(workers) if workers > 1 else None
        found = pool.map(_chunk, waiting) if pool else map(_chunk, waiting)
        for number, chunk in enumerate(found, 1):
            file.writelines(json.dumps(row) + "\n" for row in chunk)
            file.flush()
            if number % 50 == 0 or number == len(waiting):
                left = (time.monotonic() - begin) / number * (len(waiting) - number) / 60
                print(f"{number}/{len(waiting)} chunks, {left:.0f} min left", flush=True)
        if pool:
            pool.shutdown()
    return seed


def add_commands(commands: Any) -> None:
    """Add ``worlds`` and ``plasmode`` to a parser."""
    worlds, plasmode = commands("worlds"), commands("plasmode")
    worlds.add_argument("--worlds", type=int, default=300, help="designs drawn at random")
    worlds.add_argument("--fixed", action="store_true", help="methods of a world stay the same")
    worlds.add_argument("--designs", nargs="+", default=[], help="named ones instead, or all")
    worlds.add_argument("--data", help="folder of hanna and rb1_bon")
    plasmode.add_argument("file")
    plasmode.add_argument("--users", default="10,25,50")
    plasmode.add_argument("--pairs", default="", help="a~b,c~d; all that the file has, at most 15")
    for command in (worlds, plasmode):
        command.add_argument("--studies", "--studies-per-world", type=int, default=20)
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--seed", type=int)
        command.add_argument("--resamples", type=int, default=500)
        command.add_argument("--interval", help="kind of interval; the default one")
        command.add_argument("--workers", type=int, default=1)


def run_command(options: argparse.Namespace) -> None:
    """Do what ``worlds`` or ``plasmode`` asks."""
    if options.command == "plasmode":
        users = [int(n) for n in options.users.split(",")]
        pairs = [pair for pair in options.pairs.split(",") if pair]
        source = {"file": options.file, "users": users, "pairs": pairs}
    elif options.designs:
        source = {"designs": options.designs, "data": options.data}
    else:
        source = {"worlds": options.worlds, "fixed": options.fixed}
    run(
        options.out,
        source,
        n_studies=options.studies,
        asked=Asked(options.resamples, options.interval),
        seed=options.seed,
        workers=options.workers,
    )


def print_report(first: Sequence[Row], second: Sequence[Row] | None = None) -> None:
    """Sum one run up, or set two beside each other."""
    print(compare(first, second) if second else report(first))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True).add_parser
    add_commands(commands)
    commands("report").add_argument("results", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    if options.command == "report":
        print_report(*(read(path) for path in options.results))
    else:
        run_command(options)


if __name__ == "__main__":
    main()
