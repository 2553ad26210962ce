"""What a study found, for the paper: macros from analysis.json, and its tables and figures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from macros import points, share

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.metric import Metric, Scale
from preflamp_stats.outputs.figures import FIGURES as DRAWN
from preflamp_stats.outputs.figures.layout import ONE_COLUMN, TWO_COLUMNS
from preflamp_stats.outputs.formatting import escape_latex, sentence
from preflamp_stats.results import ResultTable, distinct

__all__ = ["FIGURES", "TABLES", "copies", "macros", "read_analysis"]

TABLES = ("tau", "rm_accuracy", "policy_accuracy", "generation", "in_context", "regret")
FIGURES = ("tau", "discrimination_vs_generation", "icl_by_model_size", "regret")
_POINTS_PER_INCH = 72
_ANSWERS = {
    "predict": "AnswerPredict",
    "discriminate": "AnswerDiscriminate",
    "write": "AnswerWrite",
    "in-context": "AnswerInContext",
    "choose": "AnswerChoose",
}


def read_analysis(folder: Path) -> dict[str, Any]:
    """Record of an analysis.

    Parameters
    ----------
    folder : Path
        What ``preflamp-stats analyze --out`` wrote.

    Returns
    -------
    dict
        As in ``analysis.json``.

    Raises
    ------
    InputError
        If there is none, with the command that makes it.
    """
    path = folder / "analysis.json"
    if not path.exists():
        raise InputError(
            Problem("no such file", "make study runs the study of acl_titles first", str(path))
        )
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lacking = [
        name for name in ("tau", "rm_accuracy", "generation") if name not in record["tables"]
    ]
    if lacking:
        raise InputError(
            Problem(
                f"has no table {', '.join(lacking)}",
                "analyse a results file with rewards and generations",
                str(path),
            )
        )
    return record


def tables(record: Mapping[str, Any]) -> dict[str, ResultTable]:
    """Tables of a record, as they were before they were written."""
    found = {}
    for name in record["table_order"]:
        entry = record["tables"][name]
        frame = pd.DataFrame(entry["rows"], columns=entry["columns"])
        frame = frame.replace({"inf": math.inf, "-inf": -math.inf}).infer_objects()
        metrics = {
            key: Metric(**told | {"scale": Scale(**told["scale"])})
            for key, told in entry["metrics"].items()
        }
        found[name] = ResultTable(
            name,
            frame,
            entry["title"],
            entry["caption"],
            metrics,
            entry["estimate_of"],
            entry["ranked"],
        )
    return found


def macros(record: Mapping[str, Any]) -> dict[str, str]:
    """Numbers, names and answers that the text quotes."""
    found = tables(record)
    settings, notes = record["settings"], record["notes"]
    sized = found["rm_accuracy"].frame
    methods = distinct(
        pd.concat([t.frame for t in found.values() if "method" in t.frame]), "method"
    )
    models = distinct(found["generation"].frame, "model")
    numbers = {
        "StudyUsers": f"{int(sized['n_users'].max()):,}",
        "StudyExamples": f"{int(sized['n_examples'].max()):,}",
        "StudyMethods": f"{len(methods)}",
        "StudyRewarded": f"{len(distinct(sized, 'method'))}",
        "StudyModels": f"{len(models)}",
        "StudyModelNames": ", ".join(models),
        "StudyResamples": f"{settings['resamples']:,}",
        "StudySeed": f"{settings['seed']}",
        "StudyLevel": share(settings["level"]),
        "StudyWeight": f"{settings['weight']}".removesuffix(".0"),
        "StudyMargin": points(settings["margin"]),
        "StudyDiscriminationMargin": points(settings["discrimination_margin"]),
        "StudyVersion": record["versions"]["preflamp-stats"],
        "StudyChecksum": record["inputs"][0]["sha256"][:12] if record["inputs"] else "unknown",
        "StudyNotes": " ".join(["The analysis notes:", *notes] if notes else []),
    }
    none = "The study has no data on this."
    told = {question["name"]: question["answer"] for question in record["questions"]}
    return numbers | {macro: told.get(name) or none for name, macro in _ANSWERS.items()}


def copies(record: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
    """Tables and figures of the study by their path below ``generated/``.

    One that the study does not have is a file without content, so that the paper compiles.
    """
    files = {}
    for name in TABLES:
        path = folder / "tables" / f"{name}.tex"
        files[f"study/{name}.tex"] = (
            path.read_bytes() if path.exists() else b"% Not in the study.\n"
        )
    for name in FIGURES:
        path = folder / "figures" / f"{name}.pdf"
        drawn = path.read_bytes() if path.exists() else b""
        if drawn:
            files[f"study/{name}.pdf"] = drawn
        files[f"study/figure-{name}.tex"] = _float(record, name, drawn).encode()
    return files


def _float(record: Mapping[str, Any], name: str, drawn: bytes) -> str:
    """LaTeX of a figure, in one column or both by the width in which it was drawn."""
    if not drawn:
        return "% Not in the study.\n"
    width = float(re.search(rb"/MediaBox \[\s*0 0 ([\d.]+)", drawn)[1]) / _POINTS_PER_INCH
    environment = "figure" if width < (ONE_COLUMN + TWO_COLUMNS) / 2 else "figure*"
    spec = DRAWN[name]
    # How to read a table and its figure is one text; only tables have a bold number.
    reading = re.sub(r"Bold is [^.]*\. ", "", record["tables"][spec.table]["reading"])
    caption = f"{sentence(spec.title)} {reading}"
    lines = [
        rf"\begin{{{environment}}}[t]",
        r"\centering",
        rf"\includegraphics{{generated/study/{name}.pdf}}",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{fig:{name}}}",
        rf"\end{{{environment}}}",
    ]
    return "\n".join([*lines, ""])
