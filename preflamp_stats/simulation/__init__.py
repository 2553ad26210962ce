"""Studies with known truth: valid results files whose accuracies, ROUGE and taus are planted.

Used by the demonstration, the tests and the calibration of the intervals.
"""

from preflamp_stats.simulation.design import StudyDesign
from preflamp_stats.simulation.study import simulate, simulate_dataset

__all__ = ["StudyDesign", "simulate", "simulate_dataset"]
