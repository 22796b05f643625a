"""Table to arrays: expressions, scales, what is missing."""
