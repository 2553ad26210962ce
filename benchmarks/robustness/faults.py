"""Kill, interrupt, starve and race the commands that write, and compare what they leave.

``python benchmarks/robustness/faults.py run --trials 200 --out FILE`` draws so many trials of each
kind of fault, appends one line a trial to FILE and prints what failed; ``report FILE`` prints the
table of docs/reliability.md. A trial is good if no file was ever seen half-written under its final
name, the command that was disturbed ended as it should, and running it again gives, to the byte,
what a run gives that nothing disturbed, with nothing left beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzz import HAS_BACKEND, inputs_in, warm_up
from harness import jobs

NOTES = {"analysis/notes.txt": b"mine", "analysis/tables/mine.csv": b"a,b\n1,2\n"}
"""What somebody keeps in the folder of an analysis."""


@dataclass(frozen=True)
class Trial:
    """What came of a trial."""

    fault: str
    job: str
    seed: int
    status: int
    wrong: str


@dataclass(frozen=True)
class Setting:
    """A job, its undisturbed result, and a folder for one trial."""

    job: jobs.Job
    wanted: jobs.Reference
    folder: Path
    rng: random.Random

    def start(self, setup: Callable[[], None] | None = None) -> int:
        """Start the job in a child."""
        return jobs.fork(self.job.arguments, self.folder, setup)

    def disturb(self, pid: int, number: int) -> Iterator[str]:
        """Send a signal at a random moment, in half the trials while files are being written."""
        aimed = self.rng.random() < 0.5
        span = self.wanted.writing if aimed else self.wanted.seconds
        delay = self.rng.uniform(0, 1.1 * span)
        if number == signal.SIGINT:
            # Python's own start answers an earlier one, before any of our code.
            delay = max(0.05, delay)
        yield from jobs.disturbances(pid, self.folder, self.wanted, delay=delay, aimed=aimed)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)

    def ends(self, status: int, *allowed: int) -> Iterator[str]:
        """Say if a command ended otherwise than it may."""
        said = jobs.log(self.folder)
        if status not in allowed:
            yield f"exits with {status}: {said[-300:]}"
        elif status == 2 and not all(
            line.startswith("preflamp-stats: ") for line in said.splitlines()
        ):
            yield f"refuses with {said[-300:]!r}"

    def visible(self) -> Iterator[str]:
        """Say if a file stands half-written under a final name, or one of others is gone."""
        for name in jobs.contents(self.folder / "out"):
            if name not in NOTES:
                yield from jobs.half_written(self.folder, name, self.wanted)
        yield from self.others()

    def others(self) -> Iterator[str]:
        """Say if what somebody else put there is gone."""
        if self.job.before:
            for name, content in NOTES.items():
                path = self.folder / "out" / name
                if not path.exists() or path.read_bytes() != content:
                    yield f"{name} is lost"

    def again(self) -> Iterator[str]:
        """Run the command again and compare."""
        jobs.complete(self.job.arguments, self.folder)
        found = {k: v for k, v in jobs.contents(self.folder / "out").items() if k not in NOTES}
        if found != self.wanted.files:
            names = [
                name
                for name in sorted({*found, *self.wanted.files})
                if found.get(name) != self.wanted.files.get(name)
            ]
            yield f"after a rerun {', '.join(names[:5])} differ"
        if left := jobs.leftovers(self.folder / "out"):
            yield f"after a rerun {', '.join(left[:5])} are left"
        yield from self.others()


Run = Callable[[Setting], Iterator[str]]


def killed(at: Setting) -> Iterator[str]:
    """One to three kills, then a run to the end."""
    for _ in range(at.rng.choice((1, 1, 1, 2, 3))):
        pid = at.start()
        yield from at.disturb(pid, signal.SIGKILL)
        yield from at.ends(jobs.finished(pid), 0, -signal.SIGKILL)
        yield from at.visible()
    yield from at.again()


def interrupted(at: Setting) -> Iterator[str]:
    """Ctrl-C: exit 130 and one line."""
    pid = at.start()
    yield from at.disturb(pid, signal.SIGINT)
    status = jobs.finished(pid)
    yield from at.ends(status, 0, 130)
    # What it said before of a result that is there is no fault.
    said = [
        line for line in jobs.log(at.folder).splitlines() if line.startswith("preflamp-stats: ")
    ]
    if status == 130 and (len(said) != 1 or "Traceback" in jobs.log(at.folder)):
        yield f"is interrupted with {jobs.log(at.folder)[-300:]!r}"
    if left := [each for each in jobs.leftovers(at.folder / "out") if status == 130]:
        yield f"is interrupted and leaves {', '.join(left[:5])}"
    yield from at.visible()
    yield from at.again()


def full_disk(at: Setting) -> Iterator[str]:
    """A file system that is full at some point: exit 2, and nothing is left of it."""
    size = sum(map(len, at.wanted.files.values()))
    room = int(at.rng.uniform(0, 1.3 * size)) // 4096 * 4096
    with _mounted(at.folder / "out", f"size={max(4096, room)}") as out:
        if not out:
            yield from _limited(at, room)
            return
        status = jobs.finished(at.start())
        yield from at.ends(status, 0, 2)
        yield from at.visible()
        if status == 2 and (left := jobs.leftovers(out)):
            yield f"finds the disk full and leaves {', '.join(left[:5])}"
        subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
        yield from at.again()


def _limited(at: Setting, room: int) -> Iterator[str]:
    """Where nothing may be mounted: no file may grow beyond a size."""

    def setup() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    status = jobs.finished(at.start(setup))
    yield from at.ends(status, 0, 2)
    yield from at.visible()
    yield from at.again()


def read_only(at: Setting) -> Iterator[str]:
    """An output that cannot be written: a folder mounted read-only, or a path below a file."""
    out = at.folder / "out"
    shutil.rmtree(out)
    if at.rng.random() < 0.5:
        out.write_text("a file")
        status = jobs.finished(at.start())
        yield from at.ends(status, 2)
        out.unlink()
        out.mkdir()
    else:
        out.mkdir()
        with _mounted(out, "ro,size=1m") as mounted:
            if mounted:
                yield from at.ends(jobs.finished(at.start()), 2)
    jobs.complete(at.job.arguments, at.folder)
    if jobs.contents(out) != at.wanted.files:
        yield "after a rerun the result differs"


def vanished(at: Setting) -> Iterator[str]:
    """The input is deleted, cut or emptied while it is read: the right result, or exit 2."""
    read = at.folder / "in" / at.job.read
    whole = read.read_bytes()
    pid = at.start()
    yield from jobs.disturbances(
        pid, at.folder, at.wanted, delay=at.rng.uniform(0, at.wanted.seconds), aimed=False
    )
    match at.rng.randrange(3):
        case 0:
            read.unlink()
        case 1:
            os.truncate(read, 0)
        case _:
            os.truncate(read, at.rng.randrange(len(whole)))
    status = jobs.finished(pid)
    yield from at.ends(status, 0, 2)
    yield from at.visible()
    read.write_bytes(whole)
    yield from at.again()


def raced(at: Setting) -> Iterator[str]:
    """Two runs on one output at once: each ends well, and the result is whole."""
    first = at.start()
    time.sleep(at.rng.uniform(0, 0.3 * at.wanted.seconds))
    second = at.start()
    for pid in (first, second):
        yield from at.ends(jobs.finished(pid), 0, 2)
    yield from at.visible()
    yield from at.again()


FAULTS: dict[str, tuple[Run, float]] = {
    "kill": (killed, 1.0),
    "interrupt": (interrupted, 0.3),
    "full disk": (full_disk, 0.3),
    "read-only output": (read_only, 0.1),
    "vanished input": (vanished, 0.3),
    "two at once": (raced, 0.2),
}
"""Kinds of fault, and how many trials of each for one kill."""


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path | None]:
    """Mount a file system in memory there, with what stands there; None where that is refused."""
    kept = jobs.contents(folder)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            try:
                if "ro" not in options.split(","):
                    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
                    _write(folder, kept)
                    room = sum(-(-len(each) // 4096) + 2 for each in kept.values()) * 4096
                    size = int(options.split("=")[-1]) + room
                    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
                yield folder
            finally:
                found = jobs.contents(folder)
                subprocess.run(["umount", str(folder)], check=True)
                _write(folder, found)
            return
    yield None


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def trial(
    fault: str, name: str, seed: int, inputs: Path, wanted: jobs.Reference, scratch: Path
) -> Trial:
    """Run one trial."""
    job, called = jobs.JOBS[name], f"{fault} {name} {seed}"
    folder = jobs.prepared(job, inputs, scratch / called.replace(" ", "-"))
    if job.before:
        _write(folder / "out", wanted.earlier | NOTES)
    at = Setting(job, wanted, folder, random.Random(called))
    try:
        wrong = list(dict.fromkeys(FAULTS[fault][0](at)))
    except RuntimeError as error:
        wrong = [str(error)[-500:]]
    if not wrong:
        shutil.rmtree(folder)
    return Trial(fault, name, seed, len(wrong), "; ".join(wrong))


def run(out: Path, trials: int, names: list[str], faults: list[str], first: int) -> list[Trial]:
    """Run trials of every fault on every job that is named."""
    warm_up()
    found = read(out)
    with (
        tempfile.TemporaryDirectory(prefix="preflamp-faults-") as made,
        out.open("a", encoding="utf-8") as file,
    ):
        scratch = Path(made)
        inputs = inputs_in(scratch / "inputs")
        for name in names:
            wanted = jobs.reference(jobs.JOBS[name], inputs, scratch / f"reference-{name}")
            for fault in faults:
                count = max(1, round(trials * FAULTS[fault][1] / len(names)))
                for seed in range(first, first + count):
                    each = trial(fault, name, seed, inputs, wanted, scratch)
                    found.append(each)
                    file.write(json.dumps(vars(each)) + "\n")
                    file.flush()
                    if each.wrong:
                        print(f"{fault}, {name}, {seed}: {each.wrong}", flush=True)
    return found


def read(path: Path) -> list[Trial]:
    """Trials that a file holds."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [Trial(**json.loads(line)) for line in lines if line.endswith("}\n")]


