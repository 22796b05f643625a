"""Scores, reliability, cross-validation."""
