"""The picture at the head of the report: points where the numbers are, names that do not meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from preflamp_stats.outputs import hero
from preflamp_stats.outputs.report import to_html
from preflamp_stats.results import Analysis


def test_points_lie_where_the_ticks_say(single: Analysis) -> None:
    shown = hero.plane(single)
    assert shown is not None
    ticks = {float(text): at for text, at in shown.x_ticks.items()}
    (first, x0), *_, (last, x1) = sorted(ticks.items())
    rows = single.tables["rm_accuracy"].frame.set_index("method")
    for mark in shown.marks:
        if not np.isnan(mark.x):
            value = first + (mark.x - x0) / (x1 - x0) * (last - first)
            np.testing.assert_allclose(value, 100 * rows["estimate"][mark.name], atol=0.05)
            assert mark.x_ends[0] <= mark.x <= mark.x_ends[1]
            assert mark.y_ends[1] <= mark.y <= mark.y_ends[0]  # pixels go down


def test_a_method_without_accuracy_is_a_line(single: Analysis) -> None:
    shown = hero.plane(single)
    assert shown is not None
    lines = [mark.name for mark in shown.marks if np.isnan(mark.x)]
    absent = set(single.tables["generation"].frame["method"]) - set(
        single.tables["rm_accuracy"].frame.dropna(subset="estimate")["method"]
    )
    assert set(lines) == absent
    assert shown.tau["estimate"] == single.tables["tau"].frame["estimate"].iloc[0]


def test_of_several_places_the_first_is_shown_and_the_others_counted(analysis: Analysis) -> None:
    shown = hero.plane(analysis)
    assert shown is not None
    assert shown.place == ["tldr", "Llama-3.2-1B"]
    assert shown.left == 5
    row = analysis.tables["tau"].frame.query("dataset == 'tldr' and model == 'Llama-3.2-1B'")
    assert shown.tau["downstream"] == "rouge1"
    assert shown.tau["estimate"] == row.query("downstream == 'rouge1'")["estimate"].item()


def test_thirty_long_names_never_meet(crowd: Analysis) -> None:
    shown = hero.plane(crowd)
    assert shown is not None
    named = [mark for mark in shown.marks if mark.anchor]
    assert 5 <= len(named) < 30
    assert all(len(mark.name) <= 26 for mark in shown.marks)
    boxes = [hero._box(m.name_x, m.name_y, m.anchor, len(m.name) * 7.0) for m in named]
    for at, one in enumerate(boxes):
        assert one[0] >= hero.LEFT
        assert one[2] <= hero.WIDTH
        for other in boxes[:at]:
            apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3]
            assert apart or other[1] >= one[3]


def test_without_either_half_there_is_no_picture(single: Analysis) -> None:
    for gone in ("rm_accuracy", "generation"):
        tables = {n: t for n, t in single.tables.items() if n not in (gone, "policy_accuracy")}
        assert hero.plane(replace(single, tables=tables)) is None


def test_the_caption_says_of_whom_each_interval_of_tau_speaks(single: Analysis) -> None:
    row = single.tables["tau"].frame.iloc[0]
    caption = (
        to_html(single, {}).split("Kendall's tau of the two rankings is ")[1].split(".</fig")[0]
    )
    low = f"{row['population_low']:.2f}".replace("-", "−")
    assert " for these methods, " in caption
    assert f"[{low}, " in caption.split(" for these methods, ")[1]
    assert " for methods like these" in caption
