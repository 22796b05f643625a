"""How much smooth curves are worth beside another model: their share, on inner folds.

curves without each fold -> scores of that fold -> penalty and share -> held-out mixture -> curves
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.infer.fit_splines import PENALTIES, fit_splines
from xbayes.infer.select_terms import Held, choose_share
from xbayes.models.additive_terms import SplineTerms, contributions, mixed_log_joint
from xbayes.types import Features

SHARES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


class SplineReport(NamedTuple):
    """What was chosen."""

    share: float = 0.0  # 0: the curves told nothing new, and there are none
    penalty: tuple[float, float] = (0.0, 0.0)  # of second differences, of size
    gain: float = 0.0  # held-out log loss without the curves less that with them
    gain_error: float = 0.0  # its standard error, groups kept together


def learn_splines(
    features: Features, held: Held, row_weight: Float[np.ndarray, "N"] | None = None
) -> tuple[SplineTerms | None, Float[np.ndarray, "N C"], SplineReport]:
    """Curves learned on all rows with `fold >= 0`, held-out mixed scores, and how it went.

    None where their log loss falls by no more than its standard error (Breiman et al. 1984, section
    3.4.3): then the scores are those of the other model.
    """
    training, n_classes = held.fold >= 0, held.own.shape[1]
    added = np.zeros((len(PENALTIES), *held.own.shape))
    for j in np.unique(held.fold[training]):
        rows = held.fold == j
        for r, penalty in enumerate(PENALTIES):
            part = (features, held.truth, training & ~rows, n_classes)
            splines = fit_splines(*part, penalty, row_weight=row_weight)
            each = contributions(splines, features.rows(rows))
            added[r, rows] = splines.base + each.sum(1)
    place, share, gain, error = choose_share(held, added, SHARES)
    if not gain > error:
        return None, held.own, SplineReport(gain=gain, gain_error=error)
    penalty = PENALTIES[place]
    whole = (features, held.truth, training, n_classes)
    splines = fit_splines(*whole, penalty, share, row_weight)
    # What a row's own fold taught is in `added`, its base included.
    own, without = np.asarray(held.own, np.float64), splines._replace(base=np.zeros(n_classes))
    log_joint = np.array(mixed_log_joint(without, own, added[place], held.measured))
    log_joint[~training] = own[~training]
    return splines, log_joint, SplineReport(share, penalty, gain, error)
