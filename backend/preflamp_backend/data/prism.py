"""PRISM: dialogues of people with several models, a candidate chosen and scored at each turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, Literal

from preflamp_backend.data.examples import Example
from preflamp_backend.data.rows import Faults

HUB = ("HannahKirk/prism-alignment", "conversations")
"""Name and configuration on the Hugging Face hub."""

Against = Literal["lowest", "each"]

RULES: Mapping[str, str] = {
    "lowest": "the candidate of the same turn with the lowest score",
    "each": "each candidate of the same turn that was not chosen",
}
"""What the chosen candidate is paired with, in words."""


def conversation_examples(
    rows: Sequence[Mapping[str, Any]], *, against: Against = "lowest", faults: Faults | None = None
) -> list[Example]:
    """Turn conversations into preference examples, one a turn (or one a rejected candidate).

    The prompt is the dialogue so far: what the user said, and the candidates that they chose.

    Parameters
    ----------
    rows : sequence of mapping
        ``conversation_id``, ``user_id``, ``conversation_history``: messages with ``turn``, ``role``
        (``user`` or ``model``), ``content`` and, of models, ``if_chosen`` and ``score``.
    against : {"lowest", "each"}
    faults : Faults, optional
        Where conversations that cannot be used are noted.

    Returns
    -------
    list of Example
        ``id`` is ``conversation/turn``, and the candidate's place where there are several.

    Raises
    ------
    InputError
        For conversations that cannot be used, unless ``faults`` drops them.
    """
    faults = faults or Faults()
    examples: list[Example] = []
    for number, row in enumerate(rows, 1):
        if wrong := next(_wrong(row), ""):
            mend = "give conversation_id, user_id and conversation_history as PRISM does"
            faults.note(f"conversation {number}", wrong, mend)
        else:
            examples += _turns(row, against)
    faults.check()
    return examples


def dialogue_of(example: Example) -> str:
    """Return the dialogue that an example of PRISM belongs to."""
    return example.id.split("/")[0]


def _turns(row: Mapping[str, Any], against: Against) -> Iterator[Example]:
    said = ""
    for turn, messages in _by_turn(row).items():
        asked = next(each for each in messages if each["role"] == "user")
        answers = [each for each in messages if each["role"] == "model"]
        chosen = next(each for each in answers if each.get("if_chosen"))
        said += f"User: {asked['content']}\nAssistant:"
        others = [each for each in answers if each["content"] != chosen["content"]]
        if against == "lowest" and others:
            others = [min(others, key=lambda each: _score(each, 0.0))]
        for place, other in enumerate(others):
            place_name = f"/{place}" if against == "each" else ""
            yield Example(
                id=f"{row['conversation_id']}/{turn}{place_name}",
                user=str(row["user_id"]),
                prompt=said,
                candidates={"chosen": chosen["content"], "rejected": other["content"]},
            )
        said += f" {chosen['content']}\n"


def _score(message: Mapping[str, Any], otherwise: float) -> float:
    return otherwise if message.get("score") is None else float(message["score"])


def _by_turn(row: Mapping[str, Any]) -> dict[int, list[Mapping[str, Any]]]:
    turns: dict[int, list[Mapping[str, Any]]] = {}
    for message in row["conversation_history"]:
        turns.setdefault(int(message["turn"]), []).append(message)
    return dict(sorted(turns.items()))


def _filled(history: object) -> bool:
    """A list, or what a reader of Parquet makes of one, with something in it."""
    return isinstance(history, Sized) and len(history) > 0


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    for key in ("conversation_id", "user_id"):
        if not row.get(key):
            yield f"has no {key}"
    history = row.get("conversation_history")
    if history is None or isinstance(history, str) or not _filled(history):
        yield "has no conversation_history"
        return
    for message in history:
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "model"):
            yield "has a message that is neither a user's nor a model's"
            return
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            yield "has a message without content"
        if not isinstance(message.get("turn"), int | float):
            yield "has a message without turn"
            return
    for turn, messages in _by_turn(row).items():
        roles = [each["role"] for each in messages]
        if roles.count("user") != 1:
            yield f"has {roles.count('user')} messages of the user in turn {turn}"
        chosen = sum(bool(each.get("if_chosen")) for each in messages if each["role"] == "model")
        if chosen != 1:
            yield f"has {chosen} chosen candidates in turn {turn}"
