"""Everything that the tables of one dataset are made from, under its former names."""

from __future__ import annotations

from preflamp_stats.inference.resampled import ResampledStudy as DatasetEvidence

__all__ = ["DatasetEvidence"]
