"""``study.toml``: which data, models and methods, with every fault named before anything runs."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.engines.source import EngineSource, is_address
from preflamp_backend.faults import fault
from preflamp_backend.models.loading import ModelSource
from preflamp_backend.models.sources import plain_folder
from preflamp_backend.options import OptionReader, Options, T, at_least, distinct, holding, option
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.prompts.in_context import PromptOptions
from preflamp_backend.scoring.score import ScoreOptions
from preflamp_stats.errors import InputError

UNKNOWN = "Nothing is known about this user."
"""Persona of a user who has shown nothing."""


def _differ(answers: tuple[str, ...]) -> bool:
    return len(answers) == 2 and answers[0] != answers[1] and all(answers)


@dataclass(frozen=True)
class JudgeOptions(Options):
    """How a judge is asked.

    Parameters
    ----------
    pairs : str
        JSONL file of the users' earlier pairs; empty takes what they wrote, their history.
    shown : int
        Pairs or texts from which a persona is written, at most; the source takes 5 to 15.
    budget : int
        Tokens for all of them together; what does not fit is left out.
    persona_tokens : int
        Longest persona.
    pair, text : str
        How a pair (``{prompt}``, ``{chosen}``, ``{rejected}``) and a text (``{input}``,
        ``{output}``) are shown.
    ask_persona : str
        Prompt for a persona, with ``{evidence}``.
    question : str
        Prompt for a judgement, with ``{persona}``, ``{prompt}``, ``{a}`` and ``{b}``.
    answers : (str, str)
        What the model would say for the first and for the second response.
    """

    pairs: str = ""
    shown: int = at_least(0, 10)
    budget: int = at_least(1, 1024)
    persona_tokens: int = at_least(1, 128)
    pair: str = "Request: {prompt}\nPreferred: {chosen}\nNot preferred: {rejected}\n\n"
    text: str = "Request: {input}\nWrote: {output}\n\n"
    ask_persona: str = holding(
        "Here is what a user chose or wrote.\n\n{evidence}"
        "Describe in a few sentences what this user prefers.\nDescription:",
        "{evidence}",
    )
    question: str = holding(
        "A user is described so: {persona}\n\nRequest: {prompt}\n\nResponse A: {a}\n\n"
        "Response B: {b}\n\nWhich response would this user prefer, A or B?\nAnswer:",
        "{prompt}",
        "{a}",
        "{b}",
    )
    answers: tuple[str, ...] = option((" A", " B"), _differ, "give two different texts")


Guiding = Literal["head", "classifier", "autoregressive", "pad", "p-dpo"]
Baseline = Literal["length", "likelihood"]
Kind = Literal[Guiding, "judge", Baseline, "zero-shot", "in-context"]
GUIDING = get_args(Guiding)
"""Kinds of method whose reward can guide decoding."""
REWARDED = (*GUIDING, "judge")
"""Kinds of method that have a reward model."""
BASELINES = get_args(Baseline)
"""Kinds of method that have a reward without a model, and do not write."""


@dataclass(frozen=True)
class Method:
    """A way of personalising, and what guides, prompts or judges it.

    Attributes
    ----------
    name : str
    kind : str
        One of :data:`Kind`.
    path : str
        Reward head, with ``{model}`` for the base model's name and ``{seed}`` for the seed of its
        training; empty for other kinds.
    source : ModelSource, optional
        Reward model with a backbone of its own; its path may hold the same placeholders.
    decode : bool
        Whether it writes.
    trains : bool
        Whether the study trains what it uses.
    decoding : DecodingOptions
    weights : mapping of str to float
        Weight w of the reward under each base model, where they differ.
    prompt : PromptOptions
        How its prompt is made.
    form : PromptFormat
        How its reward model reads prompts.
    judge : JudgeOptions, optional
        How a judge is asked.
    """

    name: str
    kind: Kind
    path: str = ""
    source: ModelSource | None = None
    decode: bool = True
    trains: bool = False
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    weights: Mapping[str, float] = field(default_factory=dict)
    prompt: PromptOptions = field(default_factory=PromptOptions)
    form: PromptFormat = field(default_factory=PromptFormat)
    judge: JudgeOptions | None = None

    @property
    def family(self) -> str:
        """Label of ``method_family``."""
        if self.kind in ("zero-shot", "in-context"):
            return self.kind
        return "best-of-n" if self.decoding.strategy == "best-of-n" else "reward-guided"

    @property
    def rewarded(self) -> bool:
        """Whether it has a reward model, or judges by itself."""
        return self.kind in REWARDED

    @property
    def seeded(self) -> bool:
        """Whether its reward model was trained once a seed."""
        return "{seed}" in self.place

    @property
    def place(self) -> str:
        """Path of its reward model, placeholders and all."""
        return self.path or (self.source.path if self.source else "")

    @property
    def relative(self) -> bool:
        """Whether its reward is a log-ratio to the base model."""
        return self.kind in ("pad", "p-dpo")

    def decoding_for(self, model: str) -> DecodingOptions:
        """Return the choices of decoding under a base model."""
        return replace(self.decoding, weight=self.weights.get(model, self.decoding.weight))


@dataclass(frozen=True)
class Dataset:
    """A benchmark dataset: a JSONL file, and how many of its examples to take."""

    path: str
    limit: int | None = None


@dataclass(frozen=True)
class RunOptions(Options):
    """How a study is cut and repeated.

    Parameters
    ----------
    seeds : tuple of int
        A generation for each.
    shard_size : int
        Examples a shard, the unit of work.
    """

    seeds: tuple[int, ...] = option(
        (0,), lambda seeds: seeds and distinct(seeds), "name distinct numbers from 0"
    )
    shard_size: int = at_least(1, 500)


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

    def head_path(self, method: Method, model: str, seed: int) -> str:
        """Return the file of a method's reward head under a base model."""
        return self.located(_filled(method.path, model, seed))

    def reward_source(self, method: Method, model: str, seed: int) -> ModelSource | None:
        """Return where a method's own reward model comes from, for a base model and a seed."""
        if method.source is None:
            return None
        return _placed(
            self.file, replace(method.source, path=_filled(method.source.path, model, seed))
        )

    def untrained(self, method: Method, model: str, seed: int) -> bool:
        """Whether the study trains a method's reward model and it is not there yet."""
        path = self.located(_filled(method.place, model, seed))
        return method.trains and not (os.path.isfile(path) or os.path.isdir(path))

    @property
    def reward_seeds(self) -> tuple[int, ...]:
        """Seeds over which rewards differ; one where no reward model was trained a seed."""
        if any(method.seeded for method in self.methods.values()):
            return self.run.seeds
        return self.run.seeds[:1]


