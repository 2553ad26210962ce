"""Figures: present where their table is, placed right, the same bytes twice."""

from __future__ import annotations

import math
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from preflamp_stats.outputs.facets import Facet
from preflamp_stats.outputs.figures import FIGURES, figure_bytes
from preflamp_stats.outputs.figures.curves import weight_position
from preflamp_stats.outputs.figures.scatter import joined
from preflamp_stats.outputs.figures.style import ONE_COLUMN, TWO_COLUMNS, method_styles
from preflamp_stats.results import Analysis, ResultTable


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_with_a_text_in_its_place(analysis: Analysis, name: str) -> None:
    figure = FIGURES[name].draw(analysis)
    assert figure is not None
    assert figure.get_figwidth() in (ONE_COLUMN, TWO_COLUMNS)
    assert figure.get_figheight() <= 9
    assert "Highest" in FIGURES[name].alt(analysis)


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_without_its_table(analysis: Analysis, name: str) -> None:
    assert FIGURES[name].draw(replace(analysis, tables={})) is None
    empty = {
        key: ResultTable(key, table.frame.iloc[:0], table.title, "")
        for key, table in analysis.tables.items()
    }
    assert FIGURES[name].draw(replace(analysis, tables=empty)) is None


@pytest.mark.parametrize("ending", ["pdf", "png", "svg"])
def test_same_analysis_same_bytes(analysis: Analysis, ending: str) -> None:
    first, second = (FIGURES["rm_accuracy"].draw(analysis) for _ in range(2))
    assert first is not None
    assert second is not None
    content = figure_bytes(first, ending)
    assert content == figure_bytes(first, ending) == figure_bytes(second, ending)
    assert b"CreationDate" not in content


def test_text_stays_text_in_pdf(analysis: Analysis) -> None:
    figure = FIGURES["rm_accuracy"].draw(analysis)
    assert figure is not None
    content = figure_bytes(figure, "pdf")
    assert b"/Type0" in content
    assert b"/Type3" not in content


def test_points_stand_where_the_estimates_are(analysis: Analysis) -> None:
    figure = FIGURES["rm_accuracy"].draw(analysis)
    assert figure is not None
    drawn = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    frame = analysis.tables["rm_accuracy"].frame
    np.testing.assert_allclose(drawn, frame.loc[frame["dataset"] == "tldr", "estimate"] * 100)


def test_both_ends_of_the_weight_are_named(analysis: Analysis) -> None:
    figure = FIGURES["weight_curve"].draw(analysis)
    assert figure is not None
    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert labels[0] == "0\nbase\nmodel"
    assert "∞\nreward\nalone" in labels
    assert weight_position(math.inf) == 1


def test_method_keeps_its_colour_and_family_its_marker(analysis: Analysis) -> None:
    styles = method_styles(analysis)
    assert styles == method_styles(analysis)
    assert len({(s.colour, s.filled) for s in styles.values()}) == len(styles)
    assert {styles[m].marker for m in ("in-context 8 shots", "in-context RAG")} == {"s"}


def test_scatter_joins_rewards_without_a_model_to_every_model(analysis: Analysis) -> None:
    both = joined(analysis, "rm_accuracy", Facet("tldr", "Llama-3.2-3B"))
    rewards = analysis.tables["rm_accuracy"].frame
    expected = rewards.loc[rewards["dataset"] == "tldr", "estimate"]
    np.testing.assert_array_equal(both["estimate_x"], expected)
    assert len(both) == 4


def test_global_settings_are_left_alone(analysis: Analysis) -> None:
    with matplotlib.rc_context({"font.size": 23.0}):
        figure = FIGURES["rm_accuracy"].draw(analysis)
        assert figure is not None
        assert figure.axes[0].get_yticklabels()[0].get_fontsize() == 7
        assert matplotlib.rcParams["font.size"] == 23.0


def test_a_dollar_sign_is_no_mathematics(analysis: Analysis) -> None:
    frame = analysis.tables["rm_accuracy"].frame.assign(method="$\\frac$")
    table = ResultTable("rm_accuracy", frame, "T", "")
    figure = FIGURES["rm_accuracy"].draw(replace(analysis, tables={"rm_accuracy": table}))
    assert figure is not None
    assert figure_bytes(figure, "png")
