"""Scores on held-out sources: cross-validation, metrics, votes, counts."""
