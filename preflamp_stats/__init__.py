"""Does a better personalised reward model make a better personalised assistant?

Names are imported when they are first used, so that ``import preflamp_stats`` costs little.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "analysis.run": ["Analysis", "analyze", "report"],
    "errors": ["InputError", "Problem", "SchemaError"],
    "inference.best_of_k": ["best_of_k"],
    "inference.bootstrap": ["bootstrap"],
    "inference.contrasts": ["compare_methods"],
    "inference.decoupling": ["decoupling_test"],
    "inference.example_level": ["example_association"],
    "inference.in_context": ["in_context_test"],
    "inference.noise": ["noise_ceiling"],
    "inference.permutation": ["permutation_test"],
    "inference.pooled": ["pooled_tau"],
    "inference.power": ["minimum_detectable_effect", "power"],
    "inference.metric_design": ["MetricDesign"],
    "inference.regret": ["selection_regret"],
    "inference.slope": ["slope_test"],
    "inference.surrogacy": ["surrogacy"],
    "inference.tau": ["tau_test"],
    "io.describe": ["coverage", "describe"],
    "io.files": ["open_results", "write_results"],
    "io.imports": [
        "import_files",
        *(
            f"read_{kind}"
            for kind in (
                "alpaca_eval",
                "inspect",
                "judgebench",
                "lm_eval",
                "mt_metrics_eval",
                "preference",
                "rewardbench",
                "rewardbench2",
                "rm_bench",
            )
        ),
    ],
    "io.merge": ["merge"],
    "io.from_tables": ["convert", "from_frame"],
    "metrics.correlation": ["kendall_tau"],
    "metrics.curves": ["length_difference", "prefix_accuracy", "weight_curve"],
    "metrics.discrimination": ["best_of_accuracy", "policy_accuracy", "rm_accuracy"],
    "metrics.policy": ["policy_score"],
    "kernels.rouge": ["NonAsciiTextWarning", "rouge_scores"],
    "metrics.generation": ["rouge"],
    "metrics.options": ["MetricOptions"],
    "metrics.values": ["available_metrics"],
    "outputs.plots": ["plot_methods", "plot_scatter", "plot_tau", "plot_weight_curve"],
    "results": ["ResultTable"],
    "io.schema": ["datasets", "validate"],
    "settings": ["Settings"],
    "simulation.design": ["StudyDesign"],
    "simulation.study": ["simulate", "simulate_dataset"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME[name]}")
    globals()[name] = value = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return __all__
