"""A local server that speaks the protocols of the archives over small tables."""
