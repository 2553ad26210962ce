"""Cells of the calibration study: one simulated study each, and what came of it."""
