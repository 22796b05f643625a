"""Fitting: EM, gradients, NumPyro. The drivers know contracts, never a config."""
