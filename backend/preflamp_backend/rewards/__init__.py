"""Reward models: heads on a frozen backbone's hidden states, and rewards that are token by token.

Importing the package enters every kind of head into :data:`preflamp_backend.rewards.head.HEADS`.
"""

from preflamp_backend.rewards import linear as linear
