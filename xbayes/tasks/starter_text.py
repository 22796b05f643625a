"""The text of a starter config: YAML, in which comments show what was found and what to decide."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from xbayes.catalog.stand_in_messages import shown_number
from xbayes.config.checks import CLASS_NAME
from xbayes.config.known_columns import known_quantities, known_units
from xbayes.tasks.starter_features import Feature
from xbayes.tasks.starter_roles import ColumnFacts, Roles

MOST_COLUMNS = 400  # listed in the comments
MOST_SHOWN = 8  # empty-cell markers of one column
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_EVIDENCE = "no {survey} counterpart is evidence; delete this if {survey} does not cover all rows"
_LACKING = {
    "id": "no column has a different value in every row; add one, for every row needs a name",
    "label": "no column looks like labels; name the column that holds the raw class labels",
}
_EXPLAINED = {
    "source": "names the source, if the rows are detections: its rows stay in one fold",
    "group": "names groups of related rows, such as one field: they stay in one fold",
    "block": "names the release of a row: a column empty in a whole release is not available there",
}


class Starter(NamedTuple):
    """What a starter config says."""

    name: str
    file: Path | None  # as the config names it; None: a table in memory
    n_rows: int
    facts: Sequence[ColumnFacts]
    roles: Roles
    labels: Mapping[str, int]  # raw label -> rows
    n_unlabelled: int
    markers: Mapping[str, tuple[str | float, ...]]  # stand-ins for no value, by column
    features: Sequence[Feature]


def starter_text(starter: Starter) -> str:
    """The YAML text. It is a valid config once two classes are named."""
    origin = "a table in memory" if starter.file is None else starter.file.name
    lines = [
        f"# Starter config of 'xbayes init' for {_comment(origin)}:",
        f"# {starter.n_rows} rows, {len(starter.facts)} columns.",
        "# 1. Name the classes (taxonomy). 2. Check the roles of the columns and the features.",
        "# 3. xbayes run THIS-FILE --dry-run, which checks everything. 4. xbayes run THIS-FILE",
        f"name: {starter.name}",
        *_catalog_lines(starter),
        *_taxonomy_lines(starter),
        *_feature_lines(starter.features),
        *_model_lines(),
        *_column_lines(starter),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def scalar(value: str | float | None) -> str:
    """A value as YAML holds it, in quotes where it would be read as something else."""
    if not isinstance(value, str):
        return "null" if value is None else shown_number(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # YAML does not join the surrogate pairs with which JSON escapes rare characters.
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def _listed(values: Sequence[str | float | None]) -> str:
    return f"[{', '.join(map(scalar, values))}]"


def _comment(text: str) -> str:
    """Text in one line of a comment; control characters would end the comment or the file."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _catalog_lines(starter: Starter) -> list[str]:
    roles = starter.roles._asdict()
    lines = [
        "",
        "catalog:",
        f"  file: {scalar(None if starter.file is None else str(starter.file))}",
    ]
    for role in ("id", "ra", "dec", "label"):
        if roles[role] is not None:
            lines.append(f"  {role}: {scalar(roles[role])}{_others(starter.roles, role)}")
        elif role in _LACKING:
            lines.append(f"  {'' if role == 'id' else '#'}{role}:   # {_LACKING[role]}")
    if starter.roles.ra is None:
        lines.append("  #ra:    # optional; no columns hold ICRS coordinates in degrees")
        lines.append("  #dec:")
    for role, meaning in _EXPLAINED.items():
        if roles[role] is not None:
            others = _others(starter.roles, role)
            lines.append(f"  {role}: {scalar(roles[role])}   # {meaning}{others}")
        else:
            lines.append(f"  #{role}:   # optional; {meaning}")
    lines.append("  #keep: []       # columns to copy to the output")
    lines.append("  #optional: []   # columns that a catalogue to be classified may lack")
    lines += _unit_lines(starter)
    if starter.markers:
        lines.append("  missing_values:   # suspected stand-ins for no value; delete what is data")
        lines += [
            f"    {scalar(name)}: {_listed(values[:MOST_SHOWN])}"
            for name, values in starter.markers.items()
        ]
    else:
        lines.append("  #missing_values:   # none suspected; such as {gmag: [-99]}")
    return lines


def _unit_lines(starter: Starter) -> list[str]:
    """Units of sexagesimal text, and those that known columns have, if the file names none."""
    if starter.roles.units:
        stated = ", ".join(f"{scalar(k)}: {scalar(v)}" for k, v in starter.roles.units.items())
        return [f"  units: {{{stated}}}"]
    numbers = [fact.name for fact in starter.facts if fact.kind == "number"]
    known = {
        name: known_units().get(quantity) for quantity, name in known_quantities(numbers).items()
    }
    known |= dict.fromkeys(filter(None, (starter.roles.ra, starter.roles.dec)), "deg")
    has_unit = {fact.name for fact in starter.facts if fact.unit}
    lacking = {name: unit for name, unit in known.items() if unit and name not in has_unit}
    if not lacking:
        return []
    usual = ", ".join(f"{scalar(name)}: {scalar(unit)}" for name, unit in lacking.items())
    return [
        "  # The file names no units for these columns; remove the # if they are as usual:",
        f"  #units: {{{usual}}}",
    ]


