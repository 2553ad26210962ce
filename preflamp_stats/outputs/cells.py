"""Leftover for the figures until they are merged."""

from preflamp_stats.outputs.formatting import label, one_line


def metric_heading(metric):
    name = label(metric.name)
    if name == metric.name:
        name = one_line(metric.words)
    unit = one_line(metric.scale.unit) if metric.scale.factor == 1 else ""
    return f"{name} ({unit})" if unit else name
