"""Log-probabilities, rewards and traces of given responses."""
