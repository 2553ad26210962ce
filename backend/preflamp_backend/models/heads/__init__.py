"""Reward heads: what reads a reward off a frozen backbone's hidden states.

Importing the package enters every kind into
:data:`preflamp_backend.models.heads.head.HEADS`.
"""

from preflamp_backend.models.heads import layers as layers
from preflamp_backend.models.heads import linear as linear
