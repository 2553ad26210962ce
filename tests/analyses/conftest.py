"""The public data of the studies, and their modules, which no package holds."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def data_folder():
    folder = Path(os.environ.get("PREFLAMP_DATA", ROOT.parent / "shared" / "data"))

    def find(name):
        if not (folder / name).is_dir():
            pytest.skip(f"no {folder / name}: set PREFLAMP_DATA to the folder that holds {name}/")
        return folder / name

    return find


@pytest.fixture(scope="session")
def study_module():
    def load(path):
        spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / "analyses" / path)
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up by name.
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def run_study():
    def run(study, *options):
        command = [sys.executable, str(ROOT / "analyses" / study / "run.py"), *map(str, options)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    return run
