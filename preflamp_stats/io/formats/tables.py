"""Files that are tables of numbers: alpaca_eval, mt-metrics-eval, preference sets."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from preflamp_stats.io.columns import recognise
from preflamp_stats.io.formats.source import Asked, Found, Row, Source, plain_text
from preflamp_stats.io.tables import Table, frame_table, read_table

_SCORE_FILE = re.compile(r"(?:([a-z]{2,3}-[\w]+)\.)?(.+)\.(sys|seg|doc|domain)\.score")
_PAIR = re.compile(r"[a-z]{2,3}-\w+")
_PERCENT = ("win_rate", "discrete_win_rate", "length_controlled_winrate")


def is_alpaca_eval(source: Source) -> bool:
    """Whether records are annotations of pairs of generators, or rows of a leaderboard."""
    if source.path.suffix == ".csv":
        head = source.text.partition("\n")[0].split(",")
        return {"win_rate", "n_total"} <= {*head}
    return {"generator_1", "generator_2", "preference"} <= source.first.keys()


def alpaca_eval(source: Source, asked: Asked) -> Found:
    """Read ``annotations.json``, where 1 to 2 is the preference for generator_2, or a leaderboard.

    The metric ``win_rate`` of an annotation is the preference less 1 (Li et al. 2023), 0 and 1.5 a
    draw; of a leaderboard it is that of a whole method, a share too.
    """
    if source.path.suffix == ".csv":
        return _leaderboard(source, asked)
    found = Found(higher={"win_rate"})
    baselines = {str(record.get("generator_1")) for record in source.records}
    annotators = {str(record.get("annotator")) for record in source.records}
    for several, name in ((baselines, "generator_1"), (annotators, "annotator")):
        if len(several) > 1:
            what = f"holds {', '.join(sorted(several))}: win rates that cannot be compared"
            source.refuse(what, "give each a file, and analyse them apart", variable=name)
    asked.say(source.path, f"win_rate is against {', '.join(baselines)}")
    labels = source.labels(source.records, asked)
    unread = 0
    prompts: dict[str, int] = {}
    for place, record in enumerate(source.records, 1):
        where = f"record {place}"
        value = source.number(record.get("preference"), where, "preference")
        value = 1.5 if value == 0 else value
        unread += not 1 <= value <= 2
        prompt = str(record.get("instruction", place))
        prompts[prompt] = prompts.get(prompt, 0) + 1
        row: Row = {
            "example": prompt if prompts[prompt] == 1 else f"{prompt} ({prompts[prompt]})",
            "method": asked.method or str(record.get("generator_2")),
            **({"subset": str(record["dataset"])} if record.get("dataset") else {}),
            **labels(record),
        }
        if asked.dataset:
            row["dataset"] = asked.dataset
        if asked.texts:
            row["generation"], row["prompt"] = record.get("output_2"), prompt
        found.rows.append(row | ({"win_rate": value - 1} if 1 <= value <= 2 else {}))
    if unread:
        asked.say(source.path, f"{unread} annotations without a preference are missing")
    return found


def _leaderboard(source: Source, asked: Asked) -> Found:
    cells = read_table(source.path).cells
    names = [name for name in _PERCENT if name in cells]
    left = [n for n in cells.columns[1:] if n not in names]
    asked.say(source.path, f"left out: {', '.join(left)}")
    found = Found(higher={*names})
    for line, row in cells.iterrows():
        numbers = {name: _share(source, row[name], f"line {line}", name) for name in names}
        found.rows.append({"method": row.iloc[0], **numbers})
    if asked.dataset:
        for each in found.rows:
            each["dataset"] = asked.dataset
    return found


def _share(source: Source, cell: Any, where: str, name: str) -> float:
    return source.number(None if pd.isna(cell) else cell, where, name) / 100


def is_mt_metrics(source: Source) -> bool:
    """Whether a file is named as those of mt-metrics-eval are."""
    return bool(_SCORE_FILE.fullmatch(source.path.name))


def mt_metrics_eval(source: Source, asked: Asked) -> Found:
    """Read ``SRC-TGT/NAME-REF.LEVEL.score`` or ``SRC-TGT.NAME.LEVEL.score``: a line SYSTEM SCORE.

    The system is the method, NAME the metric, and the language pair the dataset. Scores of a
    segment are those of an example; scores of whole systems get the ending ``_sys``. Documents, if
    ``documents/SRC-TGT.docs`` is there, are the users: their segments are resampled together.
    """
    told = _SCORE_FILE.fullmatch(source.path.name)
    if not told:
        mend = "name it as mt-metrics-eval does: NAME-REF.seg.score"
        source.refuse("is not named as a file of scores", mend)
    folder = source.path.parent
    pair, name, level = told[1] or folder.name, told[2], told[3]
    if told[1] and _PAIR.fullmatch(folder.name):  # then it is a part of the metric's name
        pair, name = folder.name, f"{told[1]}.{name}"
    if level not in ("sys", "seg"):
        mend = "name the files of segments (.seg.score) or of systems (.sys.score)"
        source.refuse(f"holds scores by {level}", mend)
    roots = (folder.parent, folder.parent.parent)
    documents = [docs for r in roots if (docs := r / "documents" / f"{pair}.docs").is_file()]
    of = [line.split()[:2] for line in Source(documents[0]).text.splitlines()] if documents else []
    if of:
        asked.say(source.path, f"documents of {documents[0]} are the users, domains the subsets")
    found = Found()
    segments: dict[str, int] = {}
    for place, line in enumerate(source.text.splitlines(), 1):
        cells = line.split()
        if len(cells) != 2:
            source.refuse(f"is {line[:40]!r}", "write SYSTEM SCORE", f"line {place}")
        system, score = cells
        row: Row = {"dataset": asked.dataset or pair, "method": system}
        value = source.number(None if score == "None" else score, f"line {place}", name)
        metric = re.sub(r"\W+", "_", name)
        if level == "sys":
            row[f"{metric}_sys"] = value
        else:
            segment = segments[system] = segments.get(system, 0) + 1
            row |= {"example": str(segment), metric: value}
            if of and segment > len(of):
                source.refuse(
                    f"has more than {len(of)} segments of {system}", "check the documents"
                )
            row |= dict(zip(("subset", "user"), of[segment - 1], strict=True)) if of else {}
        found.rows.append(row)
    return found


def is_preference(source: Source) -> bool:
    """Whether records hold chosen and rejected as texts or messages; not rewardbench's."""
    return "scores_chosen" not in source.first and all(
        plain_text(source.first.get(side)) is not None for side in ("chosen", "rejected")
    )


def preference(source: Source, asked: Asked) -> Table:
    """Read a preference set as a table: of messages the last one's text is the response.

    Raises
    ------
    InputError
        Where no score of both responses is there to analyse.
    """
    frame = pd.DataFrame(source.records)
    for name in frame:
        if frame[name].map(plain_text).notna().any():
            frame[name] = frame[name].map(plain_text)
    named = {"method": asked.method, "dataset": asked.dataset}
    frame = frame.assign(**{label: name for label, name in named.items() if name})
    fields = {"user": asked.user, "subset": asked.subset}
    asked.mapping.update({name: label for label, name in fields.items() if name})
    table = frame_table(frame, str(source.path))
    known = recognise(table, [n for n in asked.ignore if n in frame], asked.mapping)
    if not known.problems and "reward" not in known.table.cells:
        mend = (
            "score them with preflamp-stats run, or add columns chosen_reward and rejected_reward"
        )
        source.refuse("holds chosen and rejected, but no score of them", mend)
    return table
