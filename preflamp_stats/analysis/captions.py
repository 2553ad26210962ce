"""Captions of tables: what is estimated, how, and what a reader must mind."""

from __future__ import annotations

import math

import pandas as pd

from preflamp_stats.kernels.rouge import ROUGE_METRICS
from preflamp_stats.settings import Settings

__all__ = [
    "contrasts",
    "decoupling",
    "example_level",
    "generation",
    "in_context",
    "interval_words",
    "length",
    "method_metrics",
    "policy_accuracy",
    "pooled_tau",
    "prefix_accuracy",
    "regret",
    "rm_accuracy",
    "scoring_words",
    "slope",
    "tau",
    "weight_curve",
]

_TIES = {
    "half": "ties count half",
    "strict": "a tie is wrong",
    "drop": "ties are left out",
}
_INTERVALS = {
    "percentile": "percentile bootstrap",
    "model": "model-based",
    "guaranteed": "guaranteed by the signs of all differences",
}
_UNITS = {
    "users": "users resampled whole",
    "examples": "examples resampled",
    "methods": "methods resampled",
    "both": "users and methods resampled",
}


def rm_accuracy(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of RM accuracies."""
    return (
        "Share of pairs in which the reward model scores the chosen response above the rejected "
        f"one ({_counting(settings, frame)}). {interval_words(settings, frame)}"
    )


def policy_accuracy(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of policy accuracies."""
    return (
        "Share of pairs in which the guided policy scores the chosen response above the rejected "
        f"one, by {scoring_words(settings)} ({_counting(settings, frame)}). "
        f"{interval_words(settings, frame)}"
    )


def generation(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of generation quality."""
    by_reference = frame["metric"].isin(ROUGE_METRICS)
    person = "the user's own completion" if _by_users(frame) else "the reference"
    against = f"ROUGE F1 against {person}"
    if by_reference.all():
        what = f"Quality of the generated text: {against}"
    else:
        what = "Quality of the generated text, by metrics of the file in their own units"
        what += f"; {against}" if by_reference.any() else ""
    return f"{what} ({_average(settings, frame)}). {interval_words(settings, frame)}"


def method_metrics(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of numbers known only per method."""
    return "Numbers given per method by the file; no sampling error is known for them."


def tau(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of taus."""
    if "target" in frame and not (frame["target"] == "these methods").any():
        target = "the population of methods from which these were drawn"
    else:
        each = "user were asked" if _by_users(frame) else "example were at hand"
        target = f"these very methods, as if every {each}"
    return (
        f"Kendall's tau-{settings.variant} between an upstream and a downstream metric over "
        f"methods. The interval is for {target}.{_tau_columns(frame)} "
        f"{interval_words(settings, frame)}"
    )


def pooled_tau(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of taus pooled over datasets and models."""
    return (
        f"Kendall's tau-{settings.variant} over all pairs of methods of one dataset and model, "
        f"those of different datasets or models never compared. Intervals: {_percent(settings)}."
    )


def decoupling(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of verdicts on pairs of methods."""
    return (
        "Differences between two methods, A minus B. Decoupled: the upstream metric differs by "
        f"more than {settings.discrimination_margin:g} while the downstream one is equivalent "
        f"within {settings.margin:g}. Coupled, reversed: both differ by more than their margins, "
        "in the same or in opposite directions. Each verdict is shown as a whole, corrected for "
        "the number of pairs in all datasets and models; inconclusive is no evidence of anything. "
        f"Intervals: {_percent(settings)} simultaneous over pairs."
    )


def contrasts(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of differences between methods."""
    return (
        "Differences between two methods, A minus B, paired by "
        f"{'user' if _by_users(frame) else 'example'}. Intervals: {_percent(settings)}, and "
        "adjusted p-values, both simultaneous over the pairs of a dataset, model and metric."
    )


def in_context(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of in-context methods against the best with a reward model."""
    return (
        "A method without a reward model minus the best reward-guided one, whichever that truly "
        f"is: the luck of looking best is taken out. Intervals: {_percent(settings)}; p-values "
        "adjusted for all models and methods compared."
    )


def slope(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of what a step of the upstream metric buys downstream."""
    return (
        "Difference downstream that goes with twenty points of the upstream metric, over these "
        "methods, both metrics freed from sampling noise; p_equivalence is the probability, given "
        f"the data, that it is not within {settings.margin:g} of 0. "
        f"Intervals: {_percent(settings)}, from draws of the methods' true values."
    )


def example_level(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of the association over examples."""
    used = ", ".join(sorted(set(frame["estimator"])))
    return (
        "How much better the text of an example is where its pair is ranked right instead of "
        "wrong, methods and users taken into account. An association, not an effect: an example "
        f"that is easy to rank may be easy to write. Estimator: {used}; errors by leaving out each "
        f"user in turn. Intervals: {_percent(settings)}."
    )


def regret(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of what a choice of method costs."""
    return (
        "Downstream loss from choosing the method that the upstream metric ranks first: the best "
        "method's value less that of the one chosen, beside the loss to expect from picking at "
        f"random. Intervals: {_percent(settings)}, valid although the choice used the same data."
    )


_TAU_COLUMNS = {
    "tau_corrected": "corrected is tau with sampling noise taken out",
    "ceiling": "the ceiling is what noise alone would leave of a perfect agreement",
    "reliability_upstream": "reliability is the share of the variance between methods that is no "
    "noise",
    "population_tau": "population tau holds for methods like these",
    "users_needed": "users needed would bring the interval within ±0.2",
}


def _tau_columns(frame: pd.DataFrame) -> str:
    """Say what the further columns of tau are, as far as they are there."""
    told = [w for c, w in _TAU_COLUMNS.items() if c in frame and frame[c].notna().any()]
    text = "; ".join(told)
    return f" {text[0].upper()}{text[1:]}." if text else ""


def weight_curve(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of policy accuracy over the reward weight."""
    return (
        "Policy accuracy as a function of the reward weight w: w = 0 is the base model's own "
        f"likelihood, w = inf the reward alone ({_counting(settings, frame)}). "
        f"{interval_words(settings, frame)}"
    )


def prefix_accuracy(settings: Settings, frame: pd.DataFrame) -> str:
    """Caption of the table of prefix accuracies."""
    return (
        "Accuracy of the reward when only a share of each response has been read "
        f"({_counting(settings, frame)}). {interval_words(settings, frame)}"
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
    kinds = set(frame["resample"]) if "resample" in frame else {settings.resample}
    unit = " or ".join(words for kind, words in _UNITS.items() if kind in kinds)
    kinds_of = [_INTERVALS.get(kind, kind) for kind in _distinct(frame, "interval")]
    kind = " and ".join(kinds_of) or "percentile bootstrap"
    seeds = ", training seeds included" if "n_seeds" in frame else ""
    return f"Intervals: {_percent(settings)} {kind}, {unit}{seeds}, {settings.resamples} resamples."


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


def _counting(settings: Settings, frame: pd.DataFrame) -> str:
    return f"{_TIES[settings.ties]}; {_average(settings, frame)}"


def _average(settings: Settings, frame: pd.DataFrame) -> str:
    macro = settings.average == "macro" and _by_users(frame)
    return "mean of the users' means" if macro else "mean over examples"


def _by_users(frame: pd.DataFrame) -> bool:
    """Whether any row rests on users: where a file names none, its examples are the units."""
    return "resample" not in frame or bool((frame["resample"] != "examples").any())


def _percent(settings: Settings) -> str:
    return f"{settings.level * 100:g}%"


def _distinct(frame: pd.DataFrame, column: str) -> list[str]:
    return [str(v) for v in frame[column].dropna().unique() if v] if column in frame else []
