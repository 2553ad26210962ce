"""TL;DR: comparisons of summaries by the workers of summarize_from_feedback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from preflamp_backend.data.examples import Example
from preflamp_backend.data.rows import Faults

HUB = ("openai/summarize_from_feedback", "comparisons")
"""Name and configuration on the Hugging Face hub."""


def comparison_examples(
    rows: Sequence[Mapping[str, Any]], faults: Faults | None = None
) -> list[Example]:
    """Turn comparisons into preference examples of the worker who made them.

    Parameters
    ----------
    rows : sequence of mapping
        ``info`` (``id``, and ``post`` or ``article``; ``subreddit``, ``title`` where there are
        any), ``summaries`` (two mappings with ``text``), ``choice`` (0 or 1), ``worker``.
    faults : Faults, optional
        Where rows that cannot be used are noted.

    Returns
    -------
    list of Example

    Raises
    ------
    InputError
        For rows that cannot be used, unless ``faults`` drops them.
    """
    faults = faults or Faults()
    examples = []
    for number, row in enumerate(rows, 1):
        if wrong := next(_wrong(row), ""):
            mend = "give info, summaries[2].text, choice (0 or 1) and worker"
            faults.note(f"row {number}", wrong, mend)
            continue
        texts = [str(summary["text"]).strip() for summary in row["summaries"]]
        choice = int(row["choice"])
        examples.append(
            Example(
                id=f"{row['info'].get('id', '')} {number}".strip(),
                user=str(row["worker"]),
                prompt=_prompt(row["info"]),
                candidates={"chosen": texts[choice], "rejected": texts[1 - choice]},
            )
        )
    faults.check()
    return examples


def lengths_decide(examples: Sequence[Example], least: int = 10) -> float:
    """Share of users whose every choice is the longer (or every one the shorter) response.

    Near 1, the labels were made by a rule of length and are not people's.

    Parameters
    ----------
    examples : sequence of Example
    least : int
        Pairs of different length that a user needs to count.

    Returns
    -------
    float
        NaN where no user has so many.
    """
    longer: dict[str, list[bool]] = {}
    for example in examples:
        if {"chosen", "rejected"} <= set(example.candidates):
            chosen, rejected = (len(example.candidates[each]) for each in ("chosen", "rejected"))
            if chosen != rejected:
                longer.setdefault(example.user, []).append(chosen > rejected)
    counted = [each for each in longer.values() if len(each) >= least]
    return sum(len(set(each)) == 1 for each in counted) / len(counted) if counted else float("nan")


def _prompt(info: Mapping[str, Any]) -> str:
    lines = [
        f"SUBREDDIT: r/{info['subreddit']}" if info.get("subreddit") else "",
        f"TITLE: {info['title']}" if info.get("title") else "",
        f"POST: {info.get('post') or info.get('article')}",
        "TL;DR:",
    ]
    return "\n".join(line for line in lines if line)


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(row.get("info"), Mapping):
        yield "has no info"
    elif not (row["info"].get("post") or row["info"].get("article")):
        yield "has neither post nor article"
    summaries = row.get("summaries")
    if summaries is None or len(summaries) != 2:
        yield "has not two summaries"
    elif not all(
        isinstance(each, Mapping) and str(each.get("text", "")).strip() for each in summaries
    ):
        yield "has a summary without text"
    elif str(summaries[0]["text"]).strip() == str(summaries[1]["text"]).strip():
        yield "has the same summary twice"
    if row.get("choice") not in (0, 1):
        yield f"has choice {row.get('choice')!r}"
    if not row.get("worker"):
        yield "names no worker"
