"""What the columns of somebody's table are: by name, by synonym, or as halves of pairs."""

from __future__ import annotations

import difflib
import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from preflamp_stats.errors import Problem
from preflamp_stats.io.row_arrays import LABEL_COLUMNS
from preflamp_stats.io.tables import Table, as_text
from preflamp_stats.io.variables import METHOD_FAMILIES, SPECS, VariableSpec


def _plain(name: object) -> str:
    return re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")


VALUE_COLUMNS = {
    name: spec
    for name, spec in SPECS.items()
    if "token" not in spec.dims and name not in LABEL_COLUMNS
}
"""Columns that hold values, with their place in the results file."""

ABSENT_NUMBERS = ("", "nan", "NaN", "NA", "N/A", "null", "None")
"""How tables write a number that is missing."""

_SYNONYMS = {
    "user": "user_id userid uid annotator annotator_id rater rater_id worker worker_id participant "
    "participant_id respondent respondent_id person person_id labeler labeller assessor author",
    "example": "prompt_id id question_id item item_id example_id instance instance_id query_id "
    "pair_id doc_id",
    "subset": "category subset_name task task_type domain section topic",
    "method": "rm reward_model system judge_model method_name approach scorer",
    "model": "model_name base_model model_id llm",
    "dataset": "dataset_name benchmark corpus",
    "candidate": "side",
    "generation": "response output completion generated_text generated prediction model_output",
    "reference": "target gold gold_text ground_truth reference_text",
    "prompt": "question instruction query input prompt_text",
    "logprob": "log_prob logp logps log_likelihood loglikelihood",
    "n_tokens": "num_tokens token_count tokens length",
    "method_family": "family method_type",
    "seed": "random_seed",
    "parameters": "n_parameters num_parameters",
    "rouge1": "rouge_1",
    "rouge2": "rouge_2",
    "rougeL": "rouge_l",
}
_OF_CANDIDATES = {
    **dict.fromkeys(["rewards", "score", "scores", "rm_score", "reward_score"], "reward"),
    **dict.fromkeys(["text", "response", "completion", "output"], "candidate_text"),
}
"""Names that mean a value of a candidate where rows or columns are candidates."""

_CANDIDATES = ("chosen", "rejected")
_WORDS = (_CANDIDATES, ("preferred", "dispreferred"), ("winner", "loser"), ("accepted", "rejected"))
_SIDES = {word: side for words in _WORDS for side, word in zip(_CANDIDATES, words, strict=True)}
_WORD = "|".join(_SIDES)
_HALF = re.compile(rf"(?:(.+?)[ _.\-/:])?({_WORD})(?:[ _.\-/:](.+))?", re.IGNORECASE)
_HUMP = re.compile(rf"(.*[a-z0-9])({'|'.join(word.title() for word in _SIDES)})()")
_MARKED = re.compile(r"[+-]?(\d+|\d{1,3}([.,' ]\d{3})+)?([.,]\d+)?\s*%?")
_FAMILIES = {_plain(name): name for name in METHOD_FAMILIES} | {
    "icl": "in-context",
    "few_shot": "in-context",
    "zeroshot": "zero-shot",
    "rgd": "reward-guided",
    "bon": "best-of-n",
}
_SCORES = ("reward", "logprob", "policy_score")
_OF_PAIRS = ("logprob", "policy_score", "n_tokens", "candidate_text", "rouge1", "rouge2", "rougeL")
_KNOWN = (*LABEL_COLUMNS, *VALUE_COLUMNS)
_MEANS = {_plain(name): name for name in _KNOWN} | {
    theirs: ours for ours, names in _SYNONYMS.items() for theirs in names.split()
}


def meaning(name: str) -> str:
    """Column of ours that a name means, such as user for annotator_id; "" for none."""
    return _MEANS.get(_plain(name), "")


_NAMES_A_THING = re.compile(r"(^|_)(id|ids|uuid|guid|hash|key|index|idx|no|number)$")
_SHOWN = 6


class Half(NamedTuple):
    """What a column of one side of pairs holds; the method where its name tells it."""

    side: str
    variable: str
    method: str


