"""A table comes in and goes out: formats, roles of columns, classes, units, splits."""
