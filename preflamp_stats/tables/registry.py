"""Every table of an analysis, in the order in which they are read, and the questions they answer.

A new table is a file of this package and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from preflamp_stats.metric import Metric
from preflamp_stats.results import Question, ResultTable
from preflamp_stats.settings import Settings
from preflamp_stats.tables import words
from preflamp_stats.tables.accuracy import BEST_OF_ACCURACY, POLICY_ACCURACY, RM_ACCURACY
from preflamp_stats.tables.agreement import AGREEMENT
from preflamp_stats.tables.best_of_k import BEST_OF_K, OVER_OPTIMISATION
from preflamp_stats.tables.calibration import REWARD_CALIBRATION
from preflamp_stats.tables.contrasts import CONTRASTS
from preflamp_stats.tables.coverage import COVERAGE
from preflamp_stats.tables.curves import LENGTH_DIFFERENCE, PREFIX_ACCURACY, WEIGHT_CURVE
from preflamp_stats.tables.decoupling import DECOUPLING
from preflamp_stats.tables.example_level import EXAMPLE_LEVEL
from preflamp_stats.tables.generation import GENERATION, METHOD_METRICS
from preflamp_stats.tables.in_context import IN_CONTEXT
from preflamp_stats.tables.regret import REGRET
from preflamp_stats.tables.slope import SLOPE
from preflamp_stats.tables.surrogacy import SURROGACY
from preflamp_stats.tables.table import Table
from preflamp_stats.tables.tau import POOLED_TAU, TAU_BY_MODEL, predict_title

__all__ = ["QUESTIONS", "TABLES", "make_questions", "make_table"]

TABLES: tuple[Table, ...] = (
    COVERAGE,
    SURROGACY,
    TAU_BY_MODEL,
    POOLED_TAU,
    AGREEMENT,
    SLOPE,
    EXAMPLE_LEVEL,
    POLICY_ACCURACY,
    RM_ACCURACY,
    BEST_OF_ACCURACY,
    REWARD_CALIBRATION,
    WEIGHT_CURVE,
    PREFIX_ACCURACY,
    LENGTH_DIFFERENCE,
    DECOUPLING,
    GENERATION,
    CONTRASTS,
    IN_CONTEXT,
    REGRET,
    BEST_OF_K,
    OVER_OPTIMISATION,
    METHOD_METRICS,
)
QUESTIONS: Mapping[str, Callable[[Mapping[str, ResultTable]], str]] = {
    "holds": lambda found: "What is there to go by?",
    "elsewhere": lambda found: "Will it hold elsewhere?",
    "predict": predict_title,
    "discriminate": lambda found: (
        f"Does the {'policy' if {'policy_accuracy', 'weight_curve'} & set(found) else 'reward'} "
        "tell chosen from rejected?"
    ),
    "write": lambda found: (
        "Do methods with better accuracy write better?"
        if "decoupling" in found
        else "How well do the methods write?"
    ),
    "differ": lambda found: "Which methods differ?",
    "in-context": lambda found: "Does in-context learning win, and from which size?",
    "choose": lambda found: "Which method would you choose, and what would it cost?",
    "": lambda found: "Further tables",
}
"""Questions by name, worded by the tables there are: a file is asked what it can answer."""


def make_table(
    table: Table, frame: pd.DataFrame, metrics: Mapping[str, Metric], settings: Settings
) -> ResultTable:
    """Put the rows of a table together with what is said of them in words.

    Parameters
    ----------
    table : Table
    frame : DataFrame
        At least one row.
    metrics : mapping of str to Metric
        Of the whole analysis.
    settings : Settings
        What was asked for.

    Returns
    -------
    ResultTable
    """
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
    return replace(made, findings=said)


def make_questions(found: Mapping[str, ResultTable]) -> list[Question]:
    """Put tables under the questions that they answer, those that answer none of ours last."""
    questions = []
    for name, asked in QUESTIONS.items():
        here = [table for table in TABLES if table.question == name and table.name in found]
        answers = (table.answer(found) for table in here if table.answer)
        if here:
            answer = next((text for text in answers if text), "")
            below = tuple(table.name for table in here)
            questions.append(Question(name or "further", asked(found), below, answer))
    return questions