def _filled(path: str, model: str, seed: int) -> str:
    return path.replace("{model}", model).replace("{seed}", str(seed))


def _placed(file: Path, source: ModelSource) -> ModelSource:
    """Take a path for a folder or file beside the study where there is one, else for a hub name."""
    place = file.parent / source.path
    if os.path.isdir(place) or place.suffix == ".gguf":
        return replace(source, path=plain_folder(str(place)))
    return source


def _kind_of(cls: type[T], entry: dict[str, Any]) -> type[T]:
    """Options of a served model where the path is an address."""
    served = cls is ModelSource and is_address(str(entry.get("path")))
    return EngineSource if served else cls  # type: ignore[return-value]


def read_study(path: str | Path, *, trained: bool = True) -> Study:
    """Read and check a study.

    Parameters
    ----------
    path : path
        TOML with tables ``data``, ``models``, ``methods`` (a table a name in each) and, where the
        defaults do not suit, ``prompt``, ``scoring``, ``decoding``, ``run``.
    trained : bool
        Whether the reward models must be there.

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
    return _Reader(file, trained=trained).study(read_toml(file))


def read_toml(file: Path) -> dict[str, Any]:
    """Tables of a study file."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        mend = "see the guide to study files"
        raise fault(f"cannot be read as TOML ({error})", mend, file) from error


def _ends_of_shots(methods: Iterable[Method]) -> Iterator[str]:
    """What shots write after a user's own text, each once: there a base model's text ends too."""
    shown = (method.prompt for method in methods if method.kind == "in-context")
    ends = (each.shot.rpartition("{output}")[2] for each in shown if each.shots)
    yield from dict.fromkeys(filter(None, ends))


def _stopped(method: Method, stops: tuple[str, ...]) -> Method:
    """Give a method whose stop strings are left open these."""
    if method.decoding.stop is not None:
        return method
    return replace(method, decoding=replace(method.decoding, stop=stops))


