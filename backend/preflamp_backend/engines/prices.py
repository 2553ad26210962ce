"""What a shard's requests send and get, in tokens and money, before any is made."""

from __future__ import annotations

import math
from collections.abc import Sequence

from preflamp_backend.data.examples import Example
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.engines.source import EngineSource


def sent(
    rows: Sequence[Example],
    lengths: Sequence[tuple[int, int]],
    decoding: DecodingOptions | None,
) -> tuple[int, int]:
    """Tokens that a server reads and, at most, writes.

    Parameters
    ----------
    rows : sequence of Example
    lengths : sequence of (int, int)
        Tokens of each prompt, and of its candidates together.
    decoding : DecodingOptions, optional
        None where candidates are scored: each goes with the prompt, and a token is written.

    Returns
    -------
    read, written : int
        Guided decoding sends the prompt with every token. What a server remembers counts in full.
    """
    if decoding is None:
        read = sum(
            prompt * len(row.candidates) + said
            for row, (prompt, said) in zip(rows, lengths, strict=True)
        )
        return read, sum(len(row.candidates) for row in rows)
    longest = decoding.max_new_tokens
    prompts = sum(prompt for prompt, _ in lengths)
    if decoding.strategy == "guided":
        return longest * prompts + len(rows) * longest * (longest - 1) // 2, longest * len(rows)
    samples = decoding.n if decoding.strategy == "best-of-n" else 1
    return samples * prompts, samples * longest * len(rows)


def price(source: EngineSource, read: float, written: float) -> float:
    """Price of tokens; NaN where the study names none.

    Examples
    --------
    >>> served = EngineSource("http://localhost/v1", tokenizer="m", price_read=2, price_written=4)
    >>> price(served, 1_000_000, 250_000)
    3.0
    """
    if source.price_read is None or source.price_written is None:
        return math.nan
    return (read * source.price_read + written * source.price_written) / 1e6
