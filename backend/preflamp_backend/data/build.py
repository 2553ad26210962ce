"""From a benchmark's own files to examples on the sides of a split, with a record of how."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from preflamp_backend.data.checks import example_texts, normalise, usable, without_texts
from preflamp_backend.data.examples import Example, write_examples
from preflamp_backend.data.lamp import Question, expand
from preflamp_backend.data.people import dialogue_of
from preflamp_backend.data.pref_lamp import RULES, Rule, preference_examples
from preflamp_backend.data.rows import Faults
from preflamp_backend.data.splits import SIDES, Split, SplitOptions, split
from preflamp_backend.files.text import write_text

CARD = "card.json"
"""Name of the record that stands beside the examples."""


@dataclass(frozen=True)
class Built:
    """Examples by side, and how they were made.

    Attributes
    ----------
    sides : mapping of str to list of Example
        ``train``, ``validation``, ``test`` and, for unseen users, ``adapt``.
    about : mapping
        Source, rule of rejection, whose labels, options of the split, what was left out.
    """

    sides: Mapping[str, Sequence[Example]]
    about: Mapping[str, Any]


def build_pref_lamp(
    questions: Sequence[Question],
    *,
    options: SplitOptions | None = None,
    rule: Rule = "similar",
    given: Mapping[str, str] | None = None,
    every_item: bool = True,
    faults: Faults | None = None,
    about: Mapping[str, Any] | None = None,
) -> Built:
    """Split questions, then reject within each side.

    Rejected responses come from the same side, so that a held-out user's text is nobody's rejected
    response in training. What is held out is also taken out of the histories on the other sides.

    Parameters
    ----------
    questions : sequence of Question
    options : SplitOptions, optional
    rule : {"similar", "other", "given"}
    given : mapping of question id to text, optional
    every_item : bool
        Make examples of the items of the histories too.
    faults : Faults, optional
    about : mapping, optional
        What else to record.

    Returns
    -------
    Built

    Raises
    ------
    InputError
        For questions that cannot be split or paired.
    """
    options, faults = options or SplitOptions(), faults or Faults()
    asked = expand(questions) if every_item else list(questions)
    keys = [frozenset({normalise(each.input), normalise(each.output)}) for each in asked]
    found = split([each.user for each in asked], keys, options)
    sides, texts = {}, {}
    for name, rows in found.sides().items():
        own = [asked[at] for at in rows]
        sides[name] = preference_examples(own, rule=rule, given=given, seed=options.seed)
        texts[name] = frozenset(key for at in rows for key in keys[at])
    sides = {name: _clean(rows, name, texts, faults) for name, rows in sides.items()}
    said = {
        "rejected": RULES[rule],
        "labels": "made by this rule from what users wrote; no person compared the responses",
    }
    return _built(sides, {**(about or {}), **said}, found, options, faults)


def split_pairs(
    examples: Sequence[Example],
    *,
    options: SplitOptions | None = None,
    faults: Faults | None = None,
    dialogues: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Built:
    """Split preference examples that people labelled.

    Parameters
    ----------
    examples : sequence of Example
        A user's in order of time.
    options : SplitOptions, optional
    faults : Faults, optional
    dialogues : bool
        Keep the turns of a dialogue (of PRISM) on one side.
    about : mapping, optional

    Returns
    -------
    Built

    Raises
    ------
    InputError
        For examples that cannot be used or split.
    """
    options, faults = options or SplitOptions(), faults or Faults()
    good = usable(examples, faults)
    keys = [
        example_texts(each) | ({f"dialogue {dialogue_of(each)}"} if dialogues else set())
        for each in good
    ]
    found = split([each.user for each in good], keys, options)
    sides = {name: [good[at] for at in rows] for name, rows in found.sides().items()}
    return _built(sides, about or {}, found, options, faults)


def _built(
    sides: Mapping[str, Sequence[Example]],
    about: Mapping[str, Any],
    found: Split,
    options: SplitOptions,
    faults: Faults,
) -> Built:
    counts = {
        "split": asdict(options),
        "left_out_for_shared_texts": len(found.dropped),
        "left_out_as_faulty": len(faults.problems),
    }
    return Built(sides, {**about, **counts})


def write_built(built: Built, folder: str | Path, sources: Sequence[str | Path] = ()) -> list[Path]:
    """Write a JSONL file a side, and how they were made as ``card.json``.

    Parameters
    ----------
    built : Built
    folder : path
    sources : sequence of path
        Files that it was made from; their checksums are recorded.

    Returns
    -------
    list of Path
        The files with examples.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    folder = Path(folder)
    written = [folder / f"{name}.jsonl" for name in built.sides]
    for path, rows in zip(written, built.sides.values(), strict=True):
        write_examples(rows, path)
    hashes = {Path(each).name: sha256(Path(each).read_bytes()).hexdigest() for each in sources}
    sizes = {name: len(rows) for name, rows in built.sides.items()}
    record = {**built.about, "sha256": hashes, "examples": sizes}
    write_text(folder / CARD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return written


def _clean(
    examples: Sequence[Example], side: str, texts: Mapping[str, frozenset[str]], faults: Faults
) -> list[Example]:
    """Take out of histories what is held out on later sides, and pairs that say nothing."""
    later = SIDES[SIDES.index(side) + 1 :]
    hidden = frozenset().union(*(texts.get(name, frozenset()) for name in later))
    return usable([without_texts(each, hidden) for each in examples], faults)
