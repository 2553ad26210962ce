"""``study.toml``: which data, models and methods, with every fault named before anything runs."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.prompting import PromptOptions
from preflamp_backend.scoring import ScoreOptions
from preflamp_backend.sources import ModelSource
from preflamp_backend.text import PromptFormat
from preflamp_stats.errors import InputError, Problem

__all__ = ["Dataset", "Method", "RunOptions", "Study", "read_study"]

Kind = Literal["head", "classifier", "autoregressive", "pad", "zero-shot", "in-context"]
REWARDED = ("head", "classifier", "autoregressive", "pad")
"""Kinds of method that have a reward model."""

_Options = TypeVar("_Options")


@dataclass(frozen=True)
class Dataset:
    """A benchmark dataset: a JSONL file, and how many of its examples to take."""

    path: str
    limit: int | None = None


@dataclass(frozen=True)
class RunOptions:
    """How a study is cut and repeated.

    Parameters
    ----------
    seeds : tuple of int
        A generation for each.
    shard_size : int
        Examples a shard, the unit of work.
    """

    seeds: tuple[int, ...] = (0,)
    shard_size: int = 500

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise InputError(Problem("is below 1", "take 500 to 1000", variable="shard_size"))
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InputError(
                Problem(f"is {list(self.seeds)}", "name distinct numbers from 0", variable="seeds")
            )


@dataclass(frozen=True)
class Method:
    """A way of personalising, and what guides, prompts or judges it.

    Attributes
    ----------
    name : str
    kind : {"head", "classifier", "autoregressive", "pad", "zero-shot", "in-context"}
    path : str
        Reward head, with ``{model}`` for the base model's name; empty for other kinds.
    source : ModelSource, optional
        Reward model with a backbone of its own.
    decode : bool
        Whether it writes.
    decoding : DecodingOptions
    prompt : PromptOptions
        How its prompt is made.
    form : PromptFormat
        How its reward model reads prompts.
    """

    name: str
    kind: Kind
    path: str = ""
    source: ModelSource | None = None
    decode: bool = True
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    prompt: PromptOptions = field(default_factory=PromptOptions)
    form: PromptFormat = field(default_factory=PromptFormat)

    @property
    def family(self) -> str:
        """Label of ``method_family``."""
        if self.kind in ("zero-shot", "in-context"):
            return self.kind
        return "best-of-n" if self.decoding.strategy == "best-of-n" else "reward-guided"

    @property
    def rewarded(self) -> bool:
        """Whether it has a reward model."""
        return self.kind in REWARDED


@dataclass(frozen=True)
class Study:
    """All choices of a run, checked.

    Attributes
    ----------
    file : Path
        Where they were read from; relative paths start at its folder.
    data : mapping of str to Dataset
    models : mapping of str to ModelSource
    methods : mapping of str to Method
    prompt : PromptFormat
        How base models read prompts and responses.
    scoring : ScoreOptions
    run : RunOptions
    """

    file: Path
    data: Mapping[str, Dataset]
    models: Mapping[str, ModelSource]
    methods: Mapping[str, Method]
    prompt: PromptFormat
    scoring: ScoreOptions
    run: RunOptions

    def located(self, path: str) -> str:
        """Return a path of the study file, from where the study file is."""
        return str(self.file.parent / path)


def read_study(path: str | Path) -> Study:
    """Read and check a study.

    Parameters
    ----------
    path : path
        TOML with tables ``data``, ``models``, ``methods`` (a table a name in each) and, where the
        defaults do not suit, ``prompt``, ``scoring``, ``decoding``, ``run``.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        With every fault: unknown keys with the nearest known one, wrong types, values out of range,
        files that do not exist.
    """
    file = Path(path)
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            Problem(f"cannot be read as TOML ({error})", "see the guide to study files", str(file))
        ) from error
    return _Reader(file).study(table)


class _Reader:
    """Turns tables into dataclasses, collecting problems instead of stopping at the first."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def study(self, table: dict[str, Any]) -> Study:
        known = ("data", "models", "methods", "prompt", "scoring", "decoding", "run")
        self.unknown(table, known, "")
        prompt = self.build(PromptFormat, table.get("prompt", {}), "prompt") or PromptFormat()
        scoring = self.build(ScoreOptions, table.get("scoring", {}), "scoring") or ScoreOptions()
        run = self.build(RunOptions, table.get("run", {}), "run") or RunOptions()
        decoding = dict(table.get("decoding", {}))
        self.build(DecodingOptions, decoding, "decoding")
        data = {
            name: dataset
            for name, entry in self.tables(table, "data")
            if (dataset := self.build(Dataset, entry, f"data.{name}"))
        }
        models = {
            name: self.located(source, f"models.{name}")
            for name, entry in self.tables(table, "models")
            if (source := self.build(ModelSource, entry, f"models.{name}"))
        }
        methods = {
            name: method
            for name, entry in self.tables(table, "methods")
            if (method := self.method(name, entry, decoding, prompt))
        }
        study = Study(self.file, data, models, methods, prompt, scoring, run)
        self.files(study)
        if self.problems:
            raise InputError(self.problems)
        return study

    def tables(self, table: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
        entries = table.get(key, {})
        if not isinstance(entries, dict) or not entries:
            self.fault("is missing", f"add a table such as [{key}.name]", key)
            return []
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                self.fault("is not a table", f"write [{key}.{name}]", f"{key}.{name}")
        return [(name, entry) for name, entry in entries.items() if isinstance(entry, dict)]

    def method(
        self, name: str, entry: dict[str, Any], decoding: dict[str, Any], prompt: PromptFormat
    ) -> Method | None:
        where = f"methods.{name}"
        kind: Any = entry.get("kind")
        if kind not in get_args(Kind):
            mend = f"choose one of {', '.join(get_args(Kind))}"
            self.fault(f"is {kind!r}", mend, f"{where}.kind")
            return None
        rewarded = kind in REWARDED
        parts: dict[str, type[Any]] = {"decoding": DecodingOptions}
        parts |= {"prompt": PromptOptions} if kind != "head" else {}
        parts |= {"source": ModelSource} if rewarded and kind != "head" else {}
        parts |= {"form": PromptFormat} if rewarded else {}
        owners = {key.name: part for part, cls in parts.items() for key in fields(cls)}
        own = {"kind", "decode", *(["path"] if kind == "head" else [])}
        self.unknown(entry, (*own, *owners), where)
        taken: dict[str, dict[str, Any]] = {part: {} for part in parts}
        for key, value in entry.items():
            if key in owners and key not in own:
                # "template" belongs to both prompt parts; a method's own prompt is what is meant.
                own_prompt = key == "template" and "prompt" in parts
                taken["prompt" if own_prompt else owners[key]][key] = value
        strategy = "guided" if rewarded else "plain"
        defaults = {"strategy": strategy, **({"top_k": 10} if rewarded else {})}
        taken["decoding"] = {**defaults, **decoding, **taken["decoding"]}
        if not rewarded and taken["decoding"]["strategy"] != "plain":
            taken["decoding"]["strategy"] = "plain"
        built: dict[str, Any] = {
            part: self.build(cls, taken[part], where)
            for part, cls in parts.items()
            if part != "form"
        }
        if rewarded:
            # What the study says of prompts holds for reward models too, unless a method differs.
            built["form"] = self.replaced(prompt, taken["form"], where)
        if any(each is None for each in built.values()):
            return None
        if "source" in built:
            built["source"] = self.located(built["source"], where)
        if kind == "head" and not isinstance(entry.get("path"), str):
            self.fault("is missing", "name the head's safetensors file", f"{where}.path")
            return None
        path = entry["path"] if kind == "head" else ""
        return Method(name, kind, path, decode=bool(entry.get("decode", True)), **built)

    def located(self, source: ModelSource, where: str) -> ModelSource:
        """Take a path for a folder beside the study where there is one, else for a hub name."""
        folder = self.file.parent / source.path
        if folder.is_dir():
            return replace(source, path=str(folder))
        if source.path.startswith((".", "/")) or source.path.count("/") > 1:
            self.fault(f"names {source.path}, which is no folder", "check it", f"{where}.path")
        return source

    def files(self, study: Study) -> None:
        """See that what is named in the study's folder is there."""
        for name, dataset in study.data.items():
            if not Path(study.located(dataset.path)).is_file():
                what = f"names {dataset.path}, which is no file"
                self.fault(what, "check it", f"data.{name}.path")
        for method in study.methods.values():
            if method.kind != "head":
                continue
            for model in study.models:
                path = method.path.replace("{model}", model)
                if not Path(study.located(path)).is_file():
                    what, where = f"names {path}, which is no file", f"methods.{method.name}.path"
                    self.fault(what, "check it; {model} stands for the base model's name", where)

    def replaced(
        self, form: PromptFormat, table: dict[str, Any], where: str
    ) -> PromptFormat | None:
        if self.build(PromptFormat, table, where) is None:
            return None
        return replace(form, **table)

    def build(self, cls: type[_Options], table: Any, where: str) -> _Options | None:
        if not isinstance(table, dict):
            self.fault("is not a table", f"write [{where}]", where)
            return None
        known = {each.name: each for each in fields(cls)}  # type: ignore[arg-type]
        before = len(self.problems)
        self.unknown(table, tuple(known), where)
        values = {}
        for key, value in table.items():
            if key in known:
                values[key] = tuple(value) if isinstance(value, list) else value
                if wanted := _mismatch(known[key], values[key]):
                    self.fault(f"is {value!r}", f"give {wanted}", f"{where}.{key}")
        for key, each in known.items():
            required = each.default is MISSING and each.default_factory is MISSING
            if required and key not in table:
                self.fault("is missing", "give it", f"{where}.{key}")
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except InputError as error:
            for problem in error.problems:
                if isinstance(problem, Problem):
                    self.fault(problem.what, problem.mend, f"{where}.{problem.variable}")
            return None

    def unknown(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                mend = f"did you mean {near[0]}?" if near else f"use {', '.join(sorted(known))}"
                self.fault("is not known here", mend, f"{where}.{key}" if where else key)

    def fault(self, what: str, mend: str, variable: str) -> None:
        self.problems.append(Problem(what, mend, str(self.file), variable=variable))


_NAMES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
}


def _mismatch(option: Field[Any], value: Any) -> str:
    """What kind of value an option wants, if this is not it."""
    kind = str(option.type).removesuffix(" | None")
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").removesuffix(", ...]")
        good = isinstance(value, tuple) and all(_is(each, inner) for each in value)
        return "" if good else f"a list of {inner}"
    return "" if kind not in _NAMES or _is(value, kind) else f"a {kind}"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _NAMES[kind]) and (kind == "bool" or not isinstance(value, bool))