def _others(roles: Roles, role: str) -> str:
    others = roles.others.get(role, ())
    return f"   # or: {_comment(', '.join(others))}" if others else ""


def _taxonomy_lines(starter: Starter) -> list[str]:
    lines = ["", "taxonomy:"]
    if not starter.labels:
        return [
            *lines,
            "  # Name the classes, and the raw labels of each, such as  AGN: [QSO, Seyfert1].",
            "  classes:",
            '  unlabelled: "*"   # every other label: class unknown',
        ]
    column = scalar(starter.roles.label)
    empty = f"; {starter.n_unlabelled} rows have none" if starter.n_unlabelled else ""
    lines += [
        f"  # Column {_comment(column)} has these {len(starter.labels)} labels{empty}.",
        "  # Name at least two classes: remove the # of the lines to use, and join labels of one",
        "  # class, as in  Star: [LM-STAR, YSO]. A condition tells sources of one label apart:",
        "  # ex_XRB: {labels: [LMXB, HMXB], where: detected(host)}.",
        "  classes:",
    ]
    names: set[str] = set()
    entries = [
        (f"{scalar(_class_name(label, names))}: {_listed([label])}", n)
        for label, n in starter.labels.items()
    ]
    width = max(len(entry) for entry, _ in entries)
    lines += [f"    #{entry:{width}}   # {n} rows" for entry, n in entries]
    return [
        *lines,
        "  #left_out: []    # labels whose rows are removed",
        '  unlabelled: "*"   # every label that is not listed above: class unknown',
    ]


def _class_name(label: str, taken: set[str]) -> str:
    """A class name like the label; what a name may not hold becomes _."""
    name = re.sub(r"[^A-Za-z0-9_+-]+", "_", label).strip("_")
    name = name if CLASS_NAME.fullmatch(name) else f"class_{name}".rstrip("_")
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.lower())
    return free


def _feature_lines(features: Sequence[Feature]) -> list[str]:
    lines = ["", "features:"]
    used = [feature for feature in features if not feature.remark]
    for category in dict.fromkeys(feature.category for feature in used):
        lines.append(f"  # {category}")
        for feature in used:
            lines += _block(feature) if feature.category == category else []
    if not used:
        lines.append("  # No column of a known catalogue: choose among the columns below.")
    rest = [feature for feature in features if feature.remark]
    if rest:
        lines.append(
            "  # Further columns. Remove the # to use one, and give it a category: location,"
        )
        lines.append("  # spectrum, counterparts, variability or a name of your own.")
        lines += [f"  #{_flow(feature)}" for feature in rest]
    return lines


def _keys(feature: Feature) -> dict[str, str]:
    keys = {"expression": scalar(feature.expression), "category": scalar(feature.category)}
    if feature.scale != "linear":
        keys["scale"] = feature.scale
    if feature.bounds is not None:
        keys["bounds"] = _listed(feature.bounds)
    if feature.description:
        keys["description"] = scalar(_comment(feature.description))
    if feature.unit:
        keys["unit"] = scalar(feature.unit)
    if feature.error is not None:
        keys["error"] = scalar(feature.error)
    return keys


def _block(feature: Feature) -> list[str]:
    lines = [
        f"  {scalar(feature.name)}:",
        *(f"    {key}: {v}" for key, v in _keys(feature).items()),
    ]
    if feature.evidence_of:
        survey = feature.evidence_of
        lines.append(f"    missing: evidence   # {_EVIDENCE.format(survey=survey)}")
    return lines


def _flow(feature: Feature) -> str:
    inside = ", ".join(f"{key}: {value}" for key, value in _keys(feature).items())
    why = "" if feature.remark == "another column" else f"   # {_comment(feature.remark)}"
    return f"{scalar(feature.name)}: {{{inside}}}{why}"


def _model_lines() -> list[str]:
    return [
        "",
        "model:",
        "  density: smooth    # see docs: When does an option help?",
        "  weights: matrix",
        "  prior: training    # or the class proportions in the sky: {AGN: 0.66, Star: 0.34}",
        "",
        "validation:",
        "  folds: 5",
        "  inner_folds: 5",
    ]


def _column_lines(starter: Starter) -> list[str]:
    facts = starter.facts[:MOST_COLUMNS]
    rows = [("column", "unit", "empty", "range or values", "UCD", "description")]
    rows += [
        (
            _comment(fact.name),
            _comment(fact.unit) or "-",
            str(fact.n_empty) if fact.n_empty else "-",
            _range(fact),
            _comment(fact.ucd) or "-",
            _comment(fact.description),
        )
        for fact in facts
    ]
    width = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ["", "# The columns of the catalogue (empty: rows without a value)"]
    lines += [
        "# " + "  ".join([*(f"{row[i]:{width[i]}}" for i in range(5)), row[5]]) for row in rows
    ]
    if len(starter.facts) > len(facts):
        lines.append(f"# ... and {len(starter.facts) - len(facts)} more columns")
    return lines


def _range(fact: ColumnFacts) -> str:
    if fact.kind == "other":
        return "vector or other, cannot be a feature"
    if fact.kind == "truth":
        return "true or false"
    if fact.kind == "text":
        return f"text, {fact.n_distinct} different"
    if math.isnan(fact.low):
        return "no number"
    return f"{fact.low:.6g} to {fact.high:.6g}"