@dataclass
class Known:
    """A table whose columns have the names of the results file.

    Parameters
    ----------
    table : Table
        Its rows are candidates or examples, or methods where no column names the example.
    metrics : dict of str to VariableSpec
        Columns of numbers that are metrics of the file's own.
    notes : list of str
        How columns were understood, where that is not what they are called.
    problems : list of Problem
        Columns that cannot be.
    """

    table: Table
    metrics: dict[str, VariableSpec]
    notes: list[str]
    problems: list[Problem]


def recognise(table: Table, ignore: Iterable[str], given: Mapping[str, str]) -> Known:
    """Name the columns of a table as the results file does, and bring pairs into rows.

    Parameters
    ----------
    table : Table
        As read.
    ignore : iterable of str
        Columns to leave out.
    given : mapping of str to str
        Names of columns and what they are; stronger than what is recognised.
    """
    problems: list[Problem] = []
    left_out: list[str] = []
    unreadable = {given.get(n, n): what for n, what in table.unreadable.items() if n not in ignore}
    cells = table.cells.drop(columns=[name for name in ignore if name in table.cells])
    cells = _without_index(cells, given, left_out, table.file, problems)
    mapped = [(theirs, ours) for theirs, ours in given.items() if theirs in cells]
    said = [f"{theirs or 'the first column'} read as {ours}" for theirs, ours in mapped]
    for ours in {ours for _, ours in mapped if [each for _, each in mapped].count(ours) > 1}:
        names = " and ".join(theirs for theirs, each in mapped if each == ours)
        problems.append(Problem(f"{names} are both mapped to {ours}", "map one", table.file))
    replaced = {ours for _, ours in mapped if ours in cells and ours not in given}
    left_out += [f"{name} (another column is mapped to it)" for name in sorted(replaced)]
    cells = cells.drop(columns=list(replaced)).rename(columns=dict(given))
    if not cells.columns.is_unique:
        return Known(table, {}, [], problems)
    halves = _halves(cells, {*given.values()}, table, problems)
    cells = _without_slashes(cells, halves, said)
    for twice in cells.columns[cells.columns.duplicated()].unique():
        what = "stands twice, once written with a slash"
        problems.append(Problem(what, "rename one", table.file, variable=str(twice)))
    if not cells.columns.is_unique:
        return Known(table, {}, [], problems)
    if halves and "candidate" in cells:
        what = f"stands beside {', '.join([*halves][:2])}, which are candidates too"
        mend = "leave one out with --ignore, or say with --map what candidate is"
        problems.append(Problem(what, mend, table.file, variable="candidate"))
    synonyms = _synonyms(cells, halves, table.file, problems)
    said += [f"{theirs} read as {ours}" for theirs, ours in synonyms.items()]
    cells = _with_known_words(cells.rename(columns=synonyms), said)
    cells, sampled = _samples(cells, said, left_out, table.file, problems)
    for name, what in unreadable.items():
        if name in _KNOWN:
            mend = "write text or a number"
            mend += f", or leave it out with {_ignore(name)}" * (name != "user")
            problems.append(Problem(f"holds {what}", mend, table.file, variable=name))
        else:
            left_out.append(f"{name} (holds {what})")
    if not cells.columns.is_unique:
        return Known(table, {}, [], problems)
    if not problems:
        cells = _labelled(cells, halves, table, said, problems)
        cells = _as_rows(cells, halves, said) if halves else _scored_columns(cells, said)
    _check_sides(cells, table, problems)
    metrics = _own_columns(cells, {*given.values()}, halves, table, left_out, problems)
    if sampled:
        metrics = {name: _of_samples(spec) for name, spec in metrics.items()}
    specs = [
        metrics.get(name) or VALUE_COLUMNS[name] for name in {*cells} & {*VALUE_COLUMNS, *metrics}
    ]
    for label in {"seed", "weight"} & {*cells}:
        if specs and not any(label in spec.optional for spec in specs):
            left_out.append(f"{label} (no column is given by it)")
    notes = [*table.notes, *(["; ".join(said)] if said else [])]
    if left_out:
        notes.append(f"left out: {', '.join(left_out)}")
    cells = cells[[name for name in cells if name in _KNOWN or name in metrics]]
    return Known(replace(table, cells=cells), metrics, notes, problems)


def _without_index(
    cells: pd.DataFrame,
    mapped: Mapping[str, str],
    left_out: list[str],
    file: str,
    problems: list[Problem],
) -> pd.DataFrame:
    """Leave out the index that data frames write as a first column without a name."""
    nameless = [n for n in cells if not str(n).strip() or re.match(r"Unnamed: \d+$", str(n))]
    for name in [n for n in map(str, nameless) if n not in mapped]:
        given = cells[name].dropna()
        if (pd.to_numeric(given, errors="coerce") % 1 == 0).all():
            left_out.append(f"{name or 'the first column'} (an index)")
            cells = cells.drop(columns=name)
        else:
            what = f"a column has no name; it holds {str(given.iloc[0])[:40]!r}"
            # In quotes, for some shells read a word that begins with = as a command's.
            mend = f"write --map '{name}=method' or --map '{name}=example' if it names those"
            problems.append(Problem(what, f"{mend}, or name every column", file))
    return cells


def _map(theirs: str, ours: str) -> str:
    return f"--map {shlex.quote(f'{theirs}={ours}')}"


def _ignore(name: str) -> str:
    return f"--ignore {shlex.quote(name)}"


def without_slash(name: str) -> str:
    """Name of a column as a variable: in the file a slash would name a group."""
    return name.replace("/", "_")


def _without_slashes(
    cells: pd.DataFrame, halves: Mapping[str, Half], said: list[str]
) -> pd.DataFrame:
    """Rename the columns that become variables; a pair's name is that of a reward model."""
    slashed = [name for name in map(str, cells) if "/" in name and name not in halves]
    names = {name: without_slash(name) for name in slashed}
    said += [f"{theirs} read as {ours}" for theirs, ours in names.items()]
    return cells.rename(columns=names)


def _synonyms(
    cells: pd.DataFrame, halves: Mapping[str, Half], file: str, problems: list[Problem]
) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    # A column family is one of ours, unless it holds the families of methods that we know.
    for name in [str(n) for n in cells if n not in {*_KNOWN} - {"family"} and n not in halves]:
        ours = _MEANS.get(_plain(name), "")
        if "candidate" in cells:
            ours = _OF_CANDIDATES.get(_plain(name), ours)
        elif ours == "n_tokens":
            continue
        if ours == "method_family" and not {*map(_plain, cells[name].dropna())} <= {*_FAMILIES}:
            continue
        if ours and ours not in cells:
            found.setdefault(ours, []).append(name)
    for ours, names in found.items():
        if len(names) > 1:
            what = f"{' and '.join(names)} may each be the {ours}"
            mend = f"say which: {_map(names[0], ours)} or {_map(names[1], ours)}"
            problems.append(Problem(what, mend, file))
    return {names[0]: ours for ours, names in found.items()}


def _samples(
    cells: pd.DataFrame, said: list[str], left_out: list[str], file: str, problems: list[Problem]
) -> tuple[pd.DataFrame, bool]:
    """Whether rows are samples of an example; then their reward is that of a sample."""
    labels = [name for name in LABEL_COLUMNS if name in cells and name != "sample"]
    if "sample" not in cells:
        return cells, False
    if "example" not in cells or not cells.duplicated(labels).any():
        left_out.append("sample (no two rows are samples of one example)")
        return cells.drop(columns="sample"), False
    if "candidate" in cells or cells["sample"].isna().any():
        what = "stands beside candidate" if "candidate" in cells else "is empty in some rows"
        mend = "give rows of samples a table of their own, with sample in every row"
        problems.append(Problem(what, mend, file, variable="sample"))
        return cells, True
    for name in [n for n in ("generation", *_OF_PAIRS) if n in cells]:
        left_out.append(f"{name} (it is not kept for every sample)")
        cells = cells.drop(columns=name)
    rewards = [n for n in cells if _OF_CANDIDATES.get(_plain(n), n) == "reward"]
    if len(rewards) == 1:
        said.append(f"{rewards[0]} read as the reward of each sample")
        cells = cells.rename(columns={rewards[0]: "sample_reward"})
    elif "sample_reward" not in cells:
        what = f"{' and '.join(map(str, rewards))} may each be" if rewards else "no column is"
        mend = "say which: --map NAME=sample_reward"
        problems.append(Problem(f"{what} the reward of a sample", mend, file))
    return cells, True


