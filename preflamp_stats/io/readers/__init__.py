"""Files that other tools write, as data frames that :func:`preflamp_stats.from_frame` takes."""
