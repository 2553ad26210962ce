"""RewardBench 2: one right response among four, and prompts with several right ones (Ties).

Source: Malik et al. 2025, "RewardBench 2: Advancing Reward Model Evaluation", arXiv 2506.01937; the
dataset's card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from preflamp_backend.data.examples import Example
from preflamp_backend.data.people import examples_of
from preflamp_backend.data.rows import Faults

HUB = ("allenai/reward-bench-2", "default")
"""Name and configuration on the Hugging Face hub."""

ABOUT = {
    "kind": "RewardBench 2",
    "rejected": "candidates rejected, rejected2, …: the wrong responses, in the file's order",
    "labels": "right and wrong responses, not anybody's preference",
    "users": "none: each prompt stands for itself",
    "ties": "prompts with several right responses (chosen, chosen2, …) are a file apart, as "
    "they are scored apart; accuracies compare chosen and rejected, the first of each",
}


def best_of_examples(
    rows: Sequence[Mapping[str, Any]], faults: Faults | None = None
) -> dict[str, list[Example]]:
    """Turn rows into examples of several candidates, by subset.

    :func:`preflamp_stats.best_of_accuracy` is then the benchmark's accuracy, but for Ties.

    Parameters
    ----------
    rows : sequence of mapping
        ``id, prompt, chosen, rejected`` (lists of texts)``, subset``.
    faults : Faults, optional
        Where rows that cannot be used are noted.

    Returns
    -------
    dict of str to list of Example
        By subset in lower case, spaces as hyphens: ``factuality``, ``precise-if``, …, ``ties``.

    Raises
    ------
    InputError
        For rows that cannot be used, unless ``faults`` drops them; several right responses outside
        of Ties are among them.

    Examples
    --------
    >>> row = {"id": 7, "prompt": "2 + 2?", "chosen": ["4"], "rejected": ["5", "22"]}
    >>> best_of_examples([{**row, "subset": "Math"}])["math"][0].candidates
    {'chosen': '4', 'rejected': '5', 'rejected2': '22'}
    """
    found: dict[str, list[Example]] = {}

    def made(number: int, row: Mapping[str, Any]) -> Iterator[Example]:
        example = Example(
            id=str(row["id"]),
            user=str(row["id"]),
            prompt=row["prompt"],
            candidates={
                f"{name}{at + 1 if at else ''}": text
                for name in ("chosen", "rejected")
                for at, text in enumerate(row[name])
            },
        )
        found.setdefault("-".join(row["subset"].lower().split()), []).append(example)
        yield example

    mend = "give id, prompt, chosen and rejected as lists of texts, and subset"
    examples_of(rows, "row", _wrong, made, mend, faults)
    return found


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("id") in (None, ""):
        yield "has no id"
    for key in ("prompt", "subset"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            yield f"has no {key}"
    for key in ("chosen", "rejected"):
        texts = row.get(key)
        if not isinstance(texts, list) or not texts:
            yield f"has no list of {key} responses"
        elif not all(isinstance(text, str) and text.strip() for text in texts):
            yield f"has a {key} response without text"
        elif key == "chosen" and len(texts) > 1 and str(row.get("subset")).lower() != "ties":
            yield f"has {len(texts)} chosen responses outside of the subset Ties"