def _of_samples(spec: VariableSpec) -> VariableSpec:
    return replace(spec, dims=("example", "sample"), optional=("method", "seed", "model"))


def _split(name: str) -> tuple[str, str] | None:
    """What a name says beside the word for a side, and that word: rm and chosen of rm_chosen."""
    match = _HALF.fullmatch(name) or _HUMP.fullmatch(name)
    if not match:
        return None
    before, word, after = match.groups()
    return " ".join(filter(None, (before, after))), word.lower()


def _halves(
    cells: pd.DataFrame, told: set[str], table: Table, problems: list[Problem]
) -> dict[str, Half]:
    """Columns that hold one side of pairs."""
    file = table.file
    stems: dict[str, dict[str, str]] = {}
    for name in map(str, cells):
        if split := _split(name):
            stems.setdefault(split[0], {}).setdefault(split[1], name)
    pairs: dict[str, tuple[dict[str, str], bool, str]] = {}
    for stem, held in stems.items():
        words = next((words for words in _WORDS if {*words} <= {*held}), None)
        if words:
            sides = {side: held[word] for side, word in zip(_CANDIDATES, words, strict=True)}
            numeric = all(_numeric(cells[each]) for each in sides.values())
            pairs[stem] = (sides, numeric, _half_variable(stem, numeric))
            if not stem and not numeric:
                faults = (_spoilt(cells[name], table.row) for name in sides.values())
                problems += [replace(fault, file=file) for fault in faults if fault]
        for word, name in held.items():
            alone = word in _CANDIDATES and word not in (words or ())
            if alone and name not in told and _numeric(cells[name]):
                other = _CANDIDATES[word == "chosen"]
                what = f"holds numbers of {word} candidates, and no column those of {other} ones"
                mend = f"give both; {_ignore(name)}, or {_map(name, name)} if it is a metric"
                problems.append(Problem(what, mend, file, variable=name))
    variables = [variable for _, _, variable in pairs.values()]
    # Beside reward models that are named, "score" or "reward" is the name of one too.
    others = [stem for stem, (_, numeric, variable) in pairs.items() if numeric and not variable]
    of_methods = "method" not in cells and bool(others)
    halves: dict[str, Half] = {}
    for variable in {each for each in variables if each and variables.count(each) > 1}:
        if of_methods and variable == "reward" and "" not in pairs:
            continue
        names = [n for sides, _, each in pairs.values() if each == variable for n in sides.values()]
        what = f"{', '.join(names)}: more than one pair of columns may be the {variable}"
        mend = f"leave one out with {_ignore(names[-2])} {_ignore(names[-1])}"
        problems.append(Problem(what, mend, file))
    if of_methods and "" in pairs and pairs[""][1]:
        what = f"{', '.join(pairs[''][0].values())} name no reward model, as {others[0]} does"
        mend = "name it, such as --map chosen=NAME_chosen --map rejected=NAME_rejected"
        problems.append(Problem(what, mend, file))
    for stem, (sides, numeric, variable) in pairs.items():
        if numeric and of_methods and variable in ("", "reward"):
            halves |= {name: Half(side, "reward", stem) for side, name in sides.items()}
        elif variable:
            halves |= {name: Half(side, variable, "") for side, name in sides.items()}
    return halves


def _half_variable(stem: str, numeric: bool) -> str:
    """Variable of the file that a pair of columns holds; "" for none that is known."""
    key = _plain(stem)
    if not key:
        return "reward" if numeric else "candidate_text"
    ours = _OF_CANDIDATES.get(key) or _MEANS.get(key, "")
    fits = ours in VALUE_COLUMNS and "candidate" in VALUE_COLUMNS[ours].dims
    return ours if fits and (numeric or ours == "candidate_text") else ""


