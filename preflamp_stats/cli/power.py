"""``preflamp-stats power``: users and methods that a study needs, or that a file would need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

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


def _options(command: _Command) -> _Command:
    """Add the options, grouped by what they are about."""
    many: dict[str, Any] = {"default": "", "callback": _numbers, "metavar": "X,…"}
    whole: dict[str, Any] = {"callback": _whole, "metavar": "N,…"}
    options = [
        click.option("--tau", **many, help="True tau that should be seen."),
        click.option("--difference", **many, help="True difference between two methods."),
        click.option("--margin", **many, help="Margin within which two methods are equivalent."),
        click.option("--true-difference", default=0.0, help="Difference of equivalent methods."),
        click.option("--methods", default="8,12,24", **whole, help="Numbers of methods."),
        click.option("--users", default="50,100,200,500", **whole, help="Numbers of users."),
        click.option("--accuracy", default=0.65, help="Centre of the metric's true values."),
        click.option(
            "--sd", type=float, help="Spread of an example's value; by default an accuracy's."
        ),
        click.option("--examples", default=20.0, help="Mean number of examples of a user."),
        click.option("--examples-cv", default=0.0, help="Its coefficient of variation over users."),
        click.option(
            "--pairing", default=0.15, help="Correlation of two methods on the same example."
        ),
        click.option(
            "--icc", default=0.02, help="Intraclass correlation of differences within users."
        ),
        click.option("--spread", default=0.15, help="Spread of the methods, in probits (tau)."),
        click.option("--half-width", default=0.2, help="Half the interval asked for (tau)."),
        click.option("--power", "target", default=0.8, help="Power asked for."),
        click.option("--level", default=0.95, help="Confidence level; tests have size 1 - level."),
        click.option(
            "--studies", default=2000, type=click.IntRange(min=1), help="Studies simulated (tau)."
        ),
        click.option(
            "--intervals",
            default=40,
            type=click.IntRange(min=0),
            help="Studies simulated for the interval (tau); 0 leaves it out.",
        ),
        click.option("--seed", default=0, type=click.IntRange(min=0), help="Random seed (tau)."),
        click.option(
            "--metric",
            "metrics",
            default="",
            callback=names,
            metavar="NAME,…",
            help="Metrics of RESULTS; by default accuracies and ROUGE-1.",
        ),
        click.option(
            "--fixed-seeds", is_flag=True, help="Leave out the variance between training seeds."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
    ]
    for option in reversed(options):
        command = option(command)
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
        meant_for_plans = {"tau", "methods", "users", "accuracy", "sd", "examples", "examples_cv"}
        meant_for_plans |= {"pairing", "icc", "spread", "half_width", "true_difference"}
        meant_for_plans |= {"studies", "intervals", "seed"}
        _refuse(ctx, meant_for_plans, "RESULTS says so itself; leave the option or RESULTS out")
        _file(results, choices)


def _refuse(ctx: click.Context, names: set[str], mend: str) -> None:
    given = [
        f"--{name.replace('_', '-')}"
        for name in ctx.params
        if name in names
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)} does not go with RESULTS; {mend}", ctx)


def _plan(choices: dict[str, Any]) -> None:
    """Print the power of planned studies."""
    from rich.console import Console

    from preflamp_stats.cli.console import print_json
    from preflamp_stats.cli.power_tables import finite, print_plan, records
    from preflamp_stats.inference.metric_design import MetricDesign
    from preflamp_stats.inference.power import power

    if choices["metrics"] or choices["fixed_seeds"]:
        raise click.UsageError("--metric and --fixed-seeds are about RESULTS; name the file too")
    design = MetricDesign(
        mean=choices["accuracy"],
        sd=choices["sd"],
        examples=choices["examples"],
        examples_cv=choices["examples_cv"],
        pairing=choices["pairing"],
        icc=choices["icc"],
    )
    passed = ("true_difference", "methods", "users", "spread", "half_width", "level", "target")
    with Console(stderr=True).status("simulating studies"):
        found = power(
            tau=choices["tau"] or None,
            difference=choices["difference"] or None,
            margin=choices["margin"] or None,
            design=design,
            n_studies=choices["studies"],
            n_intervals=choices["intervals"],
            seed=choices["seed"],
            **{name: choices[name] for name in passed},
        )
    if choices["as_json"]:
        print_json(finite({"settings": found.attrs, "rows": list(records(found))}))
    else:
        print_plan(found)


def _file(path: Path, choices: dict[str, Any]) -> None:
    """Print the detectable differences of a file."""
    from preflamp_stats.cli.console import print_json
    from preflamp_stats.cli.power_tables import finite, print_detectable, records, summaries
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
    rows = [
        {"dataset": dataset, "metric": metric} | row
        for (dataset, metric), one in found.items()
        for row in summaries(one)
    ]
    if choices["as_json"]:
        pairs = [
            {"dataset": dataset, "metric": metric} | row
            for (dataset, metric), one in found.items()
            for row in records(one)
        ]
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
