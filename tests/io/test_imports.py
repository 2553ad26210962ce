"""Files of other tools: what the tool itself said of them is what we say."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import preflamp_stats as pls
from preflamp_stats.cli import main
from preflamp_stats.errors import InputError
from preflamp_stats.io.imports import KINDS, import_files

TOOLS = Path(__file__).parent / "tools"
NUMBERS = json.loads((TOOLS / "numbers.json").read_text())


def read(*names: str, kind: str = "", **options: Any) -> tuple[xr.DataTree, list[str]]:
    said: list[str] = []
    return import_files([TOOLS / name for name in names], kind, say=said.append, **options), said


def mean(ds: Any, name: str, method: str) -> float:
    return float(ds[name].sel({"method": method}).mean())


def by_subset(ds: xr.Dataset, measure: Any) -> dict[str, float]:
    subsets = ds["subset"].values.astype(str)
    return {each: measure(ds.isel(example=subsets == each)).item() for each in np.unique(subsets)}


def close(found: Any) -> Any:
    return pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize(
    ("files", "kind"),
    [("rewardbench", "rewardbench"), ("eval-set-scores", "rewardbench"),
     ("rewardbench2", "rewardbench2"), ("rm-bench", "rm-bench"), ("judgebench", "judgebench"),
     ("alpaca_eval/short_annotations.json", "alpaca-eval"),
     ("alpaca_eval/leaderboard.csv", "alpaca-eval"), ("lm_eval", "lm-eval"),
     ("inspect_json", "inspect"), ("preference/train.jsonl", "preference")],
)  # fmt: skip
def test_the_kind_is_found_from_the_content(files: str, kind: str) -> None:
    found, said = read(files)
    assert f"read as {kind}" in said[0]
    xr.testing.assert_identical(found, read(files, kind=kind)[0])
    reader = getattr(pls, f"read_{kind.replace('-', '_')}", None)
    assert kind == "inspect" or reader is not None
    assert pls.validate(found) is not None


def test_rewardbench_says_what_we_say() -> None:
    for names in (["rm-tiny-a_outputs.jsonl", "rm-tiny-b_outputs.jsonl"], ["rm-tiny-a_all.jsonl"]):
        ds = pls.datasets(read(*(f"rewardbench/{name}" for name in names))[0])["results"]
        found = pls.rm_accuracy(ds, ties="strict")
        for method in found["method"].values:
            assert found.sel({"method": method}).item() == close(NUMBERS[f"rewardbench/{method}"])
    tree, said = read("rewardbench")
    assert any("user_id read as user" in line for line in said)
    assert sorted(set(tree["user"].values)) == ["p0", "p1", "p2", "p3"]
    scores = pls.datasets(read("eval-set-scores")[0])["results"]
    assert by_subset(scores, pls.rm_accuracy) == close(NUMBERS["eval-set-scores/rm-tiny-a"])


def test_rewardbench_2_counts_the_best_of_all_and_ties_apart() -> None:
    tree, _ = read("rewardbench2")
    whole, ties = tree["rewardbench2"].to_dataset(), tree["rewardbench2-ties"].to_dataset()
    assert [*whole["candidate"].values] == ["chosen", "rejected", "rejected2", "rejected3"]
    for method in ("rm-tiny-a", "rm-tiny-b"):
        told = dict(NUMBERS[f"rewardbench2/{method}"])
        assert mean(ties, "ties_score", method) == close(told.pop("Ties"))
        assert by_subset(whole.sel({"method": [method]}), pls.best_of_accuracy) == close(told)
    analysed = pls.analyze(tree, pls.Settings(resamples=50)).tables["best_of_accuracy"].frame
    assert analysed["estimate"].tolist() == close([5 / 6, 1.0])


def test_rm_bench_has_nine_pairs_of_a_prompt() -> None:
    ds = pls.datasets(read("rm-bench")[0])["results"]
    assert (ds.sizes["example"], len(set(ds["user"].values))) == (90, 10)
    for method in ds["method"].values:
        found = by_subset(
            ds.sel({"method": [method]}), lambda part: pls.rm_accuracy(part, ties="strict")
        )
        told = NUMBERS[f"rm-bench/{method}"]
        for name in ("chat", "code", "math", "safety"):
            of = [f for n, f in found.items() if n.startswith(name)]
            assert np.mean(of) == close(told[name])
        for hard in ("hard", "normal", "easy"):
            of = [np.mean([f for n, f in found.items() if n.startswith(name) and n.endswith(hard)])
                  for name in ("chat", "code", "math", "safety")]  # fmt: skip
            assert np.mean(of) == close(told[hard])


def test_judgebench_has_scores_or_verdicts() -> None:
    ds = pls.datasets(read("judgebench")[0])["results"]
    found = 100 * pls.rm_accuracy(ds, ties="strict")
    assert {str(m): found.sel({"method": m}).item() for m in found["method"].values} == close(
        NUMBERS["judgebench"]
    )
    assert json.loads(ds["reward"].attrs["pairwise"]) == ["arena_hard o1-mini-2024-09-12"]


def test_alpaca_eval_has_the_share_of_wins() -> None:
    tree, said = read("alpaca_eval/short_annotations.json", "alpaca_eval/long_annotations.json")
    for method, told in NUMBERS["alpaca_eval"].items():
        assert 100 * mean(tree, "win_rate", method) == close(told)
    assert tree["win_rate"].attrs["direction"] == "higher"
    assert any("against baseline" in line for line in said)
    board, said = read("alpaca_eval/leaderboard.csv")
    assert board["win_rate"].sel({"method": "alpaca-7b"}).item() == close(0.4161490683229814)
    assert any("left out: standard_error" in line for line in said)


def test_lm_eval_of_every_kind_of_request() -> None:
    tree, said = read("lm_eval")
    for model in ("tiny-a", "tiny-b"):
        (file,) = (TOOLS / "lm_eval" / model).glob("results_*.json")
        told = json.loads(file.read_text())["results"]
        for task, ds in pls.datasets(tree).items():
            if model not in ds["method"].values:
                continue
            for key, number in told[task].items():
                name, _, chosen = key.partition(",")
                for metric in (name, f"{name}_{chosen}"):
                    if metric in ds:
                        assert mean(ds, metric, model) == close(number)
    told = json.loads(
        (TOOLS / "lm_eval/tiny-a/results_2026-11-29T04-06-32.287786.json").read_text()
    )
    cont, roll = tree["toy_cont"], tree["toy_roll"]
    perplexity = told["results"]["toy_cont"]["perplexity,none"]
    assert math.exp(-mean(cont, "loglikelihood", "tiny-a")) == close(perplexity)
    assert cont["loglikelihood"].attrs["direction"] == "higher"  # the perplexity's is lower
    total = float(roll["loglikelihood"].sum())
    byte = [json.loads(line)["byte_perplexity"][1]
            for line in next((TOOLS / "lm_eval/tiny-a").glob("*roll*")).open()]  # fmt: skip
    assert math.exp(-total / sum(byte)) == close(
        told["results"]["toy_roll"]["byte_perplexity,none"]
    )
    assert any("brier_score is left out" in line for line in said)
    assert set(tree["toy_gen"].data_vars) >= {"exact_match_strict-match", "exact_match_as-written"}
    # The choice that the harness counts as right is the one of the highest log-probability.
    for task in ("toy_mc", "toy_wino"):
        ds = tree[task].to_dataset()
        best = ds["logprob"].sel(model="tiny-a").idxmax("candidate") == "chosen"
        assert best.values.tolist() == (ds["acc"].sel({"method": "tiny-a"}) == 1).values.tolist()


def test_lm_eval_filters_texts_users_and_one_dataset() -> None:
    names = [f"lm_eval/{p.parent.name}/{p.name}" for p in sorted(TOOLS.glob("lm_eval/*/*toy_gen*"))]
    tree, _ = read(*names, filter="strict-match", texts=True, user="person")
    ds = tree["toy_gen"].to_dataset()
    assert {"generation", "reference", "exact_match", "user"} <= set(ds)
    assert ds.sizes["example"] == 6
    both = [*names, *(n.replace("toy_gen", "toy_mc") for n in names)]
    assert read(*both, dataset="all")[0]["all"].to_dataset()["subset"].values[0] == "toy_gen"
    with pytest.raises(InputError, match="has no filter 'none'; choose one of strict-match, as-"):
        read(*names, filter="none")
    with pytest.raises(
        InputError, match="has no field 'nobody' to read the user from; name one of"
    ):
        read(*names, user="nobody")


def test_lm_eval_without_its_results_says_what_it_takes(tmp_path: Path) -> None:
    (source,) = (TOOLS / "lm_eval/tiny-b").glob("*toy_mc*")
    shutil.copy(source, tmp_path)
    said: list[str] = []
    tree = pls.read_lm_eval(tmp_path, say=said.append)
    assert any(f"model taken as {tmp_path.name!r}" in line for line in said)
    assert "direction" not in tree["toy_mc"]["acc"].attrs


def test_lm_eval_leaves_out_what_it_cannot_compare(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    several = {"doc_id": 0, "filter": "none", "filtered_resps": ["b"], "target": "['a', 'b']",
               "arguments": [["Q", {}]], "exact_match": 1.0}  # fmt: skip
    file.write_text(json.dumps(several))
    said: list[str] = []
    tree = pls.read_lm_eval(file, texts=True, method="m", say=said.append)
    assert "reference" not in tree.data_vars
    assert any("several references" in line for line in said)
    choices = {"doc_id": 0, "target": "x", "filtered_resps": [[-1, 0], [-2, 0]]}
    file.write_text(json.dumps(choices))
    with pytest.raises(InputError, match="target: is 'x', which numbers no choice"):
        pls.read_lm_eval(file, method="m", say=said.append)
    file.write_text(json.dumps(choices | {"acc": 1.0, "arguments": [["Q", " a"], ["Q", " b"]]}))
    assert (
        pls.read_lm_eval(file, method="m", say=said.append)["logprob"]
        .sel(candidate="chosen")
        .item()
        == -1
    )  # of two, what was counted right tells which
    for bad in ([["prompt", " yes"], 1.5], 1.5, {"a": 1}):
        file.write_text(json.dumps(choices | {"arguments": bad}))
        with pytest.raises(InputError, match="variable arguments"):
            pls.read_lm_eval(file, method="m", say=said.append)


@pytest.mark.parametrize("form", ["json", "eval"])
def test_inspect_says_what_we_say(form: str) -> None:
    if form == "eval":
        pytest.importorskip("inspect_ai")
    tree, said = read(f"inspect_{form}", user="person")
    for task, ds in pls.datasets(tree).items():
        for method in ds["method"].values:
            for name, number in NUMBERS["inspect"][str(method).rpartition("/")[2]].items():
                if name in ds:
                    assert mean(ds, name, method) == close(number), (task, name)
    sums = tree["sums"].to_dataset()
    assert sums["example"].values[0] == "sums/0"
    assert (sums["match"].attrs["direction"], sums["user"].values[2]) == ("higher", "p1")
    assert "direction" not in sums["closeness"].attrs
    assert any("not told for closeness, parts_length" in line for line in said)
    assert read(f"inspect_{form}", texts=True)[0]["sums"]["generation"].values[0, 0] is not None


def test_grades_that_a_reducer_left_as_letters(tmp_path: Path) -> None:
    """The reducer "mode" keeps them; the letters of these samples are put in by hand."""
    log = json.loads((TOOLS / "inspect_json/pick_bad.json").read_text())
    for sample, value in zip(
        log["reductions"][0]["samples"], ["C", "I", "P", "N", "?"], strict=True
    ):
        sample["value"] = value
    (tmp_path / "log.json").write_text(json.dumps(log))
    said: list[str] = []
    tree = pls.read_inspect(tmp_path, say=said.append)
    np.testing.assert_equal(tree["pick"]["choice"].values, [[1, 0, 0.5, 0, np.nan]])
    assert any("choice left out, whose values are no numbers" in line for line in said)


def test_an_eval_file_without_inspect_ai_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.log", None)
    with pytest.raises(InputError, match=r"preflamp-stats\[inspect\]"):
        read("inspect_eval/pick_bad.eval")


def test_a_log_that_ended_early_is_refused(tmp_path: Path) -> None:
    log = json.loads((TOOLS / "inspect_json/pick_bad.json").read_text())
    for part, message in (({"status": "error"}, "ended with 'error'"),
                          ({"reductions": None}, "has no scores of its samples")):  # fmt: skip
        file = tmp_path / "log.json"
        file.write_text(json.dumps(log | part))
        with pytest.raises(InputError, match=message):
            pls.read_inspect(file, say=print)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_preference_set_is_mapped_and_the_mapping_said(ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    (name,) = (p.name for p in (TOOLS / "preference").glob(f"train*.{ending}"))
    tree, said = read(f"preference/{name}", method="judge")
    assert any("score_chosen, score_rejected read as the reward" in line for line in said)
    assert any("annotator_id read as user" in line for line in said)
    assert pls.rm_accuracy(tree).item() == (4 + 0.5) / 6
    assert tree["candidate_text"].values[0, 0] == "It is 1."
    assert tree["method"].values.tolist() == ["judge"]


def test_texts_alone_are_nothing_to_analyse() -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="holds chosen and rejected, but no score of them"):
        read("preference/bare.parquet")


def test_score_files_of_mt_metrics_eval(tmp_path: Path) -> None:
    """After the README of google-research/mt-metrics-eval; its package cannot be had here."""
    for folder, name in (("metric-scores/en-de", "BLEU-refA"), ("human-scores", "en-de.mqm")):
        (tmp_path / folder).mkdir(parents=True)
        for level, rows in (("seg", "a 1\na None\na 3\nb 4\nb 5\nb 6\n"), ("sys", "a\t2\nb\t5\n")):
            (tmp_path / folder / f"{name}.{level}.score").write_text(rows)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/en-de.docs").write_text("news d1\nnews d1\nchat d2\n")
    tree = pls.read_mt_metrics_eval(tmp_path, higher_is_better=["BLEU_refA"], say=lambda line: None)
    ds = tree["en-de"].to_dataset()
    np.testing.assert_equal(ds["mqm"].values, [[1, np.nan, 3], [4, 5, 6]])
    assert ds["BLEU_refA_sys"].values.tolist() == [2, 5]
    assert ds["user"].values.tolist() == ["d1", "d1", "d2"]
    assert ds["BLEU_refA"].attrs["direction"] == "higher"
    doc = tmp_path / "human-scores/en-de.mqm.doc.score"
    doc.write_text("a 1\n")
    with pytest.raises(InputError, match="holds scores by doc; name the files of segments"):
        pls.read_mt_metrics_eval(doc, say=print)


@pytest.mark.parametrize(
    ("records", "kind", "message"),
    [
        ([{"chosen": "high", "rejected": 1.0}], "rewardbench", "chosen: is 'high'; give a number"),
        ([{"chosen": 1.0}], "rewardbench", "rejected: is missing; give both"),
        ([{"chosen": [1, 2], "rejected": 1.0}], "", "chosen: holds 2 numbers for one response"),
        ([{"chosen": [1, 2], "rejected": [0, 1]}, {"chosen": [3, 4], "rejected": [0, 1]}], "",
         "group example 1: variable chosen: holds 2 numbers"),
        ([{"scores_chosen": [1, 2], "scores_rejected": [0]}], "",
         "has 2 scores_chosen, but 1 scores_rejected; give each column a value"),
        ([{"scores": [1]}], "", "give the scores of all responses"),
        ([{"scores": [1, 2, 0], "num_correct": 2, "subset": "Math"}], "",
         "is 2 in a subset other than Ties"),
        ([{"score_chosen": [1, 2], "score_rejected": [1, 2, 3]}], "", "as many as of chosen"),
        ([{"label": "A=B", "judgments": []}], "", "give A>B or B>A"),
        ([], "rewardbench", "holds no example"),
        ([{"chosen": 1, "rejected": 0}, 3], "rewardbench", "line 2: is not a JSON object"),
        ([{"question": 1}], "", "is of no kind that is known"),
        ([{"doc": 1}], "lm-eval", "has no doc_id and filtered_resps"),
        ([{"generator_1": g, "generator_2": "b", "preference": 1} for g in "ac"], "",
         "holds a, c: win rates that cannot be compared"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_reason(
    tmp_path: Path, records: list[Any], kind: str, message: str
) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(InputError, match=message):
        import_files(file, kind, say=lambda line: None)


def test_old_lines_that_hold_all_scores_are_read_by_place(tmp_path: Path) -> None:
    file = tmp_path / "rm_all.jsonl"
    line = json.dumps({"chosen": [1.0, 0.0], "rejected": [0.0, 1.0]})
    file.write_text(f"{line}\n{line}\n")
    assert pls.rm_accuracy(pls.read_rewardbench(file, say=print)).item() == 0.5


def test_files_of_two_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than one kind fits"):
        read("judgebench", "rm-bench")
    with pytest.raises(InputError, match="holds no file that is read"):
        import_files(tmp_path)
    with pytest.raises(InputError, match=f"'trl' is no kind; choose one of {', '.join(KINDS)}"):
        import_files(tmp_path, "trl")


def test_two_commands_from_files_to_a_report(tmp_path: Path) -> None:
    def run(*arguments: object) -> Any:
        result = CliRunner().invoke(main, [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result

    results = tmp_path / "results.nc"
    first = run("import", "lm-eval", TOOLS / "lm_eval", "-o", results)
    told = first.stderr.splitlines()[-1].removeprefix("next: preflamp-stats ").split()
    run(*told, "--out", tmp_path / "out", "--resamples", 50, "--format", "csv")
    assert "tiny-a,acc" in (tmp_path / "out/tables/generation.csv").read_text()
    run("import", TOOLS / "rm-bench", "-o", results)
    hard = ["--by-subset", "--ties", "strict", "--resamples", 50, "--format", "csv"]
    run("analyze", results, "--out", tmp_path / "parts", *hard)
    records = json.loads(next((TOOLS / "rm-bench").glob("*rm-tiny-a*")).read_text())
    chat = [(r["score_chosen"], r["score_rejected"]) for r in records if r["domain"] == "chat"]
    won = [c[i] > r[j] for c, r in chat for i in range(3) for j in range(3) if i < j]
    table = (tmp_path / "parts/tables/rm_accuracy.csv").read_text()
    assert f"chat hard,rm-tiny-a,{np.mean(won):.10g}," in table
