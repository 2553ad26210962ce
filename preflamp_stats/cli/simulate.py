"""``preflamp-stats simulate``: a results file with known truth."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["simulate_command"]


def _examples(ctx: click.Context, param: click.Parameter, value: str) -> object:
    numbers = value.split("-")
    if value == "unequal":
        return value
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise click.BadParameter(f"{value!r} is not a number, a range such as 5-40, or 'unequal'")
    return int(value) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


def _missing(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if value >= 1 and not value.is_integer():
        raise click.BadParameter(f"{value} is neither a whole number nor a share below 1")
    return int(value) if value.is_integer() else value


def _models(ctx: click.Context, param: click.Parameter, value: str) -> object:
    return int(value) if value.isdecimal() else _names(ctx, param, value)


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.command("simulate", context_settings={"show_default": True})
@click.option(
    "-o",
    "--out",
    "out",
    metavar="RESULTS",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Results file to write.",
)
@click.option("--methods", "n_methods", default=8, help="Reward-guided methods.")
@click.option("--icl", "n_icl", default=1, help="In-context methods.")
@click.option(
    "--models",
    default="1",
    callback=_models,
    metavar="N|LABEL,…",
    help="Base models: how many, or labels such as 0.5B,7B.",
)
@click.option("--seeds", "n_seeds", default=0, help="Training seeds; 0 for none.")
@click.option(
    "--datasets", default="", callback=_names, metavar="NAME,…", help="Benchmark datasets."
)
@click.option("--users", "n_users", default=200, help="Users.")
@click.option(
    "--examples",
    "n_examples",
    default="20",
    callback=_examples,
    metavar="N|LOW-HIGH|unequal",
    help="Examples of each user.",
)
@click.option("--rm-accuracy", default=0.65, help="Centre of true RM accuracy.")
@click.option("--policy-accuracy", default=0.60, help="Centre of true policy accuracy.")
@click.option("--rouge1", default=0.30, help="Centre of true mean ROUGE-1.")
@click.option(
    "--correlation",
    default=0.5,
    help="Correlation of true RM and policy accuracy over methods.",
)
@click.option(
    "--generation-correlation",
    default=0.3,
    help="Correlation of true RM accuracy and ROUGE-1 over methods.",
)
@click.option("--spread", default=0.15, help="Spread of the methods, in probits.")
@click.option(
    "--method-effects",
    type=click.Choice(["normal", "t3", "skewed", "clusters"]),
    default="normal",
    help="Distribution of the methods.",
)
@click.option("--ties", default=0.0, help="Share of pairs with equal rewards.")
@click.option(
    "--missing",
    default=0.0,
    callback=_missing,
    metavar="N|SHARE",
    help="Absent combinations of model and method.",
)
@click.option(
    "--icl-advantage",
    default=0.3,
    help="Gain of in-context methods for tenfold the parameters, in probits.",
)
@click.option("--weight", default=1.0, help="Weight of the reward.")
@click.option(
    "--scoring",
    type=click.Choice(["sequence", "stored"]),
    default="sequence",
    help="Where policy accuracy is planted.",
)
@click.option("--texts", is_flag=True, help="Write toy texts in place of ROUGE.")
@click.option("--tokens", default=0, help="Longest response with token traces; 0 for none.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Random seed.")
def simulate_command(out: Path, **options: object) -> None:
    """Write a study with known truth to RESULTS.

    The truth is in the variables true_*: each method's RM accuracy, policy accuracy and mean
    ROUGE-1, and Kendall's tau between them.
    """
    # Imported when called, so that --help stays quick.
    from preflamp_stats.io.files import write_results
    from preflamp_stats.simulation import simulate

    write_results(simulate(**options), out)  # type: ignore[arg-type]
    click.echo(f"wrote {out}")
