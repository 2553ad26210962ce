"""Training the reward models of a study: for each base model, method and seed, what is missing.

A head is written with the hash of all that made it. One that is there with the same hash is left
alone, so that a stopped training goes on where it was, and a changed option trains what it touches.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from preflamp_backend.data.examples import Example, read_examples
from preflamp_backend.faults import fault
from preflamp_backend.files.tensors import read_tensors
from preflamp_backend.files.text import code_hash, json_hash, json_object
from preflamp_backend.models.heads.head import save_head
from preflamp_backend.models.loading import identify, load_language_model
from preflamp_backend.options import OptionReader, Options, at_least, distinct, option
from preflamp_backend.prompts.reading import reading_of
from preflamp_backend.study.study import Method, Study, read_study, read_toml
from preflamp_backend.training.features import FeatureStore, PairFeatures, split_off, usable_pairs
from preflamp_backend.training.loop import Epoch, held_out_fit
from preflamp_backend.training.token_pairs import RECORD, TokenTask, is_trained
from preflamp_backend.training.user_rows import predicted
from preflamp_backend.training_study.methods import (
    FEATURE_METHODS,
    TOKEN_METHODS,
    adapt_users,
    fit,
    token_task,
)
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
    methods = table.get("methods")
    entries = methods.items() if isinstance(methods, dict) else ()
    trained = {name: each for name, each in entries if isinstance(each, dict) and "train" in each}
    chosen = {name: reader.training(name, each) for name, each in trained.items()}
    if not trained:
        reader.fault("train nothing", 'write train = {model = "lore"} in a method', "methods")
    problems += reader.problems
    if study is None or setup is None or problems:
        raise InputError(problems)
    trainings = {
        name: Training(study.methods[name], *found) for name, found in chosen.items() if found
    }
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


_LONGEST_NAME = 255
"""Bytes that the usual file systems allow a name."""


@dataclass(frozen=True)
class Job:
    """A reward model to train.

    Attributes
    ----------
    model, method : str
        Base model and method, as the study names them.
    seed : int
    path : Path
        File or folder that is written.
    key : str
        SHA-256 of all that makes it.
    done : bool
        Whether it is there with this key.
    """

    model: str
    method: str
    seed: int
    path: Path
    key: str
    done: bool

    @property
    def held_out(self) -> dict[str, Any]:
        """What it reached on held-out pairs, as :func:`held_out_fit` gives it, once it is there."""
        folder = self.path.is_dir()
        about = json_object(self.path / RECORD) if folder else read_tensors(self.path)[1]
        return dict(about.get("held_out", {}))


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes
    ----------
    what : str
        Which part of the work.
    done, total : int
        In pairs while features are read, else in epochs, of which there may be fewer in the end.
    loss : float or None
        On held-out pairs, nats.
    """

    what: str
    done: int
    total: int
    loss: float | None = None


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Work:
    """Examples that a study trains on.

    Attributes
    ----------
    train, held_out, adapt : list of Example
        Usable pairs.
    notes : list of str
        What was left out, and what is unusual.
    """

    train: list[Example]
    held_out: list[Example]
    adapt: list[Example]
    notes: list[str]


