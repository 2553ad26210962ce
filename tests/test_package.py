from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import preflamp_stats


def _modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has imported after running the code."""
    script = f"{code}\nimport sys; print('modules:', *{{m.split('.')[0] for m in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return set(run.stdout.rpartition("modules:")[2].split())


def test_every_public_name_is_found():
    assert len(set(preflamp_stats.__all__)) == len(preflamp_stats.__all__)
    for name in preflamp_stats.__all__:
        found = getattr(preflamp_stats, name)
        if callable(found):
            home = importlib.import_module(found.__module__)
            assert getattr(home, found.__name__) is found
    assert set(dir(preflamp_stats)) >= set(preflamp_stats.__all__)


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'bootstraps'"):
        preflamp_stats.bootstraps  # noqa: B018


def test_names_of_functions_are_not_those_of_modules_imported_later():
    """A submodule, once imported, would hide a function of its name."""
    for name in preflamp_stats.__all__:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"preflamp_stats.{name}")


def test_importing_the_package_imports_next_to_nothing():
    heavy = {"numpy", "scipy", "pandas", "xarray", "matplotlib", "netCDF4", "torch", "nltk"}
    assert not heavy & _modules_after("import preflamp_stats")


def test_statistics_need_no_plots_and_no_torch():
    loaded = _modules_after(
        "import preflamp_stats as pls\n"
        "ds = next(iter(pls.datasets(pls.simulate(n_users=3, n_examples=2)).values()))\n"
        "pls.tau_test(ds, n_resamples=5)"
    )
    assert "xarray" in loaded
    assert not {"torch", "matplotlib", "click"} & loaded


def test_an_analysis_needs_no_torch():
    loaded = _modules_after(
        "import preflamp_stats as pls\n"
        "pls.analyze(pls.simulate(n_users=3, n_examples=2), pls.Settings(resamples=5))"
    )
    assert not {"torch", "matplotlib"} & loaded


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["analyze", "--help"]])
def test_help_imports_no_more_than_it_needs(arguments):
    loaded = _modules_after(
        f"from preflamp_stats.cli import main\nmain({arguments!r}, standalone_mode=False)"
    )
    assert "click" in loaded
    assert not {"numpy", "scipy", "pandas", "xarray", "matplotlib", "torch"} & loaded
