"""Resampling over users, intervals and tests; everything starts from sums per user."""
