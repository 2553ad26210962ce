"""The design of the study: one TOML file, from which the files of its steps are made."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from preflamp_stats.errors import InputError, Problem

__all__ = ["Base", "Corpus", "Design", "merged", "read_design", "to_toml"]

OWN = ("corpus", "base", "search", "analysis")
"""Sections that belong to this study; the runner's own go into its study file as they are."""


@dataclass(frozen=True)
class Corpus:
    """Whose papers, and how they are split; see :class:`preflamp_backend.data.splits.SplitOptions`.

    Parameters
    ----------
    kind : {"acl", "invented"}
    min_papers : int
        Papers of an author who is a user.
    words : int
        Of each abstract, the first.
    validation, test : float
        Shares of the users.
    held_out : int
        Latest papers of each author that are tested on, at most.
    pairs : int
        Latest pairs of each author to train reward models on, at most.
    authors, papers : int
        How many authors to invent, and papers of each.
    """

    kind: str
    min_papers: int
    words: int = 10_000
    validation: float = 0.2
    test: float = 0.8
    held_out: int = 1
    pairs: int = 10_000
    authors: int = 0
    papers: int = 0


@dataclass(frozen=True)
class Base:
    """How base models are trained; see ``preflamp-stats train-lm``."""

    vocabulary: int = 4096
    context: int = 1024
    epochs: int = 2
    batch_tokens: int = 8192
    prompt_weight: float = 1.0
    held_out: float = 0.03


@dataclass(frozen=True)
class Design:
    """All that the study is made of.

    Attributes
    ----------
    corpus : Corpus
    base : Base
    sizes : mapping of str to str
        Base models to train from scratch, by name.
    fetched : tuple of str
        Base models of the package index.
    own : mapping of str to mapping
        What of the study is otherwise under a base model, such as its prompt.
    weights : tuple of float
        Reward weights to choose among.
    analysis : mapping
        Options of the analysis.
    study : mapping
        What the runner reads.
    """

    corpus: Corpus
    base: Base
    sizes: Mapping[str, str]
    fetched: tuple[str, ...]
    own: Mapping[str, Mapping[str, Any]]
    weights: tuple[float, ...]
    analysis: Mapping[str, Any]
    study: Mapping[str, Any]


def read_design(path: Path) -> Design:
    """Read a design.

    Raises
    ------
    InputError
        For a file that cannot be read, or a section of this study with unknown or missing keys.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        corpus, base = Corpus(**table["corpus"]), Base(**table.get("base", {}))
        weights = tuple(float(each) for each in table["search"]["weights"])
        models = {name: dict(entry) for name, entry in table["models"].items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        known = ", ".join(each.name for each in fields(Corpus))
        raise InputError(
            Problem(
                f"is no design ({error})",
                f"write [corpus] ({known}), [search] weights and [models]; see full.toml",
                str(path),
            )
        ) from error
    sizes = {name: entry.pop("size") for name, entry in models.items() if "size" in entry}
    fetched = tuple(name for name, entry in models.items() if entry.pop("fetch", False))
    own = {name: entry.pop("study", {}) for name, entry in models.items()}
    for name in (*sizes, *fetched):
        models[name]["path"] = f"models/{name}"
    study = {key: value for key, value in table.items() if key not in OWN}
    analysis = table.get("analysis", {})
    return Design(corpus, base, sizes, fetched, own, weights, analysis, {**study, "models": models})


def merged(table: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Put own entries in place of a table's, table by table.

    Examples
    --------
    >>> merged({"prompt": {"chat": False, "system": ""}, "run": {}}, {"prompt": {"chat": True}})
    {'prompt': {'chat': True, 'system': ''}, 'run': {}}
    """
    found = dict(table)
    for key, value in own.items():
        inner = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if inner else value
    return found


def to_toml(table: Mapping[str, Any]) -> str:
    """Write nested tables of numbers, texts and lists as TOML.

    Examples
    --------
    >>> print(to_toml({"run": {"seeds": [0, 1], "name": "a b"}}))
    [run]
    "seeds" = [0, 1]
    "name" = "a b"
    """
    lines: list[str] = []

    def write(entries: Mapping[str, Any], path: str) -> None:
        inner = {key: value for key, value in entries.items() if isinstance(value, Mapping)}
        plain = {key: value for key, value in entries.items() if key not in inner}
        if plain and path:
            lines.append(f"[{path}]")
        # JSON's numbers, texts and lists are TOML's too.
        lines.extend(
            f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()
        )
        for key, value in inner.items():
            write(value, f"{path}.{_key(key)}" if path else _bare(key))

    write(table, "")
    return "\n".join(lines)


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _bare(name: str) -> str:
    return name if name.isidentifier() else _key(name)
