"""The candidate features of a catalogue: those of known columns, and one per other number."""

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.config.known_columns import POSITION, find_column, known_quantities
from xbayes.config.known_features import CANDIDATES, FLUXES, Candidate, fields, filled
from xbayes.errors import InputError
from xbayes.features.expression import parse
from xbayes.features.functions import NAMED
from xbayes.tasks.starter_roles import ColumnFacts, Roles

# Columns that say how well something was measured, or when and where, not what the source is like.
_NOT_A_FEATURE = re.compile(
    r"^e_|^err|^sigma_|_err$|_err_|error|sig(ma)?$|sigm?pro|msig|cmsig|_lolim|_hilim|_pos$|_neg$|flag|mjd|"
    r"_id$|^id_|^id$|srcid|detid|index|exp(osure)?_?(time)?$|_exp_|livetime|^(ra|de)c?_|^sep|angdist",
    re.IGNORECASE,
)
_CATEGORY = {"em.x-ray": "spectrum", "phot": "counterparts", "src.var": "variability"}


class Feature(NamedTuple):
    """A feature of the starter config."""

    name: str
    expression: str
    category: str
    description: str = ""
    unit: str = ""
    scale: str = "linear"
    bounds: tuple[float | None, float | None] | None = None
    error: str | None = None
    evidence_of: str = ""  # the survey whose non-detections the feature tells
    remark: str = ""  # why the feature is written as a comment; "": it is used


def choose_features(table: Table, facts: Sequence[ColumnFacts], roles: Roles) -> list[Feature]:
    """The features to propose; those with a remark are not used until the user says so.

    The table has its missing values masked.
    """
    columns = _quantities(table, facts, roles)
    unit = {fact.name: fact.unit for fact in facts}
    known: dict[str, Feature] = {}
    for candidate in CANDIDATES:
        if candidate.name not in known and _applies(candidate, columns):
            known[candidate.name] = _feature(candidate, columns, unit, table)
    chosen = _with_evidence(known)
    used = {name for f in chosen for part in (f.expression, f.error) for name in _columns(part)}
    roles_of = {roles.id, roles.label, roles.source, roles.group, roles.block}
    others = [
        fact
        for fact in facts
        if fact.kind == "number" and fact.name not in used | roles_of and _may_tell(fact)
    ]
    taken = {feature.name for feature in chosen}
    errors = {fact.name: error_column(fact.name, facts) for fact in others}
    return [*chosen, *(_generic(fact, taken, errors[fact.name]) for fact in others)]


def reference(name: str) -> str:
    """A column in an expression."""
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    if plain and name not in NAMED and name not in ("pi", "col"):
        return name
    return f"col({name!r})"


def error_column(name: str, facts: Sequence[ColumnFacts]) -> str | None:
    """The column with the standard error of a column: e_X, X_err, X_error, err_X or sigma_X."""
    numbers = {fact.name.lower(): fact.name for fact in facts if fact.kind == "number"}
    forms = ("e_{}", "{}_err", "{}_error", "{}err", "err_{}", "error_{}", "sigma_{}", "{}_sigma")
    found = (numbers.get(form.format(name).lower()) for form in forms)
    return next((column for column in found if column is not None), None)


def _quantities(table: Table, facts: Sequence[ColumnFacts], roles: Roles) -> dict[str, str]:
    """The columns of the known quantities and coordinates, as written in an expression."""
    numbers = [fact.name for fact in facts if fact.kind == "number" and np.isfinite(fact.low)]
    columns = known_quantities(numbers)
    if roles.ra is not None and roles.dec is not None:
        columns |= {"ra": roles.ra, "dec": roles.dec}
    elif (latitude := find_column(numbers, POSITION["b"])) is not None:
        columns |= {"b": latitude}
    written = {quantity: reference(name) for quantity, name in columns.items()}
    for expression in FLUXES:
        if all(quantity in written for quantity in fields(expression)):
            return written | {"fx": filled(expression, written)}
    return written


def _applies(candidate: Candidate, columns: Mapping[str, str]) -> bool:
    return all(name in columns for name in (*fields(candidate.expression), *candidate.needs))


def _feature(
    candidate: Candidate, columns: Mapping[str, str], unit: Mapping[str, str], table: Table
) -> Feature:
    expression = filled(candidate.expression, columns)
    error = candidate.error
    has_error = error is not None and all(name in columns for name in fields(error))
    measured_in = fields(candidate.unit)
    names = [*_columns(columns[measured_in[0]])] if measured_in else []
    return Feature(
        name=candidate.name,
        expression=expression,
        category=candidate.category,
        description=candidate.description,
        unit=unit.get(names[0], "") if names else candidate.unit,
        scale=candidate.scale,
        bounds=candidate.bounds,
        error=filled(error, columns) if error is not None and has_error else None,
        evidence_of=candidate.survey if _is_lacking(expression, table) else "",
        remark=_doubt(expression, table),
    )


def _columns(expression: str | None) -> set[str]:
    return set() if expression is None else set(parse(expression).columns)


def _is_lacking(expression: str, table: Table) -> bool:
    """Whether the expression is empty in some rows."""
    return bool(parse(expression).evaluate(table).missing.any())


def _doubt(expression: str, table: Table) -> str:
    """Why a feature would be of no use, or ""."""
    try:
        result = parse(expression).evaluate(table)
    except InputError as error:
        return str(error)
    present = result.value[~result.missing]
    if not present.size:
        return "empty in every row"
    return f"always {present[0]:.6g}" if present.min() == present.max() else ""


def _with_evidence(known: Mapping[str, Feature]) -> list[Feature]:
    """The features, of which one per survey counts its non-detections as evidence."""
    told: set[str] = set()
    chosen = []
    for feature in known.values():
        survey = feature.evidence_of if not feature.remark else ""
        chosen.append(feature._replace(evidence_of="" if survey in told else survey))
        told.add(survey)
    return chosen


def _may_tell(fact: ColumnFacts) -> bool:
    positions = {name for names in POSITION.values() for name in names}
    is_id = fact.ucd.lower().startswith(("meta.id", "stat.error", "pos.eq", "time"))
    return not (is_id or fact.name.lower() in positions or _NOT_A_FEATURE.search(fact.name))


def _generic(fact: ColumnFacts, taken: set[str], error: str | None) -> Feature:
    """A feature that is one column; positive numbers over more than two decades get logarithms."""
    name = re.sub(r"\W+", "_", fact.name.lower(), flags=re.ASCII).strip("_")
    name = name if re.match("[a-z]", name) else f"x_{name}".rstrip("_")
    name = _free(name, taken)
    taken.add(name)
    wide = fact.low > 0 and fact.high > 100 * fact.low
    category = next((c for ucd, c in _CATEGORY.items() if ucd in fact.ucd.lower()), "other")
    return Feature(
        name=name,
        expression=reference(fact.name),
        category=category,
        description=fact.description,
        unit=fact.unit,
        scale="log10" if wide else "linear",
        error=None if error is None else reference(error),
        remark="empty in every row" if not np.isfinite(fact.low) else "another column",
    )


def _free(name: str, taken: Iterable[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
