"""A table comes in: read and write catalogues, roles of columns, taxonomy, splits, simulation."""
