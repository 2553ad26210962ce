"""Our intervals inside the tools that people run: metrics and aggregations that these call."""
