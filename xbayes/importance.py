"""How much each labelled source counts for another catalogue: importance weights.

If the sources of a class look alike in both catalogues but other kinds of them are common here,
what is learned for the other one weighs each labelled source by

    w(x) = p(x | target) / p(x | training)

(Shimodaira 2000), the odds of a classifier of target against training sources (Bickel, Brueckner &
Scheffer 2009, Eq. 6). The classifier never sees a class. Weights vary far, which leaves few sources
to learn from: a power below 1 gives up some of the correction for more of them.
"""

import numpy as np
from jaxtyping import Float

from xbayes.types import Features

FOLDS, MOST = 5, 10.0  # no source counts more than MOST times another one as likely in both


def importance_weights(
    training: Features, target: Features, power: float, seed: int
) -> Float[np.ndarray, "N"]:
    """Weights of the training rows, about 1; each from a classifier that never saw the row.

    Only what was surveyed in both is looked at: that a column was never measured in one of them
    says nothing of its sources.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    shared = [np.asarray(f.surveyed).any(0) for f in (training, target)]
    here, there = (
        np.where(f.observed, f.value, np.nan)[:, shared[0] & shared[1]] for f in (training, target)
    )
    n_rows = len(here)
    if not here.shape[1]:
        return np.ones(n_rows)
    rows, is_target = np.concatenate([here, there]), np.arange(n_rows + len(there)) >= n_rows
    odds = np.ones(n_rows)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for learned, held in folds.split(rows, is_target):
        model = HistGradientBoostingClassifier(
            max_depth=3, max_iter=60, learning_rate=0.05, min_samples_leaf=20, random_state=seed
        ).fit(rows[learned], is_target[learned])
        own = held[held < n_rows]
        of_target = np.clip(model.predict_proba(rows[own])[:, 1], 1e-3, 1 - 1e-3)
        odds[own] = of_target / (1 - of_target) * n_rows / len(there)
    weight = np.clip(odds, 1 / MOST, MOST) ** power
    return weight / weight.mean()


def effective_sources(weight: Float[np.ndarray, "N"]) -> float:
    """As many sources of equal weight would be as informative (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())