def _parts(kind: str) -> dict[str, type[Any]]:
    """Options that a kind of method has, by attribute of :class:`Method`."""
    if kind in BASELINES:
        return {}
    if kind == "judge":
        return {"judge": JudgeOptions, "source": ModelSource, "form": PromptFormat}
    parts: dict[str, type[Any]] = {"decoding": DecodingOptions}
    parts |= {"prompt": PromptOptions} if kind != "head" else {}
    parts |= {"source": ModelSource} if kind in REWARDED and kind != "head" else {}
    # Heads read what the base model reads; a form of their own would be read by nobody.
    return parts | ({"form": PromptFormat} if kind in REWARDED and kind != "head" else {})


class _Reader(OptionReader):
    """Turns the tables of a study into its parts."""

    def __init__(self, file: Path, *, trained: bool) -> None:
        super().__init__(file)
        self.trained = trained

    def study(self, table: dict[str, Any]) -> Study:
        # What is trained is read by preflamp_backend.training_study.train_study.
        known = ("data", "models", "methods", "prompt", "scoring", "decoding", "run", "training")
        self.unknown(table, known, "")
        prompt = self.build(PromptFormat, table.get("prompt", {}), "prompt") or PromptFormat()
        scoring = self.build(ScoreOptions, table.get("scoring", {}), "scoring") or ScoreOptions()
        run = self.build(RunOptions, table.get("run", {}), "run") or RunOptions()
        data = self.every(Dataset, table, "data")
        models = {
            name: self.located(source, f"models.{name}")
            for name, source in self.every(ModelSource, table, "models").items()
        }
        decoding, weights = self.weights(table.get("decoding", {}), models, "decoding")
        self.build(DecodingOptions, decoding, "decoding")
        methods = {}
        for name, entry in self.tables(table, "methods"):
            own_entry, own = self.weights(entry, models, f"methods.{name}")
            if "weight" in own_entry:
                own = {}
            elif not own:
                own = weights
            if method := self.method(name, own_entry, decoding, prompt):
                methods[name] = replace(method, weights=own if method.kind in GUIDING else {})
        stops = () if prompt.chat else tuple(_ends_of_shots(methods.values()))
        trained = {each.place for each in methods.values() if each.trains}
        for name, method in methods.items():
            # What one method trains another may use, such as best-of-n.
            method = replace(_stopped(method, stops), trains=method.place in trained)
            fixed = method.source is not None and "{" not in method.place
            if method.source and fixed and self.trained and not method.trains:
                placed = self.located(method.source, f"methods.{name}")
                method = replace(method, source=placed)
            methods[name] = method
        study = Study(self.file, data, models, methods, prompt, scoring, run)
        self.files(study)
        if self.problems:
            raise InputError(self.problems)
        return study

    def every(self, cls: type[T], table: dict[str, Any], key: str) -> dict[str, T]:
        """Options of each table below a key, those without faults."""
        built = {
            name: self.build(_kind_of(cls, entry), entry, f"{key}.{name}")
            for name, entry in self.tables(table, key)
        }
        return {name: each for name, each in built.items() if each is not None}

    def tables(self, table: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
        entries = table.get(key, {})
        if not isinstance(entries, dict) or not entries:
            self.fault("is missing", f"add a table such as [{key}.name]", key)
            return []
        for name, entry in entries.items():
            if not isinstance(entry, dict):
                self.fault("is not a table", f"write [{key}.{name}]", f"{key}.{name}")
        return [(name, entry) for name, entry in entries.items() if isinstance(entry, dict)]

    def weights(
        self, table: dict[str, Any], models: Mapping[str, ModelSource], where: str
    ) -> tuple[dict[str, Any], dict[str, float]]:
        """Take a weight for each base model out of a table."""
        found = table.get("weight") if isinstance(table, dict) else None
        if not isinstance(found, dict):
            return table, {}
        self.unknown(found, tuple(models), f"{where}.weight")
        for model in models:
            if model not in found:
                self.fault("is missing", "give it a number", f"{where}.weight.{model}")
        for model, weight in found.items():
            self.build(DecodingOptions, {"weight": weight}, f"{where}.weight.{model}")
        return {key: value for key, value in table.items() if key != "weight"}, found

    def method(
        self, name: str, entry: dict[str, Any], decoding: dict[str, Any], prompt: PromptFormat
    ) -> Method | None:
        where = f"methods.{name}"
        kind: Any = entry.get("kind")
        if kind not in get_args(Kind):
            mend = f"choose one of {', '.join(get_args(Kind))}"
            self.fault(f"is {kind!r}", mend, f"{where}.kind")
            return None
        rewarded, parts = kind in REWARDED, _parts(kind)
        if kind in (*BASELINES, "judge") and entry.get("decode"):
            what = f"is true, and {kind} cannot guide tokens"
            self.fault(what, f"leave it out; {kind} gives RM accuracy", f"{where}.decode")
        owners = {key.name: part for part, cls in parts.items() for key in fields(cls)}
        own = {"kind", "decode", "train", *(["path"] if kind == "head" else [])}
        self.unknown(entry, (*own, *owners), where)
        taken: dict[str, dict[str, Any]] = {part: {} for part in parts}
        for key, value in entry.items():
            if key in owners and key not in own:
                # "template" belongs to both prompt parts; a method's own prompt is what is meant.
                own_prompt = key == "template" and "prompt" in parts
                taken["prompt" if own_prompt else owners[key]][key] = value
        if "decoding" in parts:
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
        if kind == "head":
            built["form"] = prompt
        elif rewarded:
            # What the study says of prompts holds for reward models too, unless a method differs.
            known = self.build(PromptFormat, taken["form"], where)
            built["form"] = known and replace(prompt, **taken["form"])
        if any(each is None for each in built.values()):
            return None
        if kind == "head" and not isinstance(entry.get("path"), str):
            self.fault("is missing", "name the head's safetensors file", f"{where}.path")
            return None
        path = entry["path"] if kind == "head" else ""
        decode = bool(entry.get("decode", kind not in (*BASELINES, "judge")))
        return Method(name, kind, path, decode=decode, trains="train" in entry, **built)

    def located(self, source: ModelSource, where: str) -> ModelSource:
        if isinstance(source, EngineSource):
            tokenizer = self.located(source.files, f"{where}.tokenizer")
            return replace(source, tokenizer=tokenizer.path)
        if is_address(source.path):
            mend = "name a folder or hub model: servers are base models only"
            self.fault("is a server", mend, f"{where}.path")
            return source
        try:
            placed = _placed(self.file, source)
        except InputError as error:
            self.problems += error.problems
            return source
        if placed is source and (source.path.startswith((".", "/")) or source.path.count("/") > 1):
            self.fault(f"names {source.path}, which is no folder", "check it", f"{where}.path")
        return placed

    def files(self, study: Study) -> None:
        """See that what is named in the study's folder is there."""

        def there(path: str, where: str, mend: str = "check it") -> None:
            if path and not os.path.isfile(study.located(path)):
                self.fault(f"names {path}, which is no file", mend, where)

        for name, dataset in study.data.items():
            there(dataset.path, f"data.{name}.path")
        served = [name for name, each in study.models.items() if isinstance(each, EngineSource)]
        for method in study.methods.values():
            where = f"methods.{method.name}"
            if served and (method.trains or method.kind in ("head", "p-dpo")):
                said = "is trained on" if method.trains else f"is {method.kind}, which reads"
                what = f"{said} what the server of {served[0]!r} keeps"
                mend = "take a classifier or an autoregressive reward model, or local weights"
                self.fault(what, mend, f"{where}.kind")
            if method.judge:
                there(method.judge.pairs, f"{where}.pairs", "name a JSONL file")
            # One path may serve several base models and seeds.
            every = [(model, seed) for model in study.models for seed in study.run.seeds]
            paths = dict.fromkeys(_filled(method.place, *each) for each in every)
            for path in paths if self.trained else ():
                if method.trains:
                    found = os.path.isfile if method.kind == "head" else os.path.isdir
                    if not found(study.located(path)):
                        what, mend = f"names {path}, which is not trained yet", "train it first:"
                        mend = f"{mend} preflamp-stats train {self.file}"
                        self.fault(what, mend, f"{where}.path")
                elif method.kind == "head":
                    heads = "check it; {model} stands for the base model's name, {seed} for a seed"
                    there(path, f"{where}.path", heads)
                elif method.source and path != method.place:
                    self.located(replace(method.source, path=path), where)
