"""The questions that a report answers: the tables of each, and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from preflamp_stats.outputs.answers import (
    Answer,
    answer_discrimination,
    answer_in_context,
    answer_prediction,
    answer_regret,
    answer_writing,
)
from preflamp_stats.results import ResultTable

__all__ = ["QUESTIONS", "READING", "Question"]


@dataclass(frozen=True)
class Question:
    """A question of a reader.

    Parameters
    ----------
    name : str
        Short, for addresses within a page.
    title : str
        The question.
    tables : tuple of str
        Tables that answer it, in the order of reading.
    answer : callable
        Sums them up in a sentence or two; empty where they are absent.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    answer: Callable[[Mapping[str, ResultTable]], Answer]


QUESTIONS = (
    Question(
        "predict",
        "Does accuracy predict?",
        ("tau", "pooled_tau", "slope", "decoupling", "example_level"),
        answer_prediction,
    ),
    Question(
        "discriminate",
        "Does the policy discriminate?",
        (
            "policy_accuracy",
            "rm_accuracy",
            "weight_curve",
            "prefix_accuracy",
            "length_difference",
        ),
        answer_discrimination,
    ),
    Question(
        "write",
        "Does it write better?",
        ("generation", "method_metrics", "contrasts"),
        answer_writing,
    ),
    Question(
        "in-context",
        "Does in-context learning win, and from which size?",
        ("in_context",),
        answer_in_context,
    ),
    Question(
        "choose",
        "Which method would you choose, and what would it cost?",
        ("regret",),
        answer_regret,
    ),
)
"""In the order of a report; a table that is in none of them comes after the last."""

READING = {
    "tau": "Tau is 1 where two metrics rank the methods alike, −1 where one ranking is the other "
    "turned round, and 0 where half of all pairs agree. The dot is tau as observed, the line its "
    "interval, the hollow diamond tau freed from sampling noise. An interval that includes 0 "
    "leaves the question open: it is no sign that there is no association. Compare a tau with its "
    "noise ceiling (upright mark) rather than with 1.",
    "pooled_tau": "One tau over all datasets and models; only methods of the same dataset and "
    "model are compared with each other.",
    "slope": "How many points downstream go with twenty points upstream. An interval that includes "
    "0 leaves open whether anything is gained.",
    "decoupling": "Each row compares two methods, A minus B. Decoupled means shown to write "
    "equally well although the accuracies differ; it takes an equivalence test, not a large "
    "p-value. Inconclusive means that the data cannot tell.",
    "example_level": "Above 0: where a method ranks a user's pair right, it also writes the better "
    "text for that user. This is within methods; tau is between them.",
    "rm_accuracy": "50 points is a coin toss, the dashed line. Two methods whose intervals overlap "
    "may still differ, since they saw the same users: look at the comparison of methods.",
    "policy_accuracy": "50 points is a coin toss, the dashed line. This is what the guided policy "
    "itself prefers; RM accuracy is what the reward prefers.",
    "weight_curve": "Left end: the language model alone. Right end: the reward alone. A curve that "
    "is highest in between gains from both.",
    "prefix_accuracy": "Guided decoding uses the reward of unfinished responses. A curve that "
    "stays near 50 points until the end means that the reward steers blindly on the way.",
    "length_difference": "A reward that reads more than length is above 50 points in every bin. "
    "One that counts tokens is right where the chosen response is longer and wrong where it is "
    "shorter.",
    "generation": "Bold is the best as printed, not shown to be better than the next. Intervals "
    "say how far a mean would move with other users.",
    "method_metrics": "These numbers came with the file, without any sampling error.",
    "contrasts": "A minus B on the same users. Adjusted p-values hold for all pairs of a dataset, "
    "model and metric at once.",
    "in_context": "Above 0: the method without a reward model is ahead of the best with one. "
    "An interval wholly above 0 shows it; the size named is the smallest from which it holds for "
    "every larger model.",
    "regret": "What you lose by taking the method that ranks first upstream, beside the best "
    "method downstream. Compare it with the loss of a method picked at random, the hollow mark: "
    "a metric that is no better than chance does not help to choose.",
}
"""How to read the figure and the table, by table."""
