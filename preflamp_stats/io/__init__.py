"""The results file: opening, writing, checking, converting, merging."""
