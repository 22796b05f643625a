"""The recipes of the two published systems, kept as baselines."""
