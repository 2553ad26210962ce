"""Every table of an analysis, in the order in which they are read, and the questions they answer.

A new table is a file of this package and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from preflamp_stats.analysis.evidence import DatasetEvidence
from preflamp_stats.results import Question, ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.accuracy import POLICY_ACCURACY, RM_ACCURACY
from preflamp_stats.tables.contrasts import CONTRASTS
from preflamp_stats.tables.curves import LENGTH_DIFFERENCE, PREFIX_ACCURACY, WEIGHT_CURVE
from preflamp_stats.tables.decoupling import DECOUPLING
from preflamp_stats.tables.example_level import EXAMPLE_LEVEL
from preflamp_stats.tables.generation import GENERATION, METHOD_METRICS
from preflamp_stats.tables.in_context import IN_CONTEXT
from preflamp_stats.tables.metrics import shared_metrics
from preflamp_stats.tables.regret import REGRET
from preflamp_stats.tables.slope import SLOPE
from preflamp_stats.tables.table import Table
from preflamp_stats.tables.tau import POOLED_TAU, TAU_BY_MODEL

__all__ = ["QUESTIONS", "TABLES", "make_questions", "make_tables"]

TABLES: tuple[Table, ...] = (
    TAU_BY_MODEL,
    POOLED_TAU,
    SLOPE,
    EXAMPLE_LEVEL,
    POLICY_ACCURACY,
    RM_ACCURACY,
    WEIGHT_CURVE,
    PREFIX_ACCURACY,
    LENGTH_DIFFERENCE,
    DECOUPLING,
    GENERATION,
    METHOD_METRICS,
    CONTRASTS,
    IN_CONTEXT,
    REGRET,
)
QUESTIONS = {
    "predict": "Does accuracy predict?",
    "discriminate": "Does the policy discriminate?",
    "write": "Does it write better?",
    "in-context": "Does in-context learning win, and from which size?",
    "choose": "Which method would you choose, and what would it cost?",
    "": "Further tables",
}


def make_tables(
    evidence: Sequence[DatasetEvidence],
    settings: Settings,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, ResultTable]:
    """Make every table that the evidence allows, with what it says in words.

    Parameters
    ----------
    evidence : sequence of DatasetEvidence
        At least one dataset, drawn.
    settings : Settings
        What was asked for.
    progress : callable, optional
        Called with what is being done, the tables done, and their number.

    Returns
    -------
    dict of str to ResultTable
        Those with rows, by name.
    """
    metrics = shared_metrics(evidence)
    found = {}
    for place, table in enumerate(TABLES):
        if progress:
            progress(f"estimating {table.name}", place, len(TABLES))
        frame = table.rows(evidence)
        if frame.empty:
            continue
        columns = [frame[c] for c in ("metric", "upstream", "downstream") if c in frame]
        named = {table.estimate_of, *(str(name) for column in columns for name in column.unique())}
        caption = table.caption if isinstance(table.caption, str) else table.caption(frame)
        made = ResultTable(
            table.name,
            frame,
            table.title,
            words.fill(caption, settings, frame),
            {name: metric for name, metric in metrics.items() if name in named},
            table.estimate_of,
            table.ranked,
            table.reading,
        )
        said = tuple(table.finding(made, settings)) if table.finding else ()
        found[table.name] = replace(made, findings=said)
    return found


def make_questions(found: Mapping[str, ResultTable]) -> list[Question]:
    """Put tables under the questions that they answer, those that answer none of ours last."""
    questions = []
    for name, title in QUESTIONS.items():
        here = [table for table in TABLES if table.question == name and table.name in found]
        answers = (table.answer(found) for table in here if table.answer)
        if here:
            answer = next((text for text in answers if text), "")
            below = tuple(table.name for table in here)
            questions.append(Question(name or "further", title, below, answer))
    return questions
