"""Commands whose result is compared, byte by byte, with that of a run that nothing disturbed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.sandbox import start

_LONGEST = 300
"""Seconds after which a child is taken to hang; the longest job takes a tenth of it."""


@dataclass(frozen=True)
class Job:
    """A command, what it reads, and what it writes.

    Attributes
    ----------
    arguments : tuple of str
        ``{in}`` and ``{out}`` stand for the folders of inputs and outputs.
    inputs : str
        Folder among the valid inputs that is copied to ``{in}``.
    read : str
        The input file that a fault befalls.
    before : tuple of str, optional
        Arguments of a command that has written to the same output earlier.
    backend : bool
        Whether it needs torch.
    """

    arguments: tuple[str, ...]
    inputs: str
    read: str
    before: tuple[str, ...] = ()
    backend: bool = False


_ANALYZE = ("analyze", "{in}/plain.nc", "--resamples", "50", "--out", "{out}/analysis")

JOBS: Mapping[str, Job] = {
    "convert": Job(("convert", "{in}/scores.csv", "-o", "{out}/r.nc"), "tables", "scores.csv"),
    "merge": Job(
        ("merge", "{in}/first.nc", "{in}/second.nc", "-o", "{out}/r.nc"), "results", "first.nc"
    ),
    "analyze": Job(_ANALYZE, "results", "plain.nc", (*_ANALYZE, "--seed", "1")),
    "run": Job(
        ("run", "{in}/study.toml", "-o", "{out}/r.nc"), "light", "titles.jsonl", backend=True
    ),
}
"""Jobs by name."""


@dataclass
class Reference:
    """What an undisturbed run left, and how long it took.

    Attributes
    ----------
    files : dict of str to bytes
        Content of each file by its path below the output folder.
    earlier : dict of str to bytes
        The same of the run before.
    seconds : float
        From start to end.
    writing : float
        From the first hidden file to the end.
    """

    files: dict[str, bytes]
    seconds: float
    writing: float
    earlier: dict[str, bytes] = field(default_factory=dict)


def contents(folder: Path) -> dict[str, bytes]:
    """Files below a folder, without hidden ones, and without what names a place or a time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if path.is_file() and not hidden and path.name != "manifest.json":
            found[name] = path.read_bytes()
    return found


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders below a folder."""
    return [str(each.relative_to(folder)) for each in folder.rglob(".*")]


def fork(arguments: tuple[str, ...], folder: Path, setup: Callable[[], None] | None = None) -> int:
    """Run a command in a child; its output goes to ``folder/log``. Returns the process id."""

    def prepare() -> Callable[[], None]:
        from preflamp_stats.cli import main

        # From within, by relative paths: a results file says where its models were.
        os.chdir(folder)
        words = [each.replace("{in}", "in").replace("{out}", "out") for each in arguments]
        if setup:
            setup()
        return lambda: main(words, prog_name="preflamp-stats")

    (folder / "log").unlink(missing_ok=True)
    (folder / "log").touch()
    return start(prepare, folder / "log", folder / "log", _LONGEST)


def prepared(job: Job, inputs: Path, folder: Path) -> Path:
    """Folder of a trial: inputs in ``in``, an empty ``out``."""
    (folder / "out").mkdir(parents=True)
    shutil.copytree(inputs / job.inputs, folder / "in", symlinks=True)
    return folder


def finished(pid: int) -> int:
    """Wait for a child; its exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def complete(arguments: tuple[str, ...], folder: Path) -> None:
    """Run a command to its end, which must be good."""
    status = finished(fork(arguments, folder))
    if status:
        raise RuntimeError(f"{' '.join(arguments)} exits with {status}: {log(folder)}")


def log(folder: Path) -> str:
    """What the last command printed."""
    return (folder / "log").read_text(errors="replace").strip()


def reference(job: Job, inputs: Path, folder: Path) -> Reference:
    """Run a job with nothing in its way."""
    prepared(job, inputs, folder)
    earlier = {}
    if job.before:
        complete(job.before, folder)
        earlier = contents(folder / "out")
    start = time.monotonic()
    pid = fork(job.arguments, folder)
    first = None
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if first is None and leftovers(folder / "out"):
            first = time.monotonic()
        time.sleep(0.001)
    end = time.monotonic()
    files = contents(folder / "out")
    if not files or leftovers(folder / "out"):
        raise RuntimeError(f"{job.arguments} does not run to its end: {log(folder)}")
    return Reference(files, end - start, end - (first or start), earlier)


def disturbances(
    pid: int, folder: Path, wanted: Reference, *, delay: float, aimed: bool
) -> Iterator[str]:
    """Wait until a child is to be disturbed, and name every half-written file seen meanwhile.

    Parameters
    ----------
    pid : int
    folder : Path
    wanted : Reference
    delay : float
        Seconds from the start, or, where ``aimed``, from the first hidden file in the output.
    aimed : bool
    """
    start = time.monotonic()
    counting = not aimed
    seen: dict[str, tuple[int, int]] = {}
    while not _has_ended(pid):
        if not counting and leftovers(folder / "out"):
            counting, start = True, time.monotonic()
        for name in (*wanted.files, *wanted.earlier):
            try:
                stat = (folder / "out" / name).stat()
            except OSError:
                continue
            if seen.get(name) != (stat.st_ino, stat.st_size):
                seen[name] = (stat.st_ino, stat.st_size)
                yield from half_written(folder, name, wanted)
        if counting and time.monotonic() - start >= delay:
            return
        time.sleep(0.0005)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def half_written(folder: Path, name: str, wanted: Reference) -> Iterator[str]:
    """Say if a file is neither what the run is to write nor what an earlier one wrote."""
    try:
        found = (folder / "out" / name).read_bytes()
    except FileNotFoundError:
        return
    if found not in (wanted.files.get(name), wanted.earlier.get(name)):
        yield f"{name} stands there half-written ({len(found)} bytes)"
