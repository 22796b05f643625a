"""Catalogues larger than memory: HATS catalogues, whose partitions Dask gives to the tasks."""
