"""One figure per file: functions that take arrays and return matplotlib axes or figures.

A figure with a single panel takes `ax`, the axes to draw on, and returns them; without `ax` it
makes a figure. A figure with several panels makes and returns a `Figure`.
"""
