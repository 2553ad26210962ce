"""The calibration study at its smallest: it runs, resumes, and its page can be written."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import calibration
import numpy as np
import pandas as pd
import pytest
from cells.outcomes import by_group
from cells.report import write_report
from numpy.testing import assert_allclose

QUICK: Any = {"only": ["tau", "minimum effect"], "studies": 2, "workers": 1, "cells": 2}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibration") / "results.jsonl"
    calibration.run(path, **QUICK)
    return path


def test_each_cell_has_its_studies(results: Path) -> None:
    groups = by_group(calibration.read(results))
    assert {name: len(cells) for name, cells in groups.items()} == {"tau": 2, "minimum effect": 2}
    for cell in (*groups["tau"], *groups["minimum effect"]):
        assert cell.n_studies == 2
        assert all(estimate.n == 2 for estimate in cell.outcomes.values())


def test_a_second_run_does_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = results.read_bytes()
    calibration.run(results, **QUICK)
    assert results.read_bytes() == before
    assert "0 chunks to go, 4 done" in capsys.readouterr().out


def test_cells_are_chosen_by_their_design() -> None:
    where = {"n_methods": "6", "correlation": "0", "effects": "normal", "spread": "0.03"}
    chosen = list(calibration.tasks(["tau"], 30, where=where))
    assert len(chosen) == 3 * 2  # of 50, 200 and 1000 users, in chunks of 25 and 5
    every = {task.key: task for task in calibration.tasks(["tau"], 30)}
    assert all(every[task.key] == task for task in chosen)
    assert all('"n_methods": 6, ' in task.key for task in chosen)
    with pytest.raises(ValueError, match="no cell has"):
        list(calibration.tasks(["tau"], 30, where=where | {"effects": "unknown"}))
    with pytest.raises(ValueError, match="no cell has"):
        list(calibration.tasks(["tau"], 30, where={"n_method": "6"}))


def test_a_line_cut_short_is_redone_with_the_same_numbers(results: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(results.read_bytes()[:-40])
    assert len(calibration.read(cut)) == 3
    calibration.run(cut, **QUICK)
    assert _numbers(cut) == _numbers(results)
    assert len(cut.read_text().splitlines()) == 5


def test_page_keeps_its_prose_and_replaces_its_tables(results: Path, tmp_path: Path) -> None:
    page, *figures, _ = write_report(calibration.read(results), tmp_path)
    assert [f.name for f in figures] == ["coverage.svg", "width.svg", "bias.svg", "size.svg"]
    first = page.read_text()
    assert "| 6 | 50 |" not in first  # rows of the grid stand in the CSV alone
    assert "](calibration/cells.csv)" in first
    assert first.count("| Minimum effect | holm | 2 |") == 1
    assert "| tau | 2 of 130 | 2 of 1000 |" in first
    assert "*No studies yet.*" in first  # of the peers
    edited = first.replace("## In short", "## Kept\n\nBy hand.")
    page.write_text(re.sub(r"\| Minimum effect \|.*", "| stale |", edited))
    figure = figures[0].read_bytes()
    write_report(calibration.read(results), tmp_path)
    assert page.read_text() == edited
    assert figures[0].read_bytes() == figure


def test_groups_that_were_not_simulated_again_keep_their_numbers(
    results: Path, tmp_path: Path
) -> None:
    records = calibration.read(results)
    page, *_, cells = write_report(records, tmp_path)
    before = page.read_text(), cells.read_text()
    write_report([], tmp_path)
    assert (page.read_text(), cells.read_text()) == before
    write_report([_tau_record(6, -0.5, 0.99, 0.99, 1.0)], tmp_path)
    frame = pd.read_csv(cells)
    assert set(frame.loc[frame["group"] == "tau", "design"].map(json.loads).map(len)) == {6}
    assert len(frame[frame["group"] == "tau"]) < before[1].count("\ntau,")
    old = pd.read_csv(io.StringIO(before[1]))
    kept = [each[each["group"] == "minimum effect"].reset_index(drop=True) for each in (old, frame)]
    pd.testing.assert_frame_equal(*kept)


def test_every_number_is_in_the_csv(results: Path, tmp_path: Path) -> None:
    *_, cells = write_report(calibration.read(results), tmp_path)
    frame = pd.read_csv(cells)
    groups = by_group(calibration.read(results))
    assert len(frame) == sum(len(cell.outcomes) for cells in groups.values() for cell in cells)
    first = groups["tau"][0]
    rows = frame[(frame["group"] == "tau") & (frame["design"].map(json.loads) == first.design)]
    assert_allclose(
        rows.set_index("outcome")["mean"]["model width"], first["model width"].mean, rtol=1e-5
    )


def test_page_without_a_marker_is_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "calibration.md").write_text("no markers")
    with pytest.raises(ValueError, match="begin: summary"):
        write_report(calibration.read(results), tmp_path)


def test_summary_counts_and_names_what_misses(tmp_path: Path) -> None:
    cells = {(6, -0.5): (0.99, 0.99, 1.0), (12, 0.95): (0.80, 0.95, 1.2)}
    records = [_tau_record(*design, *found) for design, found in cells.items()]
    text = write_report(records, tmp_path)[0].read_text()
    summary = text.split("<!-- end: summary -->")[0]
    assert (
        "*model*: worst coverage 0.800 ± 0.040 (M = 12, U = 50, ρ = 0.95, spread 0.15); "
        "1 of 2 cells below 0.93, 1 of them beyond simulation error" in summary
    )
    assert (
        "in 1 of those ours is more than 1.15 times as wide, at most 1.20 times (M = 12" in summary
    )


def test_what_misses_is_bold(tmp_path: Path) -> None:
    record = _tau_record(4, 0.95, 0.80, 0.95, 1.2)
    text = write_report([record], tmp_path)[0].read_text()
    assert "| – | 4 | 50 | 0.95 | 0.15 | 0.60 | **.800** / 1.20 |" in text
    assert "| **1.20** |" in text
    sizes = {"holm": [100, 9.0, 9.0], "single pair": [100, 5.0, 5.0]}
    design = {"n_users": 20, "n_methods": 2, "unequal": False}
    key = json.dumps(["minimum effect", design, {}, 0, 100])
    record |= {"group": "minimum effect", "design": design, "key": key, "outcomes": sizes}
    other = design | {"n_users": 50}
    second = record | {"design": other, "key": json.dumps(["minimum effect", other, {}, 0, 100])}
    second["outcomes"] = {"holm": [100, 2.0, 2.0], "single pair": [100, 6.0, 6.0]}
    text = write_report([record, second], tmp_path)[0].read_text()
    assert "| Minimum effect | holm | 2 | .020 | **.090** |" in text
    assert "|  | single pair | 2 | .050 | .060 |" in text
    assert (
        "largest size 0.090 ± 0.030 (Minimum effect, *holm*); 1 of 4 shares past 0.06, "
        "0 of them beyond simulation error" in text
    )


def test_a_percentile_interval_is_relied_on_only_where_it_covers_whatever_the_correlation(
    tmp_path: Path,
) -> None:
    """Six methods: it misses at one correlation. Twelve: it never does. Of 24 only one is known."""
    found = {
        (6, 0.0): (0.96, 1.4),
        (6, 0.95): (0.50, 1.1),
        (12, 0.0): (0.95, 1.1),
        (12, 0.95): (0.94, 0.9),
        (24, 0.0): (0.95, 1.3),
    }
    records = [_tau_record(m, rho, 0.96, *each) for (m, rho), each in found.items()]
    summary = _summary_of(records, tmp_path)
    assert (
        "It covers at least 0.93 whatever the correlation in 1 of 2 settings of methods, users and "
        "spread; there ours is at most 1.10 times as wide (M = 12, U = 50, ρ = 0, spread 0.15)."
    ) in summary
    assert "whatever the correlation in" not in _summary_of(records[:2], tmp_path / "other")


def test_chunks_add_up() -> None:
    records = [
        _tau_record(6, 0.0, 0.9, 0.9, 1.0, chunk=0),
        _tau_record(6, 0.0, 1.0, 0.9, 2.0, chunk=1),
    ]
    (cell,) = by_group([*records, records[0]])["tau"]  # one of them twice
    assert cell.n_studies == 200
    assert_allclose(cell["model covers"].mean, 0.95)
    assert_allclose(cell["model covers"].se, np.sqrt(0.95 * 0.05 / 200), rtol=0.05)
    assert_allclose(cell["model width"].mean, 1.5)
    assert_allclose(cell["model width"].se, 0.5 / np.sqrt(200))


def _summary_of(records: list[dict[str, Any]], docs: Path) -> str:
    return write_report(records, docs)[0].read_text().split("<!-- end: summary -->")[0]


def _numbers(path: Path) -> dict[str, Any]:
    return {record["key"]: record["outcomes"] for record in calibration.read(path)}


def _tau_record(
    n_methods: int, rho: float, model: float, percentile: float, width: float, chunk: int = 0
) -> dict[str, Any]:
    """A hundred studies with these shares covered; the percentile interval is 1 wide."""
    design = {
        "n_methods": n_methods,
        "n_users": 50,
        "correlation": rho,
        "spread": 0.15,
        "effects": "normal",
        "users": "equal",
    }
    covers = {"model": model, "guaranteed": 1.0, "percentile": percentile, "population": 0.95}
    values = {f"{name} width": width if name == "model" else 1.0 for name in covers}
    values |= {"observed bias": -0.2, "corrected bias": 0.1, "reliability": 0.6}
    outcomes = {f"{name} covers": [100, 100 * c, 100 * c] for name, c in covers.items()}
    outcomes |= {name: [100, 100 * v, 100 * v**2] for name, v in values.items()}
    key = json.dumps(["tau", design, {}, chunk, 100])
    return {"group": "tau", "design": design, "key": key, "seconds": 0.0, "outcomes": outcomes}
