"""The sources of a run as the queue needs them, read once from the classified catalogue."""

import numpy as np

from xbayes.app.served_run import ServedRun
from xbayes.app.volunteers.next_source import UNKNOWN_CLASS
from xbayes.app.volunteers.serving import Sources
from xbayes.app.volunteers.voting import OTHER, UNKNOWN
from xbayes.catalog.query import VIEW, ParquetCatalogue, Roles
from xbayes.errors import InputError

# An outlier counts as much as a quarter or a half of the largest entropy.
OUTLIER, STRONG_OUTLIER = 0.25, 0.5


def sources_of(run: ServedRun) -> Sources:
    """The ids, scores and known classes of a run.

    The score is the entropy of the posterior as a share of the largest, plus a bonus of outliers.

    Raises
    ------
    InputError
        If a class has the name of one of the other answers.
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
        score=np.array(found["score"], float),
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
        f"ELSE 0 END AS score, {truth} AS true_class"
    )


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
