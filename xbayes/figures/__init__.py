"""One figure per file: functions from arrays to matplotlib figures."""
