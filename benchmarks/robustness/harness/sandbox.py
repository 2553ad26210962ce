"""A command in a child forked from a warm parent, under limits, and what is wrong with its end.

A child costs milliseconds, as everything is imported already, and nothing that it does to its
memory, its limits or its libraries outlives it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HARNESS_FAULT = 99
"""Exit status of a child whose input could not be made: a fault of the harness."""

Prepare = Callable[[Path], tuple[Callable[[], Any], Sequence[str]]]
"""Given the case's folder: what to run, and the outputs (relative to it) that it may write."""


@dataclass(frozen=True)
class Limits:
    """What a command may take.

    Parameters
    ----------
    memory : int
        Address space in bytes beyond what the parent has mapped.
    cpu : int
        Seconds of CPU time.
    wall : int
        Seconds of a clock on the wall: above ``cpu``, as other work may share the cores.
    """

    memory: int = 2 * 2**30
    cpu: int = 10
    wall: int = 60


LIMITS = Limits()


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes
    ----------
    status : int
        Exit status; minus the signal that ended it.
    seconds : float
        CPU time of the child.
    peak : int
        Largest resident memory of the child in bytes, with what it shares with its parent.
    stdout, stderr : str
    left : list of str
        Files that it left, relative to the case's folder, beside its inputs.
    promised : list of str
        Outputs that it may leave on success.
    """

    status: int
    seconds: float
    peak: int
    stdout: str
    stderr: str
    left: list[str]
    promised: list[str]

    def fault(self) -> str:
        """What is wrong with it; empty if it succeeded, or refused its input as it should."""
        if self.status == HARNESS_FAULT:
            return "the harness could not make the input"
        if self.status == -signal.SIGXCPU or self.status == -signal.SIGALRM:
            return "hangs"
        if self.status < 0:
            return f"dies of {signal.Signals(-self.status).name}"
        if "Traceback (most recent call last)" in self.stdout + self.stderr:
            return f"shows a traceback: {_last_error(self.stderr)}"
        if warned := re.search(r"\w*Warning: .*", self.stderr):
            return f"shows a warning of a library: {warned[0][:300]}"
        if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", self.stdout + self.stderr):
            return f"prints the control character {control[0]!r}"
        if self.status not in (0, 2):
            return f"exits with {self.status}"
        beyond = [name for name in self.left if not _is_promised(name, self.promised)]
        if self.status == 0:
            return f"leaves {', '.join(beyond[:5])}" if beyond else ""
        if self.left:
            return f"refuses, and leaves {', '.join(self.left[:5])}"
        return "" if _is_json_of_problems(self.stdout) else _fault_of_messages(self.stderr)


def _last_error(stderr: str) -> str:
    """The error that ended it, and the innermost of our lines."""
    raised = re.findall(r"^[\w.]*(?:Error|Exception|Interrupt|Panic)\w*: .*", stderr, re.MULTILINE)
    ours = re.findall(r'File "[^"]*/(preflamp_\w+/[^"]+)", line (\d+)', stderr)
    said = raised[-1] if raised else stderr.strip().splitlines()[-1]
    return f"{said[:300]} at {':'.join(ours[-1]) if ours else '?'}"


def _is_json_of_problems(stdout: str) -> bool:
    """What --json prints in place of lines on standard error."""
    try:
        said = json.loads(stdout)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("valid") is False and bool(said["problems"])


def _is_promised(name: str, promised: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}/") for each in promised)


def _fault_of_messages(stderr: str) -> str:
    """Each line is a problem, or the whole is click's word on how the command is used."""
    lines = stderr.splitlines()
    if not lines:
        return "refuses without a word"
    if lines[0].startswith("Usage: ") and lines[-1].startswith("Error: "):
        return ""
    said = [line for line in lines if not line.startswith(("note: ", "warning: "))]
    odd = [line for line in said if not line.startswith("preflamp-stats: ")]
    if odd:
        return f"refuses in lines that are no problem: {odd[0][:300]!r}"
    return "" if said else "refuses without a word"


def start(prepare: Callable[[], Callable[[], Any]], out: Path, err: Path, seconds: int) -> int:
    """Run a function in a child, and return its process id.

    Parameters
    ----------
    prepare : callable
        Called in the child; returns what to run. If it fails, that is a fault of the harness.
    out, err : Path
        Standard output and standard error; they may be the same file.
    seconds : int
        After which an alarm ends a child that hangs, be it for a lock of its parent's threads.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = HARNESS_FAULT
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        faulthandler.disable()  # a crash is told by its signal; the parent's terminal is not ours
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(
            2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run = prepare()
        status = 1
        run()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        # With the limit off: a report of memory that ran out needs memory.
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Not sys.exit: what the parent registered to be run at its end is not ours to run.
            os._exit(status)


def run_forked(prepare: Prepare, folder: Path, limits: Limits = LIMITS) -> Outcome:
    """Run a command in a child process under limits.

    ``prepare`` is called in the child with ``folder``, which is made, and writes the inputs there
    before the limits are set. Logs stand beside the folder.
    """
    folder.mkdir(parents=True)
    out, err, made = (folder.with_name(f"{folder.name}.{name}") for name in ("out", "err", "made"))

    def limited() -> Callable[[], Any]:
        command, promised = prepare(folder)
        made.write_text(json.dumps({"inputs": _files(folder), "promised": list(promised)}))
        _limit(limits)
        return command

    pid = start(limited, out, err, limits.wall + 20)
    _, status, usage = os.wait4(pid, 0)
    said = json.loads(made.read_text()) if made.exists() else {"inputs": [], "promised": []}
    outcome = Outcome(
        status=os.waitstatus_to_exitcode(status),
        seconds=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
        stdout=out.read_text(errors="replace"),
        stderr=err.read_text(errors="replace"),
        left=sorted({*_files(folder)} - {*said["inputs"]}),
        promised=said["promised"],
    )
    for log in (out, err, made):
        log.unlink(missing_ok=True)
    return outcome


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


def _limit(limits: Limits) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    mapped = pages * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (mapped + limits.memory, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + limits.cpu
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    signal.alarm(limits.wall)
