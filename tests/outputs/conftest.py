"""A realistic analysis: three families of methods, two datasets, three models, awkward labels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from preflamp_stats.metric import POINTS, TAU, Metric
from preflamp_stats.results import Analysis, ResultTable
from preflamp_stats.settings import Settings

DATASETS = ("tldr", "prism <script>alert(1)</script>")
MODELS = ("Llama-3.2-1B", "Llama-3.2-3B", "Qwen_2.5 & 7B%")
FAMILIES = {
    "Bradley–Terry": "reward-guided",
    "PAL_a&b|c%": "reward-guided",
    "=P-RLHF": "reward-guided",
    "VPL (Zoë, π)": "reward-guided",
    "in-context 8 shots": "in-context",
    "in-context RAG": "in-context",
    "zero-shot": "zero-shot",
}
OF = {
    **{name: name for name in ("rm_accuracy", "policy_accuracy", "tau")},
    "weight_curve": "policy_accuracy",
    "prefix_accuracy": "rm_accuracy",
    "length_difference": "rm_accuracy",
    "regret": "downstream",
}
METRICS = {
    "tau": TAU,
    **{
        name: Metric(name, "generation", (), "share", words, POINTS, "higher")
        for name, words in {
            "rm_accuracy": "RM accuracy",
            "policy_accuracy": "policy accuracy",
            "rouge1": "ROUGE-1",
            "rougeL": "ROUGE-L",
        }.items()
    },
}
GUIDED = [method for method, family in FAMILIES.items() if family == "reward-guided"]


def _with_interval(rng: np.random.Generator, value: float, half: float) -> dict[str, float]:
    estimate = value + rng.normal(0, half / 3)
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half, "level": 0.95}


def _sizes(dataset: str) -> dict[str, int]:
    return (
        {"n_examples": 5000, "n_users": 200}
        if dataset == "tldr"
        else {
            "n_examples": 1200,
            "n_users": 80,
        }
    )


def build_analysis() -> Analysis:
    """The analysis that the tests of this folder render."""
    rng = np.random.default_rng(7)
    skill = {method: 0.58 + 0.05 * place for place, method in enumerate(FAMILIES)}
    guided_cells = list(itertools.product(DATASETS, MODELS, GUIDED))

    def key(dataset: str, method: str, model: str | None = None) -> dict[str, str]:
        first = {"dataset": dataset} | ({"model": model} if model else {})
        return first | {"method": method, "method_family": FAMILIES[method]}

    rm_accuracy = [
        key(d, m) | _with_interval(rng, skill[m], 0.02) | _sizes(d)
        for d, m in itertools.product(DATASETS, GUIDED)
    ]
    policy_accuracy = [
        key(d, m, b)
        | {"scoring": "sequence", "weight": 1.0}
        | _with_interval(rng, 0.3 + skill[m] / 2, 0.025)
        | _sizes(d)
        for d, b, m in guided_cells
    ]
    generation = [
        key(d, m, b)
        | {"metric": metric}
        | _with_interval(rng, centre + 0.05 * rng.random(), 0.008)
        | _sizes(d)
        for d, b, metric, centre, m in (
            (d, b, metric, centre, m)
            for d, b in itertools.product(DATASETS, MODELS)
            for metric, centre in (("rouge1", 0.25), ("rougeL", 0.18))
            for m in FAMILIES
        )
    ]
    tau = [
        {
            "dataset": d,
            "model": b,
            "upstream": "rm_accuracy",
            "downstream": downstream,
            "estimate": value,
            "low": max(-1.0, value - 0.4),
            "high": min(1.0, value + 0.35),
            "level": 0.95,
            "n_methods": 4,
            "p_value": 0.31 if value < 0.4 else 0.0004,
            "tau_corrected": value * 1.1,
            "ceiling": 0.82,
            "users_needed": 340.0,
            "variant": "b",
            "resample": "users",
            "note": "two methods tie upstream" if b == MODELS[0] else None,
        }
        | _sizes(d)
        for (d, b, downstream), value in zip(
            itertools.product(DATASETS, MODELS, ("policy_accuracy", "rouge1")),
            rng.uniform(-0.3, 0.9, 12),
            strict=True,
        )
    ]
    weight_curve = [
        key(d, m, b)
        | {"scoring": "sequence", "weight": w}
        | _with_interval(rng, 0.52 + (skill[m] - 0.52) * (w / (1 + w) if w < math.inf else 1), 0.02)
        | _sizes(d)
        for d, b, m in guided_cells
        for w in (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, math.inf)
    ]
    prefix_accuracy = [
        key(d, m)
        | {"share": share}
        | _with_interval(rng, 0.5 + (skill[m] - 0.5) * math.sqrt(share), 0.02)
        | _sizes(d)
        for d, m in itertools.product(DATASETS, GUIDED)
        for share in np.arange(1, 11) / 10
    ]
    edges = [-math.inf, -40.0, -10.0, 0.0, 10.0, 40.0, math.inf]
    length_difference = [
        key(d, m)
        | {"bin_low": low, "bin_high": high}
        | _with_interval(rng, skill[m] + 0.02 * place, 0.03)
        | {"n_examples": 300, "n_users": 60}
        for d, m in itertools.product(DATASETS, GUIDED)
        for place, (low, high) in enumerate(itertools.pairwise(edges))
    ]
    pairs = list(itertools.combinations(GUIDED, 2))
    differences = {"level": 0.95, "n_users": 80, "resample": "users"}
    decoupling = [
        {
            "dataset": d,
            "model": b,
            "upstream": "rm_accuracy",
            "downstream": "rouge1",
            "method_a": one,
            "method_b": other,
            "upstream_difference": -0.05 * place,
            "upstream_low": -0.05 * place - 0.03,
            "upstream_high": -0.05 * place + 0.03,
            "upstream_p_adjusted": 0.2 / (1 + place),
            "downstream_difference": 0.002,
            "downstream_low": -0.004,
            "downstream_high": 0.008,
            "downstream_p_adjusted": 0.01,
            "p_decoupled": 0.02,
            "verdict": "decoupled" if place == 5 else "inconclusive",
        }
        | differences
        for d, b in itertools.product((*DATASETS, "third", "fourth"), MODELS)
        for place, (one, other) in enumerate(pairs)
    ]
    in_context = [
        {
            "dataset": d,
            "model": b,
            "method": m,
            "method_family": "in-context",
            "metric": "rouge1",
            "parameters": parameters,
            "best_guided": GUIDED[0],
            "estimate": lead,
            "low": lead - 0.02,
            "high": lead + 0.02,
            "p_adjusted": 0.01 if lead > 0.02 else 0.6,
        }
        | differences
        for d in DATASETS
        for b, parameters, lead in zip(
            MODELS, (1_000_000_000, 3_000_000_000, 7_000_000_000), (-0.05, 0.01, 0.06), strict=True
        )
        for m in ("in-context 8 shots", "in-context RAG")
    ]
    regret = [
        {
            "dataset": d,
            "model": b,
            "upstream": "rm_accuracy",
            "downstream": "rouge1",
            "chosen": GUIDED[1],
            "best": GUIDED[2],
            "estimate": 0.031,
            "low": 0.01,
            "high": 0.05,
            "random": 0.04,
        }
        | differences
        for d, b in itertools.product(DATASETS, MODELS)
    ]
    frames = {
        "rm_accuracy": (rm_accuracy, "RM accuracy", True),
        "policy_accuracy": (policy_accuracy, "Policy accuracy", True),
        "generation": (generation, "Generation quality", True),
        "tau": (tau, "Does accuracy predict?", False),
        "weight_curve": (weight_curve, "Policy accuracy over the weight", True),
        "prefix_accuracy": (prefix_accuracy, "When does the reward know?", True),
        "length_difference": (length_difference, "Is it only length?", True),
        "decoupling": (decoupling, "Pairs of methods", False),
        "in_context": (in_context, "In-context against guided", False),
        "regret": (regret, "What a choice costs", False),
    }
    tables = {
        name: ResultTable(
            name,
            pd.DataFrame(rows),
            title,
            "Share of pairs ranked right; intervals resample users (5 % & <more>).",
            METRICS,
            OF.get(name, "metric"),
            better,
        )
        for name, (rows, title, better) in frames.items()
    }
    tables["rm_accuracy"].frame.loc[0, ["low", "high"]] = np.nan
    return Analysis(
        settings=Settings(weight=1.0),
        tables=tables,
        inputs=[{"path": "data/results.nc", "sha256": "ab" * 32, "bytes": 123456}],
        versions={"preflamp-stats": "0.1.0", "numpy": "2.4.6", "python": "3.11.9"},
        summary=[
            "RM accuracy and ROUGE-1 agree with tau 0.21 [−0.19, 0.56] on tldr: too few methods.",
            "No reward-guided method beats in-context RAG on <b>prism</b>.",
        ],
        notes=["The dataset tldr has 3 examples without a reward; they are left out."],
    )


@pytest.fixture
def analysis() -> Analysis:
    return build_analysis()
