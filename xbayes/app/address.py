"""Addresses of pages that differ from the present one in some parameters."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlencode


class Address(NamedTuple):
    """The path of a page and its parameters, in order."""

    path: str
    items: tuple[tuple[str, str], ...]

    def but(self, **changes: str | None) -> str:
        """The address with parameters replaced, or removed with None."""
        kept = [(k, v) for k, v in self.items if k not in changes]
        return _written(self.path, [*kept, *((k, v) for k, v in changes.items() if v)])

    def without(self, *keys: str, value: str | None = None) -> str:
        """The address without some parameters, or without one of their values, on page one."""
        dropped = {*keys, "offset"}
        kept = [
            (k, v)
            for k, v in self.items
            if k not in dropped or (k in keys and value is not None and v != value)
        ]
        return _written(self.path, kept)

    def at(self, path: str, *without: str) -> str:
        """The same parameters at another path."""
        return _written(path, [(k, v) for k, v in self.items if k not in without])


def _written(path: str, items: Iterable[tuple[str, str]]) -> str:
    query = urlencode(list(items), safe=",:|/")
    return f"{path}?{query}" if query else path
