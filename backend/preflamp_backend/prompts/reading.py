"""How a reward model reads texts: kept with it where it is trained, compared where it is used.

A head that was trained on other tokens, or on another model's states, gives numbers that mean
nothing, and nothing in them shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from preflamp_backend.faults import fault
from preflamp_backend.models.loading import ModelSource, load_tokenizer
from preflamp_backend.prompts.encoding import PromptFormat, begins
from preflamp_backend.prompts.in_context import PromptOptions
from preflamp_stats.errors import InputError

_OF_BASE = {"base": "base model", "tokenizer": "tokenizer"}
"""What is told by a hash, and so not worth printing."""


def reading_of(
    source: ModelSource,
    identity: Mapping[str, str],
    form: PromptFormat,
    prompt: PromptOptions | None = None,
) -> dict[str, Any]:
    """All choices on which the tokens that a reward model reads depend.

    Parameters
    ----------
    source : ModelSource
        Base model.
    identity : mapping of str to str
        Of the base model, as :func:`preflamp_backend.models.loading.identify` gives it.
    form : PromptFormat
    prompt : PromptOptions, optional
        Of a reward model that is a language model: it reads a prompt of its own, and has weights of
        its own, so that the base model's and their precision say nothing.

    Returns
    -------
    dict of str to JSON value

    Examples
    --------
    ``{"suffix": "turn", "chat": true, "bos": "<bos>", "layer": "last", "dtype": "float32", …}``
    """
    choices: dict[str, Any] = asdict(form)
    choices.pop("overlong")
    choices |= {"tokenizer": identity["tokenizer"], "bos": begins(load_tokenizer(source), form)}
    if prompt is not None:
        # Nothing is read after the response, and the folder has a tokenizer of its own.
        del choices["suffix"], choices["tokenizer"]
        return choices | {f"prompt {name}": value for name, value in asdict(prompt).items()}
    return choices | {"base": identity["weights"], "dtype": source.dtype, "layer": "last"}


def differences(trained: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in words what of a reading is not as it was; what either does not name is left out.

    Examples
    --------
    >>> differences({"suffix": "none", "chat": True}, {"suffix": "turn", "chat": True})
    ["suffix = 'none' (here 'turn')"]
    """
    found = []
    for name in sorted(trained.keys() & now.keys()):
        if trained[name] != now[name]:
            known = f"{name} = {trained[name]!r} (here {now[name]!r})"
            found.append(f"another {_OF_BASE[name]}" if name in _OF_BASE else known)
    return found


def other_reading(path: str | Path, trained: Any, now: Mapping[str, Any]) -> InputError | None:
    """Make the error of a reward model that is used otherwise than it was trained; None if not."""
    found = differences(trained, now) if isinstance(trained, dict) else []
    if not found:
        return None
    mend = "set these as they were, or train it again (preflamp-stats train)"
    return fault(f"was trained with {', '.join(found)}", mend, path)
