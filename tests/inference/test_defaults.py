"""Whatever is not asked for is the same everywhere, and is what an analysis takes."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import preflamp_stats.inference as package
from preflamp_stats.settings import Settings

WANTED = {
    "level": 0.95,
    "n_resamples": 10_000,
    "seed": 0,
    "include_seeds": True,
    "resample": "users",
    "upstream": "rm_accuracy",
    "dataset": "",
    "margin": 0.01,
    "discrimination_margin": 0.05,
}
"""Defaults by the name of the option."""


def _functions() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.iter_modules(package.__path__):
        found = import_module(f"{package.__name__}.{module.name}")
        for name, function in vars(found).items():
            own = getattr(function, "__module__", "") == found.__name__
            public = not name.startswith("_") and "__mutmut_" not in name
            if own and public and inspect.isfunction(function):
                yield f"{module.name}.{name}", function


@pytest.mark.parametrize(("name", "function"), list(_functions()))
def test_defaults_are_the_same_everywhere(name: str, function: Any) -> None:
    for option, parameter in inspect.signature(function).parameters.items():
        if option in WANTED and parameter.default not in (inspect.Parameter.empty, None):
            assert parameter.default == WANTED[option], f"{name}({option})"


def test_defaults_are_those_of_an_analysis() -> None:
    settings = Settings()
    assert settings.resamples == WANTED["n_resamples"]
    for option in ("level", "seed", "margin", "discrimination_margin", "resample"):
        assert getattr(settings, option) == WANTED[option]
