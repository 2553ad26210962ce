"""Studies with known truth: valid results files whose accuracies, ROUGE and taus are planted.

Used by the demonstration, the tests and the calibration of the intervals.
"""
