import numpy as np
import pytest
import torch
from preflamp_backend.data.examples import candidate_names, read_examples
from preflamp_backend.rewards.baselines import add_baselines
from preflamp_backend.runs.run import prepare, run_study
from preflamp_backend.scoring.score import BaseScores, RewardScores, ScoreOptions
from preflamp_backend.study.study import read_study
from study_files import write_study

from preflamp_stats.errors import InputError
from preflamp_stats.io.files import open_results

torch.set_num_threads(1)

BASE = BaseScores(
    np.log([0.5, 0.1]).astype(np.float32),
    np.array([[3, 4], [5, 6]]),
    np.log([[0.5, 0.25], [0.6, 0.2]]).astype(np.float32),
)
TARGETS = (3, 9)


def test_policy_score_is_the_tilted_policy_of_the_top_tokens_and_the_own():
    options = ScoreOptions(weights=(0.0, 1.0), scoring="renormalised_with_target")
    found = add_baselines(["length", "likelihood"], BASE, TARGETS, options).policy
    # The own token is one of the top two at first and beside them then.
    plain = np.log(0.5 / (0.5 + 0.25)) + np.log(0.1 / (0.1 + 0.6 + 0.2))
    squared = np.log(0.25 / (0.25 + 0.0625)) + np.log(0.01 / (0.01 + 0.36 + 0.04))
    np.testing.assert_allclose(found, [[plain, plain], [plain, squared]], rtol=1e-6)
    # A likelihood: the top two share what they have together, the own token beside them keeps its.
    found = add_baselines(["length", "likelihood"], BASE, TARGETS, ScoreOptions(weights=(0.0, 1.0)))
    squared = np.log(0.75 * 0.25 / (0.25 + 0.0625)) + np.log(0.1)
    plain = np.log(0.5) + np.log(0.1)
    np.testing.assert_allclose(found.policy, [[plain, plain], [plain, squared]], rtol=1e-6)


def test_columns_stand_behind_those_of_reward_models():
    others = RewardScores(
        np.array([5.0], np.float32), np.ones((1, 2), np.float32), np.zeros((1, 1))
    )
    found = add_baselines(["length"], BASE, TARGETS, ScoreOptions(weights=(1.0,)), others)
    assert found.reward.tolist() == [5.0, 2.0]
    assert found.trace.tolist() == [[1.0, 1.0], [1.0, 2.0]]
    assert found.policy.shape == (1, 2)


def test_no_trace_where_none_is_wanted():
    assert add_baselines(["length"], BASE, TARGETS, ScoreOptions(trace=False)).trace.shape == (1, 0)


STUDY = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[methods.longer]
kind = "length"
[methods.likely]
kind = "likelihood"
[scoring]
weights = [0.0, 2.0]
top_k = 4
[run]
seeds = [0, 1]
"""
HEADS = """
[methods.bt]
kind = "head"
path = "heads/{model}/bt.safetensors"
decode = false
[methods.seeded]
kind = "head"
path = "heads/{model}/seeded-{seed}.safetensors"
decode = false
"""


def results(tmp_path, text):
    file = write_study(tmp_path / "study", text=text)
    heads = file.parent / "heads" / "small"
    for seed in (0, 1):
        target = heads / f"seeded-{seed}.safetensors"
        target.write_bytes((heads / ("bt.safetensors", "lore.safetensors")[seed]).read_bytes())
    out = tmp_path / "results.nc"
    run_study(prepare(read_study(file), out))
    with open_results(out) as tree:
        (dataset,) = [node.to_dataset() for node in tree.leaves if node.has_data]
        return dataset.load(), read_examples(file.parent / "titles.jsonl")


def test_a_study_of_nothing_else(tmp_path):
    found, examples = results(tmp_path, STUDY)
    assert candidate_names(examples) == found["candidate"].values.tolist()
    longer, written = found["reward"].sel({"method": "longer"}), found["n_tokens"]
    if "model" not in written.dims:
        written = written.expand_dims(model=found["model"])
    there = longer.notnull()
    assert there.sum() == sum(len(example.candidates) for example in examples)
    np.testing.assert_array_equal(
        longer.fillna(-1), written.where(there, -1).transpose(*longer.dims)
    )
    likely = found["reward"].sel({"method": "likely"})
    np.testing.assert_allclose(likely, found["logprob"], rtol=1e-5)
    policy = found["policy_score"]
    np.testing.assert_allclose(
        policy.sel({"method": "longer", "weight": 0}), policy.sel({"method": "likely", "weight": 0})
    )


def test_beside_heads_of_several_seeds(tmp_path):
    found, _ = results(tmp_path, STUDY.replace("[scoring]", HEADS + "[scoring]"))
    rewards = found["reward"].transpose("method", "seed", ...)
    assert set(found["method"].values) == {"bt", "seeded", "longer", "likely"}
    for name, same in (("longer", True), ("likely", True), ("bt", True), ("seeded", False)):
        one, two = rewards.sel({"method": name})
        assert one.equals(two.assign_coords(seed=one["seed"])) == same
    np.testing.assert_allclose(
        rewards.sel({"method": "likely", "seed": 0}).transpose(*found["logprob"].dims),
        found["logprob"],
        rtol=1e-5,
    )


def test_they_do_not_write(tmp_path):
    file = write_study(tmp_path, text=STUDY.replace('"length"', '"length"\ndecode = true'))
    with pytest.raises(InputError, match=r"longer.decode: is true, and length cannot guide"):
        read_study(file)
