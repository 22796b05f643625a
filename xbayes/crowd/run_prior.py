"""The posteriors of a run as the prior of the true class, each piece of evidence counted once."""

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import as_table
from xbayes.catalog.taxonomy import label_texts
from xbayes.errors import InputError
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.soft_labels import read_soft_labels

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike

LEAST = 1e-6  # probability of a class before the votes


class RunPrior(NamedTuple):
    """The sources of a run, and the class probabilities of each."""

    classes: tuple[str, ...]
    id_column: str
    ids: np.ndarray  # N texts
    log_prior: Float[np.ndarray, "N C"] | None  # None: not asked for
    messages: tuple[str, ...]


def run_prior(
    run: str | os.PathLike[str] | FittedRun,
    catalog: "CatalogLike | None" = None,
    *,
    classify: bool = True,
) -> RunPrior:
    """The ids and, with `classify`, the posteriors of the sources of a run or of a catalogue.

    The votes must not be in the prior already, nor the label that the model is to find:

    - a training source has its out-of-fold posterior, which does not contain its own label
    - a source whose votes trained the run has the class proportions of the run
    - any other source has the posterior of the run
    """
    fitted = run if isinstance(run, FittedRun) else load(run)
    roles, classes = fitted.config.catalog, fitted.classes
    if catalog is not None and classify:
        table = fitted.classify(catalog)
    elif catalog is not None:
        table = as_table(catalog, text=[roles.id])
        if roles.id not in table.colnames:
            raise InputError(
                f"the catalogue has no column {roles.id!r}, the id of the run; rename the column"
            )
    else:
        table = _catalogue_of(fitted)
    ids = _ids(table, roles.id)
    if not classify:
        return RunPrior(classes=classes, id_column=roles.id, ids=ids, log_prior=None, messages=())
    prob, messages = _posteriors(table, classes), []
    predictions = fitted.folder / "predictions.parquet"
    if predictions.is_file():
        held_out = fitted.predictions
        found, rows = _places(_ids(held_out, roles.id), ids)
        prob[rows] = _posteriors(held_out, classes)[found]
        messages.append(f"{len(rows)} training sources have their out-of-fold posterior as prior")
    if "crowd" in fitted.config.taxonomy.labels:
        proportions = np.exp(fitted.model.applied_log_prior)
        voted = read_soft_labels(fitted.config, table)
        chosen = voted.known
        if predictions.is_file():
            chosen &= ~np.isin(ids, _ids(fitted.predictions, roles.id))
        prob[chosen] = proportions / proportions.sum()
        messages.append(
            f"{int(chosen.sum())} sources whose earlier votes trained the run have its class "
            "proportions as prior, so that no vote counts twice"
        )
    prob = np.maximum(prob, LEAST)
    return RunPrior(
        classes=classes,
        id_column=roles.id,
        ids=ids,
        log_prior=np.log(prob / prob.sum(1, keepdims=True)),
        messages=tuple(messages),
    )


def _catalogue_of(fitted: FittedRun) -> Table:
    path = fitted.folder / "catalog.parquet"
    if not path.is_file():
        raise InputError(
            f"{fitted.folder.name} has no catalogue of its own; give the catalogue that holds the "
            "sources: --catalog FILE"
        )
    return as_table(path)


def _ids(table: Table, name: str) -> np.ndarray:
    return label_texts(masked_column(table, name))


def _posteriors(table: Table, classes: tuple[str, ...]) -> Float[np.ndarray, "N C"]:
    columns = [np.ma.filled(np.ma.asarray(table[f"p_{name}"]), np.nan) for name in classes]
    return np.column_stack(columns).astype(np.float64)


def _places(names: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the names that are among others, and their places there."""
    place = {name: row for row, name in enumerate(among.tolist())}
    pairs = [(row, place[name]) for row, name in enumerate(names.tolist()) if name in place]
    both = np.array(pairs, int).reshape(-1, 2)
    return both[:, 0], both[:, 1]
