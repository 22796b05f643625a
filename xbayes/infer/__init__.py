"""Drivers that know the contracts of models/base.py, never a model."""
