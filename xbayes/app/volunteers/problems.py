"""What the rules refuse. Each is an InputError, so that a page shows its text."""

from xbayes.errors import InputError


class Missing(InputError):
    """What was asked for does not exist: the status 404."""

    status = 404


class Forbidden(InputError):
    """The account may not do this: the status 403."""

    status = 403


class WrongLogin(InputError):
    """The name or the password is wrong, and nobody is told which: the status 401."""

    status = 401


class AlreadyVoted(InputError):
    """The person has voted on this source before: the status 409."""

    status = 409


class TooOften(InputError):
    """Too many attempts: the status 429. `wait` is in seconds."""

    status = 429

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait
