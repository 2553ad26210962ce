"""Generation quality over named dims, stored or computed from texts."""

import numpy as np
import pytest
import xarray as xr

from preflamp_stats import StudyDesign, simulate_dataset
from preflamp_stats.errors import InputError
from preflamp_stats.kernels.rouge import NonAsciiTextWarning, rouge_scores
from preflamp_stats.metrics.generation import (
    generation_metrics,
    generation_quality,
    rouge,
)


@pytest.fixture(scope="module")
def texts() -> xr.Dataset:
    design = StudyDesign(n_methods=2, models=2, n_seeds=2, n_users=4, n_examples=3, texts=True)
    return simulate_dataset(design, seed=1)


def by_hand(ds: xr.Dataset) -> dict[str, np.ndarray]:
    written = ds["generation"].transpose("method", "model", "seed", "example")
    references = np.broadcast_to(ds["reference"].values, written.shape).ravel()
    scores = rouge_scores(references, written.values.ravel())
    return {name: values.reshape(written.shape) for name, values in scores.items()}


@pytest.mark.parametrize("order", [("method", "model", "seed", "example"),
                                   ("example", "seed", "method", "model")])  # fmt: skip
def test_references_are_repeated_over_the_dims_of_the_predictions(texts, order) -> None:
    predictions = texts["generation"].transpose(*order)
    scores = rouge(texts["reference"], predictions)
    for name, expected in by_hand(texts).items():
        assert scores[name].dims == order
        np.testing.assert_array_equal(
            scores[name].transpose("method", "model", "seed", "example"), expected
        )
    assert scores["rougeL"].attrs["role"] == "generation_metric"
    assert "method_family" in scores.coords


def test_dask_gives_the_same_and_stays_lazy(texts) -> None:
    pytest.importorskip("dask.array")
    chunked = texts.chunk(example=5, method=1)
    lazy = rouge(chunked["reference"], chunked["generation"], metrics=["rougeL", "rouge1"])
    assert list(lazy) == ["rougeL", "rouge1"]
    assert lazy["rougeL"].chunks is not None
    eager = rouge(texts["reference"], texts["generation"])
    xr.testing.assert_identical(lazy["rougeL"].compute(), eager["rougeL"])
    one = rouge(chunked["reference"], chunked["generation"], metrics=["rouge2"])
    xr.testing.assert_identical(one["rouge2"].compute(), eager["rouge2"])


@pytest.mark.parametrize(
    "container", [list, tuple, np.array, lambda values: np.array(values, dtype=object)]
)
def test_plain_sequences_have_the_dim_example(container) -> None:
    scores = rouge(container(["a b", "c"]), container(["a d", "c"]))
    assert scores["rouge1"].dims == ("example",)
    np.testing.assert_array_equal(scores["rouge1"], [0.5, 1.0])


def test_single_texts_have_no_dim() -> None:
    assert rouge("a b", "a d", metrics=["rouge1"])["rouge1"].item() == 0.5


def test_missing_and_empty_predictions() -> None:
    scores = rouge(["a", "a"], [None, ""], metrics=["rouge1"])
    np.testing.assert_array_equal(scores["rouge1"], [np.nan, 0.0])


def test_tokenizer_is_passed_on() -> None:
    with pytest.warns(NonAsciiTextWarning):
        assert rouge("мир", "мир")["rouge1"].item() == 0
    assert rouge("мир", "мир", tokenizer="unicode")["rouge1"].item() == 1


def test_unlike_examples_are_refused(texts) -> None:
    with pytest.raises(InputError, match="do not stand for the same examples"):
        rouge(texts["reference"][:-1], texts["generation"])
    with pytest.raises(InputError, match="do not stand for the same examples"):
        rouge(["a"], ["a", "b"])
    with pytest.raises(InputError, match="references: have the dim model, which"):
        rouge(texts["generation"].isel(method=0), texts["generation"].isel(model=0))
    with pytest.raises(InputError, match="predictions: have 2 dims without names"):
        rouge(["a"], [["a"], ["b"]])


def test_metrics_that_texts_can_give_come_before_the_producers_own(texts) -> None:
    score = xr.zeros_like(texts["true_rouge1"].expand_dims(example=texts["example"]))
    ds = texts.assign(
        bleu=score.assign_attrs(role="generation_metric"),
        length=score.drop_attrs(),
        other=score.assign_attrs(role="diagnostic"),
    )
    assert generation_metrics(ds) == ["rouge1", "rouge2", "rougeL", "bleu", "length"]
    assert generation_metrics(ds.drop_vars("reference")) == ["bleu", "length"]


def test_truth_is_no_generation_metric() -> None:
    ds = simulate_dataset(StudyDesign(n_users=2))
    assert generation_metrics(ds) == ["rouge1", "rouge2", "rougeL"]


def test_stored_values_come_first(texts) -> None:
    stored = xr.full_like(texts["generation"], 0.25, dtype=float)
    np.testing.assert_array_equal(generation_quality(texts.assign(rouge1=stored), "rouge1"), 0.25)
    computed = generation_quality(texts, "rouge1").transpose("method", "model", "seed", "example")
    np.testing.assert_array_equal(computed, by_hand(texts)["rouge1"])


def test_a_text_that_is_not_there_has_no_rouge_and_an_empty_answer_has_zero(texts) -> None:
    written = texts["generation"].astype(object)
    missing = {"model": 0, "method": 1, "seed": 0, "example": 2}
    empty = {"model": 1, "method": 1, "seed": 0, "example": 0}
    written[missing], written[empty] = None, ""
    quality = generation_quality(texts.assign(generation=written), "rouge1")
    assert np.isnan(quality[missing])
    assert quality.isnull().sum() == 1
    assert quality[empty] == 0


def test_without_its_reference_an_example_has_no_rouge(texts) -> None:
    reference = texts["reference"].astype(object)
    reference[1] = None
    quality = generation_quality(texts.assign(reference=reference), "rougeL")
    assert quality.isel(example=1).isnull().all()
    assert quality.isel(example=0).notnull().all()


@pytest.mark.parametrize("keep", [["user"], ["generation"]])
def test_metrics_that_cannot_be_had_are_refused(texts, keep: list[str]) -> None:
    with pytest.raises(InputError, match="variable rouge1: is not a generation metric"):
        generation_quality(texts[keep], "rouge1")
    with pytest.raises(InputError, match="choose one of rouge1, rouge2, rougeL"):
        generation_quality(texts, "bleu")
