"""``preflamp-stats data``: preference examples out of benchmarks' files, and what is in them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from preflamp_backend.cli.shared import out_folder
from preflamp_backend.faults import fault

_PATH = click.Path(path_type=Path)


def _choice(flag: str, *names: str, what: str) -> Callable[[Any], Any]:
    """An option that is one of some names, the first by default."""
    return click.option(flag, type=click.Choice(names), default=names[0], help=what)


_WHOLE = (
    out_folder("Directory for a JSONL file a side and card.json."),
    click.option(
        "--drop", is_flag=True, help="Leave out and count what cannot be used; else refuse it."
    ),
)
"""Options of a benchmark that is a test as a whole."""

_SPLIT = (
    _choice(
        "--mode",
        "later",
        "unseen",
        what="Test on later texts of the users trained on, or on users not trained on.",
    ),
    click.option("--validation", default=0.2, help="Share of users to validate on."),
    click.option("--test", default=0.5, help="Share of users to test on."),
    click.option("--held-out", default=1, help="Last items held out of each such user."),
    click.option("--min-items", default=1, help="Items that such a user needs besides."),
    click.option(
        "--distinct/--shared",
        default=True,
        help="Hold a text out for one user only, or for all who share it.",
    ),
    click.option("--seed", default=0, help="Seed of the draw of users and of random pairs."),
    *_WHOLE,
)
"""Options of a benchmark that is split."""

_RULE = (
    _choice(
        "--rule",
        *("similar", "other", "given"),
        what="Rejected: another user's output for the nearest input, a random one, a file's.",
    ),
    click.option("--given", type=_PATH, help="A generic model's outputs: JSONL of {id, output}."),
    *_SPLIT,
)
"""Options of how the rejected response is made."""

_PUBLIC = (
    click.argument("files", nargs=-1, type=_PATH),
    click.option("--split", "hub_split", default="", help="Split on the hub; all by default."),
)
"""Where a public dataset is read from."""


def _with(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add options to a command, in their order."""
    return lambda command: functools.reduce(lambda c, option: option(c), options[::-1], command)


@click.group("data")
def data_group() -> None:
    """Build preference examples from benchmarks, and describe them."""


@data_group.group("build")
def build_group() -> None:
    """Make examples of KIND, split by user and by text so that nothing tested is trained on."""


@build_group.command("lamp", context_settings={"show_default": True})
@click.argument("questions", type=_PATH)
@click.argument("outputs", type=_PATH)
@click.option(
    "--every-item/--questions-only",
    default=True,
    help="Make examples of the profile's items too, or of the questions only.",
)
@_with(*_RULE)
def lamp_command(questions: Path, outputs: Path, every_item: bool, **choices: Any) -> None:
    """Pref-LaMP from LaMP's QUESTIONS and OUTPUTS (JSON) of a generation task."""
    from preflamp_backend.data.lamp import read_lamp

    about = {"kind": "Pref-LaMP from LaMP"}
    asked = read_lamp(questions, outputs)
    _pref_lamp(asked, [questions, outputs], about, choices, every_item=every_item)


@build_group.command("titles", context_settings={"show_default": True})
@click.argument("papers", type=_PATH)
@click.option("--min-papers", default=5, help="Papers that an author needs.")
@click.option("--words", type=int, help="First words of an abstract to keep; all by default.")
@_with(*_RULE)
def titles_command(papers: Path, min_papers: int, words: int | None, **choices: Any) -> None:
    """Pref-LaMP from PAPERS: JSONL of id, year, month, title, authors, abstract."""
    from preflamp_backend.data.titles import author_questions, read_papers

    asked = author_questions(read_papers(papers, words=words), min_papers=min_papers)
    about = {
        "kind": "Pref-LaMP from papers by author",
        "min_papers": min_papers,
        "words": words,
        "users": "authors' names as printed; one name may be several people",
    }
    _pref_lamp(asked, [papers], about, choices)


@build_group.command("tldr", context_settings={"show_default": True})
@_with(*_PUBLIC, *_SPLIT)
def tldr_command(files: tuple[Path, ...], hub_split: str, **choices: Any) -> None:
    """TL;DR from comparisons in FILES (JSONL, Parquet), or from the hub where none is named."""
    from preflamp_backend.data.people import TLDR_HUB, comparison_examples, lengths_decide
    from preflamp_backend.data.rows import read_rows

    taken = _taken(choices, files)
    examples = comparison_examples(read_rows(files, TLDR_HUB, hub_split), taken[2])
    by_length = lengths_decide(examples)
    labels = (
        "synthetic: users choose by length alone" if by_length > 0.9 else "choices of the workers"
    )
    about = {
        "kind": "TL;DR comparisons",
        "rejected": "the other summary of the comparison",
        "labels": labels,
        "users": "workers",
    }
    _split_and_write(examples, files, taken, about)


