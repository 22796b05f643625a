"""`xbayes init`: a starter config for a catalogue, which runs once the classes are named."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import as_table
from xbayes.catalog.roles import uniform_catalog
from xbayes.catalog.stand_ins import StandInCheck
from xbayes.catalog.taxonomy import label_texts
from xbayes.catalog.units import in_degrees, state_units
from xbayes.catalog.write import check_place
from xbayes.config.catalog import CatalogConfig
from xbayes.config.reader import parse_mapping
from xbayes.output.files import write_whole
from xbayes.tasks.starter_features import choose_features
from xbayes.tasks.starter_roles import MOST_LABELS, ColumnFacts, Roles, column_facts, guess_roles
from xbayes.tasks.starter_text import Starter, starter_text

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

# Text that stands for no value in a column of numbers.
NO_VALUE = frozenset({"--", "-", "null", "none", "n/a", "na", "nan", "...", "?", "inf", "-inf"})


class StarterConfig(NamedTuple):
    """A starter config. It becomes a config when the classes are named."""

    text: str  # YAML, with comments
    labels: dict[str, int]  # raw labels, the most frequent first, and their number of rows
    features: tuple[str, ...]  # names of the features that are used
    steps: tuple[str, ...]  # what is left to do, in words

    def with_classes(self, classes: Mapping[str, Sequence[str]]) -> dict[str, object]:
        """The config, as a mapping for `xbayes.run`, with these classes: name -> raw labels."""
        tree = parse_mapping(self.text, "starter config")
        listed = {name: list(labels) for name, labels in classes.items()}
        return {**tree, "taxonomy": {**tree["taxonomy"], "classes": listed}}


def init(
    catalog: "CatalogLike", *, out: str | os.PathLike[str] | None = None, overwrite: bool = False
) -> StarterConfig:
    """A starter config for a catalogue: roles, labels and candidate features, from its columns.

    Columns of 4XMM, CSC 2.1, 2SXPS, eRASS1, Gaia DR3, 2MASS and AllWISE are recognised, and become
    hardness ratios, fluxes, colours, flux ratios and so on. All other numbers are listed as
    comments.

    Parameters
    ----------
    catalog
        The labelled catalogue: a path, or a table of astropy, pandas or pyarrow.
    out
        The YAML file to write; if not given, nothing is written.
    overwrite
        Replace the file if it exists.

    Raises
    ------
    InputError
        If the catalogue cannot be read or the file cannot be written.

    Examples
    --------
    >>> starter = xbayes.init("runs/demo-catalog.fits")
    >>> list(starter.labels)
    ['AGN', 'Star', 'XRB', 'CV']
    >>> config = starter.with_classes({"AGN": ["AGN"], "XRB": ["XRB", "CV"]})
    >>> config["catalog"]["label"]
    'Class'
    """
    path = None if out is None else Path(out).expanduser()
    if path is not None:
        check_place(path, overwrite)
    table = as_table(catalog)
    markers = _markers(table)
    table = _masked(table, markers)
    facts = column_facts(table)
    roles = guess_roles(table, facts)
    labels, n_unlabelled = _labels(table, roles.label)
    state_units(table, roles.units)
    features = choose_features(in_degrees(table, roles.ra, roles.dec), facts, roles)
    file = Path(catalog).expanduser() if isinstance(catalog, str | os.PathLike) else None
    text = starter_text(
        Starter(
            name=_run_name(file),
            file=None if file is None else _as_named_in(path, file),
            n_rows=len(table),
            facts=facts,
            roles=roles,
            labels=labels,
            n_unlabelled=n_unlabelled,
            markers=markers,
            features=features,
        )
    )
    if path is not None:
        write_whole(path, text.encode())
    used = tuple(feature.name for feature in features if not feature.remark)
    return StarterConfig(
        text=text, labels=labels, features=used, steps=_steps(roles, facts, used, path)
    )


def _markers(table: Table) -> dict[str, tuple[str | float, ...]]:
    """The probable stand-ins of every column; a label -1 or an id 0 is none."""
    roles = guess_roles(table, column_facts(table))
    named = {roles.id, roles.label, roles.source, roles.group, roles.block}
    found = {**_text_markers(table), **_stand_ins(table)}
    return {name: markers for name, markers in found.items() if name not in named}


def _stand_ins(table: Table) -> dict[str, tuple[float, ...]]:
    """Numbers that probably stand for no value, by column."""
    check = StandInCheck(table.colnames, {})
    check.add(table)
    found: dict[str, tuple[float, ...]] = {}
    for suspect in check.suspects(table):
        found[suspect.column] = (*found.get(suspect.column, ()), suspect.value)
    return found


def _text_markers(table: Table) -> dict[str, tuple[str, ...]]:
    """Columns of text that are numbers but for a few markers, and these markers."""
    found = {}
    for name in table.colnames:
        column = masked_column(table, name)
        if column.dtype.kind != "U" or column.ndim != 1:
            continue
        distinct = {text.strip() for text in np.unique(np.ma.asarray(column).compressed()).tolist()}
        words = {text for text in distinct if not _is_number(text)}
        if words and len(words) < len(distinct) and {w.lower() for w in words} <= NO_VALUE:
            found[name] = tuple(sorted(words))
    return found


def _is_number(text: str) -> bool:
    try:
        float(text.replace("_", "?"))
    except ValueError:
        return False
    return text.lower().strip("+-") not in ("nan", "inf", "infinity")


def _masked(table: Table, markers: Mapping[str, Sequence[str | float]]) -> Table:
    """The table with the markers masked, as `xbayes run` reads it; text that is numbers converted.

    A table needs no id here, so the first column plays its part.
    """
    missing = {name: tuple(values) for name, values in markers.items()}
    roles = CatalogConfig(id=table.colnames[0], missing_values=missing)
    table = uniform_catalog(table, roles, (), "classify")
    for name, words in markers.items():
        column = masked_column(table, name)
        if column.dtype.kind == "U" and words:
            numbers = np.where(np.ma.getmaskarray(column), "nan", np.ma.getdata(column))
            table[name] = np.ma.masked_invalid(numbers.astype(np.float64))
    return table


def _labels(table: Table, label: str | None) -> tuple[dict[str, int], int]:
    """The raw labels with their number of rows, the most frequent first; rows without a label."""
    if label is None:
        return {}, 0
    texts, counts = np.unique(label_texts(masked_column(table, label)), return_counts=True)
    found = dict(zip(texts.tolist(), counts.tolist(), strict=True))
    n_unlabelled = found.pop("", 0)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:MOST_LABELS]), n_unlabelled


def _run_name(file: Path | None) -> str:
    """A name for the run, from the name of the file up to its first dot."""
    stem = "table" if file is None else file.name.partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")
    return name or "catalogue"


def _as_named_in(config: Path | None, file: Path) -> Path:
    """The catalogue as the config names it: relative if both are in the current folder.

    Then it is found, whether a relative path starts there or in the folder of the config.
    """
    whole, here = file.resolve(), Path.cwd().resolve()
    if config is not None and config.parent.resolve() == here and whole.is_relative_to(here):
        return whole.relative_to(here)
    return whole


def _steps(
    roles: Roles, facts: Sequence[ColumnFacts], features: Sequence[str], out: Path | None
) -> tuple[str, ...]:
    file = "my.yaml" if out is None else str(out)
    steps = []
    if roles.id is None:
        steps.append("set catalog.id: no column has a different value in every row")
    if roles.label is None:
        steps.append("set catalog.label: no column looks like labels")
    steps.append("name the classes under taxonomy.classes, where the labels are listed")
    if not features:
        n_numbers = sum(fact.kind == "number" for fact in facts)
        steps.append(f"choose features among the {n_numbers} columns of numbers listed as comments")
    else:
        steps.append(f"look over the roles of the columns and the {len(features)} features")
    checked = f"xbayes run {shlex.quote(file)} --dry-run (checks everything and prints the plan)"
    return (*steps, checked, f"xbayes run {shlex.quote(file)}")
