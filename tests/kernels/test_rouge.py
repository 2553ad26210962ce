"""ROUGE equals rouge-score to the last bit, and knows more than English."""

import unicodedata
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from preflamp_stats.errors import InputError
from preflamp_stats.kernels import rouge as kernel
from preflamp_stats.kernels.rouge import (
    ROUGE_METRICS,
    NonAsciiTextWarning,
    rouge_scores,
    unicode_words,
)

# Few letters, so that words recur; endings that the stemmer knows; what it must part or drop.
WORD = st.one_of(
    st.text("ab", min_size=1, max_size=3),
    st.builds(
        "".join,
        st.tuples(
            st.text("abey", min_size=1, max_size=4),
            st.sampled_from(
                ["", "s", "es", "ies", "ing", "ings", "ed", "ness", "ational", "fulness", "ly"]
            ),
        ),
    ),
    st.sampled_from(
        [
            "The",
            "it's",
            "10,000",
            "x_y",
            "3.14",
            "dying",
            "skies",
            "news",
            "café",
            "İstanbul",
            "\u212a",
            "ſtone",
            "猫が好き",
            "мир",
            "ﬁne",
            "１２",
            "\x00",
            "\ud800",
        ]
    ),
    st.text(max_size=4),
)
TEXT = st.lists(WORD, max_size=12).map(" ".join) | st.text(max_size=20)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


@cache
def peer(*, stem: bool):
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE_METRICS), use_stemmer=stem)


def quietly(references, predictions, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonAsciiTextWarning)
        return rouge_scores(references, predictions, **options)


@settings(deadline=None)  # the first call imports nltk
@given(PAIRS, st.booleans())
@example([("", ""), ("a", ""), ("", "a"), (" . ", "!?")], True)
@example([("has was", "ha wa"), ("skies", "sky"), ("12345s", "12345")], True)
@example([("the the the", "the"), ("a b a b a", "b a b a b")], True)
def test_equals_rouge_score_to_the_last_bit(pairs, stem: bool) -> None:
    references, predictions = zip(*pairs, strict=True)
    scores = quietly(references, predictions, stem=stem)
    for row, (reference, prediction) in enumerate(pairs):
        expected = peer(stem=stem).score(reference, prediction)
        for name in ROUGE_METRICS:
            assert scores[name][row] == expected[name].fmeasure


def test_equals_rouge_score_on_long_texts_over_many_blocks(monkeypatch) -> None:
    monkeypatch.setattr(kernel, "_BLOCK_TOKENS", 500)
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}ing" for i in range(50)] + ["the", "of", "running", "runs"])
    texts = [" ".join(rng.choice(words, rng.integers(0, 120))) for _ in range(80)]
    references, predictions = texts[:40], texts[40:]
    scores = rouge_scores(references, predictions)
    for row, pair in enumerate(zip(references, predictions, strict=True)):
        expected = peer(stem=True).score(*pair)
        assert [scores[name][row] for name in scores] == [
            expected[name].fmeasure for name in scores
        ]


def test_more_words_than_there_are_characters(monkeypatch) -> None:
    pairs = (["a b c d", "c d"], ["b a c d", "d c e"])
    expected = rouge_scores(*pairs)
    monkeypatch.setattr(kernel.sys, "maxunicode", 1)
    for name, values in rouge_scores(*pairs).items():
        np.testing.assert_array_equal(values, expected[name])


def test_worked_example() -> None:
    # Reference: the cat sat on the mat (6 words, 5 pairs). Prediction: the cat the mat (4, 3).
    # Shared words: the, the, cat, mat. Shared pairs: the cat, the mat. In order: all 4.
    scores = rouge_scores(["The cat sat on the mat."], ["the cat the mat"])
    assert scores["rouge1"][0] == pytest.approx(2 * 4 / (6 + 4))
    assert scores["rouge2"][0] == pytest.approx(2 * 2 / (5 + 3))
    assert scores["rougeL"][0] == pytest.approx(2 * 4 / (6 + 4))


def test_stems_are_shared_only_if_asked_for() -> None:
    stemmed, plain = (rouge_scores(["running dogs"], ["run dog"], stem=s) for s in (True, False))
    assert stemmed["rouge1"][0] == 1
    assert plain["rouge1"][0] == 0


@settings(deadline=None)  # the first call imports nltk
@given(PAIRS, st.sampled_from(["rouge-score", "unicode"]))
def test_f1_is_symmetric_and_in_bounds(pairs, tokenizer: str) -> None:
    references, predictions = zip(*pairs, strict=True)
    forth = quietly(references, predictions, tokenizer=tokenizer)
    back = quietly(predictions, references, tokenizer=tokenizer)
    for name in ROUGE_METRICS:
        # Precision and recall change places, which may move the last bit of their product.
        np.testing.assert_allclose(forth[name], back[name], rtol=1e-15)
        assert ((forth[name] >= 0) & (forth[name] <= 1)).all()
    assert (forth["rougeL"] <= forth["rouge1"]).all()


