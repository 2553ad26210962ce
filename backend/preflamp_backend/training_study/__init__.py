"""The reward models of a study, trained."""
