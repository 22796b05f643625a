"""Densities and models, one file each, behind the two contracts of base.py."""
