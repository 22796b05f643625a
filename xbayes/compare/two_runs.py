"""Two finished runs compared on the sources that both predicted out of fold."""

import numpy as np

from xbayes.errors import InputError
from xbayes.evaluate.paired import paired_differences
from xbayes.tasks.fitted_run import FittedRun
from xbayes.tasks.held_out import HeldOut, held_out

DRAWS, SEED = 500, 1
FEWEST = 20  # common sources


def difference_of_runs(first: FittedRun, second: FittedRun) -> dict:
    """Scores of the second run minus those of the first on their common sources.

    Returns
    -------
    As `xbayes.evaluate.paired.paired_differences`, and `n_sources`, the number of common sources.

    Raises
    ------
    InputError
        If the classes differ, or too few sources are common.
    """
    if first.classes != second.classes:
        raise InputError(
            f"the classes differ: {', '.join(first.classes)} and {', '.join(second.classes)}"
        )
    both = [_of(run) for run in (first, second)]
    _, left, right = np.intersect1d(both[0].ids, both[1].ids, return_indices=True)
    if len(left) < FEWEST:
        raise InputError(
            f"the runs share {len(left)} held-out sources; a comparison needs {FEWEST}"
        )
    mine, other = (_rows(found, rows) for found, rows in zip(both, (left, right), strict=True))
    known = (mine.predictions.truth == other.predictions.truth) & (mine.predictions.truth >= 0)
    mine, other = (_rows(found, np.flatnonzero(known)) for found in (mine, other))
    if len(mine.ids) < FEWEST:
        raise InputError(
            "the two runs must have the same classes of the same sources to be compared"
        )
    # Groups of the first run: the same sources must be resampled in both.
    same = other.predictions._replace(group=mine.predictions.group)
    found = paired_differences(mine.predictions, same, first.classes, DRAWS, SEED)
    return found | {"n_sources": len(mine.ids)}


def _of(run: FittedRun) -> HeldOut:
    roles = run.config.catalog
    return held_out(run.folder, run.classes, roles.id, roles.source or roles.group)


def _rows(found: HeldOut, rows: np.ndarray) -> HeldOut:
    picked = found.predictions._make(np.asarray(field)[rows] for field in found.predictions)
    return HeldOut(ids=found.ids[rows], predictions=picked)
