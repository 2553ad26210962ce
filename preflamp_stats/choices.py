"""Closed sets of choices that several layers share."""

from __future__ import annotations

from typing import Literal

__all__ = ["Average", "Format", "Resample", "Scoring", "Ties", "Variant"]

Average = Literal["micro", "macro"]
Format = Literal["csv", "md", "tex", "html"]
Resample = Literal["users", "examples", "methods", "both"]
Scoring = Literal["sequence", "accumulated", "renormalised", "stored"]
Ties = Literal["half", "strict", "drop"]
Variant = Literal["a", "b", "c", "weighted"]
