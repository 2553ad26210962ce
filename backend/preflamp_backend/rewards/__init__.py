"""Reward models, a file each: what is minimised, and how a new user is taken up."""
