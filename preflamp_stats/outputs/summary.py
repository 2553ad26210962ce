"""What an analysis found, for the terminal: sentences first, then compact tables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from preflamp_stats.outputs.facets import Facet, distinct, facets, table_frame
from preflamp_stats.outputs.formatting import (
    MISSING,
    count,
    interval,
    label,
    one_line,
    p_value,
    sample_sizes,
)
from preflamp_stats.quantities import COEFFICIENT, Scale, number, scale_of
from preflamp_stats.results import Analysis

__all__ = ["print_summary"]


def print_summary(analysis: Analysis, console: Console) -> None:
    """Print the answers, methods × metrics for each dataset and model, tau, and the notes.

    Sentences that stand at a table of the report are left to it.

    Parameters
    ----------
    analysis : Analysis
    console : rich.console.Console
        Colours and rules only where it is a terminal; plain text when piped.
    """
    for question in analysis.questions:
        if question.answer:
            console.print(Text(question.title, style="bold"))
            console.print(Padding(Text(one_line(question.answer)), (0, 0, 0, 2), expand=False))
    metrics = _metric_frames(analysis)
    if metrics:
        for facet in facets(*metrics.values()):
            _print_methods(facet, metrics, console)
    _print_tau(table_frame(analysis.tables, "tau"), console)
    for note in analysis.notes:
        console.print()
        console.print(Text(f"Note: {one_line(note)}", style="yellow"))


def _metric_frames(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """RM accuracy, policy accuracy and the first metric of generation, as far as there are any."""
    frames = {
        name: table_frame(analysis.tables, name) for name in ("rm_accuracy", "policy_accuracy")
    }
    generation = table_frame(analysis.tables, "generation")
    metrics = distinct(generation, "metric")
    asked = [metric for metric in analysis.settings.downstream if metric in metrics]
    for metric in (asked or metrics)[:1]:
        frames[metric] = generation[generation["metric"] == metric]
    return {name: frame for name, frame in frames.items() if not frame.empty}


def _print_methods(facet: Facet, metrics: Mapping[str, pd.DataFrame], console: Console) -> None:
    here = {name: facet.rows(frame) for name, frame in metrics.items()}
    methods = list(dict.fromkeys(m for frame in here.values() for m in distinct(frame, "method")))
    table = _table(console)
    table.add_column("Method", overflow="fold", min_width=12)
    scales = {name: scale_of(name, frame["estimate"]) for name, frame in here.items()}
    for name, frame in here.items():
        heading = Text(label(name))
        weights = distinct(frame, "weight")
        if len(weights) == 1:
            heading.append(f" w={float(weights[0]):.4g}", style="not bold")
        table.add_column(heading, justify="right", no_wrap=True)
    for method in methods:
        cells = [_estimates(frame, method, scales[name]) for name, frame in here.items()]
        table.add_row(Text(one_line(method)), *cells)
    sizes = sample_sizes(pd.concat([frame for frame in here.values() if not frame.empty]))
    _print_titled(facet.title or "Methods", sizes, table, console)


def _estimates(frame: pd.DataFrame, method: str, scale: Scale) -> Text:
    """Estimates of a method, one a line where there are several (seeds, weights)."""
    if "method" not in frame:
        return Text(MISSING)
    rows = frame[frame["method"].astype(str) == method]
    lines = [_estimate(row, scale) for row in rows.to_dict("records")]
    return Text("\n").join(lines) if lines else Text(MISSING, style="dim")


def _estimate(row: Mapping[Hashable, Any], scale: Scale) -> Text:
    nan = float("nan")
    between = interval(row.get("low", nan), row.get("high", nan), scale)
    text = Text(number(row["estimate"], scale))
    return text.append(f" {between}", style="dim") if between else text


def _print_tau(frame: pd.DataFrame, console: Console) -> None:
    if frame.empty:
        return
    upstreams = distinct(frame, "upstream")
    single = len(upstreams) == 1
    extras = [
        (column, heading)
        for column, heading in (("p_value", "p"), ("ceiling", "Ceiling"), ("n_methods", "Methods"))
        if column in frame and frame[column].notna().any()
    ]
    table = _table(console)
    table.add_column("", overflow="fold")
    for heading in ["Downstream"] if single else ["Upstream", "Downstream"]:
        table.add_column(heading, no_wrap=True)
    for heading in ["Tau", *(heading for _, heading in extras)]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in frame.to_dict("records"):
        place = Facet(*(_name(row.get(key)) for key in ("dataset", "model"))).title
        pair = [label(_name(row.get(key))) for key in ("upstream", "downstream")]
        values = [_extra(column, row[column]) for column, _ in extras]
        names = [place, *(pair[1:] if single else pair)]
        table.add_row(*map(Text, names), _estimate(row, COEFFICIENT), *map(Text, values))
    of = f" of {label(upstreams[0])}" if single else ""
    _print_titled(f"Kendall's tau{of}", "", table, console)


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


def _extra(column: str, value: float) -> str:
    if column == "p_value":
        return p_value(value)
    return count(value) if column == "n_methods" else number(value, COEFFICIENT)


def _table(console: Console) -> Table:
    return Table(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0) if console.is_terminal else (0, 2, 0, 0),
        header_style="bold",
    )


def _print_titled(title: str, sizes: str, table: Table, console: Console) -> None:
    console.print()
    heading = Text(one_line(title), style="bold")
    console.print(heading.append(f"  ({sizes})", style="not bold dim") if sizes else heading)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
