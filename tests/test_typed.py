"""What a type checker and an editor see of the package: mypy reads this file too, strictly.

``assert_type`` does nothing when it runs; where a name were ``Any`` to mypy, ``make types`` fails.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import assert_type

import pandas as pd
import xarray as xr

import preflamp_stats as pls


def test_a_script_of_a_user_is_typed_throughout(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "user": [f"u{n // 2}" for n in range(12)],
            "example": range(12),
            "a_chosen": [float(n % 3) for n in range(12)],
            "a_rejected": 0.5,
            "b_chosen": [float(n % 2) for n in range(12)],
            "b_rejected": 0.5,
        }
    )
    tree = assert_type(pls.from_frame(rows), xr.DataTree)
    assert_type(pls.rm_accuracy(tree), xr.DataArray)
    found = assert_type(pls.bootstrap(tree, "rm_accuracy", n_resamples=50), xr.Dataset)
    assert bool((found["low"] <= found["high"]).all())
    study = assert_type(pls.simulate(n_methods=3, n_users=8, n_examples=3), xr.DataTree)
    assert_type(pls.tau_test(study, "rm_accuracy", "rouge1", n_resamples=50), xr.Dataset)
    settings = pls.Settings(resamples=50, formats=("csv",))
    analysis = assert_type(pls.analyze(study, settings), pls.Analysis)
    assert_type(analysis.to_frame(), pd.DataFrame)
    assert_type(analysis.to_dict(), dict[str, float])
    assert_type(analysis.signature, str)
    assert_type(analysis.tables["tau"].frame, pd.DataFrame)
    assert assert_type(analysis.write(tmp_path), list[Path])


def test_the_stub_names_what_there_is() -> None:
    """Every name has its annotation where it lives, so that the stub passes on no ``Any``."""
    stub = ast.parse(Path(f"{pls.__file__}i").read_text(encoding="utf-8"))
    named = [each.names[0] for each in stub.body if isinstance(each, ast.ImportFrom)]
    assert {each.name for each in named} == {each.asname for each in named}
    assert sorted(each.name for each in named) == sorted({*dir(pls)} - {"__version__"})
