"""Reward models, a file for each form: what is minimised, and how a new user is taken up."""
