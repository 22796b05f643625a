"""A table becomes arrays: column values, expressions, and the state of each feature value."""