def _as_rows(cells: pd.DataFrame, halves: Mapping[str, Half], said: list[str]) -> pd.DataFrame:
    """A row a candidate, and a row an example for what belongs to no candidate."""
    labels = [name for name in LABEL_COLUMNS if name in cells]
    alone = cells.drop(columns=list(halves))
    parts = [alone] if set(alone) - set(labels) else []
    methods = list(dict.fromkeys(half.method for half in halves.values()))
    for method, side in itertools.product(methods, _CANDIDATES):
        names = {n: h.variable for n, h in halves.items() if (h.method, h.side) == (method, side)}
        part = cells[[*labels, *names]].rename(columns=names).assign(candidate=side)
        parts.append(part.assign(method=method) if method else part)
    for variable in dict.fromkeys(half.variable for half in halves.values()):
        held = [name for name, half in halves.items() if half.variable == variable]
        shown = ", ".join(held[:_SHOWN]) + (", …" if len(held) > _SHOWN else "")
        named = [method for method in methods if method]
        of = f" of {len(named)} method{'s' * (len(named) > 1)}: {', '.join(named)}"
        said.append(
            f"{shown} read as the {variable} of chosen and rejected"
            + of * bool(named and variable == "reward")
        )
    return pd.concat(parts)


def _scored_columns(cells: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    """Where rows are candidates and nothing else is scored, columns of numbers are methods."""
    if "candidate" not in cells or {"method", *_SCORES} & set(cells):
        return cells
    names = [str(name) for name in cells if name not in _KNOWN and _rates(cells, str(name))]
    if not names:
        return cells
    said.append(f"{', '.join(names)} read as the rewards of {len(names)} methods")
    alone = cells.drop(columns=names)
    labels = alone[[name for name in LABEL_COLUMNS if name in alone]]
    parts = [labels.assign(method=name, reward=cells[name]) for name in names]
    return pd.concat([alone, *parts])


def _labelled(
    cells: pd.DataFrame,
    halves: Mapping[str, Half],
    table: Table,
    said: list[str],
    problems: list[Problem],
) -> pd.DataFrame:
    """Give the method and the example that no column names, where there can be no doubt."""
    held = [name for name in cells if name in VALUE_COLUMNS]
    held += [half.variable for half in halves.values()]
    own = [n for n in cells if n not in _KNOWN and n not in halves and _rates(cells, str(n))]
    of_columns = any(half.method for half in halves.values())
    of_columns |= "candidate" in cells and not {"method", *_SCORES} & set(cells) and bool(own)
    needed = bool(own) or any("method" in VALUE_COLUMNS[name].dims for name in held)
    if "method" not in cells and needed and not of_columns:
        keys = [name for name in LABEL_COLUMNS if name in cells]
        of_methods = [name for name in held if "method" in VALUE_COLUMNS[name].dims]
        repeated = "example" in cells and cells.dropna(subset="example").duplicated(keys).any()
        if "model" not in cells and (repeated or not of_methods):
            mend = "name it in every row"
            if not of_methods:
                shown = ", ".join(map(str, own[:_SHOWN]))
                mend += f"; if {shown} are methods, give each two columns, {own[0]}_chosen and "
                mend += f"{own[0]}_rejected"
            problems.append(Problem("column is missing", mend, table.file, variable="method"))
            return cells
        if "model" in cells and "logprob" not in held:
            said.append("model read as method, as no other column names the methods")
            cells = cells.rename(columns={"model": "method"})
        else:
            name = re.sub(r"(\.gz|\.\w+)+$", "", re.split(r"[/\\]", table.file)[-1])
            said.append(f"no column names the method: taken as {name!r}")
            cells = cells.assign(method=name)
    of_examples = any("example" in VALUE_COLUMNS[name].dims for name in held)
    if "example" in cells or not (own or of_examples):
        _check_shared(cells, table, said, problems)
        return cells
    labels = [name for name in ("dataset", "model", "method", "seed") if name in cells]
    told_apart = bool(labels) and not cells.duplicated(labels).any()
    if not of_examples and "candidate" not in cells and told_apart:
        said.append("no column names the example: numbers are those of whole methods")
    elif "candidate" not in cells and ("method" not in cells or cells["method"].nunique() < 2):
        said.append("no column names the example: each row is one")
        cells = cells.assign(example=cells.index.astype(str))
    elif not _close("example", cells):
        mend = "name the example of every row, the same for all methods"
        if told_apart and {*held} <= {"rouge1", "rouge2", "rougeL"}:
            renamed = _map(held[0], f"mean_{held[0]}")
            mend += f"; numbers of whole methods need another name: {renamed}"
        if "prompt" in cells and not cells.duplicated([*labels, "prompt"]).any():
            mend += "; if the prompt does, write --map prompt=example"
        problems.append(Problem("column is missing", mend, table.file, variable="example"))
    return cells


def _check_sides(cells: pd.DataFrame, table: Table, problems: list[Problem]) -> None:
    """Refuse sides a and b, of which another column says which won."""
    stems = [str(name)[:-2] for name in cells if str(name).endswith("_a")]
    sides = [f"{stem}_{side}" for stem in stems if f"{stem}_b" in cells for side in "ab"]
    numbers = [name for name in sides if _rates(cells, name)]
    told = [n for n in cells if n not in _KNOWN and {*map(str, cells[n].unique())} <= {"a", "b"}]
    told += [n for n in cells if re.fullmatch(r"winner|preferred|preference|label", str(n), re.I)]
    if numbers and told:
        what = f"{', '.join(numbers)} are of sides a and b, and {told[0]} tells which won"
        mend = "write the winner's as reward_chosen and the other's as reward_rejected"
        problems.append(Problem(what, mend, table.file))


def _check_shared(
    cells: pd.DataFrame, table: Table, said: list[str], problems: list[Problem]
) -> None:
    """Methods are compared on the examples that they share; a number of each row names none."""
    if not {"example", "method"} <= {*cells} or cells["method"].nunique() < 2:
        return
    of = [name for name in ("dataset", "example") if name in cells]
    if cells.groupby(of)["method"].nunique().max() > 1:
        return
    if "example" in table.cells:
        said.append("no two methods share an example: they cannot be compared in pairs")
    else:
        what = "is another in the rows of every method, as the number of a row is"
        mend = "give all methods the same names of examples"
        problems.append(Problem(what, mend, table.file, variable="example"))


def _close(name: str, names: Iterable[object]) -> list[str]:
    return difflib.get_close_matches(name, map(str, names), n=1, cutoff=0.75)


def _with_known_words(cells: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    """Labels that mean one of ours: icl is in-context, the winner is chosen."""
    for name, words in (("candidate", _SIDES), ("method_family", _FAMILIES)):
        if name not in cells:
            continue
        values = {value: words.get(_plain(value), value) for value in cells[name].dropna().unique()}
        if means := {theirs: ours for theirs, ours in values.items() if theirs != ours}:
            said += [f"{name} {theirs} read as {ours}" for theirs, ours in means.items()]
            cells = cells.assign(**{name: cells[name].replace(means)})
    return cells


def _own_columns(
    cells: pd.DataFrame,
    told: set[str],
    halves: Mapping[str, Half],
    table: Table,
    left_out: list[str],
    problems: list[Problem],
) -> dict[str, VariableSpec]:
    """Columns of other names: metrics of the file's own, or nothing that is analysed."""
    file, row = table.file, table.row
    absent = [name for name in _KNOWN if name not in cells and "sample" not in name]
    of_candidate = cells["candidate"].notna() if "candidate" in cells else None
    metrics: dict[str, VariableSpec] = {}
    for name in [str(name) for name in cells if name not in _KNOWN and name not in halves]:
        given = cells[name].notna()
        of_no_method = "method" in cells and cells.loc[given, "method"].isna().all()
        close = [] if name in told or name.lower().startswith("rouge") else _close(name, absent)
        if close:
            what = f"is not a known column, but close to {close[0]!r}"
            mend = f"write {_map(name, close[0])} if it is that, else {_map(name, name)}"
            problems.append(Problem(what, mend, file, variable=name))
        elif "user" not in cells and _may_name(cells, name) and _groups(cells, name):
            value = as_text(cells.loc[given, name].iloc[0])[:40]
            what = f"may name what examples share (such as {value!r}), and no column names the user"
            mend = f"write {_map(name, 'user')}, or {_map(name, 'subset')} if it is a kind of task"
            if _rates(cells, name):
                mend += f", or {_ignore(name)} if it measures the example"
            problems.append(Problem(what, mend, file, variable=name))
        elif name not in told and halves and _split(name) and _numeric(cells[name]):
            left_out.append(f"{name} (another pair is the reward)")
        elif not _NAMES_A_THING.search(_plain(name)) and (fault := _spoilt(cells[name], row)):
            problems.append(replace(fault, file=file))
        elif not _rates(cells, name):
            holds = "names rows" if _numeric(cells[name]) else "text" if given.any() else "empty"
            left_out.append(f"{name} ({holds})")
        elif _MEANS.get(_plain(name)) in (*LABEL_COLUMNS, "user"):
            left_out.append(f"{name} (another column is the {_MEANS[_plain(name)]})")
        elif of_candidate is not None and (of_candidate & given).any():
            what = "is not a known column of candidates"
            mend = f"leave candidate empty if it rates the generation, or {_ignore(name)}"
            problems.append(Problem(what, mend, file, variable=name))
        elif halves and _may_name(cells, name):
            left_out.append(f"{name} (the same for all methods)")
        elif of_no_method:
            left_out.append(f"{name} (it is of no method)")
        else:
            per_method = "example" not in cells
            metrics[name] = VariableSpec(
                name=name,
                dims=("method",) if per_method else ("method", "example"),
                optional=("seed", "model"),
                kind="float",
                meaning=name.replace("_", " "),
                role="method_metric" if per_method else "generation_metric",
            )
    return metrics


def _may_name(cells: pd.DataFrame, name: str) -> bool:
    """Whether a column may name something: text, an id, a whole number no method changes."""
    if not _rates(cells, name):
        return True
    given = cells[cells[name].notna()]
    numbers = pd.to_numeric(given[name], errors="coerce")
    if "example" not in given or not (numbers % 1 == 0).all():
        return False
    by = given.groupby([each for each in ("dataset", "example") if each in given])
    methods = by["method"].nunique().max() if "method" in given else 0
    return bool(by[name].nunique().max() == 1 and methods != 1)


def _groups(cells: pd.DataFrame, name: str) -> bool:
    """Whether the values of a column hold several examples together, as those of a user do."""
    if "example" not in cells:
        return False
    pairs = cells[["example", name]].dropna().drop_duplicates()
    return not pairs["example"].duplicated().any() and 1 < pairs[name].nunique() < len(pairs)


def _rates(cells: pd.DataFrame, name: str) -> bool:
    """Whether a column holds numbers that measure; those of an id name something."""
    return _numeric(cells[name]) and not _NAMES_A_THING.search(_plain(name))


def _numeric(column: pd.Series) -> bool:
    if column.dtype.kind in "iufb":
        return True
    given = column[column.notna() & ~column.isin(ABSENT_NUMBERS)].unique()
    return len(given) > 0 and (all(map(is_number, given)) or _truth(given))


def is_number(text: str) -> bool:
    """Whether a cell is a number as Python writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _spoilt(column: pd.Series, row: str) -> Problem | None:
    """What is wrong with a column most of whose cells are numbers, though not all are."""
    if _numeric(column):
        return None
    given = column[column.notna() & ~column.isin(ABSENT_NUMBERS)].map(str)
    bad = given[~given.map(is_number)]
    marked = bad.map(lambda text: bool(_MARKED.fullmatch(text.strip())))
    if not len(given) or len(bad) - marked.sum() >= len(given) / 2:
        return None
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    what = f"is {bad.iloc[0][:40]!r}, not a number, in {row} {bad.index[0]}{more}"
    mend = "write a number, with a point, without % or marks between thousands, or leave it empty"
    return Problem(
        what, f"{mend}; {_ignore(str(column.name))} if it is text", variable=str(column.name)
    )


def _truth(values: Sequence[str] | np.ndarray) -> bool:
    return {str(value).lower() for value in values} <= {"true", "false"}
