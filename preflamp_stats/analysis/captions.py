"""Captions of tables: what is estimated, how, and what a reader must mind."""

from __future__ import annotations

import math

import pandas as pd

from preflamp_stats.settings import Settings

__all__ = [
    "generation",
    "interval_words",
    "length",
    "method_metrics",
    "policy_accuracy",
    "prefix_accuracy",
    "rm_accuracy",
    "scoring_words",
    "tau",
    "weight_curve",
]

_TIES = {
    "half": "ties count half",
    "strict": "a tie is wrong",
    "drop": "ties are left out",
}
_AVERAGE = {"micro": "mean over examples", "macro": "mean of the users' means"}


def rm_accuracy(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of RM accuracies."""
    return (
        "Share of pairs in which the reward model scores the chosen response above the rejected "
        f"one ({_counting(settings)}). {interval_words(settings, frame)}"
    )


def policy_accuracy(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of policy accuracies."""
    return (
        "Share of pairs in which the guided policy scores the chosen response above the rejected "
        f"one, by {scoring_words(settings)} ({_counting(settings)}). "
        f"{interval_words(settings, frame)}"
    )


def generation(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of generation quality."""
    return (
        "Quality of the generated text against the user's own completion "
        f"({_AVERAGE[settings.average]}). {interval_words(settings, frame)}"
    )


def method_metrics(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of numbers known only per method."""
    return "Numbers given per method by the file; no sampling error is known for them."


def tau(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of taus."""
    target = (
        "the population of methods from which these were drawn"
        if settings.resample in ("methods", "both")
        else "these very methods, were every user asked"
    )
    return (
        f"Kendall's tau-{settings.variant} between an upstream and a downstream metric over "
        f"methods. The interval is for {target}. {interval_words(settings, frame)}"
    )


def weight_curve(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of policy accuracy over the reward weight."""
    return (
        "Policy accuracy as a function of the reward weight w: w = 0 is the base model's own "
        f"likelihood, w = inf the reward alone ({_counting(settings)}). "
        f"{interval_words(settings, frame)}"
    )


def prefix_accuracy(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of prefix accuracies."""
    return (
        "Accuracy of the reward when only a share of each response has been read "
        f"({_counting(settings)}). {interval_words(settings, frame)}"
    )


def length(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of accuracy by difference in length."""
    return (
        "RM accuracy among pairs whose difference in length, chosen minus rejected response in "
        "tokens, lies from bin_low up to but not including bin_high: a reward model that reads "
        "more than length is right in every bin. "
        f"{interval_words(settings, frame)}"
    )


def interval_words(settings: Settings, frame: pd.DataFrame) -> str:
    """Say in a sentence how the intervals were made."""
    unit = {
        "users": "users resampled whole",
        "examples": "examples resampled",
        "methods": "methods resampled",
        "both": "users and methods resampled",
    }[settings.resample]
    seeds = ", training seeds included" if "n_seeds" in frame else ""
    return (
        f"Intervals: {settings.level:.0%} percentile bootstrap, {unit}{seeds}, "
        f"{settings.resamples} resamples."
    )


def scoring_words(settings: Settings) -> str:
    """Name the policy's score and the reward weight."""
    weight = "infinite" if math.isinf(settings.weight) else f"{settings.weight:g}"
    words = {
        "sequence": f"log-probability plus weight {weight} times the reward of the response",
        "accumulated": f"token log-probabilities plus weight {weight} times every prefix's reward",
        "renormalised": f"its renormalised likelihood at weight {weight}",
        "stored": "the score stored in the file",
    }[settings.scoring]
    return words + (", per token" if settings.length_normalise else "")


def _counting(settings: Settings) -> str:
    return f"{_TIES[settings.ties]}; {_AVERAGE[settings.average]}"
