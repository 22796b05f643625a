"""Variants and third-party classifiers on the same folds, in one table."""
