"""The study's result on a page: tables for its README, from the tables of the analysis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

__all__ = ["summarise"]


def summarise(out: Path, models: Sequence[str]) -> str:
    """Make the page of a study that has run.

    Parameters
    ----------
    out : path
        Directory of the study.
    models : sequence of str
        Base models in order of size.

    Returns
    -------
    str
        Markdown.
    """
    tables = {
        path.stem: pd.read_csv(path) for path in sorted((out / "analysis" / "tables").glob("*.csv"))
    }
    parts = [
        ("Base models", _base_models(out, models)),
        ("Ranking: share of held-out pairs ranked right", _by_model(tables, "rm_accuracy", models)),
        ("Policy: log π + w·reward, w = 1", _by_model(tables, "policy_accuracy", models)),
        *(
            (f"Writing: {label} F1", _by_model(tables, "generation", models, metric=name))
            for name, label in (("rouge1", "ROUGE-1"), ("rougeL", "ROUGE-L"))
        ),
        ("Texts that no model wrote", _plain(pd.read_csv(out / "reference_points.csv"))),
        ("Kendall's tau of ranking with what follows", _taus(tables, models)),
        ("In-context against the best reward-guided method", _in_context(tables, models)),
        ("Verdicts on pairs of methods", _verdicts(tables, models)),
        ("Reward weights chosen on validation authors", _weights(out, models)),
        ("Time", _plain(pd.read_csv(out / "seconds.csv").round(0))),
    ]
    return "\n\n".join(f"**{title}**\n\n{text}" for title, text in parts if text) + "\n"


def _base_models(out: Path, models: Sequence[str]) -> str:
    rows = []
    for name in models:
        path = out / "models" / name / "training.json"
        if path.is_file():
            said = json.loads(path.read_text(encoding="utf-8"))
            loss = said["held_out"]
            rows.append(
                [
                    name,
                    f"{said['parameters']:,}",
                    f"{said['layers']} × {said['width']}",
                    f"{loss['all']:.2f}",
                    f"{loss['responses']:.2f}",
                ]
            )
    head = ["model", "parameters", "layers × width", "held-out loss (nats a token)", "on titles"]
    return _markdown(head, rows) if rows else ""


def _by_model(
    tables: dict[str, pd.DataFrame], table: str, models: Sequence[str], metric: str = ""
) -> str:
    """Estimates with intervals, a row a method and a column a model."""
    if table not in tables:
        return ""
    frame = tables[table]
    frame = frame[frame["metric"] == metric] if metric else frame
    methods = list(dict.fromkeys(frame["method"]))
    cells = {(str(row.model), row.method): _interval(row) for row in frame.itertuples()}
    rows = [[method, *(cells.get((model, method), "") for model in models)] for method in methods]
    return _markdown(["method", *models], rows)


def _taus(tables: dict[str, pd.DataFrame], models: Sequence[str]) -> str:
    if "tau" not in tables:
        return ""
    frame = tables["tau"]
    names = list(dict.fromkeys(frame["downstream"]))
    cells = {(str(row.model), row.downstream): _interval(row) for row in frame.itertuples()}
    rows = [[model, *(cells.get((model, name), "") for name in names)] for model in models]
    if "pooled_tau" in tables:
        pooled = {row.downstream: _interval(row) for row in tables["pooled_tau"].itertuples()}
        rows.append(["pooled", *(pooled.get(name, "") for name in names)])
    return _markdown(["model", *names], rows)


def _in_context(tables: dict[str, pd.DataFrame], models: Sequence[str]) -> str:
    if "in_context" not in tables:
        return ""
    frame = tables["in_context"]
    frame = frame[frame["metric"] == "rouge1"]
    methods = list(dict.fromkeys(frame["method"]))
    cells = {(str(row.model), row.method): _interval(row) for row in frame.itertuples()}
    rows = [[method, *(cells.get((model, method), "") for model in models)] for method in methods]
    return _markdown(["difference in ROUGE-1", *models], rows)


def _verdicts(tables: dict[str, pd.DataFrame], models: Sequence[str]) -> str:
    if "decoupling" not in tables:
        return ""
    frame = tables["decoupling"].astype({"model": str})
    counts = frame.groupby(["downstream", "model", "verdict"]).size().unstack(fill_value=0)
    rows = [
        [downstream, model, *map(str, counts.loc[(downstream, model)])]
        for downstream in dict.fromkeys(frame["downstream"])
        for model in models
        if (downstream, model) in counts.index
    ]
    return _markdown(["downstream", "model", *counts.columns], rows)


def _weights(out: Path, models: Sequence[str]) -> str:
    frame = pd.read_csv(out / "weights.csv").query("chosen")
    cells = {(str(row.model), row.method): f"{row.weight:g}" for row in frame.itertuples()}
    rows = [
        [method, *(cells.get((model, method), "") for model in models)]
        for method in dict.fromkeys(frame["method"])
    ]
    return _markdown(["method", *models], rows)


def _plain(frame: pd.DataFrame) -> str:
    rows = [
        [f"{each:.3g}" if isinstance(each, float) else str(each) for each in row]
        for row in frame.itertuples(index=False)
    ]
    return _markdown(list(map(str, frame.columns)), rows)


def _interval(row: object) -> str:
    low, high, estimate = (getattr(row, name) for name in ("low", "high", "estimate"))
    if pd.isna(estimate):
        return ""
    signs = [f"{each:.3f}".replace("-", "−") for each in (estimate, low, high)]
    return f"{signs[0]} [{signs[1]}, {signs[2]}]"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
