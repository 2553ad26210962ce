"""Figures: present where their table is, placed right, the same bytes twice."""

from __future__ import annotations

import contextlib
import io
import math
import re
import zlib
from dataclasses import replace

import fontTools.subset
import matplotlib
import numpy as np
import pandas as pd
import pytest
from fontTools.ttLib import TTFont, TTLibError
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from PIL import Image

from preflamp_stats.outputs.facets import Facet
from preflamp_stats.outputs.figures import FIGURES, render_figures, rendering
from preflamp_stats.outputs.figures.curves import weight_position
from preflamp_stats.outputs.figures.rendering import KINDS, render
from preflamp_stats.outputs.figures.scatter import joined
from preflamp_stats.outputs.figures.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    method_styles,
)
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings


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


def test_same_analysis_same_bytes(analysis: Analysis) -> None:
    first, second = (FIGURES["rm_accuracy"].draw(analysis) for _ in range(2))
    assert first is not None
    assert second is not None
    content = render(first)
    assert tuple(content) == KINDS
    assert content == render(first) == render(second)
    assert content == {kind: render(first, [kind])[kind] for kind in reversed(KINDS)}
    assert not any(b"Date" in each for each in content.values())


def test_pictures_show_the_same_pixels_at_the_resolution_of_print(analysis: Analysis) -> None:
    figure = FIGURES["weight_curve"].draw(analysis)
    assert figure is not None
    before = figure.dpi
    content = render(figure, ["png", "palette"])
    assert figure.dpi == before
    print_, page = (Image.open(io.BytesIO(content[kind])) for kind in ("png", "palette"))
    assert print_.size == page.size
    np.testing.assert_allclose(print_.size, 300 * figure.get_size_inches(), atol=1)
    np.testing.assert_allclose(print_.info["dpi"], 300, atol=0.01)
    full, few = (np.asarray(each.convert("RGB"), dtype=float) for each in (print_, page))
    assert len(np.unique(full.reshape(-1, 3), axis=0)) > 128
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 128
    assert np.abs(full - few).mean() < 3
    assert np.abs(full - few).max() < 80


def test_text_stays_text_in_pdf(analysis: Analysis) -> None:
    figure = FIGURES["rm_accuracy"].draw(analysis)
    assert figure is not None
    content = render(figure, ["pdf"])["pdf"]
    assert b"/Type0" in content
    assert b"/Type3" not in content


def test_a_font_without_its_layout_tables_gives_the_same_glyphs(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = FIGURES["rm_accuracy"].draw(analysis)
    assert figure is not None
    load = fontTools.subset.load_font
    small = render(figure, ["pdf"])["pdf"]
    assert fontTools.subset.load_font is load
    monkeypatch.setattr(rendering, "_without_layout_tables", contextlib.nullcontext)
    whole = render(figure, ["pdf"])["pdf"]
    assert len(small) < len(whole)
    kept, all_of_them = _outlines(small), _outlines(whole)
    assert len(kept) > 20
    assert kept.items() <= all_of_them.items()


def _outlines(pdf: bytes) -> dict[tuple[str, str], bytes]:
    """Outlines in the fonts of a PDF by font and name of the glyph."""
    found = {}
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error, TTLibError):
            font = TTFont(io.BytesIO(zlib.decompress(packed)))
            glyphs = font["glyf"]
            name = font["name"].getDebugName(4)
            found |= {(name, each): glyphs[each].compile(glyphs) for each in font.getGlyphOrder()}
    return found


def test_points_stand_where_the_estimates_are(analysis: Analysis) -> None:
    figure = FIGURES["rm_accuracy"].draw(analysis)
    assert figure is not None
    (dots,) = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    frame = analysis.tables["rm_accuracy"].frame
    expected = frame.loc[frame["dataset"] == "tldr", "estimate"] * 100
    np.testing.assert_allclose(dots.get_offsets()[:, 0], expected)
    np.testing.assert_allclose(dots.get_offsets()[:, 1], range(len(expected)))


def labelled(panel: Axes) -> list[str]:
    return [label.get_text() for label in panel.get_yticklabels()]


def test_every_tau_has_a_line_under_its_pair_of_metrics(analysis: Analysis) -> None:
    figure = FIGURES["tau"].draw(analysis)
    assert figure is not None
    (panel,) = figure.axes
    lines = labelled(panel)
    assert lines[0] == "RM accuracy → Policy accuracy"
    assert lines[7] == "RM accuracy → ROUGE-1"
    assert len(lines) == 2 + 12
    ceilings = next(line for line in panel.lines if line.get_marker() == "|")
    assert set(ceilings.get_xdata()) == {0.82}
    estimates, _ = [c for c in panel.collections if isinstance(c, PathCollection)]
    frame = analysis.tables["tau"].frame.sort_values("downstream", kind="stable")
    np.testing.assert_allclose(estimates.get_offsets()[:, 0], frame["estimate"])
    assert list(estimates.get_offsets()[:, 1]) == [*range(1, 7), *range(8, 14)]


