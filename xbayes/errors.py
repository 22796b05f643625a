"""The one error of the user's making; in a file that imports nothing, as `xbayes --help` does."""


class InputError(ValueError):
    """Wrong use, config or input: what is wrong, what was found, what to do. Exit code 2."""
