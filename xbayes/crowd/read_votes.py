"""A table of votes, checked and numbered."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.catalog.columns import masked_column
from xbayes.catalog.taxonomy import label_texts
from xbayes.config.checks import did_you_mean, quoted
from xbayes.crowd.votes import OTHER, UNKNOWN, Votes, last_votes, sorted_votes
from xbayes.errors import InputError

COLUMNS = ("source", "user", "answer")
SHOWN = 5
# Answers of other words, in small letters.
SYNONYMS = {
    "something else": OTHER,
    "none of these": OTHER,
    "don't know": UNKNOWN,
    "i don't know": UNKNOWN,
    "dont know": UNKNOWN,
    "not sure": UNKNOWN,
}


class Ballots(NamedTuple):
    """The votes that count, with the names of sources, volunteers and classes."""

    votes: Votes
    sources: np.ndarray  # N texts
    users: np.ndarray  # U texts
    classes: tuple[str, ...]
    messages: tuple[str, ...]


def class_names(table: Table, given: Sequence[str], answers: Mapping[str, str]) -> tuple[str, ...]:
    """The classes that are given, or else those that the answers name, in alphabetical order."""
    if given:
        return tuple(given)
    _check_columns(table)
    texts = np.unique(_texts(table, "answer")).tolist()
    found = {_meaning(text, (), answers) for text in texts if text}
    return tuple(sorted(found - {OTHER, UNKNOWN}))


def ballots_of(
    table: Table,
    classes: Sequence[str],
    answers: Mapping[str, str],
    *,
    known: np.ndarray | None = None,
) -> Ballots:
    """The votes of a table, of which the last one counts for each source and volunteer.

    `answers` says what answers of other names mean. `known` are the ids of all sources.

    Raises
    ------
    InputError
        For missing columns, empty cells, unknown answers or sources, fewer than two classes, or a
        single volunteer.
    """
    _check_columns(table)
    source, user, answer = (_texts(table, name) for name in COLUMNS)
    for name, texts in zip(COLUMNS, (source, user, answer), strict=True):
        empty = np.flatnonzero(texts == "")
        if len(empty):
            raise InputError(
                f"column {name!r} of the votes is empty in {len(empty)} of {len(texts)} rows, the "
                f"first in row {empty[0] + 1}; remove these rows or fill them in"
            )
    if len(classes) < 2:
        raise InputError(
            f"the votes name {len(classes)} class ({quoted(classes) or 'none'}); a label needs at "
            "least two: name all of them with --classes AGN,Star,... or give --run"
        )
    index = _answer_indices(answer, classes, answers)
    sources, source_index = np.unique(source, return_inverse=True)
    users, user_index = np.unique(user, return_inverse=True)
    if len(users) < 2:
        raise InputError(
            f"all {len(table)} votes are by one volunteer, {str(users[0])!r}; a skill can only be "
            "learned from volunteers who answer about the same sources: give the votes of several"
        )
    if known is not None:
        _refuse_unknown_sources(sources, known)
    keep = last_votes(source_index, user_index, _times(table))
    votes = Votes(
        source=source_index[keep],
        user=user_index[keep],
        answer=index[keep],
        n_sources=len(sources),
        n_users=len(users),
        n_classes=len(classes),
    )
    return Ballots(
        votes=sorted_votes(votes),
        sources=sources,
        users=users,
        classes=tuple(classes),
        messages=_repeated(keep),
    )


def _repeated(keep: np.ndarray) -> tuple[str, ...]:
    n_out = int((~keep).sum())
    if not n_out:
        return ()
    return (
        f"{n_out} of {len(keep)} votes are earlier votes of the same volunteer on the same source; "
        "the last one counts",
    )


def _check_columns(table: Table) -> None:
    lacking = [name for name in COLUMNS if name not in table.colnames]
    if lacking:
        raise InputError(
            f"the votes have no column {quoted(lacking)}; have {quoted(table.colnames)}; rename "
            "them to source, user, answer (and time), or give --zooniverse for an export"
        )


def _texts(table: Table, name: str) -> np.ndarray:
    return label_texts(masked_column(table, name))


def _meaning(text: str, classes: Sequence[str], answers: Mapping[str, str]) -> str:
    """The class, `other` or `unknown` that an answer stands for; the text itself if none."""
    text = answers.get(text, text)
    if text in classes:
        return text
    small = text.lower()
    if small in (OTHER, UNKNOWN):
        return small
    return SYNONYMS.get(small, text)


def _answer_indices(
    answer: np.ndarray, classes: Sequence[str], answers: Mapping[str, str]
) -> np.ndarray:
    place = {name: index for index, name in enumerate([*classes, OTHER, UNKNOWN])}
    texts, inverse = np.unique(answer, return_inverse=True)
    meanings = [_meaning(text, classes, answers) for text in texts.tolist()]
    unknown = [t for t, m in zip(texts.tolist(), meanings, strict=True) if m not in place]
    if unknown:
        number = int(np.isin(answer, unknown).sum())
        near = did_you_mean(unknown[0], list(place), "answers are")
        raise InputError(
            f"{number} votes have answers that are no class, other or unknown: "
            f"{quoted(unknown[:SHOWN])}{near}; correct them, or say what they mean: "
            f"--answer {unknown[0]!r}=CLASS"
        )
    return np.array([place[meaning] for meaning in meanings])[inverse]


def _refuse_unknown_sources(sources: np.ndarray, known: np.ndarray) -> None:
    strange = sources[~np.isin(sources, known)]
    if len(strange):
        raise InputError(
            f"{len(strange)} of {len(sources)} sources with votes are not in the catalogue of the "
            f"run: {quoted(strange[:SHOWN].tolist())}; give the catalogue that holds them: "
            "--catalog FILE"
        )


def _times(table: Table) -> Float[np.ndarray, "V"] | None:
    """Times as numbers; ISO 8601 texts become seconds. NaN where there is none."""
    if "time" not in table.colnames:
        return None
    column = np.ma.asarray(table["time"])
    values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
    if values.dtype.kind in "iuf":
        return np.where(missing, np.nan, values.astype(np.float64))
    texts = np.where(missing, "NaT", np.char.strip(values.astype(str)))
    texts = np.char.replace(np.char.replace(texts, " UTC", ""), "Z", "")
    try:
        when = texts.astype("datetime64[us]")
    except ValueError:
        shown = next((text for text in texts.tolist() if not _is_time(text)), "")
        raise InputError(
            f"column 'time' of the votes has a value that is no time: {shown!r}; write "
            "2026-01-31T12:00:00, or a number"
        ) from None
    seconds = when.astype(np.int64) / 1e6
    return np.where(np.isnat(when), np.nan, seconds)


def _is_time(text: str) -> bool:
    try:
        np.datetime64(text)
    except ValueError:
        return False
    return True
