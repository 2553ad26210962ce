"""Small valid inputs of every kind, made by the package itself; what is spoilt starts from them."""

from __future__ import annotations

import gzip
import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats import simulate, write_results

_TESTS = Path(__file__).parents[3] / "tests" / "backend"
_TOPICS = ("parsing", "translation", "summaries", "dialogue", "speech", "ethics")
_INSTRUCTION = "Generate a title for the following abstract of a paper: "


def make_inputs(folder: Path, *, backend: bool) -> None:
    """Write the inputs.

    Parameters
    ----------
    folder : Path
        Made here.
    backend : bool
        Write a study with tiny models too; needs torch.
    """
    folder.mkdir(parents=True)
    _results(folder / "results")
    _tables(folder / "tables")
    _data(folder / "data")
    if backend:
        _study(folder / "study")


def _results(folder: Path) -> None:
    folder.mkdir()
    small: Any = {"n_users": 5, "n_examples": 4, "n_methods": 3, "n_icl": 1, "seed": 1}
    plain = simulate(**small)
    write_results(plain, folder / "plain.nc")
    write_results(simulate(**small, models=2, n_seeds=2), folder / "seeds.nc")
    write_results(simulate(**small, tokens=6), folder / "traces.nc")
    write_results(simulate(**small, texts=True, datasets=("a", "b")), folder / "groups.nc")
    ds = next(node.to_dataset() for node in plain.subtree if node.data_vars)
    ds = ds.assign_coords(example=[f"e{i}" for i in range(ds.sizes["example"])])
    ds = ds[[name for name in ds.data_vars if not str(name).startswith("true_")]]
    for name, part in (("first", slice(0, 10)), ("second", slice(10, None))):
        write_results(xr.DataTree(ds.isel(example=part)), folder / f"{name}.nc")


def _tables(folder: Path) -> None:
    folder.mkdir()
    of = product(("lore", "vpl"), range(6), ("chosen", "rejected"))
    frame = pd.DataFrame(of, columns=["method", "example", "candidate"])
    frame.insert(0, "model", "0.5B")
    frame.insert(2, "user", "u" + (frame["example"] % 3).astype(str))
    frame["reward"] = np.random.default_rng(0).normal(size=len(frame)).round(3)
    frame["logprob"] = -5.0 - frame["example"]
    frame["example"] = "e" + frame["example"].astype(str)
    frame["n_tokens"] = 3
    frame.to_csv(folder / "scores.csv", index=False)
    frame.to_csv(folder / "scores.tsv", index=False, sep="\t")
    frame.to_parquet(folder / "scores.parquet")
    frame.to_json(folder / "scores.jsonl", orient="records", lines=True)
    pairs = [{"chosen": 0.5, "rejected": 0.25, "id": f"p{i}", "subset": "s"} for i in range(4)]
    _write_lines(folder / "rewardbench.jsonl", pairs)
    answers = {"arguments": [["prompt", " yes"], ["prompt", " no"]], "target": "0"}
    answers |= {"filtered_resps": [[-1.5, False], [-2.5, True]]}
    _write_lines(folder / "lm_eval.jsonl", [{"doc_id": i} | answers for i in range(4)])


def _data(folder: Path) -> None:
    folder.mkdir()
    about = dict(enumerate(_TOPICS))
    profiles = [
        [
            {"id": f"{user}{at}", "title": f"Title {user} {at}", "date": f"20{20 - at}"}
            | {"abstract": f"Abstract {user} {at} of {about[at]}."}
            for at in range(3)
        ]
        for user in about
    ]
    questions = [
        {"id": f"{user}1", "input": f"{_INSTRUCTION}We question {about[user]} here."}
        | {"profile": profiles[user]}
        for user in about
    ]
    golds = [{"id": each["id"], "output": f"Answer to {each['id']}"} for each in questions]
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "outputs.json").write_text(json.dumps({"task": "LaMP_5", "golds": golds}))
    given = [{"id": f"{user}1", "output": f"Generic {user}"} for user in about]
    given += [{"id": f"{user}1/{at}", "output": "Generic"} for user in about for at in range(3)]
    _write_lines(folder / "given.jsonl", given)
    papers = [
        {"id": f"P{author}{at}", "year": 2012 + at, "month": "August"}
        | {"title": f"Paper {author} {at} on {about[at]}", "authors": [f"Author {author}"]}
        | {"abstract": f"We study {about[at]} with method {author}."}
        for author in about
        for at in range(5)
    ]
    _write_lines(folder / "papers.jsonl", papers)
    packed = gzip.compress((folder / "papers.jsonl").read_bytes(), mtime=0)
    (folder / "papers.jsonl.gz").write_bytes(packed)
    comparisons = [
        {"info": {"id": f"t{i}", "post": f"Post {i} on {about[i % 6]}", "title": f"T {i}"}}
        | {"summaries": [{"text": f"Short {i}"}, {"text": f"A longer summary {i}"}]}
        | {"choice": i % 2, "worker": f"w{i % 4}"}
        for i in range(16)
    ]
    _write_lines(folder / "comparisons.jsonl", comparisons)
    pd.DataFrame(comparisons).to_parquet(folder / "comparisons.parquet")
    _write_lines(folder / "conversations.jsonl", [_conversation(i) for i in range(10)])
    examples = [
        {"id": f"x{i}", "user": f"u{i % 3}", "prompt": f"Prompt {i}", "chosen": f"Chosen {i}"}
        | {"rejected": f"Rejected {i}", "reference": f"Chosen {i}"}
        | {"history": [{"input": "asked", "output": "answered", "date": "2020"}]}
        for i in range(9)
    ]
    for name in ("examples", "other"):
        _write_lines(folder / f"{name}.jsonl", examples)


def _conversation(number: int) -> dict[str, Any]:
    turns = []
    for turn in range(2):
        asked = f"Question {turn} of {number}"
        turns.append({"turn": turn, "role": "user", "content": asked})
        turns += [
            {"turn": turn, "role": "model", "content": f"Answer {place} to {asked}"}
            | {"if_chosen": place == 0, "score": score}
            for place, score in enumerate((90, 20))
        ]
    return {"conversation_id": f"c{number}", "user_id": f"user{number % 5}"} | {
        "conversation_history": turns
    }


def _study(folder: Path) -> None:
    sys.path.insert(0, str(_TESTS))
    import torch
    from study_files import LIGHT, STUDY, write_study

    torch.set_num_threads(1)
    write_study(folder, text=STUDY, examples=40)
    write_study(folder.with_name("light"), text=LIGHT)
    (folder / "train.toml").write_text(
        '[data.titles]\npath = "titles.jsonl"\n[models.small]\npath = "small"\n'
        '[methods.bt]\nkind = "head"\npath = "trained/{model}/bt-{seed}.safetensors"\n'
        'train = {model = "bradley-terry", epochs = 1, batch_size = 8}\n'
        '[methods.lore]\nkind = "head"\npath = "trained/{model}/lore-{seed}.safetensors"\n'
        'train = {model = "lore", rank = 2, epochs = 1}\n'
        '[run]\nseeds = [0, 1]\n[training]\ndata = "titles.jsonl"\n'
    )


def _write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
