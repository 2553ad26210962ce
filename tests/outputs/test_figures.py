"""Figures: present where their table is, readable with many methods, the same bytes twice."""

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
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image

from preflamp_stats.metric import POINTS, Metric
from preflamp_stats.outputs.figures import FIGURES, render_figures, rendering
from preflamp_stats.outputs.figures.curves import weight_position
from preflamp_stats.outputs.figures.layout import ONE_COLUMN, TALLEST, TWO_COLUMNS
from preflamp_stats.outputs.figures.names import shorten
from preflamp_stats.outputs.figures.rendering import KINDS, render
from preflamp_stats.outputs.figures.style import PALE, extremes, looks_of, plotting
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings

STUDIES = ("analysis", "single", "crowd")


def figure_of(analysis: Analysis, name: str) -> Figure:
    drawn = FIGURES[name].draw(analysis)
    assert drawn is not None
    return drawn.figure


def left_out(analysis: Analysis, name: str) -> str:
    drawn = FIGURES[name].draw(analysis)
    assert drawn is not None
    return drawn.left_out


def of_table(name: str, frame: pd.DataFrame, *metrics: Metric, of: str = "metric") -> Analysis:
    """An analysis of one table."""
    described = {metric.name: metric for metric in metrics}
    return Analysis(Settings(), {name: ResultTable(name, frame, "T", "", described, of, True)})


def legends(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def labelled(panel: Axes) -> list[str]:
    return [label.get_text() for label in panel.get_yticklabels()]


@pytest.fixture(params=STUDIES)
def study(request: pytest.FixtureRequest) -> Analysis:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Analysis)
    return found


def test_every_figure_has_a_text_in_its_place_and_fits_a_page(analysis: Analysis) -> None:
    found = render_figures(analysis, ())
    assert list(found) == list(FIGURES)
    for name, figure in found.items():
        assert figure.width in (ONE_COLUMN, TWO_COLUMNS)
        assert figure_of(analysis, name).get_figheight() <= TALLEST
        ranked = analysis.tables[FIGURES[name].table].ranked
        assert ("Best" if ranked else "Highest") in figure.alt
        assert figure.left_out in figure.alt


def test_a_text_calls_nothing_the_best_whose_direction_nobody_told() -> None:
    frame = pd.DataFrame({"method": ["a", "b"], "metric": "len", "estimate": [1.0, 2.0]})
    told = {name: {"direction": name} for name in ("higher", "lower")}
    texts = {
        name: render_figures(
            of_table("generation", frame, Metric.of_file("len", "generation", attrs)), ()
        )["generation"].alt
        for name, attrs in (told | {"unknown": {}}).items()
    }
    assert "Best len: 2.000 (b); worst: 1.000 (a)." in texts["higher"]
    assert "Best len: 1.000 (a); worst: 2.000 (b)." in texts["lower"]
    assert "Highest len: 2.000 (b); lowest: 1.000 (a)." in texts["unknown"]
    assert "est len" not in texts["unknown"].replace("Highest len", "")


