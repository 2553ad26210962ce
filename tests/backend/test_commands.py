"""The backend's commands are found by entry points; the core knows nothing of the backend."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import preflamp_stats

ROOT = Path(__file__).parents[2]
HELP = "from preflamp_stats.cli import main; main()"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a process that finds the commands which pyproject.toml declares."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    about = folder / f"preflamp_stats-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {place}" for name, place in entries.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    path = [folder, ROOT, ROOT / "backend", *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}


def call(environment, code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_core_imports_nothing_of_the_backend():
    for file in Path(preflamp_stats.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("preflamp_backend") for name in names), file


def test_help_lists_the_commands_and_loads_no_torch(environment):
    code = f"import sys\ntry:\n    {HELP}\nfinally:\n    print('torch' in sys.modules)"
    found = call(environment, code, "--help")
    for name in ("analyze", "data", "run", "train", "train-lm"):
        assert f"\n  {name} " in found.stdout, found.stderr
    assert found.stdout.endswith("False\n")


def test_help_is_there_at_once(environment):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call(environment, HELP, "--help")
        times.append(time.perf_counter() - start)
    bare = min(_timed(environment, "import click, importlib.metadata") for _ in range(3))
    # 0.3 s where the machine is quiet: measured against a bare start, which is most of it.
    assert min(times) < max(0.3, 4 * bare)


def _timed(environment, code):
    start = time.perf_counter()
    call(environment, code)
    return time.perf_counter() - start


def test_a_mistyped_command_is_answered_with_the_nearest(environment):
    found = call(environment, HELP, "trian")
    assert found.returncode == 2
    assert "did you mean train?" in found.stderr


@pytest.mark.parametrize("command", ["run", "train"])
def test_without_torch_a_command_says_how_to_get_it(environment, command, tmp_path):
    (tmp_path / "study.toml").write_text("")
    code = f"import sys; sys.modules['torch'] = None\n{HELP}"
    found = call(environment, code, command, str(tmp_path / "study.toml"))
    assert found.returncode == 2
    assert "the backend is not installed" in found.stderr
    assert "pip install -e '.[backend" in found.stderr


def test_data_commands_need_no_torch(environment):
    code = f"import sys; sys.modules['torch'] = None\n{HELP}"
    found = call(environment, code, "data", "build", "titles", "--help")
    assert found.returncode == 0, found.stderr
