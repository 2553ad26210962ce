"""``preflamp-stats power``: users and methods that a study needs, or that a file would need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from preflamp_stats.cli.console import cell, console, print_json, print_records
from preflamp_stats.cli.options import names

if TYPE_CHECKING:
    import xarray as xr


_Command = TypeVar("_Command", bound=Callable[..., Any])


def _numbers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in value.split(",") if number.strip())
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number, or several by comma") from None


def _whole(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    numbers = _numbers(ctx, param, value)
    if not numbers or not all(number.is_integer() for number in numbers):
        raise click.BadParameter(f"{value!r} is not a whole number, or several by comma")
    return tuple(int(number) for number in numbers)


_MANY: dict[str, Any] = {"default": "", "callback": _numbers, "metavar": "X,…"}
_WHOLE: dict[str, Any] = {"callback": _whole, "metavar": "N,…"}
_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "tau": (_MANY, "True tau that should be seen."),
    "difference": (_MANY, "True difference between two methods."),
    "margin": (_MANY, "Margin within which two methods are equivalent."),
    "true_difference": ({"default": 0.0}, "Difference of equivalent methods."),
    "methods": ({"default": "8,12,24", **_WHOLE}, "Numbers of methods."),
    "users": ({"default": "50,100,200,500", **_WHOLE}, "Numbers of users."),
    "accuracy": ({"default": 0.65}, "Centre of the metric's true values."),
    "sd": ({"type": float}, "Spread of an example's value; by default an accuracy's."),
    "examples": ({"default": 20.0}, "Mean number of examples of a user."),
    "examples_cv": ({"default": 0.0}, "Its coefficient of variation over users."),
    "pairing": ({"default": 0.15}, "Correlation of two methods on the same example."),
    "icc": ({"default": 0.02}, "Intraclass correlation of differences within users."),
    "spread": ({"default": 0.15}, "Spread of the methods, in probits (tau)."),
    "half_width": ({"default": 0.2}, "Half the interval asked for (tau)."),
    "target": ({"default": 0.8}, "Power asked for."),
    "level": ({"default": 0.95}, "Confidence level; tests have size 1 - level."),
    "studies": ({"default": 2000, "type": click.IntRange(min=1)}, "Studies simulated (tau)."),
    "intervals": ({"default": 40, "type": click.IntRange(min=0)},
                  "Studies simulated for the interval (tau); 0 leaves it out."),
    "seed": ({"default": 0, "type": click.IntRange(min=0)}, "Random seed (tau)."),
    "metrics": ({"default": "", "callback": names, "metavar": "NAME,…"},
                "Metrics of RESULTS; by default accuracies and ROUGE-1."),
    "fixed_seeds": ({"is_flag": True}, "Leave out the variance between training seeds."),
    "as_json": ({"is_flag": True}, "Print JSON instead of a table."),
}  # fmt: skip
_OF_RESULTS = {"difference", "margin", "target", "level", "metrics", "fixed_seeds", "as_json"}
"""Options that go with RESULTS, which says the others itself."""
_SPELT = {"target": "power", "metrics": "metric", "as_json": "json"}


def _options(command: _Command) -> _Command:
    for name, (how, told) in reversed(_OPTIONS.items()):
        flag = f"--{_SPELT.get(name, name).replace('_', '-')}"
        command = click.option(flag, name, help=told, **how)(command)
    return command


@click.command("power", context_settings={"show_default": True})
@click.argument("results", required=False, type=click.Path(path_type=Path))
@_options
@click.pass_context
def power_command(ctx: click.Context, /, results: Path | None, **choices: Any) -> None:
    """Say how many users and methods a study needs.

    Ask with --tau, --difference or --margin. Given RESULTS, say instead which differences between
    its methods its users would show, and how many users --difference and --margin would need.
    """
    if results is None:
        _plan(choices)
    else:
        source = click.core.ParameterSource.COMMANDLINE
        own = [name for name in _OPTIONS if name not in _OF_RESULTS]
        if given := [name for name in own if ctx.get_parameter_source(name) is source]:
            what = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            mend = "RESULTS says so itself; leave the option or RESULTS out"
            raise click.UsageError(f"{what} does not go with RESULTS; {mend}", ctx)
        _file(results, choices)


def _plan(choices: dict[str, Any]) -> None:
    """Print the power of planned studies."""
    from rich.console import Console

    from preflamp_stats.inference.metric_design import MetricDesign
    from preflamp_stats.inference.power import power

    if choices["metrics"] or choices["fixed_seeds"]:
        raise click.UsageError("--metric and --fixed-seeds are about RESULTS; name the file too")
    of_metric = ("sd", "examples", "examples_cv", "pairing", "icc")
    passed = ("true_difference", "methods", "users", "spread", "half_width", "level", "target")
    own: dict[str, Any] = {name: choices[name] for name in of_metric}
    design = MetricDesign(mean=choices["accuracy"], **own)
    effects = ("tau", "difference", "margin")
    asked: dict[str, Any] = {name: choices[name] or None for name in effects}
    with Console(stderr=True).status("simulating studies"):
        found = power(
            design=design,
            n_studies=choices["studies"],
            n_intervals=choices["intervals"],
            **asked,
            **{name: choices[name] for name in (*passed, "seed")},
        )
    if choices["as_json"]:
        print_json(finite({"settings": found.attrs, "rows": list(records(found))}))
    else:
        print_plan(found)


def _file(path: Path, choices: dict[str, Any]) -> None:
    """Print the detectable differences of a file."""
    from preflamp_stats.inference.power import minimum_detectable_effect
    from preflamp_stats.io.files import open_results
    from preflamp_stats.io.schema import datasets, validate

    found = {}
    with open_results(path) as tree:
        validate(tree, file=str(path))
        for name, ds in datasets(tree).items():
            for metric in choices["metrics"] or _usual_metrics(ds):
                found[name, metric] = minimum_detectable_effect(
                    ds,
                    metric,
                    differences=choices["difference"],
                    margins=choices["margin"],
                    level=choices["level"],
                    target=choices["target"],
                    include_seeds=not choices["fixed_seeds"],
                )

    def named(of: Callable[[xr.Dataset], Iterator[dict[str, Any]]]) -> list[dict[str, Any]]:
        keys = [({"dataset": name, "metric": metric}, one) for (name, metric), one in found.items()]
        return [key | row for key, one in keys for row in of(one)]

    rows = named(summaries)
    if choices["as_json"]:
        pairs = named(records)
        settings = {name: choices[name] for name in ("level", "target", "fixed_seeds")}
        print_json(finite({"settings": settings, "rows": rows, "pairs": pairs}))
        return
    seeds = ", for the trainings at hand" if choices["fixed_seeds"] else ""
    print_detectable(
        rows,
        explanation=f"Smallest difference found with power {choices['target']:g} at "
        f"{1 - choices['level']:.2g}, Holm over the pairs of a model{seeds}\n"
        "median: for the median pair of methods, as are the users; hardest: for every pair",
    )


def _usual_metrics(ds: xr.Dataset) -> list[str]:
    from preflamp_stats.metrics.values import available_metrics

    usual = ("rm_accuracy", "policy_accuracy", "rouge1")
    return [metric.name for metric in available_metrics(ds) if metric.name in usual]


_TAU_COLUMNS = {
    "power": "test",
    "power_verdict": "verdict",
    "power_interval": "interval",
    "width": "width",
}


def print_plan(found: xr.Dataset) -> None:
    """Print the power of planned studies, and the users that they need.

    Parameters
    ----------
    found : Dataset
        From :func:`~preflamp_stats.inference.power.power`.
    """
    question = str(next(iter(found["power"].dims)))
    columns = {"power": "power"}
    if question == "tau":
        columns = {k: v for k, v in _TAU_COLUMNS.items() if found[k].notnull().any()}
        columns["observed"] = "observed"
    out = console()
    for line in _heading(question, found):
        out.print(cell(line))
    rows = [
        {question: f"{row[question]:g}", "methods": row["methods"], "users": row["users"]}
        | {label: f"{row[name]:.2f}" for name, label in columns.items()}
        for row in records(found[list(columns)])
    ]
    print_records(rows, lambda name, value: str(value))
    for line in _answers(question, found):
        out.print(cell(line))


def print_detectable(rows: Sequence[Mapping[str, Any]], *, explanation: str) -> None:
    """Print the detectable differences of a file.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`summaries`, with what names them.
    explanation : str
        Printed above the table.
    """
    out = console()
    for line in explanation.splitlines():
        out.print(cell(line))
    print_records(rows, _shown, left=("dataset", "metric", "model"))


def records(found: xr.Dataset) -> Iterator[dict[str, Any]]:
    """One dict for each row of a table."""
    names = [str(name) for name in (*found.dims, *found.coords, *found.data_vars)]
    frame = found.to_dataframe().reset_index()
    order = [name for name in dict.fromkeys(names) if name in frame and name != "pair"]
    for row in frame[order].to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def summaries(found: xr.Dataset) -> Iterator[dict[str, Any]]:
    """For each model the median and the hardest pair, and the users that effects would need.

    Parameters
    ----------
    found : Dataset
        From :func:`~preflamp_stats.inference.power.minimum_detectable_effect`.
    """
    models = found["model"].values if "model" in found.dims else [None]
    for model in models:
        one = found if model is None else found.sel(model=model)
        known = one.isel(pair=one["mde"].notnull().values)
        row: dict[str, Any] = {} if model is None else {"model": str(model)}
        row |= {"users": int(one["n_users"].max()), "pairs": known.sizes["pair"]}
        row |= {"median": _over_pairs(known["mde"], "median")}
        row |= {"hardest": _over_pairs(known["mde"], "max")}
        for name, sign in (("difference", ""), ("margin", "± ")):
            for effect in known[name].values if name in known.coords else ():
                users = known[f"users_for_{name}"].sel({name: effect})
                row[f"users for {sign}{effect:g}"] = _over_pairs(users, "median")
        yield row


def _over_pairs(values: xr.DataArray, how: str) -> float:
    return float(getattr(values, how)()) if values.size else math.nan


def _heading(question: str, found: xr.Dataset) -> list[str]:
    level = found.attrs["level"]
    if question != "tau":
        what = "to find a difference" if question == "difference" else "to show equivalence"
        return [f"Power {what} between two methods at {1 - level:.2g}, Holm over all pairs"]
    lines = [f"test: power of the permutation test ({found.attrs['n_studies']} simulated studies)"]
    if found.attrs["n_intervals"]:
        lines += [
            "verdict: power of the p of analyze and tau_test, which knows the noise too; users are "
            "planned for it",
            f"interval: share of {found.attrs['n_intervals']} studies whose {level:.0%} interval "
            "for the tau of these methods excludes 0",
            "width: its mean width",
        ]
    return [*lines, "observed: mean observed tau, pulled towards 0 by noise"]


def _answers(question: str, found: xr.Dataset) -> Iterator[str]:
    """Sentences on the users needed."""
    target = found.attrs["target"]
    for row in records(found[["users_needed"]]):
        case = f"{question} {row[question]:g}, {row['methods']} methods"
        if question == "tau":
            yield f"{case}: power {target:g} with {_of_those_given(row['users_needed'])}"
        elif math.isinf(row["users_needed"]):
            yield f"{case}: power {target:g} out of reach"
        else:
            yield f"{case}: power {target:g} from {row['users_needed']:g} users on"
    if "users_narrow" in found:
        half = found.attrs["half_width"]
        for row in records(found[["users_narrow"]]):
            case = f"tau {row['tau']:g}, {row['methods']} methods"
            yield f"{case}: mean width up to ± {half:g} with {_of_those_given(row['users_narrow'])}"


def _of_those_given(users: float) -> str:
    return "none of these numbers of users" if math.isinf(users) else f"{users:g} users"


def _shown(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if name in ("median", "hardest"):
        return f"{value:.4f}"
    if value == math.inf:
        return "out of reach"
    return f"{value:,.0f}" if isinstance(value, float) else str(value)


def finite(value: Any) -> Any:
    """Make null of every number that is not finite: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {str(name): finite(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