def report(trials: list[Trial]) -> str:
    """Table of trials and failures by fault and job."""
    names = [name for name in jobs.JOBS if any(each.job == name for each in trials)]
    lines = [f"| fault | {' | '.join(names)} | failed |", f"|---|{'---:|' * (len(names) + 1)}"]
    for fault in FAULTS:
        some = [each for each in trials if each.fault == fault]
        counts = [str(sum(each.job == name for each in some)) for name in names]
        failed = sum(bool(each.wrong) for each in some)
        lines.append(f"| {fault} | {' | '.join(counts)} | {failed} |")
    return "\n".join(lines)


def main() -> int:
    here = [name for name, job in jobs.JOBS.items() if HAS_BACKEND or not job.backend]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run trials")
    running.add_argument("--trials", type=int, default=200, help="kills, over all jobs")
    running.add_argument("--first", type=int, default=0, help="first seed")
    running.add_argument("--jobs", nargs="*", choices=list(jobs.JOBS), default=here)
    running.add_argument("--faults", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    running.add_argument("--out", type=Path, default=Path("faults.jsonl"))
    reporting = commands.add_parser("report", help="print the table of a file of trials")
    reporting.add_argument("file", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "report":
        print(report(read(chosen.file)))
        return 0
    trials = run(chosen.out, chosen.trials, chosen.jobs, chosen.faults, chosen.first)
    print(report(trials))
    return any(each.wrong for each in trials)


if __name__ == "__main__":
    sys.exit(main())
