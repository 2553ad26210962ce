"""Preference data and models in, ``results.nc`` out: scoring, reward traces, guided decoding, ICL.

Nothing is imported here; torch and transformers load only with the modules that need them.
"""