def visible_text(figure: Figure) -> list[Text]:
    hidden = {id(text) for panel in figure.axes if not panel.get_visible()
              for text in panel.findobj(Text)}  # fmt: skip
    ticks = {
        id(tick.label1)
        for panel in figure.axes
        for axis in (panel.xaxis, panel.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text() and id(text) not in hidden | ticks
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_no_legend_covers_a_panel_and_no_text_is_cut_off(study: Analysis, name: str) -> None:
    drawn = FIGURES[name].draw(study)
    if drawn is None:
        assert name in ("icl_by_model_size", "best_of_k")
        return
    figure = drawn.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    assert not any(panel.findobj(Legend) for panel in figure.axes)
    panels = [panel.get_tightbbox(renderer) for panel in figure.axes if panel.get_visible()]
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert not any(box.overlaps(panel) for panel in panels)
    texts = visible_text(figure)
    assert texts
    for text in texts:
        box = text.get_window_extent(renderer)
        assert box.xmin >= -1, text
        assert box.ymin >= -1, text
        assert box.xmax <= figure.bbox.xmax + 1, text
        assert box.ymax <= figure.bbox.ymax + 1, text


@pytest.mark.parametrize("name", FIGURES)
def test_panels_keep_room_for_what_they_show(study: Analysis, name: str) -> None:
    drawn = FIGURES[name].draw(study)
    for panel in drawn.figure.axes if drawn else ():
        width, height = panel.get_position().size * drawn.figure.get_size_inches()
        assert width > 0.9
        assert height > 0.1


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_without_its_table(analysis: Analysis, name: str) -> None:
    assert FIGURES[name].draw(replace(analysis, tables={})) is None
    empty = {key: replace(t, frame=t.frame.iloc[:0]) for key, t in analysis.tables.items()}
    assert FIGURES[name].draw(replace(analysis, tables=empty)) is None


def test_same_analysis_same_bytes(analysis: Analysis) -> None:
    first, second = (figure_of(analysis, "rm_accuracy") for _ in range(2))
    content = render(first)
    assert tuple(content) == KINDS
    assert content == render(first) == render(second)
    assert content == {kind: render(first, [kind])[kind] for kind in reversed(KINDS)}
    assert not any(b"Date" in each for each in content.values())


def test_pictures_show_the_same_pixels_at_the_resolution_of_print(analysis: Analysis) -> None:
    figure = figure_of(analysis, "weight_curve")
    before = figure.dpi
    picture = Image.open(io.BytesIO(render(figure, ["png"])["png"]))
    assert figure.dpi == before
    np.testing.assert_allclose(picture.size, 300 * figure.get_size_inches(), atol=1)
    np.testing.assert_allclose(picture.info["dpi"], 300, atol=0.01)
    with plotting():
        drawn = rendering._pixels(figure)
    full, few = (np.asarray(each.convert("RGB"), dtype=float) for each in (drawn, picture))
    assert len(np.unique(full.reshape(-1, 3), axis=0)) > 128
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 128
    assert np.abs(full - few).mean() < 3
    assert np.abs(full - few).max() < 80


def test_text_stays_text_in_pdf(analysis: Analysis) -> None:
    content = render(figure_of(analysis, "rm_accuracy"), ["pdf"])["pdf"]
    assert b"/Type0" in content
    assert b"/Type3" not in content


@pytest.mark.parametrize("title", ["", "Ж Ω", "fine afﬁne ½ é"])
def test_a_font_cut_from_common_characters_gives_the_same_glyphs(
    analysis: Analysis, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    figure = figure_of(analysis, "rm_accuracy")
    figure.axes[0].set_title(title)
    load = fontTools.subset.load_font
    small = render(figure, ["pdf"])["pdf"]
    assert fontTools.subset.load_font is load
    monkeypatch.setattr(rendering, "_few_glyphs", contextlib.nullcontext)
    whole = render(figure, ["pdf"])["pdf"]
    assert len(small) < len(whole)
    kept, all_of_them = _outlines(small), _outlines(whole)
    assert len(kept) > 20
    assert kept.items() <= all_of_them.items()
    for spelt in (small, whole):
        assert _texts(spelt) == _texts(small)


def _texts(pdf: bytes) -> list[bytes]:
    """What a PDF writes, glyph by glyph."""
    found = []
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):
            found += re.findall(rb"BT.*?ET", zlib.decompress(packed), re.DOTALL)
    return found


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


def dots(panel: Axes) -> list[tuple[float, float]]:
    """Points of a panel, in no order."""
    return [
        (float(x), float(y))
        for marks in panel.collections
        if isinstance(marks, PathCollection)
        for x, y in marks.get_offsets()
    ]


def test_points_stand_where_the_estimates_are(analysis: Analysis) -> None:
    panel = figure_of(analysis, "rm_accuracy").axes[0]
    frame = analysis.tables["rm_accuracy"].frame
    first = (frame["dataset"] == "tldr") & (frame["model"] == "Llama-3.2-1B")
    expected = frame.loc[first, "estimate"] * 100
    found = sorted(dots(panel), key=lambda point: point[1])
    np.testing.assert_allclose(found, list(zip(expected, range(len(expected)), strict=True)))


def test_every_tau_has_a_line_under_its_pair_of_metrics(analysis: Analysis) -> None:
    (panel,) = figure_of(analysis, "tau").axes
    lines, frame = labelled(panel), analysis.tables["tau"].frame
    places = [line for line, text in enumerate(lines) if "→" not in text]
    assert lines[0] == "RM accuracy → Policy accuracy"
    assert lines[7] == "RM accuracy → ROUGE-1"
    assert len(places) == len(frame) == 12
    ordered = frame.sort_values("downstream", kind="stable", key=lambda c: c != "policy_accuracy")
    marks = dots(panel)
    for line, (_, row) in zip(places, ordered.iterrows(), strict=True):
        drawn = {x for x, y in marks if y == line}
        told = row[["estimate", "tau_corrected", "ceiling"]].astype(float)
        assert drawn >= set(told[told.abs() <= 1])


def test_taus_of_one_place_stand_under_the_upstream_metric(single: Analysis) -> None:
    (panel,) = figure_of(single, "tau").axes
    assert labelled(panel)[0] == "RM accuracy →"
    assert "ROUGE-1" in labelled(panel)


def many_metrics(n_metrics: int, n_methods: int) -> Analysis:
    frame = pd.DataFrame(
        [
            {"dataset": "hanna", "method": f"m{k}", "metric": f"metric-{m}", "estimate": k / 10 + m}
            for m in range(n_metrics)
            for k in range(n_methods)
        ]
    )
    asked = Settings(downstream=("metric-7",), upstream=("metric-3",))
    return replace(of_table("generation", frame), settings=asked)


def test_of_many_metrics_those_asked_for_are_drawn_and_the_rest_is_named() -> None:
    figure = figure_of(many_metrics(78, 10), "generation")
    titles = [panel.get_title(loc="left") for panel in figure.axes if panel.get_visible()]
    assert titles == ["metric-7", "metric-3", "metric-0", "metric-1", "metric-2", "metric-4"]
    words = "Not drawn, but in generation.csv: 72 metrics."
    assert left_out(many_metrics(78, 10), "generation") == words
    few = left_out(many_metrics(8, 2), "generation")
    assert few == "Not drawn, but in generation.csv: metric-5, metric-6."


def test_a_figure_that_shows_all_leaves_nothing(analysis: Analysis) -> None:
    assert {name for name in FIGURES if left_out(analysis, name)} <= {"generation"}
    assert "ROUGE-L" in left_out(analysis, "generation")


@pytest.mark.parametrize("n_methods", [1, 12, 13, 72, 200])
@pytest.mark.parametrize("direction", ["higher", "lower", "unknown"])
def test_of_many_methods_the_best_and_worst_are_shown(n_methods: int, direction: str) -> None:
    values = np.random.default_rng(n_methods).normal(size=n_methods)
    frame = pd.DataFrame(
        {"method": [f"m{k}" for k in range(n_methods)], "metric": "len", "estimate": values}
    )
    told = {} if direction == "unknown" else {"direction": direction}
    study = of_table("generation", frame, Metric.of_file("len", "generation", told))
    figure = figure_of(study, "generation")
    shown = labelled(figure.axes[0])
    assert figure.get_figheight() <= TALLEST
    assert {f"m{values.argmin()}", f"m{values.argmax()}"} <= set(shown)
    assert len(shown) == min(n_methods, 68)
    notes = [legend.get_title().get_text().replace("\n", " ") for legend in figure.legends]
    if n_methods <= 12:
        assert not notes
        return
    (note,) = notes
    first = values.argmin() if direction == "lower" else values.argmax()
    assert shown[0] == f"m{first}"
    if direction == "unknown":
        assert "highest and lowest" in note
        assert "nobody has said which is better" in note
    else:
        assert "best and worst" in note
    assert f"of {n_methods} methods" in note
    assert (f"{n_methods - 68} of these stand in generation.csv only" in note) == (n_methods > 68)


@given(st.lists(st.permutations([f"m{k}" for k in range(30)]), min_size=1, max_size=10))
def test_the_first_and_last_of_every_panel_stand_out(rankings: list[list[str]]) -> None:
    found = extremes(rankings)
    ends = {end for order in rankings for end in (order[0], order[-1])}
    assert len(set(found)) == len(found) <= 21
    assert ends <= set(found) or len(found) == 21
    assert {order[0] for order in rankings} <= set(found)
    if len(rankings) == 1:
        assert set(found) == {*rankings[0][:3], *rankings[0][-3:]}


@pytest.mark.parametrize("name", ["weight_curve", "prefix_accuracy", "length_difference"])
def test_of_many_curves_the_best_and_worst_have_a_colour_and_a_name(
    crowd: Analysis, name: str
) -> None:
    figure = figure_of(crowd, name)
    (panel,) = figure.axes
    frame = crowd.tables[name].frame
    means = frame.groupby("method")["estimate"].mean().sort_values()
    looks = looks_of(crowd)
    (entries,) = legends(figure)
    expected = {looks[str(method)].label for method in (*means.index[:3], *means.index[-3:])}
    assert set(entries) == expected
    (lines,) = [
        each
        for each in panel.collections
        if isinstance(each, LineCollection) and len(each.get_segments()) > 1
    ]
    colours = [matplotlib.colors.to_hex(colour) for colour in lines.get_colors()]
    assert len(colours) == len(means) == 29
    assert colours.count(PALE) == 23
    assert len(set(colours)) == 7


def test_twelve_methods_of_twenty_letters_are_all_told_apart(analysis: Analysis) -> None:
    rows = [
        {"method": f"personal-reward-{k:04d}", "weight": weight, "estimate": 0.5 + k / 100}
        for k in range(12)
        for weight in (0.0, 1.0, math.inf)
    ]
    accuracy = Metric("policy_accuracy", "discrimination", (), "credit", "policy", POINTS, "higher")
    study = of_table("weight_curve", pd.DataFrame(rows), accuracy, of="policy_accuracy")
    figure = figure_of(study, "weight_curve")
    assert legends(figure) == [[f"personal-reward-{k:04d}" for k in range(12)]]
    (panel,) = figure.axes
    width, height = panel.get_position().size * figure.get_size_inches()
    assert width > 2
    assert height > 1
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.legends[0].get_lines()}
    assert len(styles) == 12


SEGMENTS = st.sampled_from(["outputs", "2026-11", "sweep", "lr-1e-5", "rm", "v1", "v2", "final"])
NAMES = st.one_of(
    st.lists(SEGMENTS, min_size=1, max_size=9).map("/".join),
    st.text("ab (12)…/□", max_size=40),
    st.text(max_size=60),
)


@given(st.lists(NAMES, unique=True, max_size=40), st.integers(12, 40))
def test_no_two_names_get_the_same_label(names: list[str], longest: int) -> None:
    labels = shorten(names, longest)
    assert list(labels) == names
    assert len(set(labels.values())) == len(names)
    for label in labels.values():
        assert 0 < len(label) <= longest
        assert label.isprintable()


def test_names_are_cut_in_the_middle_and_around_what_differs() -> None:
    paths = [f"outputs/2026-11/sweep-{k}/lr-1e-5/llama/reward-model/final" for k in (3, 4)]
    first, second = shorten(paths).values()
    assert first.startswith("outpu")
    assert first.endswith("final")
    assert "sweep-3" in first
    assert second == first.replace("sweep-3", "sweep-4")
    assert shorten(["short", "long-path/of/many/parts/name-v2"], 20) == {
        "short": "short",
        "long-path/of/many/parts/name-v2": "long-path/…/name-v2",
    }


def test_model_sizes_stand_on_a_logarithmic_axis(analysis: Analysis) -> None:
    panel = figure_of(analysis, "icl_by_model_size").axes[0]
    assert panel.get_xscale() == "log"
    assert panel.get_xticklabels()[0].get_text() == "Llama-3.2-1B"
    table = analysis.tables["in_context"]
    bare = replace(table, frame=table.frame.drop(columns="parameters"))
    unsized = figure_of(replace(analysis, tables={"in_context": bare}), "icl_by_model_size")
    assert unsized.axes[0].get_xscale() == "linear"


def test_one_model_makes_no_curve_over_models(single: Analysis) -> None:
    assert "in_context" in single.tables
    assert FIGURES["icl_by_model_size"].draw(single) is None


def test_panels_above_an_empty_place_keep_their_ticks(analysis: Analysis) -> None:
    table = analysis.tables["prefix_accuracy"]
    frame = pd.concat([table.frame.assign(dataset=f"d{k}", model="1B") for k in range(5)])
    figure = figure_of(
        replace(analysis, tables={"prefix_accuracy": replace(table, frame=frame)}),
        "prefix_accuracy",
    )
    shown = [panel for panel in figure.axes if panel.get_visible()]
    ticked = [panel for panel in shown if panel.xaxis.get_tick_params()["labelbottom"]]
    named = [panel for panel in shown if panel.get_xlabel()]
    assert len(shown) == 5
    assert ticked == named
    assert len(named) == 4


@pytest.mark.parametrize("name", ["rm_accuracy", "weight_curve"])
def test_labels_without_a_glyph_do_not_warn(
    analysis: Analysis, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    table = analysis.tables[name]
    frame = table.frame.assign(method="日本語 " + table.frame["method"].astype(str) + " 😀")
    assert render_figures(replace(analysis, tables={name: replace(table, frame=frame)}), ("pdf",))
    assert not [str(warning.message) for warning in recwarn]


def test_both_ends_of_the_weight_are_named(analysis: Analysis) -> None:
    figure = figure_of(analysis, "weight_curve")
    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert labels[0] == "0\nbase\nmodel"
    assert "∞\nreward\nalone" in labels
    assert weight_position(math.inf) == 1


def test_a_dataset_without_a_name_is_not_named(single: Analysis) -> None:
    for name in ("rm_accuracy", "weight_curve", "regret", "prefix_accuracy"):
        texts = [text.get_text() for text in visible_text(figure_of(single, name))]
        assert not any("results" in text for text in texts)


def test_method_keeps_its_colour_and_family_its_marker(analysis: Analysis) -> None:
    looks = looks_of(analysis)
    assert len({(look.colour, look.face) for look in looks.values()}) == len(looks)
    assert {looks[m].marker for m in ("in-context 8 shots", "in-context RAG")} == {"s"}


def test_the_scatter_names_the_best_method_though_it_has_no_reward(crowd: Analysis) -> None:
    generation = crowd.tables["generation"]
    frame = generation.frame.copy()
    unrewarded = set(frame["method"]) - set(crowd.tables["rm_accuracy"].frame["method"])
    (method,) = unrewarded
    best = frame["estimate"].max() + 0.1
    frame.loc[frame["method"] == method, ["estimate", "low", "high"]] = best
    tables = {**crowd.tables, "generation": replace(generation, frame=frame)}
    study = replace(crowd, tables=tables)
    figure = figure_of(study, "discrimination_vs_generation")
    assert looks_of(study)[str(method)].label in legends(figure)[0]
    for panel in figure.axes:
        across = [line for line in panel.lines if set(line.get_ydata()) == {best * 100}]
        assert len(across) == 1
        assert across[0].get_color() != PALE
        assert panel.get_ylim()[1] > best * 100
    note = figure.legends[0].get_title().get_text().replace("\n", " ")
    assert "Lines across: methods without an accuracy." in note


@pytest.mark.parametrize("of_every_model", [False, True])
def test_the_scatter_joins_both_halves_of_a_method(
    analysis: Analysis, of_every_model: bool
) -> None:
    rewards, written = (analysis.tables[name] for name in ("rm_accuracy", "generation"))
    x, y = (table.frame.query("dataset == 'tldr'") for table in (rewards, written))
    if of_every_model:
        x = x.query("model == 'Llama-3.2-1B'").drop(columns="model")
    tables = {"rm_accuracy": replace(rewards, frame=x), "generation": replace(written, frame=y)}
    figure = figure_of(replace(analysis, tables=tables), "discrimination_vs_generation")
    models = list(y["model"].unique())
    assert [panel.get_title(loc="left") for panel in figure.axes] == [f"tldr · {m}" for m in models]
    for panel, model in zip(figure.axes, models, strict=True):
        own = x if of_every_model else x[x["model"] == model]
        quality = y[(y["model"] == model) & (y["metric"] == "rouge1")]
        both = own.merge(quality, on="method")[["estimate_x", "estimate_y"]] * 100
        assert len(both) == 4
        np.testing.assert_allclose(sorted(dots(panel)), sorted(both.to_numpy().tolist()))


def test_global_settings_are_left_alone(analysis: Analysis) -> None:
    with matplotlib.rc_context({"font.size": 23.0}):
        figure = figure_of(analysis, "rm_accuracy")
        assert figure.axes[0].get_yticklabels()[0].get_fontsize() == 7
        assert matplotlib.rcParams["font.size"] == 23.0


def test_a_dollar_sign_is_no_mathematics(analysis: Analysis) -> None:
    table = analysis.tables["rm_accuracy"]
    changed = replace(table, frame=table.frame.assign(method="$\\frac$"))
    figure = figure_of(replace(analysis, tables={"rm_accuracy": changed}), "rm_accuracy")
    assert labelled(figure.axes[0]) == ["$\\frac$"]
    assert render(figure)


def test_regret_stands_where_the_table_says_and_what_users_get_comes_first() -> None:
    pair = {"dataset": "d", "model": "1B", "upstream": "rm_accuracy", "chosen": "a", "best": "b"}
    rows = [
        pair | {"downstream": metric, "estimate": value, "low": 0.0, "high": 0.1, "random": 0.07}
        for metric, value in (("policy_accuracy", 0.02), ("rouge1", 0.05))
    ]
    metrics = [
        Metric(name, kind, (), "share", words, POINTS, "higher")
        for name, kind, words in (
            ("rm_accuracy", "discrimination", "RM accuracy"),
            ("policy_accuracy", "discrimination", "policy accuracy"),
            ("rouge1", "generation", "ROUGE-1"),
        )
    ]
    figure = figure_of(of_table("regret", pd.DataFrame(rows), *metrics, of="downstream"), "regret")
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["RM accuracy → ROUGE-1", "RM accuracy → Policy accuracy"]
    for panel, value in zip(figure.axes, (5.0, 2.0), strict=True):
        np.testing.assert_allclose(sorted(dots(panel)), [(value, 0), (7.0, 0)])


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
def test_colours_are_told_apart_without_red_or_green_cones(crowd: Analysis, kind: str) -> None:
    colours = np.array(
        [
            matplotlib.colors.to_rgb(c)
            for c in sorted({look.colour for look in looks_of(crowd).values()})
        ]
    )
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(CONES[kind]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert len(set(map(tuple, colours))) == 7
    assert apart[~np.eye(len(apart), dtype=bool)].min() > 0.1