class Trainer:
    """Trains what a plan says.

    Parameters
    ----------
    plan : TrainingPlan

    Raises
    ------
    InputError
        Naming every example that cannot be used, or if there is no pair to train on.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan = plan
        self.work = _read_work(plan)
        setup = plan.setup
        folder = Path(plan.study.located(setup.features))
        self._store = FeatureStore(folder, setup.batch_tokens, setup.prefixes)
        # Stopping early is judged by whole responses, as the results are.
        self._whole = FeatureStore(folder, setup.batch_tokens, 0)

    @cached_property
    def jobs(self) -> list[Job]:
        """Reward models in the order in which they are trained: those of a base model together."""
        jobs = [
            self._job(model, training, seed)
            for model in self.plan.study.models
            for training in self.plan.trainings.values()
            for seed in self.plan.seeds(training.method)
        ]
        _check_places(jobs, self.plan)
        return jobs

    def run(self, report: Report | None = None) -> list[Job]:
        """Train what is missing.

        Parameters
        ----------
        report : callable, optional
            Called as the work goes on.

        Returns
        -------
        list of Job
            Those that were trained now.
        """
        report = report or (lambda progress: None)
        pending = [job for job in self.jobs if not job.done]
        for model in self.plan.study.models:
            mine = [job for job in pending if job.model == model]
            if mine:
                self._train_model(model, mine, report)
        return pending

    def _train_model(self, model: str, jobs: Sequence[Job], report: Report) -> None:
        work, trainings = self.work, self.plan.trainings
        on_features = [job for job in jobs if trainings[job.method].model in FEATURE_METHODS]
        for job in jobs:
            if job not in on_features:
                task = self._task(job.model, job.method, job.seed, job.path, report)
                TOKEN_METHODS[trainings[job.method].model].fit(task)
        if not on_features:
            return
        # Loaded when it is first needed.
        backbone = cache(lambda: load_language_model(self.plan.study.models[model]).backbone)

        def features(store: FeatureStore, examples: Sequence[Example], what: str) -> PairFeatures:
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                report(Progress(f"{model}: features, {what}", done, len(examples)))

            study = self.plan.study
            return store.read(study.models[model], examples, study.prompt, backbone, advance)

        train = features(self._store, work.train, "pairs")
        held_out = features(self._whole, work.held_out, "held out")
        adapt = features(self._whole, work.adapt, "new users") if work.adapt else None
        for job in on_features:
            training = trainings[job.method]
            head = fit(
                training.model,
                train,
                held_out,
                training.options,
                seed=job.seed,
                report=_after_epoch(job.model, job.method, job.seed, report),
                checkpoint=job.path.with_name(f"{job.path.stem}.checkpoint{job.path.suffix}"),
            )
            source, form = self.plan.study.models[model], self.plan.study.prompt
            about = {
                "key": job.key,
                "model": training.model,
                "options": asdict(training.options),
                "seed": job.seed,
                "pairs": len(train),
                "held_out": held_out_fit(predicted(head, held_out)),
                "reads": reading_of(source, identify(source), form),
            }
            save_head(job.path, head if adapt is None else adapt_users(head, adapt), about)

    def _task(
        self, model: str, method: str, seed: int, folder: Path, report: Report | None = None
    ) -> TokenTask:
        training, work = self.plan.trainings[method], self.work
        return token_task(
            training.model,
            self.plan.study.models[model],
            work.train,
            work.held_out,
            training.options,
            folder,
            adapt=work.adapt,
            seed=seed,
            prompt=training.method.prompt,
            form=training.method.form,
            report=_after_epoch(model, method, seed, report) if report else None,
        )

    def _job(self, model: str, training: Training, seed: int) -> Job:
        study, method = self.plan.study, training.method
        if training.model in TOKEN_METHODS:
            source = study.reward_source(method, model, seed)
            assert source is not None
            folder = Path(study.located(source.path))
            task = self._task(model, method.name, seed, folder)
            key = task.key(TOKEN_METHODS[training.model].name)
            return Job(model, method.name, seed, folder, key, is_trained(folder, key))
        path = Path(study.head_path(method, model, seed))
        key = self._key(model, training, seed)
        return Job(model, method.name, seed, path, key, _key_of(path) == key)

    def _key(self, model: str, training: Training, seed: int) -> str:
        setup = asdict(self.plan.setup)
        made_by = {
            "base": identify(self.plan.study.models[model]),
            "examples": self._examples_hash,
            "form": asdict(self.plan.study.prompt),
            "setup": {name: setup[name] for name in ("prefixes", "batch_tokens")},
            "model": training.model,
            "options": asdict(training.options),
            "seed": seed,
            "code": code_hash("models/heads", "prompts", "training", "rewards", "training_study"),
        }
        return json_hash(made_by)

    @cached_property
    def _examples_hash(self) -> str:
        parts = (self.work.train, self.work.held_out, self.work.adapt)
        return json_hash([[each.said for each in part] for part in parts])


def _read_work(plan: TrainingPlan) -> Work:
    setup, study = plan.setup, plan.study
    parts: dict[str, list[Example]] = {}
    notes: list[str] = []
    for name in ("data", "held_out", "adapt"):
        file = getattr(setup, name)
        parts[name], dropped = (
            usable_pairs(read_examples(study.located(file))) if file else ([], [])
        )
        notes += [f"{file}: {note}" for note in dropped]
        if file and not parts[name]:
            raise fault("holds no usable pair", "give chosen and rejected", study.located(file))
    if not setup.held_out:
        rows = parts["data"]
        kept, away = split_off([each.user for each in rows], setup.held_out_share, seed=0)
        parts["data"], parts["held_out"] = [rows[i] for i in kept], [rows[i] for i in away]
        notes.append(f"{setup.data}: {len(away)} pairs held out to stop early by")
    known = {example.user for example in parts["data"]}
    strangers = {example.user for example in parts["held_out"]} - known
    if strangers:
        notes.append(
            f"{setup.held_out}: {len(strangers)} users who are not trained on; "
            "stopping early looks at them by the row of everybody"
        )
    again = {example.user for example in parts["adapt"]} & known
    if again:
        notes.append(f"{setup.adapt}: {len(again)} users who are trained on already left out")
        parts["adapt"] = [each for each in parts["adapt"] if each.user not in again]
    return Work(parts["data"], parts["held_out"], parts["adapt"], notes)


def _after_epoch(model: str, method: str, seed: int, report: Report) -> Callable[[Epoch], None]:
    what = f"{model}: {method}, seed {seed}"
    return lambda epoch: report(Progress(what, epoch.number, epoch.epochs, epoch.held_out))


def _check_places(jobs: Sequence[Job], plan: TrainingPlan) -> None:
    """Refuse two reward models with one place, and places that a study may not write to."""
    places: dict[Path, Job] = {}
    problems: list[Problem] = []
    study = plan.study.file.parent

    def refuse(what: str, mend: str, variable: str) -> None:
        problems.append(Problem(what, mend, variable=variable))

    features = plan.study.located(plan.setup.features)
    if not _is_below(features, study):
        what = f"leads out of the study's folder, to {features}"
        refuse(what, "name a place below it", "training.features")
    for job in jobs:
        place = f"methods.{job.method}.path"
        # A study may come from others: it writes below its own folder, over nothing but heads.
        if not _is_below(job.path, study):
            what = f"leads out of the study's folder, to {job.path}"
            refuse(what, "name a place below it", place)
        elif reason := _impossible(job.path):
            refuse(f"cannot be a place for a file ({reason})", "name another", place)
        elif job.path.is_file() and _about(job.path) is None:
            what = f"names {job.path}, which is there and holds no reward model"
            refuse(what, "name another, or move it away", place)
        other = places.setdefault(job.path, job)
        if other is not job:
            mend = "put {model} into it" if other.model != job.model else "name another"
            refuse(f"is where {other.method} under {other.model} is written too", mend, place)
    if problems:
        raise InputError(problems)


def _is_below(path: str | Path, folder: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _impossible(path: Path) -> str:
    """Why there can be no file of this name, such as one too long; empty where there can."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        return f"a part of its name has over {_LONGEST_NAME} bytes"
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _about(path: Path) -> dict[str, Any] | None:
    """What is said in a file of tensors that is there; None for any other file."""
    try:
        return read_tensors(path)[1]
    except InputError:
        return None


def _key_of(path: Path) -> str:
    """Key of a head that is there, if it is one of ours."""
    about = None if _impossible(path) or not path.is_file() else _about(path)
    return str((about or {}).get("key", ""))
