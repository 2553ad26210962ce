"""ROUGE of many pairs: this package against rouge-score, in one run on the same texts.

    python benchmarks/speed/rouge.py --pairs 20000

Prints a Markdown table with CPU seconds (both use one thread) and their ratio, and fails unless
every value is equal.
"""

from __future__ import annotations

import time

import click
import numpy as np
from numpy.typing import NDArray
from rouge_score.rouge_scorer import RougeScorer

from preflamp_stats.kernels.rouge import ROUGE_METRICS, rouge_scores

VOCABULARY = 20_000
ENDINGS = np.array(["", "", "", "s", "ed", "ing", "ly", "ness", "ational"])


def english_like_texts(rng: np.random.Generator, n_texts: int, n_words: int) -> list[str]:
    """Texts whose word frequencies follow Zipf's law, with inflections and punctuation."""
    letters = np.array(list("etaoinshrdlucmfwygpbvk"))
    stems = ["".join(rng.choice(letters, length)) for length in rng.integers(2, 9, VOCABULARY)]
    words = np.char.add(stems, rng.choice(ENDINGS, VOCABULARY))
    frequency = 1 / np.arange(1, VOCABULARY + 1)
    drawn: NDArray[np.str_] = rng.choice(words, (n_texts, n_words), p=frequency / frequency.sum())
    lengths = rng.integers(n_words // 2, n_words + 1, n_texts)
    return [
        f"{' '.join(row[:length]).capitalize()}."
        for row, length in zip(drawn, lengths, strict=True)
    ]


@click.command(context_settings={"show_default": True})
@click.option("--pairs", default=20_000, help="Pairs of texts.")
@click.option("--words", default=100, help="Words of the longest text.")
@click.option("--seed", default=0, help="Seed of the texts.")
def main(pairs: int, words: int, seed: int) -> None:
    """Time both ways on the same texts."""
    rng = np.random.default_rng(seed)
    texts = english_like_texts(rng, 2 * pairs, words)
    references, predictions = texts[:pairs], texts[pairs:]

    # Both import nltk when first called.
    rouge_scores(["warm"], ["warm up"])
    start = time.process_time()
    ours = rouge_scores(references, predictions)
    seconds = time.process_time() - start

    scorer = RougeScorer(list(ROUGE_METRICS), use_stemmer=True)
    start = time.process_time()
    theirs = [scorer.score(*pair) for pair in zip(references, predictions, strict=True)]
    peer_seconds = time.process_time() - start

    equal = all(
        np.array_equal(ours[name], [score[name].fmeasure for score in theirs])
        for name in ROUGE_METRICS
    )
    click.echo(f"{pairs} pairs of {words // 2} to {words} words; every value equal: {equal}\n")
    click.echo("| way | CPU seconds | µs a pair | ratio |\n|---|---|---|---|")
    for way, taken in (("rouge-score", peer_seconds), ("preflamp-stats", seconds)):
        ratio = peer_seconds / taken
        click.echo(f"| {way} | {taken:.2f} | {1e6 * taken / pairs:.0f} | ×{ratio:.0f} |")
    if not equal:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
