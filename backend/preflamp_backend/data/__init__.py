"""Benchmark datasets: preference examples, the builders that make them, splits without leaks.

Nothing here imports torch.
"""
