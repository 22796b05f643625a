"""The held-out predictions of a run, for pages: reliability by class, and shares of a confusion."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.catalog.columns import plain_columns
from xbayes.catalog.read import read_catalog
from xbayes.evaluate.scores import Predictions
from xbayes.figures.reliability import Reliability, reliability


class HeldOut(NamedTuple):
    """The first repeat of the out-of-fold predictions of a run."""

    ids: np.ndarray  # as text
    predictions: Predictions


def held_out(run: Path, classes: tuple[str, ...], id_column: str, group: str | None) -> HeldOut:
    """The predictions in `predictions.parquet`.

    Parameters
    ----------
    run
        The run directory.
    classes
        Its classes, in order.
    id_column
        The column of the ids.
    group
        The column of what is resampled together, if the file has it; else each source is its own.
    """
    text = [id_column]
    table = plain_columns(read_catalog(run / "predictions.parquet", text=text))
    number = {name: c for c, name in enumerate(classes)}
    own = np.arange(len(table))
    if group is not None and group in table.colnames:
        own = np.unique(np.asarray(table[group]).astype(str), return_inverse=True)[1].ravel()
    return HeldOut(
        ids=np.char.strip(np.asarray(table[id_column]).astype(str)),
        predictions=Predictions(
            truth=np.array([number.get(str(name), -1) for name in table["true_class"]]),
            posterior=np.column_stack([np.asarray(table[f"p_{c}"], np.float64) for c in classes]),
            prediction=np.array([number.get(str(name), -1) for name in table["prediction"]]),
            group=own,
            weight=np.ones(len(table)),
        ),
    )


def reliability_by_class(found: HeldOut, classes: tuple[str, ...]) -> dict[str, Reliability]:
    """Observed against predicted probability of each class, in ten bins."""
    truth, posterior = found.predictions.truth, found.predictions.posterior
    return {
        name: reliability(np.clip(posterior[:, c], 0, 1), truth == c)
        for c, name in enumerate(classes)
    }


def row_shares(confusion: list[list[float]]) -> Float[np.ndarray, "C C"]:
    """The share of each true class (row) in each predicted class; NaN without sources."""
    counts = np.asarray(confusion, np.float64)
    total = counts.sum(1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
