"""Users who like words of one kind or of the other, and tiny models to learn it."""

from __future__ import annotations

import numpy as np
from preflamp_backend.data.examples import Example

KINDS = (("cat", "mat", "moon", "full"), ("graph", "theory", "reward", "survey"))


def make_pairs(count: int, *, seed: int, users: dict[str, int]) -> list[Example]:
    """Pairs of which each user takes the one with words of their kind."""
    rng = np.random.default_rng(seed)
    names = sorted(users)
    examples = []
    for i in range(count):
        user = names[i % len(names)]
        said = [" " + " ".join(rng.choice(words, 3)) for words in KINDS]
        liked = users[user]
        pair = {"chosen": said[liked], "rejected": said[1 - liked]}
        prompt = f"Generate a title about {rng.choice(['plants', 'models', 'learning'])}:"
        examples.append(Example(str(i), user, prompt, pair))
    return examples
