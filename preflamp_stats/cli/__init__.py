"""The command line: ``preflamp-stats``."""

from preflamp_stats.cli.group import main

__all__ = ["main"]
