"""Revisions of the schema, each with the way forwards and back."""
