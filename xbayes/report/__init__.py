"""Run directory, output table, figures, the HTML report."""