@build_group.command("prism", context_settings={"show_default": True})
@_with(*_PUBLIC)
@_choice(
    "--against",
    *("lowest", "each"),
    what="Pair the chosen candidate with the lowest scored one, or with each other one.",
)
@_with(*_SPLIT)
def prism_command(files: tuple[Path, ...], hub_split: str, against: Any, **choices: Any) -> None:
    """PRISM from conversations in FILES (JSONL, Parquet), or from the hub where none is named."""
    from preflamp_backend.data.people import AGAINST, PRISM_HUB, conversation_examples
    from preflamp_backend.data.rows import read_rows

    taken = _taken(choices, files)
    rows = read_rows(files, PRISM_HUB, hub_split)
    examples = conversation_examples(rows, against=against, faults=taken[2])
    about = {
        "kind": "PRISM conversations",
        "rejected": AGAINST[against],
        "labels": "choices of the people who held the dialogues",
        "users": "participants",
    }
    _split_and_write(examples, files, taken, about, dialogues=True)


@build_group.command("personal-llm", context_settings={"show_default": True})
@_with(*_PUBLIC)
@click.option("--users", default=100, help="People to simulate.")
@click.option("--pairs", default=20, help="Pairs that each of them compares.")
@click.option("--alpha", default=0.1, help="How mixed people are: small, each like one model.")
@_with(*_SPLIT)
def personal_llm_command(
    files: tuple[Path, ...], hub_split: str, users: int, pairs: int, alpha: float, **choices: Any
) -> None:
    """PersonalLLM: simulated people compare responses in FILES, or of the hub."""
    from preflamp_backend.data.personal_llm import ABOUT, HUB, simulated_examples
    from preflamp_backend.data.rows import read_rows

    drawn = {"users": users, "pairs": pairs, "alpha": alpha, "seed": choices["seed"]}
    taken = _taken(choices, files)
    rows = read_rows(files, HUB, hub_split)
    examples = simulated_examples(rows, **drawn, faults=taken[2])
    _split_and_write(examples, files, taken, {**ABOUT, "simulated": drawn})


@build_group.command("personalized-reward-bench", context_settings={"show_default": True})
@_with(*_PUBLIC, *_WHOLE)
@_choice(
    "--topic",
    *("Art_and_Entertainment", "Lifestyle_and_Personal_Development", "Society_and_Culture"),
    what="Part that is read from the hub, where no file is named.",
)
def personalized_command(
    files: tuple[Path, ...], hub_split: str, topic: str, out: Path, drop: bool
) -> None:
    """Personalized RewardBench from FILES, or from the hub; narrative and rubric stay out."""
    from preflamp_backend.data import personalized_reward_bench as bench
    from preflamp_backend.data.rows import Faults, read_rows

    faults = Faults(", ".join(map(str, files)), drop)
    rows = read_rows(files, (bench.HUB, topic), hub_split)
    examples = bench.personalized_examples(rows, faults)
    _write_whole({"test": examples}, files, out, bench.ABOUT, faults)


@build_group.command("reward-bench-2", context_settings={"show_default": True})
@_with(*_PUBLIC, *_WHOLE)
def reward_bench_command(files: tuple[Path, ...], hub_split: str, out: Path, drop: bool) -> None:
    """RewardBench 2 from FILES, or from the hub; a file a subset, one right response of four."""
    from preflamp_backend.data.reward_bench_2 import ABOUT, HUB, best_of_examples
    from preflamp_backend.data.rows import Faults, read_rows

    faults = Faults(", ".join(map(str, files)), drop)
    found = best_of_examples(read_rows(files, HUB, hub_split), faults)
    _write_whole(found, files, out, ABOUT, faults)