def many_metrics(analysis: Analysis, n_metrics: int, n_methods: int) -> Analysis:
    rows = [
        {"dataset": "hanna", "method": f"m{k}", "metric": f"metric-{m}", "estimate": k / 10 + m}
        for m in range(n_metrics)
        for k in range(n_methods)
    ]
    table = ResultTable("generation", pd.DataFrame(rows), "Generation", "", ranked=True)
    settings = Settings(downstream=("metric-7",), upstream=("metric-3",))
    return replace(analysis, tables={"generation": table}, settings=settings)


def test_of_many_metrics_those_asked_for_are_drawn_and_the_rest_is_named(
    analysis: Analysis,
) -> None:
    many = many_metrics(analysis, 78, 10)
    spec = FIGURES["generation"]
    figure = spec.draw(many)
    assert figure is not None
    titles = [panel.get_title(loc="left") for panel in figure.axes if panel.get_visible()]
    assert titles == ["metric-7", "metric-3", "metric-0", "metric-1", "metric-2", "metric-4"]
    assert spec.left_out(many) == "Not drawn, but in generation.csv: 72 metrics."
    assert spec.left_out(many) in spec.alt(many)
    assert "in generation.csv: metric-6." in spec.left_out(many_metrics(analysis, 8, 2)).replace(
        "metric-5, ", ""
    )


def test_a_figure_that_shows_all_leaves_nothing(analysis: Analysis) -> None:
    assert [spec.left_out(analysis) for spec in FIGURES.values()] == [
        "" if name != "generation" else "Not drawn, but in generation.csv: ROUGE-L."
        for name in FIGURES
    ]


@pytest.mark.parametrize("n_methods", [1, 40, 130])
def test_many_methods_stay_on_a_page(analysis: Analysis, n_methods: int) -> None:
    many = many_metrics(analysis, 2, n_methods)
    figure = FIGURES["generation"].draw(many)
    assert figure is not None
    assert figure.get_figheight() <= 9
    assert len(labelled(figure.axes[0])) == min(n_methods, 40)
    assert ("methods" in FIGURES["generation"].left_out(many)) == (n_methods > 44)


def test_model_sizes_stand_on_a_logarithmic_axis(analysis: Analysis) -> None:
    figure = FIGURES["icl_by_model_size"].draw(analysis)
    assert figure is not None
    panel = figure.axes[0]
    assert panel.get_xscale() == "log"
    assert panel.get_xticklabels()[0].get_text() == "Llama-3.2-1B"
    lengths = analysis.tables["in_context"].frame
    bare = lengths.drop(columns="parameters")
    table = ResultTable("in_context", bare, "T", "")
    figure = FIGURES["icl_by_model_size"].draw(replace(analysis, tables={"in_context": table}))
    assert figure is not None
    assert figure.axes[0].get_xscale() == "linear"


@pytest.mark.parametrize("name", ["rm_accuracy", "weight_curve"])
def test_labels_without_a_glyph_do_not_warn(
    analysis: Analysis, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    frame = analysis.tables[name].frame.copy()
    frame["method"] = "日本語 " + frame["method"] + " 😀"
    named = replace(analysis, tables={name: ResultTable(name, frame, "T", "")})
    assert render_figures(named, ("pdf", "png"))
    assert not [str(warning.message) for warning in recwarn]


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
    assert render(figure)


def test_regret_stands_where_the_table_says_and_what_users_get_comes_first() -> None:
    pair = {"dataset": "d", "model": "1B", "upstream": "rm_accuracy", "chosen": "a", "best": "b"}
    rows = [
        pair | {"downstream": metric, "estimate": value, "low": 0.0, "high": 0.1, "random": 0.07}
        for metric, value in (("policy_accuracy", 0.02), ("rouge1", 0.05))
    ]
    table = ResultTable("regret", pd.DataFrame(rows), "Regret", "")
    figure = FIGURES["regret"].draw(Analysis(Settings(), {"regret": table}))
    assert figure is not None
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["RM accuracy → ROUGE-1", "RM accuracy → Policy accuracy"]
    for panel, value in zip(figure.axes, (5.0, 2.0), strict=True):
        points = [c.get_offsets().data.tolist() for c in panel.collections if len(c.get_offsets())]
        assert [value, 0.0] in [pytest.approx(xy) for marks in points for xy in marks]


# Colours as people without one kind of cone see them, full strength (Machado et al. 2009).
CONES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("kind", CONES)
def test_colours_are_told_apart_without_red_or_green_cones(analysis: Analysis, kind: str) -> None:
    styles = method_styles(analysis)
    colours = np.array([matplotlib.colors.to_rgb(look.colour) for look in styles.values()])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(CONES[kind]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert len(set(map(tuple, colours))) == 7
    assert apart[~np.eye(len(apart), dtype=bool)].min() > 0.1
