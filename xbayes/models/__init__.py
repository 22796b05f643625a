"""Densities and weighting layers, as pure functions of arrays."""
