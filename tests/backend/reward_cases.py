"""What several tests of reward models share: each method, small; accuracies a user."""

from __future__ import annotations

import torch
from preflamp_backend.models.heads.head import RewardHead
from preflamp_backend.rewards.layered import PalOptions, VplOptions
from preflamp_backend.rewards.linear import BradleyTerryOptions, LoreOptions, PrefOptions
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training.user_rows import predicted
from torch import Tensor

SMALL = {
    "bradley-terry": ("bradley-terry", BradleyTerryOptions(epochs=4)),
    "lore": ("lore", LoreOptions(rank=3, epochs=4)),
    "pal-a": ("pal", PalOptions(variant="a", dimension=8, epochs=4, batch_size=16)),
    "pal-b": ("pal", PalOptions(variant="b", dimension=8, epochs=4, batch_size=16)),
    "pref": ("pref", PrefOptions(rank=3, epochs=4)),
    "vpl": ("vpl", VplOptions(latent=2, hidden=8, epochs=4, batch_size=16)),
}
"""Name and options of each method, by the kind of head that it makes."""

PERSONAL = tuple(kind for kind in SMALL if kind != "bradley-terry")


def user_accuracies(head: RewardHead, pairs: PairFeatures) -> Tensor:
    """Share of right pairs of each user, in the users' order; a tie is half right."""
    margin = predicted(head, pairs)
    right = (margin > 0).double() + 0.5 * (margin == 0).double()
    return torch.stack([right[rows].mean() for rows in pairs.by_user().values()])


def gain(head: RewardHead, baseline: RewardHead, pairs: PairFeatures) -> tuple[float, float]:
    """Mean gain in accuracy over users, and its standard error."""
    differences = user_accuracies(head, pairs) - user_accuracies(baseline, pairs)
    return differences.mean().item(), (differences.std() / len(differences) ** 0.5).item()