@data_group.command("describe")
@click.argument("files", nargs=-1, required=True, type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def describe_command(files: tuple[Path, ...], as_json: bool) -> None:
    """Print a data card of FILES (examples in JSONL): users, pairs, lengths, overlaps, scripts."""
    import json

    from preflamp_backend.data.card import describe_files

    found = describe_files(files)
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _print_card(found)


def _taken(choices: dict[str, Any], files: tuple[Path, ...] | list[Path]) -> tuple[Path, Any, Any]:
    """Directory, options of the split, and where faults go."""
    from preflamp_backend.data.rows import Faults
    from preflamp_backend.data.splits import SplitOptions

    out, drop = choices.pop("out"), choices.pop("drop")
    named = ", ".join(str(each) for each in files)
    return out, SplitOptions(**choices), Faults(named, drop)


def _pref_lamp(
    asked: list[Any],
    sources: list[Path],
    about: dict[str, Any],
    choices: dict[str, Any],
    *,
    every_item: bool = True,
) -> None:
    from preflamp_backend.data.build import build_pref_lamp, write_built
    from preflamp_backend.data.pref_lamp import read_outputs

    rule, given = choices.pop("rule"), choices.pop("given")
    if (rule == "given") != (given is not None):
        raise fault("go together", "name the file of rule given", variable="--rule and --given")
    out, options, faults = _taken(choices, sources)
    built = build_pref_lamp(
        asked,
        options=options,
        rule=rule,
        given=read_outputs(given) if given else None,
        every_item=every_item,
        faults=faults,
        about=about,
    )
    _say(built, write_built(built, out, [*sources, *([given] if given else [])]))


def _split_and_write(
    examples: list[Any], files: tuple[Path, ...], taken: Any, about: dict[str, Any], **options: Any
) -> None:
    from preflamp_backend.data.build import split_pairs, write_built

    out, split, faults = taken
    built = split_pairs(examples, options=split, faults=faults, about=about, **options)
    _say(built, write_built(built, out, files))


def _write_whole(
    sides: dict[str, list[Any]], files: tuple[Path, ...], out: Path, about: Any, faults: Any
) -> None:
    """Write a benchmark that is a test as a whole."""
    from preflamp_backend.data.build import Built, write_built
    from preflamp_backend.data.checks import usable

    sides = {name: usable(rows, faults) for name, rows in sides.items()}
    dropped = {"left_out_for_shared_texts": 0, "left_out_as_faulty": len(faults.problems)}
    built = Built(sides, {**about, **dropped})
    _say(built, write_built(built, out, files))


def _say(built: Any, written: list[Path]) -> None:
    for path, rows in zip(written, built.sides.values(), strict=True):
        users = len({row.user for row in rows})
        click.echo(f"{path}: {len(rows)} examples of {users} users")
    for key, what in (
        ("left_out_for_shared_texts", "share a text with a held-out example"),
        ("left_out_as_faulty", "could not be used"),
    ):
        if built.about[key]:
            click.echo(f"left out: {built.about[key]} that {what}", err=True)


def _print_card(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for name, file in found["files"].items():
        console.print(Text(name, style="bold"))
        for line in _card_lines(file):
            console.print(Text(f"  {line}"), soft_wrap=True)
        console.print()
    if found["overlaps"]:
        columns = ("files", "shared users", "shared texts", "examples seen")
        table = Table(*columns, title="overlaps", title_justify="left", box=None, padding=(0, 2))
        for row in found["overlaps"]:
            names = f"{row['first']} → {row['second']}"
            counts = [str(row[key]) for key in ("users", "texts", "examples_seen")]
            table.add_row(Text(names), *counts)
        console.print(table)


def _card_lines(file: dict[str, Any]) -> list[str]:
    lines = [
        f"{file['examples']} examples of {file['users']} users, "
        f"{_range(file['examples_per_user'])} each"
    ]
    if file["users_with_one_example"]:
        lines.append(f"users with one example: {file['users_with_one_example']}")
    lines.append(f"items of history: {_range(file['history'])}")
    words = [
        f"{name} {_range(each)}" for name, each in file["words"].items() if each["max"] is not None
    ]
    lines.append(f"words: {'; '.join(words)}")
    if file["chosen_longer"] is not None:
        lines.append(f"chosen is the longer response in {100 * file['chosen_longer']:.1f} %")
    if file["users_who_choose_by_length_alone"]:
        share = 100 * file["users_who_choose_by_length_alone"]
        lines.append(f"users of 10 pairs and more who choose by length alone: {share:.1f} %")
    scripts = [f"{name.lower()} {100 * share:.1f} %" for name, share in file["scripts"].items()]
    lines.append(f"scripts: {', '.join(scripts) or 'no letters'}")
    made = file["made"] or {}
    lines += [
        f"{key}: {made[key]}" for key in ("kind", "rejected", "labels", "users") if key in made
    ]
    lines += [f"fault: {fault}" for fault in file["faults"][:10]]
    if more := len(file["faults"]) - 10:
        lines += [f"and {more} more faults"] if more > 0 else []
    return lines


def _range(spread: dict[str, Any]) -> str:
    if spread["max"] is None:
        return "none"
    return f"{spread['min']} to {spread['max']} (median {spread['median']:g})"
