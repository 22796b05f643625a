"""Votes of volunteers to labels.

Axes beside those of `xbayes.types`: V votes, U volunteers (users), A answers. The answers are the
C classes, then `other` and `unknown`.
"""
