"""What a run leaves behind: tables, files, the run directory."""
