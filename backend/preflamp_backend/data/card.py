"""The data card: who is in files of examples, how long texts are, what leaks between files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preflamp_backend.data.build import CARD
from preflamp_backend.data.checks import example_texts, leaks, note_faults, scripts
from preflamp_backend.data.examples import Example, read_examples
from preflamp_backend.data.people import lengths_decide
from preflamp_backend.data.rows import Faults
from preflamp_backend.data.splits import SIDES
from preflamp_backend.files.text import json_object

_SCRIPTS_SHOWN = 6
_ORDER = {name: at for at, name in enumerate(SIDES, 1)}


def describe_files(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Describe files of examples, and each pair of them.

    Parameters
    ----------
    paths : sequence of path
        The sides of a split are put in order: training first, test last. What stands in a
        ``card.json`` beside them is repeated.

    Returns
    -------
    dict
        ``files``: by name, what :func:`describe_examples` says and ``made`` (the card beside it).
        ``overlaps``: for each pair of files, shared users, shared texts, and examples of the second
        of which the first shows a text.

    Raises
    ------
    InputError
        For a file that cannot be read.
    """
    paths = sorted(paths, key=lambda path: _ORDER.get(Path(path).stem, 0))
    read = {_name(path, paths): read_examples(path) for path in paths}
    files = {
        name: {**describe_examples(rows), "made": json_object(path.parent / CARD) or None}
        for (name, rows), path in zip(read.items(), map(Path, paths), strict=True)
    }
    names = list(read)
    overlaps = [
        {"first": one, "second": other, **_overlap(read[one], read[other])}
        for at, one in enumerate(names)
        for other in names[at + 1 :]
    ]
    return {"files": files, "overlaps": overlaps}


def describe_examples(examples: Sequence[Example]) -> dict[str, Any]:
    """Describe examples: users, pairs, lengths in words, scripts, what is wrong.

    Returns
    -------
    dict
        JSON values; ``median`` and the like are None where nothing is counted.
    """
    per_user = Counter(example.user for example in examples)
    faults = Faults()
    note_faults(examples, faults)
    texts: dict[str, list[str]] = {"prompt": [each.prompt for each in examples]}
    for name in ("chosen", "rejected"):
        texts[name] = [each.candidates[name] for each in examples if name in each.candidates]
    texts["reference"] = [each.reference for each in examples if each.reference]
    letters = sum((scripts(text) for each in texts.values() for text in each), Counter())
    total = max(1, letters.total())
    one_sided = lengths_decide(examples)
    return {
        "examples": len(examples),
        "users": len(per_user),
        "examples_per_user": _spread(list(per_user.values())),
        "users_with_one_example": list(per_user.values()).count(1),
        "history": _spread([len(each.history) for each in examples]),
        "words": {name: _spread([len(t.split()) for t in each]) for name, each in texts.items()},
        "chosen_longer": _share_longer(examples),
        "users_who_choose_by_length_alone": None if np.isnan(one_sided) else one_sided,
        "scripts": {
            name: round(count / total, 4) for name, count in letters.most_common(_SCRIPTS_SHOWN)
        },
        "faults": [str(problem) for problem in faults.problems],
    }


def _name(path: str | Path, paths: Sequence[str | Path]) -> str:
    stems = Counter(Path(each).stem for each in paths)
    return Path(path).stem if stems[Path(path).stem] == 1 else str(path)


def _spread(counts: Sequence[int]) -> dict[str, float | None]:
    if not counts:
        return {"min": None, "median": None, "max": None}
    return {"min": min(counts), "median": float(np.median(counts)), "max": max(counts)}


def _share_longer(examples: Sequence[Example]) -> float | None:
    both = [
        (len(each.candidates["chosen"]), len(each.candidates["rejected"]))
        for each in examples
        if {"chosen", "rejected"} <= set(each.candidates)
    ]
    longer = [(chosen > rejected) + (chosen == rejected) / 2 for chosen, rejected in both]
    return float(np.mean(longer)) if longer else None


def _overlap(first: Sequence[Example], second: Sequence[Example]) -> dict[str, Any]:
    one, other = (
        {text for example in rows for text in example_texts(example)} for rows in (first, second)
    )
    users = {example.user for example in first} & {example.user for example in second}
    return {
        "users": len(users),
        "texts": len(one & other),
        "examples_seen": len(leaks(first, second)),
    }
