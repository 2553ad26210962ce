"""Every metric of a file by name: which there are, and their value for each example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.select import Results, one_dataset
from preflamp_stats.io.variables import method_metrics
from preflamp_stats.kernels.rouge import ROUGE_METRICS
from preflamp_stats.metric import POINTS, Direction, Metric
from preflamp_stats.metrics.discrimination import best_of_credit, score_credit
from preflamp_stats.metrics.generation import generation_metrics, generation_quality
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.policy import policy_score

__all__ = [
    "available_metrics",
    "example_values",
    "metric_info",
    "metric_words",
    "policy_variables",
    "sampled_metric_info",
]

DISCRIMINATION = ("rm_accuracy", "policy_accuracy")


_WORDS = {
    "rm_accuracy": "RM accuracy",
    "best_of_accuracy": "accuracy among all",
    "policy_accuracy": "policy accuracy",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}


def metric_words(name: str) -> str:
    """What a metric of ours is called in a sentence; another one by its name."""
    return _WORDS.get(name, name)


def available_metrics(ds: Results, options: MetricOptions | None = None) -> list[Metric]:
    """Metrics that a dataset can give, discrimination first.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    options : MetricOptions, optional
        The scoring decides what policy accuracy needs.

    Returns
    -------
    list of Metric

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> ds = next(iter(pls.datasets(pls.simulate(n_users=5, n_examples=2, seed=1)).values()))
    >>> [metric.name for metric in available_metrics(ds)][:3]
    ['rm_accuracy', 'policy_accuracy', 'rouge1']
    """
    ds, options = one_dataset(ds), options or MetricOptions()
    found = [_discrimination("rm_accuracy", ("reward",))] * ("reward" in ds)
    if found and ds["reward"].sizes.get("candidate", 0) > 2:
        of_all = _discrimination("best_of_accuracy", ("reward",))
        found.append(replace(of_all, values="share"))  # a tie of k gives 1/k
    policy_needs = policy_variables(options)
    if set(policy_needs) <= set(ds):
        found.append(_discrimination("policy_accuracy", policy_needs))
    for name in generation_metrics(ds):
        if name in ROUGE_METRICS:
            needs = (name,) if name in ds else ("generation", "reference")
            found.append(Metric(name, "generation", needs, "share", _WORDS[name], POINTS, "higher"))
        else:
            found.append(Metric.of_file(name, "generation", ds[name].attrs))
    found += [Metric.of_file(name, "method", ds[name].attrs) for name in method_metrics(ds)]
    return [_directed(metric, options) for metric in found]


def _directed(metric: Metric, options: MetricOptions) -> Metric:
    """The metric with the direction that the options give it, where the file gives it none."""
    given: dict[Direction, tuple[str, ...]] = {
        "lower": options.lower_is_better,
        "higher": options.higher_is_better,
    }
    for direction, names in given.items():
        if metric.name in names and metric.direction != direction:
            if metric.direction != "unknown":
                known = "the file says" if metric.source == "file" else "by definition"
                what = (
                    f"is named as {direction} is better, and {known} {metric.direction} is better"
                )
                mend = "leave it out of the option, or mend the attribute direction in the file"
                raise InputError(Problem(what, mend, variable=metric.name))
            return replace(metric, direction=direction)
    return metric


def _discrimination(name: str, needs: tuple[str, ...]) -> Metric:
    return Metric(name, "discrimination", needs, "credit", _WORDS[name], POINTS, "higher")


def metric_info(ds: xr.Dataset, name: str, options: MetricOptions | None = None) -> Metric:
    """Look up a metric of a dataset by name.

    Raises
    ------
    InputError
        If the dataset does not have it; the message names those that it has.
    """
    metrics = {metric.name: metric for metric in available_metrics(ds, options)}
    if name in metrics:
        return metrics[name]
    if name == "policy_accuracy":
        needs = policy_variables(options or MetricOptions())
        absent = [variable for variable in needs if variable not in ds]
        mend = f"add {' and '.join(absent)}, or choose another --scoring"
    else:
        mend = f"choose one of {', '.join(metrics) or 'none: the dataset holds no metric'}"
    raise InputError(Problem("cannot be computed from this dataset", mend, variable=name))


def sampled_metric_info(ds: xr.Dataset, name: str, options: MetricOptions) -> Metric:
    """Describe a quality that is known of each of several samples."""
    return _directed(Metric.of_file(name, "generation", ds[name].attrs), options)


def example_values(ds: xr.Dataset, metric: Metric, options: MetricOptions) -> xr.DataArray:
    """Value of a metric for each example: a credit in {0, ½, 1} or a quality.

    Parameters
    ----------
    ds : Dataset
        A block of examples with the variables that the metric needs.
    metric : Metric
        Of kind "discrimination" or "generation".
    options : MetricOptions
        How it is computed.

    Returns
    -------
    DataArray, dims ([model], method, [seed], example)
        NaN where the metric has no value.
    """
    if metric.name == "rm_accuracy":
        return score_credit(ds["reward"], ties=options.ties)
    if metric.name == "best_of_accuracy":
        return best_of_credit(ds["reward"], ties=options.ties)
    if metric.name == "policy_accuracy":
        score = policy_score(
            ds,
            weight=options.weight,
            scoring=options.scoring,
            length_normalise=options.length_normalise,
        )
        return score_credit(score, ties=options.ties).reset_coords(drop=True)
    quality = generation_quality(ds, metric.name, tokenizer=options.tokenizer).astype(np.float64)
    return quality.mean("sample") if "sample" in quality.dims else quality  # of any of the samples


def policy_variables(options: MetricOptions) -> tuple[str, ...]:
    """Variables that the guided policy's score is computed from."""
    needs = {
        "sequence": ("logprob", "reward"),
        "accumulated": ("token_logprob", "reward_trace"),
    }.get(options.scoring, ("policy_score",))
    return (*needs, "n_tokens") if options.length_normalise else needs
