"""Samples that lm-evaluation-harness logged (``--log_samples``), of every kind of request."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from typing import Any

from preflamp_stats.io.formats.source import Asked, Found, Row, Source

_FILE = re.compile(r"samples_(.+?)_(\d{4}-\d\d-\d\dT[\d.:-]+)")
_OF_CORPUS = ("word_perplexity", "byte_perplexity", "bits_per_byte", "perplexity")
"""Metrics whose sample is a log-likelihood, whatever they are called."""


def is_lm_eval(source: Source) -> bool:
    """Whether records are requests with their filtered responses."""
    return {"doc_id", "filtered_resps"} <= source.first.keys()


def lm_eval(source: Source, asked: Asked) -> Found:
    """Read a file ``samples_TASK_DATE.jsonl``.

    The model is the method, and the task the dataset. A metric that the harness gives for each
    document is a metric of that name. Of choices the gold one is ``chosen``, the first other one
    ``rejected``, and further ones keep their number, each with its ``logprob``. The likelihood of
    a text or continuation is the metric ``loglikelihood``; exp(-mean) is the harness's perplexity.
    """
    about = _about(source)
    told = _FILE.match(source.path.stem)
    task = told[1] if told else ""
    model = asked.method or str(about.get("model_name") or "") or source.path.parent.name
    if not asked.method and not about.get("model_name"):
        asked.say(source.path, f"no results_*.json beside it: model taken as {model!r}")
    records = _of_filter(source, asked)
    docs = [record["doc"] if isinstance(record.get("doc"), dict) else {} for record in records]
    read_labels = source.labels(docs, asked)
    several = len({*(str(record.get("filter")) for record in records)}) > 1
    found, notes = Found(), set[str]()
    directions = about.get("higher_is_better", {}).get(task, {})
    for place, (record, doc) in enumerate(zip(records, docs, strict=True), 1):
        where = f"line {place}"
        named = f"{task}/" * bool(asked.dataset and task)
        base: Row = {"example": f"{named}{record['doc_id']}"}
        if asked.dataset or task:
            base["dataset"] = asked.dataset or task
        if named:
            base["subset"] = task
        base |= read_labels(doc)
        ending = f"_{record.get('filter')}" if several else ""
        metrics = _metrics(source, record, ending, where, notes)
        for name in metrics:
            told_higher = directions.get(name.removesuffix(ending), name == "loglikelihood" or None)
            if told_higher is not None:
                (found.higher if told_higher else found.lower).add(name)
        if metrics:
            found.rows.append({**base, "method": model, **metrics})
        at = (where, notes, bool(metrics), several)
        found.rows += _texts(source, asked, record, {**base, "method": model}, *at)
    for note in sorted(notes):
        asked.say(source.path, note)
    return found


def _about(source: Source) -> dict[str, Any]:
    """The aggregated results that the harness wrote beside its samples."""
    told = _FILE.match(source.path.stem)
    beside = source.path.parent / f"results_{told[2]}.json" if told else None
    return Source(beside).first if beside and beside.is_file() else {}


def _of_filter(source: Source, asked: Asked) -> list[Row]:
    for place, record in enumerate(source.records, 1):
        if "doc_id" not in record or not isinstance(record.get("filtered_resps"), list):
            mend = "name a samples_*.jsonl file"
            source.refuse("has no doc_id and filtered_resps", mend, f"line {place}")
    names = list(dict.fromkeys(str(record.get("filter")) for record in source.records))
    if asked.filter and asked.filter not in names:
        source.refuse(f"has no filter {asked.filter!r}", f"choose one of {', '.join(names)}")
    if asked.filter:
        names = [asked.filter]
    return [record for record in source.records if str(record.get("filter")) in names]


def _metrics(
    source: Source, record: Row, ending: str, where: str, notes: set[str]
) -> dict[str, float]:
    """Numbers that the harness gives for a document."""
    found = {}
    for name in record.get("metrics") or [n for n in ("acc", "exact_match") if n in record]:
        value = record.get(name)
        if name in _OF_CORPUS:
            first = value[0] if isinstance(value, list) and value else value
            found[f"loglikelihood{ending}"] = source.number(first, where, name)
        elif isinstance(value, int | float):
            found[f"{name}{ending}"] = float(value)
        elif value is not None:
            notes.add(f"{name} is left out: it is of all documents, not of each")
    return found


def _texts(
    source: Source,
    asked: Asked,
    record: Row,
    base: Row,
    where: str,
    notes: set[str],
    scored: bool,
    several: bool,
) -> Iterable[Row]:
    """Choices with their log-probabilities, or a generation with its reference."""
    responses = record["filtered_resps"]
    requests = _arguments(source, record.get("arguments"), where)
    # Of a task such as Winogrande the choices differ in the context, not in what follows it.
    contexts = {str(each[0]) for each in requests if each}
    shared = os.path.commonprefix(list(contexts))  # noqa: RUF071 - of letters
    if len(contexts) > 1:
        shared = shared[: shared.rfind(" ") + 1]
    if requests and (len(responses) > 1 or asked.texts or not scored):
        base = {**base, "prompt": shared}
    if responses and isinstance(responses[0], str):
        if len(requests) == 1 and len(requests[0]) == 1:
            return  # the likelihood of a whole text
        if several or (scored and not asked.texts):
            how = "--filter chooses one of several" if several else "--texts reads them, for ROUGE"
            notes.add(f"texts are left out: {how}")
            return
        if len(responses) > 1:
            what = f"holds {len(responses)} responses to one request"
            source.refuse(what, "filter them to one", where, "filtered_resps")
        row = {**base, "generation": responses[0]}
        if _is_list(record.get("target")):
            notes.add("several references: left out, and with them ROUGE")
        else:
            row["reference"] = record.get("target")
        yield row
        return
    if len(responses) < 2:
        return  # the likelihood of one continuation is a metric
    # A response is the log-probability and whether it is the greedy one.
    logprobs = [
        source.number(r[0] if isinstance(r, list) and r else r, where, f"choice {i}")
        for i, r in enumerate(responses)
    ]
    gold = _gold(record, requests, logprobs)
    if gold is None:
        what = f"is {record.get('target')!r}, which numbers no choice"
        if not scored:
            mend = "log a task whose target is the number or the text of the gold choice"
            source.refuse(what, mend, where, "target")
        notes.add("target names no choice: log-probabilities are left out, metrics are read")
        return
    model = base.pop("method")
    for i, name in enumerate(_choice_names(gold, len(responses))):
        row = {**base, "model": model, "candidate": name, "logprob": logprobs[i]}
        if i < len(requests) and len(requests[i]) > 1:
            row["candidate_text"] = str(requests[i][0])[len(shared) :] + str(requests[i][1])
        yield row


def _is_list(target: Any) -> bool:
    """Whether a target, which the harness writes as text, was a list of several."""
    if isinstance(target, str) and target[:1] == "[":
        try:
            target = ast.literal_eval(target)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return False
    return isinstance(target, list)


def _arguments(source: Source, arguments: Any, where: str) -> list[list[Any]]:
    """Prompt and continuation of each request, in either layout of the harness."""
    try:
        if isinstance(arguments, dict):
            return [list(each.values()) for each in arguments.values()]
        return [list(each) for each in arguments or []]
    except (TypeError, AttributeError):
        what, mend = f"is {str(arguments)[:80]!r}", "give each request's arguments as a list"
        source.refuse(what, mend, where, "arguments")


def _gold(record: Row, requests: list[list[Any]], logprobs: list[float]) -> int | None:
    target: Any = record.get("target")
    count = len(logprobs)
    texts = [str(each[1]).strip() for each in requests if len(each) > 1]
    try:
        gold = int(target)
    except (TypeError, ValueError, OverflowError):
        told = str(target).strip()
        gold = texts.index(told) if texts.count(told) == 1 else -1
        if gold < 0 and count == 2 and record.get("acc") in (0, 1) and len({*logprobs}) == 2:
            # The text follows both contexts; which one is right shows in what was counted right.
            gold = logprobs.index((max if record["acc"] else min)(logprobs))
    return gold if 0 <= gold < count else None


def _choice_names(gold: int, count: int) -> list[str]:
    others = [i for i in range(count) if i != gold]
    named = {gold: "chosen", **dict.fromkeys(others[:1], "rejected")}
    return [named.get(i, f"choice{i}") for i in range(count)]
