"""What a study trains: its ``[training]`` table and each method's ``train`` table, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflamp_backend.options import OptionReader, Options, at_least, distinct, option
from preflamp_backend.study.study import Method, Study, read_study, read_toml
from preflamp_backend.training_study.methods import FEATURE_METHODS, TOKEN_METHODS
from preflamp_stats.errors import InputError, Problem


@dataclass(frozen=True)
class TrainingSetup(Options):
    """The ``[training]`` table.

    Parameters
    ----------
    data : str
        JSONL of examples to train on; paths are from where the study is.
    held_out : str
        Examples of the same users to stop early by; without them a share of each user's pairs.
    adapt : str
        A few examples of users who are not trained on; each gets a row.
    seeds : tuple of int
        Where a method's path holds ``{seed}``; those of ``[run]`` if empty.
    features : str
        Folder in which the features are kept.
    prefixes : int
        Prefixes of each pair that are trained on too; see
        :func:`preflamp_backend.training.features.pair_features`.
    batch_tokens : int
        Tokens a batch when features are read.
    held_out_share : float
        Of each user's pairs, where there is no ``held_out``.
    """

    data: str
    held_out: str = ""
    adapt: str = ""
    seeds: tuple[int, ...] = option((), distinct, "take distinct numbers from 0")
    features: str = "features"
    prefixes: int = at_least(0, 0)
    batch_tokens: int = at_least(1, 8192)
    held_out_share: float = option(0.1, lambda share: 0 < share < 1, "take a share between 0 and 1")


@dataclass(frozen=True)
class Training:
    """A method to train.

    Attributes
    ----------
    method : Method
    model : str
        Name of the reward model, such as ``lore``.
    options : object
        Of the reward model's own class.
    """

    method: Method
    model: str
    options: Any


@dataclass(frozen=True)
class TrainingPlan:
    """A study and what it trains.

    Attributes
    ----------
    study : Study
    setup : TrainingSetup
    trainings : mapping of str to Training
        By the method's name.
    """

    study: Study
    setup: TrainingSetup
    trainings: Mapping[str, Training]

    def seeds(self, method: Method) -> tuple[int, ...]:
        """Seeds with which a method is trained: one where its path holds no ``{seed}``."""
        seeds = self.setup.seeds or self.study.run.seeds
        return seeds if method.seeded else seeds[:1]


def read_training(path: str | Path) -> TrainingPlan:
    """Read and check what a study trains.

    Parameters
    ----------
    path : path
        The study; its reward models need not be there.

    Returns
    -------
    TrainingPlan

    Raises
    ------
    InputError
        With every fault of the study and of its training.
    """
    file = Path(path)
    table = read_toml(file)
    problems: list[Problem | str] = []
    study: Study | None = None
    try:
        study = read_study(file, trained=False)
    except InputError as error:
        problems += error.problems
    reader = _Reader(file)
    setup = reader.setup(table)
    methods = table.get("methods", {})
    tables = methods if isinstance(methods, dict) else {}
    chosen = {
        name: found
        for name, entry in tables.items()
        if isinstance(entry, dict) and "train" in entry
        if (found := reader.training(name, entry))
    }
    if not any(isinstance(entry, dict) and "train" in entry for entry in tables.values()):
        reader.fault("train nothing", 'write train = {model = "lore"} in a method', "methods")
    problems += reader.problems
    if study is None or setup is None or problems:
        raise InputError(problems)
    trainings = {name: Training(study.methods[name], *found) for name, found in chosen.items()}
    return TrainingPlan(study, setup, trainings)


class _Reader(OptionReader):
    """Turns tables of training into options."""

    def setup(self, table: dict[str, Any]) -> TrainingSetup | None:
        if "training" not in table:
            self.fault("is missing", 'write [training] with data = "train.jsonl"', "training")
            return None
        setup = self.build(TrainingSetup, table["training"], "training")
        for key in ("data", "held_out", "adapt"):
            named = getattr(setup, key, "")
            if named and not os.path.isfile(self.file.parent / named):
                self.fault(f"names {named}, which is no file", "check it", f"training.{key}")
        return setup

    def training(self, name: str, entry: dict[str, Any]) -> tuple[str, Any] | None:
        where = f"methods.{name}.train"
        table = entry["train"]
        if not isinstance(table, dict):
            self.fault("is not a table", f"write [{where}]", where)
            return None
        model = table.get("model")
        kinds = dict.fromkeys(FEATURE_METHODS, "head")
        kinds |= {each: method.kind for each, method in TOKEN_METHODS.items()}
        if model not in kinds:
            self.fault(f"is {model!r}", f"choose one of {', '.join(kinds)}", f"{where}.model")
            return None
        if entry.get("kind") != kinds[model]:
            what = f"is {entry.get('kind')!r}, and {model} trains a {kinds[model]!r}"
            self.fault(what, f'write kind = "{kinds[model]}"', f"methods.{name}.kind")
        own = {key: value for key, value in table.items() if key != "model"}
        known = FEATURE_METHODS if model in FEATURE_METHODS else TOKEN_METHODS
        options = self.build(known[model].options, own, where)
        return None if options is None else (model, options)
