"""The sources of a run as the queue needs them, read once from the classified catalogue."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from xbayes.app.served_run import ServedRun
from xbayes.app.volunteers.next_source import UNKNOWN_CLASS
from xbayes.app.volunteers.serving import Sources
from xbayes.app.volunteers.voting import OTHER, UNKNOWN
from xbayes.catalog.columns import masked_column
from xbayes.catalog.query import VIEW, ParquetCatalogue, Roles
from xbayes.catalog.read import read_catalog
from xbayes.errors import InputError

# An outlier counts as much as a quarter or a half of the largest entropy, and so does a source on
# which the served runs disagree. A suggested source comes before every other one.
OUTLIER, STRONG_OUTLIER, DISAGREEMENT, SUGGESTED = 0.25, 0.5, 0.5, 2.0


def sources_of(
    run: ServedRun, *, others: Sequence[ServedRun] = (), suggested: Path | None = None
) -> Sources:
    """The ids, scores and known classes of a run.

    The score is the entropy of the posterior as a share of the largest, plus a bonus for outliers,
    for sources to which another run gives another class, and for suggested sources.

    Parameters
    ----------
    run
        The run.
    others
        The other served runs.
    suggested
        The table that `xbayes suggest` wrote, best first.

    Raises
    ------
    InputError
        If a class has the name of one of the other answers, or no source is a suggested one.
    """
    reserved = {OTHER, UNKNOWN} & set(run.fitted.classes)
    if reserved:
        raise InputError(
            f"the run has a class {reserved.pop()!r}, which is an answer of the volunteers' site; "
            "rename the class"
        )
    catalogue = run.catalogue
    found = catalogue.query(f"SELECT {_columns(catalogue)} FROM {VIEW}").to_pydict()
    names = found["true_class"]
    if "true_class" not in catalogue.columns:
        known = _training_classes(run)
        names = [known.get(source) for source in found["id"]]
    number = {name: c for c, name in enumerate(run.fitted.classes)}
    return Sources(
        run=run.name,
        ids=found["id"],
        score=np.array(found["score"], float)
        + _disagreements(found["id"], found["prediction"], others)
        + _suggestions(found["id"], suggested),
        true_class=np.array([number.get(str(name), UNKNOWN_CLASS) for name in names], int),
        classes=tuple(run.fitted.classes),
    )


def _columns(catalogue: ParquetCatalogue) -> str:
    columns = catalogue.columns
    entropy = "coalesce(entropy, 0)" if "entropy" in columns else "0"
    outlier = "outlier_p" if "outlier_p" in columns else "NULL"
    truth = "true_class" if "true_class" in columns else "NULL"
    return (
        f"CAST({catalogue.quoted(catalogue.id)} AS VARCHAR) AS id, "
        f"{entropy} / ln({max(2, len(catalogue.classes))}) + CASE "
        f"WHEN {outlier} <= 0.01 THEN {STRONG_OUTLIER} WHEN {outlier} <= 0.05 THEN {OUTLIER} "
        f"ELSE 0 END AS score, {truth} AS true_class, prediction"
    )


def _disagreements(
    ids: Sequence[str], prediction: Sequence[str], others: Sequence[ServedRun]
) -> Float[np.ndarray, "N"]:
    """The bonus of the sources to which one of the other runs gives another class."""
    bonus = np.zeros(len(ids))
    for other in others:
        own_id = other.catalogue.quoted(other.catalogue.id)
        rows = other.catalogue.query(
            f"SELECT CAST({own_id} AS VARCHAR) AS id, prediction FROM {VIEW}"
        ).to_pydict()
        known = dict(zip(rows["id"], rows["prediction"], strict=True))
        pairs = zip(ids, prediction, strict=True)
        differ = np.array([known.get(source, name) != name for source, name in pairs], bool)
        bonus[differ] = DISAGREEMENT
    return bonus


def _suggestions(ids: Sequence[str], suggested: Path | None) -> Float[np.ndarray, "N"]:
    """The bonus of the suggested sources, the first of the table the largest."""
    if suggested is None:
        return np.zeros(len(ids))
    table = read_catalog(suggested)
    names = masked_column(table, table.colnames[0]).tolist()
    place = {str(name).strip(): n for n, name in enumerate(names)}
    bonus = np.array([_bonus(place.get(source), len(place)) for source in ids])
    if not bonus.any():
        raise InputError(
            f"no source of {suggested} is in the catalogue; give the table of xbayes suggest RUN "
            "CATALOG --out FILE for the catalogue that is served"
        )
    return bonus


def _bonus(place: int | None, n_places: int) -> float:
    return 0.0 if place is None else SUGGESTED * (2 - place / n_places)


def _training_classes(run: ServedRun) -> dict[str, str]:
    """The class of each training source of the run; empty for a model without them."""
    path = run.fitted.folder / "predictions.parquet"
    if not path.is_file():
        return {}
    roles = Roles(id=run.fitted.config.catalog.id, ra=None, dec=None)
    training = ParquetCatalogue(path, roles)
    rows = training.query(
        f"SELECT CAST({training.quoted(training.id)} AS VARCHAR) AS id, true_class FROM {VIEW}"
    ).to_pylist()
    return {row["id"]: row["true_class"] for row in rows}
