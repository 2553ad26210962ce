"""Benchmark datasets: preference examples, the builders that make them, splits without leaks.

Nothing here imports torch.
"""

from preflamp_backend.data.examples import (
    Example,
    HistoryItem,
    candidate_names,
    content_hash,
    read_examples,
    write_examples,
)

__all__ = [
    "Example",
    "HistoryItem",
    "candidate_names",
    "content_hash",
    "read_examples",
    "write_examples",
]
