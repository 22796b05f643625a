"""Errors and warnings that users meet; this file imports nothing, so that `--help` stays quick."""


class InputError(ValueError):
    """Wrong use, config or input: what is wrong, what was found, what to do. Exit code 2."""


class XbayesWarning(UserWarning):
    """A doubt about the catalogue or the result, which the user should read."""
