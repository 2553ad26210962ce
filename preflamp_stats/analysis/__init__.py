"""One pass from an opened results file to every estimate."""

from preflamp_stats.analysis.run import analyze

__all__ = ["analyze"]
