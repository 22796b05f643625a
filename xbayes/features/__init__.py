"""A table becomes arrays: expressions, conditions, the state of each value."""
