"""Entries and sections that a null removes: in a file that extends another, and by --set."""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from xbayes.config.checks import did_you_mean
from xbayes.config.schema import Config
from xbayes.errors import InputError


def without_removed(
    values: dict[str, Any], base: Mapping[str, Any], model: type[BaseModel] = Config
) -> None:
    """Remove the entries of the file below that are null in the merged values.

    Entries are what a user names, such as features, classes and columns. Any other null is refused
    later, or is the value of its key.
    """
    for name, field in model.model_fields.items():
        section, old = values.get(name), base.get(name)
        if not isinstance(section, dict) or not isinstance(old, Mapping):
            continue
        inner = _record(field.annotation)
        if inner is not None:
            without_removed(section, old, inner)
        elif _has_entries(field.annotation):
            for entry in [entry for entry in old if section.get(entry, ...) is None]:
                del section[entry]


def remove_null(
    values: dict[str, Any],
    path: Sequence[str],
    known: Sequence[str],
    root: type[BaseModel] = Config,
) -> None:
    """Remove the entry or section at the path, which --set made null; keep any other null.

    Parameters
    ----------
    values
        All values of the config.
    path
        The keys that lead to the null.
    known
        The entries beside it before it was set.
    root
        The record of the whole config.

    Raises
    ------
    InputError
        For an entry that is not there, and a section that every config needs.
    """
    *above, name = path
    kind = _kind_at(above, root)
    section: Any = values
    for key in above:
        section = section[key]
    text = f"--set {'.'.join(path)}=null"
    if kind is not None and _has_entries(kind):
        if name not in known:
            near = did_you_mean(name, list(known))
            raise InputError(f"{text}: {'.'.join(above)} holds no {name!r} to remove{near}")
        del section[name]
        return
    inner = _record(kind)
    field = None if inner is None else inner.model_fields.get(name)
    if field is None or type(None) in _alternatives(field.annotation):
        return
    if _record(field.annotation) is None and not _has_entries(field.annotation):
        return
    if field.is_required():
        raise InputError(
            f"{text}: {name} cannot be removed, for every config needs it; set keys of it: --set "
            f"{'.'.join(path)}.KEY=VALUE"
        )
    del section[name]  # every default holds again


def _kind_at(path: Sequence[str], root: type[BaseModel]) -> Any:
    """The type of the value at a path; None where the schema has no such key."""
    kind: Any = root
    for key in path:
        inner = _record(kind)
        if inner is not None:
            field = inner.model_fields.get(key)
            kind = None if field is None else field.annotation
        else:
            kind = _entry(kind)
    return kind


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _record(kind: Any) -> type[BaseModel] | None:
    """The section among the alternatives of a type, if there is one."""
    records = [k for k in _alternatives(kind) if isinstance(k, type) and issubclass(k, BaseModel)]
    return records[0] if records else None


def _entry(kind: Any) -> Any:
    """The type of the entries of a mapping with names of the user."""
    for each in _alternatives(kind):
        if get_origin(each) is dict:
            return get_args(each)[1]
    return None


def _has_entries(kind: Any) -> bool:
    return any(get_origin(each) is dict for each in _alternatives(kind))
