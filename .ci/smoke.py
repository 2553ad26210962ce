"""Install the built wheel into an environment of its own, outside the repository, and use it.

``python .ci/smoke.py DIST [OPTION…]``; the options go to ``pip install``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

EXTRA = "parquet"
WITHOUT_TORCH = "import preflamp_stats, preflamp_backend; print(preflamp_stats.__file__)"


def ran(*command: str | Path, cwd: Path, status: int = 0) -> str:
    """Run, and give what it printed; stop where it ends with another status than wanted."""
    # Nothing of the checkout may be found by chance.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode != status:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{said}")
    return said


def looked_at(dist: Path) -> Path:
    """The one wheel, after a look at what it and the sdist hold."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        about = next(name for name in names if name.endswith("dist-info/METADATA"))
        metadata = opened.read(about).decode()
    wanted = {"preflamp_stats/py.typed", "preflamp_stats/cli/__init__.py"}
    if missing := wanted - set(names):
        sys.exit(f"{wheel.name} lacks {missing}")
    if strange := {name.split("/")[0] for name in names if "dist-info" not in name} - {
        "preflamp_stats",
        "preflamp_backend",
    }:
        sys.exit(f"{wheel.name} would install {strange} beside the packages")
    if loose := re.findall(r"\]\((?![a-z]+://|#)[^)]+\)", metadata):
        sys.exit(f"links that hold nowhere on a package index: {loose}")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    if missing := {"hatch_build.py", "LICENSE", "Makefile", "constraints.txt"} - inside:
        sys.exit(f"{sdist.name} lacks {missing}")
    return wheel


def main(dist: Path, options: list[str]) -> None:
    """Build nothing; install, run, and ask for what is not there."""
    wheel = looked_at(dist)
    options = [str(Path(each).resolve()) if Path(each).exists() else each for each in options]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ran(sys.executable, "-m", "venv", "env", cwd=folder)
        python, command = (folder / "env/bin" / each for each in ("python", "preflamp-stats"))
        pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *options)
        ran(*pip, wheel, cwd=folder)
        where = ran(python, "-c", WITHOUT_TORCH, cwd=folder)
        if str(folder) not in where:
            sys.exit(f"imported from {where}, not from the wheel")
        few = ("--users", "12", "--methods", "4", "--examples", "4", "--seed", "1")
        ran(command, "simulate", "-o", "results.nc", *few, cwd=folder)
        ran(command, "analyze", "results.nc", "--out", "out", "--resamples", "20", cwd=folder)
        if not (folder / "out/report.html").stat().st_size:
            sys.exit("the report is empty")
        # What a missing extra says must be what works, though no index has the package.
        said = ran(command, "train", "study.toml", cwd=folder, status=2)
        if "pip install 'preflamp-stats[backend]'" not in said:
            sys.exit(f"a missing extra does not say how to get it: {said}")
        ran(*pip, "--dry-run", f"preflamp-stats[{EXTRA}]", cwd=folder)
    print(f"{wheel.name}: installed, run and asked for an extra, outside the repository")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
