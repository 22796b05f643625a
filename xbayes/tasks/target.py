"""Learn for another catalogue: what it never measured is left out, and sources like its own count.

The classes of that catalogue are not looked at.

If the sources of a class look alike in both catalogues but other kinds of them are common here,
what is learned for the other one weighs each labelled source by

    w(x) = p(x | target) / p(x | training)

(Shimodaira 2000), the odds of a classifier of target against training sources (Bickel, Brueckner &
Scheffer 2009, Eq. 6). The classifier never sees a class. Weights vary far, which leaves few sources
to learn from: a power below 1 gives up some of the correction for more of them.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.read import read_catalog
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.units import convert_units, units_of
from xbayes.config.schema import Config, target_path
from xbayes.features.build import build_features, needed_columns
from xbayes.types import Features, InputError

FOLDS, MOST = 5, 10.0  # no source counts more than MOST times another one as likely in both


class ForTarget(NamedTuple):
    """What a target catalogue asks of the training part."""

    measured: Bool[np.ndarray, "F"]  # properties that it has
    row_weight: Float[np.ndarray, "N"] | None  # what each row counts for; None: all alike
    warnings: tuple[str, ...]


def for_target(
    config: Config, table: Table, features: Features, labelled: Bool[np.ndarray, "N"]
) -> ForTarget | None:
    """What the target catalogue of the config asks for; None where it names none.

    A property is left out where the target never measured a column that it needs: absent from the
    file, or empty throughout. Raises `InputError` where nothing is left.
    """
    if config.target.file is None:
        return None
    target, n_rows = _target_features(config, table)
    measured = np.asarray(np.any(target.available, axis=0))
    names = np.array(list(config.features))
    if not measured.any():
        raise InputError(
            f"target.file {config.target.file} has no column that any property needs; "
            "is it the right catalogue? the config says how its columns are called"
        )
    told = [
        f"feature {name!r} was never measured in the target catalogue; it is left out"
        for name in names[~measured]
    ]
    if not config.target.importance:
        return ForTarget(measured, None, tuple(told))
    own = (features.rows(labelled), target, config.target.importance, config.seed)
    weight = np.ones(len(labelled))
    weight[labelled] = importance_weights(*own)
    told.append(
        f"importance weights for the {n_rows} sources of the target leave the worth of "
        f"{effective_sources(weight[labelled]):.0f} of {labelled.sum()} labelled sources"
    )
    return ForTarget(measured, weight, tuple(told))


def _target_features(config: Config, table: Table) -> tuple[Features, int]:
    needed = list(needed_columns(config))
    # Whatever it lacks counts as never measured: that is what is asked here.
    roles = config.catalog.model_copy(
        update={"optional": tuple({*config.catalog.optional, *needed}), "label": None}
    )
    relaxed = config.model_copy(update={"catalog": roles})
    path = target_path(config)
    target = check_catalog(read_catalog(path, text=[roles.id]), roles, needed, "classify")
    target = convert_units(target, units_of(table, needed))
    return build_features(target, relaxed)[0], len(target)


def importance_weights(
    training: Features, target: Features, power: float, seed: int
) -> Float[np.ndarray, "N"]:
    """Weights of the training rows, about 1; each from a classifier that never saw the row.

    Only what was available in both is looked at: that a column was never measured in one of them
    says nothing of its sources.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    shared = [np.asarray(f.available).any(0) for f in (training, target)]
    here, there = (
        np.where(f.measured, f.value, np.nan)[:, shared[0] & shared[1]] for f in (training, target)
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
