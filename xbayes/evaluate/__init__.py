"""Scores of out-of-fold predictions: cross-validation, metrics, votes, class counts."""
