import json
import math

import matplotlib
import numpy as np
import pandas as pd
import pytest

import preflamp_stats as pls

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def analysis() -> pls.Analysis:
    study = pls.simulate(n_methods=4, n_users=30, n_examples=5, seed=1)
    return pls.analyze(study, pls.Settings(resamples=200))


def test_points_are_those_of_the_table(analysis):
    ax = pls.plot_methods(analysis, "rm_accuracy")
    rows = analysis.tables["rm_accuracy"].frame
    (points,) = ax.lines
    np.testing.assert_allclose(points.get_xdata(), 100 * rows["estimate"])
    limits = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    np.testing.assert_allclose(limits, 100 * rows[["low", "high"]])
    assert [text.get_text() for text in ax.get_yticklabels()] == rows["method"].tolist()


def test_tau_of_every_pair_has_a_line(analysis):
    ax = pls.plot_tau(analysis)
    rows = analysis.tables["tau"].frame
    np.testing.assert_allclose(ax.lines[0].get_xdata(), rows["estimate"])
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == ["RM accuracy → policy accuracy", "RM accuracy → ROUGE-1"]


def test_scatter_joins_by_method_and_takes_axes(analysis):
    own = matplotlib.figure.Figure().subplots()
    ax = pls.plot_scatter(analysis, "rm_accuracy", "rouge1", ax=own)
    assert ax is own
    x = analysis.tables["rm_accuracy"].frame.set_index("method")["estimate"]
    generation = analysis.tables["generation"].frame
    y = generation[generation["metric"] == "rouge1"].set_index("method")["estimate"]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), 100 * x)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 100 * y[x.index])
    assert [text.get_text() for text in ax.texts] == x.index.tolist()


def test_weight_curve_runs_from_base_model_to_reward(analysis):
    ax = pls.plot_weight_curve(analysis)
    rows = analysis.tables["weight_curve"].frame
    assert len(ax.lines) == rows["method"].nunique()
    for line in ax.lines:
        own = rows[rows["method"] == line.get_label()].sort_values("weight")
        np.testing.assert_allclose(line.get_ydata(), 100 * own["estimate"])
        assert line.get_xdata()[0] == 0
        assert line.get_xdata()[-1] == 1


def test_what_is_not_there_is_refused_with_what_is(analysis):
    with pytest.raises(pls.InputError, match=r"rouge9: is no metric.*rm_accuracy"):
        pls.plot_methods(analysis, "rouge9")
    bare = pls.Analysis(analysis.settings, {"coverage": analysis.tables["coverage"]})
    with pytest.raises(pls.InputError, match="tau: is not in this analysis; it has coverage"):
        pls.plot_tau(bare)


def test_rows_that_differ_in_the_model_say_so(analysis):
    frame = analysis.tables["rm_accuracy"].frame
    two = pd.concat([frame.assign(model="a"), frame.assign(model="b")])
    table = pls.ResultTable("rm_accuracy", two, "", "", analysis.tables["rm_accuracy"].metrics)
    ax = pls.plot_methods(pls.Analysis(analysis.settings, {"rm_accuracy": table}), "rm_accuracy")
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == f"a · {frame['method'].iloc[0]}"
    assert len(set(labels)) == 2 * len(frame)


def test_numbers_by_flat_names_are_all_there(analysis):
    logged = analysis.to_dict()
    frames = [table.frame for table in analysis.tables.values() if "estimate" in table.frame]
    columns = ("estimate", "low", "high")
    assert len(logged) == sum(frame[c].notna().sum() for frame in frames for c in columns)
    method = analysis.tables["rm_accuracy"].frame.iloc[0]
    assert logged[f"rm_accuracy/{method['method']}/high"] == method["high"]
    assert all(math.isfinite(value) for value in logged.values())
    json.dumps(logged)


def test_rows_of_all_tables_in_one_frame(analysis):
    found = analysis.to_frame()
    tau = found[found["table"] == "tau"]
    assert tau["estimate"].tolist() == analysis.tables["tau"].frame["estimate"].tolist()
    assert pls.Analysis(analysis.settings, {}).to_frame().empty


def test_on_screen_an_analysis_is_its_answers(analysis):
    assert len(repr(analysis)) < 3000
    assert "Does RM accuracy predict" in repr(analysis)
    assert repr(analysis.tables["tau"]) == "<ResultTable tau: Are methods ranked alike?, 2 rows>"
    assert "<dt>" in analysis._repr_html_()
    hostile = pls.ResultTable("t", pd.DataFrame({"<b>": ["<script>"]}), "<i>", "")
    assert "<script>" not in hostile._repr_html_()
    assert "<i>" not in hostile._repr_html_()
