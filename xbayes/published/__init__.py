"""The methods of the two published systems, as baselines."""
