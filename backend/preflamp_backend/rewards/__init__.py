"""Reward models: heads on a frozen backbone's hidden states, and rewards that are token by token.

Importing the package enters every kind of head into :data:`preflamp_backend.rewards.head.HEADS`.
"""

from preflamp_backend.rewards import linear as linear
from preflamp_backend.rewards import lore as lore
from preflamp_backend.rewards import pal as pal
from preflamp_backend.rewards import pref as pref
from preflamp_backend.rewards import vpl as vpl
