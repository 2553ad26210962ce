"""One metric, one unit, one direction: in every table, whatever it is called."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.metric import TAU
from preflamp_stats.outputs.csv_markdown import to_markdown
from preflamp_stats.results import Analysis, ResultTable


def own(name: str, values: np.ndarray, **attrs: object) -> xr.Dataset:
    """Three methods with one metric of the file's own, 30 users of 3 examples, and rewards."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, (3, 90))
    return xr.Dataset(
        {
            name: (
                ("method", "example"),
                values[:, None] + noise,
                {"role": "generation_metric"} | attrs,
            ),
            "reward": (("method", "example", "candidate"), rng.normal(0, 1, (3, 90, 2))),
            "user": ("example", np.repeat([f"u{i}" for i in range(30)], 3)),
        },
        {"method": ["a", "b", "c"], "candidate": ["chosen", "rejected"]},
    )


def analysis_of(
    name: str, values: tuple[float, ...] = (69.9, 70.2, 70.5), **attrs: object
) -> Analysis:
    settings = pls.Settings(resamples=100, downstream=(name,))
    return pls.analyze({"d": own(name, np.array(values), **attrs)}, settings)


def rows(table: ResultTable) -> list[str]:
    return [line for line in to_markdown(table).splitlines() if line.startswith("|")]


def everything(analysis: Analysis) -> str:
    """All that is said and printed, the plain numbers of CSV aside."""
    texts = [to_markdown(table) for table in analysis.tables.values()]
    return "\n".join([*texts, *analysis.summary, *(q.answer for q in analysis.questions)])


def test_levels_differences_regret_and_slope_are_in_one_unit() -> None:
    found = analysis_of("task_accuracy", direction="higher")
    levels = found.tables["generation"].frame["estimate"]
    assert levels.tolist() == pytest.approx([69.9, 70.2, 70.5], abs=0.2)
    scales = {
        metric.scale
        for table in found.tables.values()
        for name, metric in table.metrics.items()
        if name == "task_accuracy"
    }
    assert len(scales) == 1
    (scale,) = scales
    assert (scale.factor, scale.unit) == (1.0, "")
    regret = found.tables["regret"].frame["estimate"].item()
    (choose,) = (q.answer for q in found.questions if q.name == "choose")
    assert f"it loses {regret:.{scale.decimals}f} [" in choose
    assert "] of task_accuracy against the best" in choose
    assert "points of task_accuracy" not in everything(found)
    lead = found.tables["contrasts"].frame.query("metric == 'task_accuracy'")["estimate"].iloc[0]
    assert f"{lead:.{scale.decimals}f}" in to_markdown(found.tables["contrasts"])


@pytest.mark.parametrize("other", ["task_accuracy", "rouge9", "loss"])
def test_a_name_decides_nothing(other: str) -> None:
    # These two tables have no random numbers that are named after the metric.
    found = [analysis_of(n, (0.1, 0.5, 0.7), direction="higher").tables for n in ("zeal", other)]
    for table in ("generation", "regret"):
        plain, named = (tables[table] for tables in found)
        assert plain.caption == named.caption
        assert to_markdown(plain).replace("zeal", other.replace("_", "\\_")) == to_markdown(named)
        assert [text.replace("zeal", other) for text in plain.findings] == list(named.findings)


def test_a_metric_may_be_called_tau() -> None:
    table = analysis_of("tau", direction="lower").tables["tau"]
    assert table.row_metrics() == [TAU]
    assert table.metric("tau").direction == "lower"


def test_decimals_follow_the_sampling_error_and_not_the_size() -> None:
    decimals = {}
    for size in (0.01, 1.0, 1000.0):
        ds = own("score", np.array([1.0, 2.0, 3.0]))
        ds["score"] = (7e5 + size * ds["score"]).assign_attrs(ds["score"].attrs)
        found = pls.analyze({"d": ds}, pls.Settings(resamples=100, downstream=("score",)))
        decimals[size] = found.tables["generation"].metric("score").scale.decimals
    assert decimals == {0.01: 5, 1.0: 3, 1000.0: 0}


def test_without_a_direction_nothing_is_called_better() -> None:
    found = analysis_of("inaccuracy")
    assert not [row for row in rows(found.tables["generation"]) if "**" in row]
    said = " ".join([*found.summary, *found.notes, *(q.answer for q in found.questions)])
    for word in ("costs", "loses", "against the best", "have better"):
        assert word not in said
    assert "give --lower-is-better inaccuracy or --higher-is-better inaccuracy" in said
    assert any("Whether more inaccuracy is better is not known" in note for note in found.notes)


@pytest.mark.parametrize(("direction", "best"), [("higher", "c"), ("lower", "a")])
def test_the_direction_decides_what_is_best(direction: str, best: str) -> None:
    found = analysis_of("errors", (1.0, 5.0, 9.0), direction=direction)
    (bold,) = (row for row in rows(found.tables["generation"]) if "**" in row)
    assert bold.startswith(f"| {best} | **")
    (choose,) = (q.answer for q in found.questions if q.name == "choose")
    assert f"against the best ({best})" in choose


def test_datasets_that_contradict_each_other_are_refused() -> None:
    other = {
        "a": own("cost", np.ones(3), direction="lower"),
        "b": own("cost", np.ones(3), direction="higher"),
    }
    with pytest.raises(
        pls.InputError, match="cost: has contradicting direction: lower in a, higher in b"
    ):
        pls.analyze(other, pls.Settings(resamples=10, downstream=("cost",)))
    other["b"] = own("cost", np.ones(3), units="euro")
    other["a"]["cost"].attrs["units"] = "dollar"
    with pytest.raises(pls.InputError, match="contradicting units"):
        pls.analyze(other, pls.Settings(resamples=10, downstream=("cost",)))


def test_a_direction_holds_only_where_every_dataset_tells_it(analysis: Analysis) -> None:
    told, silent = own("cost", np.ones(3), direction="lower"), own("cost", np.ones(3))
    found = pls.analyze({"a": told, "b": silent}, pls.Settings(resamples=10, downstream=("cost",)))
    assert found.tables["generation"].metric("cost").direction == "unknown"


def test_a_metric_of_ours_is_in_points(analysis: Analysis) -> None:
    table = analysis.tables["rm_accuracy"]
    first = table.frame["estimate"].iloc[0]
    assert f"{100 * first:.1f}" in to_markdown(table)
    assert {metric.name for metric in analysis.tables["regret"].row_metrics()} == {
        "policy_accuracy",
        "rouge1",
        "edits",
        "judge",
    }
