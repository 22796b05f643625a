"""The output of a run: tables, files and the run directory."""
