"""Rewards that reward benchmarks wrote: rewardbench, RewardBench 2, RM-Bench, JudgeBench."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from preflamp_stats.io.formats.source import Asked, Found, Row, Source, plain_text

_CHOSEN, _REJECTED = ("chosen", "scores_chosen"), ("rejected", "scores_rejected")
_HARDER = {-1: "hard", 0: "normal", 1: "easy"}
"""RM-Bench: the chosen response in a plainer style than the rejected one, the same, a richer."""
_RM_BENCH_FILE = re.compile(r"(?:total_dataset|\w+_filtered)_(.+)_REWORD_MODEL_\d{8}_\d{6}")


def is_rewardbench(source: Source) -> bool:
    """Whether records hold a score of chosen and rejected, in one of the names of rewardbench."""
    named = {key for key in (*_CHOSEN, *_REJECTED) if _is_score(source.first.get(key, ""))}
    return bool({*_CHOSEN} & named and {*_REJECTED} & named) and not is_rm_bench(source)


def is_rewardbench2(source: Source) -> bool:
    """Whether records hold the scores of several responses, the right ones first."""
    return isinstance(source.first.get("scores"), list)


def is_rm_bench(source: Source) -> bool:
    """Whether records hold a score of chosen and rejected for each of several styles."""
    sides = [source.first.get(f"score_{side}") for side in ("chosen", "rejected")]
    return all(isinstance(side, list) and len(side) > 1 for side in sides)


def is_judgebench(source: Source) -> bool:
    """Whether records are pairs with judgments and a label."""
    return {"judgments", "label"} <= source.first.keys()


def _is_score(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    try:
        return value is None or math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def rewardbench(source: Source, asked: Asked) -> Found:
    """Read pairs: ``MODEL_outputs.jsonl``, ``MODEL_all.jsonl``, a file of ``eval-set-scores``."""
    found = Found()
    records = _by_row(source)
    listed = _lists_all(records)
    for place, (where, record, base) in enumerate(_examples(source, asked, records)):
        for candidate, names in (("chosen", _CHOSEN), ("rejected", _REJECTED)):
            # An output of rewardbench holds texts as chosen and numbers as scores_chosen.
            held = [name for name in names[1:] if name in record] or [
                n for n in names if n in record
            ]
            if not held:
                source.refuse("is missing", "give both responses of a pair", where, candidate)
            value = record[held[0]]
            if listed and isinstance(value, list):
                value = value[place]
            row = {**base, "candidate": candidate, "reward": source.number(value, where, held[0])}
            if text := plain_text(record.get(f"text_{candidate}")):
                row["candidate_text"] = text
            found.rows.append(row)
    return found


def rewardbench2(source: Source, asked: Asked) -> Found:
    """Read one right response among several; of the subset Ties, the score that its authors define.

    Ties become a dataset of their own: an example a prompt, its metric ``ties_score``, whose mean
    is the benchmark's score where every prompt has both its forms (Malik et al. 2025, arXiv
    2506.01937; ``process_single_model`` of rewardbench 0.1.4). Its reward of chosen is that of the
    lowest right response, of rejected that of the highest wrong one.
    """
    found = Found(higher={"ties_score"})
    ties: dict[str, dict[str, tuple[list[float], list[float], Row]]] = {}
    for where, record, base in _examples(source, asked, _by_row(source)):
        if not isinstance(record.get("scores"), list) or len(record["scores"]) < 2:
            what = f"is {str(record.get('scores'))[:40]!r}"
            source.refuse(what, "give the scores of all responses", where, "scores")
        scores = [source.number(value, where, "scores") for value in record["scores"]]
        right = int(source.number(record.get("num_correct", 1), where, "num_correct"))
        if str(record.get("subset", "")).lower() == "ties":
            kind, _, prompt = base["example"].partition(":")
            ties.setdefault(prompt, {})[kind] = scores[:right], scores[right:], base
            continue
        if right != 1:
            what = f"is {right} in a subset other than Ties"
            source.refuse(what, "give one right response", where, "num_correct")
        for i, value in enumerate(scores):
            name = ("chosen", "rejected")[i] if i < 2 else f"rejected{i}"
            found.rows.append({**base, "candidate": name, "reward": value})
    whole = {prompt: forms for prompt, forms in ties.items() if {"ref", "tied"} <= {*forms}}
    if len(whole) < len(ties):
        n = len(ties) - len(whole)
        asked.say(source.path, f"{n} prompts of Ties lack one of their two forms: left out")
    for row in found.rows if whole else ():
        row["dataset"] = asked.dataset or "rewardbench2"
    for prompt, forms in whole.items():
        right_, wrong, base = forms["tied"]
        base = {**base, "example": prompt, "dataset": f"{asked.dataset or 'rewardbench2'}-ties"}
        found.rows.append({**base, "ties_score": _ties_score(*forms["ref"][:2], right_, wrong)})
        for candidate, value in (("chosen", min(right_)), ("rejected", max(wrong))):
            found.rows.append({**base, "candidate": candidate, "reward": value})
    return found


def _ties_score(
    right_one: list[float], wrong_one: list[float], right: list[float], wrong: list[float]
) -> float:
    """Score of a prompt with one right answer (a reference) and, asked otherwise, with several."""
    gap_one, gap = min(right_one) - max(wrong_one), min(right) - max(wrong)
    spread, least = max(right) - min(right), min(gap_one, gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        margin = float(np.nan_to_num(np.tanh(np.float64(least) / spread - 1), nan=0.0))
    told = 0.3 * (gap > 0) + 0.3 * (gap_one > 0) + 0.2 * (gap > spread) + 0.2 * (least > spread)
    return told + 0.01 * margin


def rm_bench(source: Source, asked: Asked) -> Found:
    """Read three styles of chosen by three of rejected: nine pairs of one prompt.

    The prompt is their ``user``, so that they are resampled together, and ``subset`` says how hard
    they are.
    """
    found = Found()
    for where, record, base in _examples(source, asked, source.records):
        sides = {side: record.get(f"score_{side}") for side in ("chosen", "rejected")}
        for side, scores in sides.items():
            if not isinstance(scores, list) or len(scores) != len(sides["chosen"] or ()):
                mend = "give a score for each style, as many as of chosen"
                source.refuse(f"is {str(scores)[:40]!r}", mend, where, f"score_{side}")
        kind = str(record.get("domain", base.get("subset", "")))
        pairs = itertools.product(*map(enumerate, (sides["chosen"] or (), sides["rejected"] or ())))
        for (i, good), (j, bad) in pairs:
            pair = {
                **base,
                "example": f"{base['example']}/{i}-{j}",
                "user": base["example"],
                "subset": f"{kind} {_HARDER[int(np.sign(i - j))]}".strip(),
            }
            for name, value in (("chosen", good), ("rejected", bad)):
                reward = source.number(value, where, f"score_{name}")
                found.rows.append({**pair, "candidate": name, "reward": reward})
    return found


def judgebench(source: Source, asked: Asked) -> Found:
    """Read judgments of pairs: scores of a reward model, or a judge's verdicts in either order.

    A judge's reward of a response is the number of games that it won; with ``ties="strict"`` the
    accuracy is that of JudgeBench.
    """
    found = Found()
    labels = source.labels(source.records, asked)
    silent = 0
    for place, record in enumerate(source.records, 1):
        where, label = f"line {place}", record.get("label")
        if label not in ("A>B", "B>A"):
            source.refuse(f"is {label!r}", "give A>B or B>A", where, "label")
        games = [game if isinstance(game, dict) else {} for game in record["judgments"]]
        about: Row = next((g["judgment"] for g in games if isinstance(g.get("judgment"), dict)), {})
        judge, model = str(record.get("judge_name", "")), str(about.get("judge_model", ""))
        name = model if judge == "reward_model" else f"{judge} {model}".strip()
        base = {"example": str(record.get("pair_id", place)), "method": asked.method or name}
        if not base["method"]:
            source.refuse("names no judge", "give --method", where, "judge_name")
        base |= {"subset": str(record["source"])} if "source" in record else {}
        base |= {"prompt": text} if (text := plain_text(record.get("question"))) else {}
        base |= labels(record)
        scores = about.get("scores")
        if isinstance(scores, list) and len(scores) == 2 and games[0]:
            first, second = (source.number(value, where, "scores") for value in scores)
        else:
            first, second = _games_won(games)
            found.pairwise.add(base["method"])
            silent += math.isnan(first)
        sides = (first, second) if label == "A>B" else (second, first)
        texts = [record.get(f"response_{side}") for side in ("AB" if label == "A>B" else "BA")]
        for candidate, value, text in zip(("chosen", "rejected"), sides, texts, strict=True):
            row = {**base, "candidate": candidate, "reward": value}
            found.rows.append(row | ({"candidate_text": text} if isinstance(text, str) else {}))
    if silent:
        asked.say(source.path, f"{silent} pairs without a verdict are missing, not wrong")
    return found


def _games_won(games: list[Row]) -> tuple[float, float]:
    """Games that A and B won; every other one shows them in the opposite order."""
    won, verdicts = {"A": 0, "B": 0}, 0
    for place, game in enumerate(games):
        verdict = str(game.get("decision"))
        verdicts += verdict in ("A>B", "B>A", "A=B")
        if verdict in ("A>B", "B>A"):
            won[verdict[0] if place % 2 == 0 else "BA"["AB".index(verdict[0])]] += 1
    return (won["A"], won["B"]) if verdicts else (math.nan, math.nan)


def _examples(source: Source, asked: Asked, records: list[Row]) -> Iterator[tuple[str, Row, Row]]:
    """Where a record is, the record, and the labels of its rows."""
    ids = [record.get("id", record.get("example_id")) for record in records]
    if None in ids or len({*map(str, ids)}) < len(ids):
        ids = list(range(len(ids)))
    labels = source.labels(records, asked)
    stem = source.path.stem
    if told := _RM_BENCH_FILE.fullmatch(stem):
        stem = told[1]
    # A file of columns names its model once; in a line "model" may be who wrote the response.
    told_once = source.first.get("model") if len(source.records) == 1 else None
    method = asked.method or str(told_once or re.sub("_(outputs|all)$", "", stem))
    for place, (example, record) in enumerate(zip(ids, records, strict=True), 1):
        base = {"example": str(example), "method": method, **labels(record)}
        if asked.dataset:
            base["dataset"] = asked.dataset
        if text := plain_text(record.get("prompt")):
            base["prompt"] = text
        yield f"example {place}", record, base


def _by_row(source: Source) -> list[Row]:
    """Columns of a file that is one object, as rows."""
    records = source.records
    score = next((k for k in ("scores_chosen", "scores") if k in records[0]), "") if records else ""
    if len(records) != 1 or not isinstance(records[0].get(score), list):
        return records
    columns = {name: each for name, each in records[0].items() if isinstance(each, list)}
    n = len(columns[score])
    if n == 1 or (score == "scores" and not isinstance(columns[score][0], list)):
        return records
    if uneven := {name: len(each) for name, each in columns.items() if len(each) != n}:
        what = f"has {n} {score}, but {', '.join(f'{k} {name}' for name, k in uneven.items())}"
        source.refuse(what, "give each column a value an example")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _lists_all(records: list[Row]) -> bool:
    """Whether every line holds the scores of all lines, as older versions wrote them."""
    first = records[0] if records else {}
    lists = [name for name in (*_CHOSEN, *_REJECTED) if isinstance(first.get(name), list)]
    same = all(record.get(name) == first[name] for name in lists for record in records)
    whole = all(len(first[name]) == len(records) for name in lists)
    return len(records) > 1 and bool(lists) and whole and same
