"""Before anything runs: every reward model is used as it was trained, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preflamp_backend.files.tensors import read_tensors
from preflamp_backend.files.text import json_object
from preflamp_backend.prompts.reading import other_reading, reading_of
from preflamp_backend.runs.shards import Identify
from preflamp_backend.study.study import Method, Study
from preflamp_backend.training.token_pairs import RECORD
from preflamp_stats.errors import InputError, Problem


def check_readings(study: Study, identity: Identify) -> list[str]:
    """Compare what each reward model was trained on with what it would read here.

    Parameters
    ----------
    study : Study
    identity : callable
        What makes a model's numbers.

    Returns
    -------
    list of str
        What cannot be compared: heads that do not say how they were trained.

    Raises
    ------
    InputError
        Naming every reward model that would read other tokens or other states.
    """
    problems: list[Problem | str] = []
    silent: dict[str, None] = {}
    for method in study.methods.values():
        for model in study.models:
            for seed in study.reward_seeds:
                path, trained = _trained_with(study, method, model, seed)
                if path is None:
                    continue
                if trained is None:
                    silent[f"{path} does not say how it was trained, and is read as it is"] = None
                    continue
                source = study.models[model]
                prompt = None if method.kind == "head" else method.prompt
                form = study.prompt if method.kind == "head" else method.form
                now = reading_of(source, identity(source), form, prompt)
                if error := other_reading(path, trained, now):
                    problems += [each for each in error.problems if each not in problems]
    if problems:
        raise InputError(problems)
    return list(silent)


def _trained_with(
    study: Study, method: Method, model: str, seed: int
) -> tuple[Path | None, dict[str, Any] | None]:
    """File of a reward model that is there, and how it was trained, if it says so.

    A language model from elsewhere says nothing, as it was trained by somebody else.
    """
    if method.kind == "head":
        path = Path(study.head_path(method, model, seed))
        found = read_tensors(path)[1].get("reads") if path.is_file() else None
        return (path if path.is_file() else None), found
    source = study.reward_source(method, model, seed)
    record = Path(source.path) / RECORD if source and method.kind != "judge" else None
    found = json_object(record).get("reads") if record and record.is_file() else None
    return (record if found else None), found
