"""A study run: shards, their numbers, the results file."""