@settings(deadline=None)  # the first call imports nltk
@given(PAIRS, st.randoms())
def test_pairs_do_not_touch_each_other(pairs, random) -> None:
    order = list(range(len(pairs)))
    random.shuffle(order)
    together = quietly(*zip(*pairs, strict=True))
    shuffled = quietly(*zip(*(pairs[i] for i in order), strict=True))
    for name in ROUGE_METRICS:
        np.testing.assert_array_equal(together[name][order], shuffled[name])


@settings(deadline=None)  # the first call imports nltk
@given(st.text(st.characters(max_codepoint=127)), st.text(st.characters(max_codepoint=127)))
def test_tokenizers_agree_on_ascii(reference: str, prediction: str) -> None:
    default = rouge_scores([reference], [prediction])
    unicode = rouge_scores([reference], [prediction], tokenizer="unicode")
    assert default == unicode


@settings(deadline=None)  # the first call imports nltk
@given(TEXT)
def test_a_text_with_words_matches_itself_and_its_normal_forms(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    scores = rouge_scores([text, *forms], [text, *forms[::-1]], tokenizer="unicode")
    expected = 1.0 if unicode_words(text) else 0.0
    np.testing.assert_array_equal(scores["rouge1"], [expected] * 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ça va? L’ÉTÉ à Nîmes", ["ça", "va", "l", "été", "à", "nîmes"]),
        ("Привет, МИР!", ["привет", "мир"]),
        ("我喜欢猫。GPT-4很好", ["我", "喜", "欢", "猫", "gpt", "4", "很", "好"]),
        ("ラーメン食べた", ["ラ", "ー", "メ", "ン", "食", "べ", "た"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("e\u0301te\u0301", ["été"]),
        ("snake_case 50%", ["snake", "case", "50"]),
        ("", []),
    ],
)
def test_words_of_many_languages(text: str, words: list[str]) -> None:
    assert unicode_words(text) == words


@pytest.mark.parametrize(
    ("reference", "prediction", "rouge1", "rougeL"),
    [
        # 3 of 4 words; 3 of 5 characters each way, then 4 shared, of which 2 in order.
        ("кошка сидит на окне", "кошка лежит на окне", 0.75, 0.75),
        ("我喜欢黑猫", "我喜欢白狗", 0.6, 0.6),
        ("我爱猫狗", "猫狗我爱", 1.0, 0.5),
        ("el niño comió", "El Niño durmió", 2 / 3, 2 / 3),
    ],
)
def test_scores_in_other_languages(
    reference: str, prediction: str, rouge1: float, rougeL: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = rouge_scores([reference], [prediction], tokenizer="unicode")
    assert scores["rouge1"][0] == pytest.approx(rouge1)
    assert scores["rougeL"][0] == pytest.approx(rougeL)


def test_dropped_letters_are_warned_of_once_with_their_number() -> None:
    references = ["мир", "plain", "дом"]  # the last has no prediction
    with pytest.warns(NonAsciiTextWarning, match=r"^2 of 4 texts .* tokenizer=\"unicode\"") as seen:
        scores = rouge_scores(references, ["café", "text", None])
    assert len(seen) == 1
    assert scores["rouge1"][0] == 0


def test_punctuation_of_other_scripts_is_no_reason_to_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rouge_scores(["“it’s” 5 € …"], ["it’s — \u212a"])


def test_a_function_as_tokenizer() -> None:
    scores = rouge_scores(["a|running"], ["running|b"], tokenizer=lambda text: text.split("|"))
    assert scores["rouge1"][0] == 0.5
    unstemmed = rouge_scores(["running"], ["runs"], tokenizer=str.split)
    assert unstemmed["rouge1"][0] == 0


def test_missing_is_not_empty() -> None:
    scores = rouge_scores(["a", "a", None, np.nan], ["", None, "a", "a"], metrics=["rouge1"])
    np.testing.assert_array_equal(scores["rouge1"], [0.0, np.nan, np.nan, np.nan])


def test_no_pairs() -> None:
    assert {name: values.size for name, values in rouge_scores([], []).items()} == {
        "rouge1": 0, "rouge2": 0, "rougeL": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a"], ["a", "b"]), {}, "there are 1 references and 2 predictions"),
        (("a", ["a"]), {}, "references: is a single text; wrap it in a list"),
        (([1], ["a"]), {}, "references: holds int at position 0"),
        ((["a", "b"], ["a", b"b"]), {}, "predictions: holds bytes at position 1"),
        ((["a"], ["a"]), {"metrics": ["rouge7"]}, "sequence of rouge1, rouge2, rougeL"),
        ((["a"], ["a"]), {"metrics": "rouge1"}, "give a sequence"),
        ((["a"], ["a"]), {"tokenizer": "bert"}, "choose rouge-score, unicode or a function"),
    ],
)
def test_bad_input_is_named(arguments, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rouge_scores(*arguments, **options)
