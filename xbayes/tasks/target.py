"""Learning for a target catalogue: features that it lacks are dropped, rows are reweighted.

The classes of the target catalogue are not used. If the sources of a class look alike in both
catalogues but the target has other proportions of them (covariate shift), each labelled source gets
the importance weight

    w(x) = p(x | target) / p(x | training)

(Shimodaira 2000), the odds of a classifier of target against training sources (Bickel, Brueckner &
Scheffer 2009, Eq. 6). This classifier does not use the classes either. Weights with a large
variance leave few effective sources. A power below 1 corrects less and keeps more of them.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.read import read_catalog
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.units import convert_units, units_of
from xbayes.config.schema import Config, found_target
from xbayes.errors import InputError
from xbayes.features.build import build_features, needed_columns
from xbayes.features.conditions import number_columns, text_columns
from xbayes.features.trained_on import state_degrees, training_stand_ins
from xbayes.types import Features

FOLDS = 5
LARGEST_RATIO = 10.0  # bound on the ratio of the densities, and on its inverse


class TargetFit(NamedTuple):
    """How the training sample is fitted to a target catalogue."""

    measured: Bool[np.ndarray, "F"]  # features that the target has
    row_weight: Float[np.ndarray, "N"] | None  # None: equal weights
    warnings: tuple[str, ...]


def fit_to_target(
    config: Config, table: Table, features: Features, labelled: Bool[np.ndarray, "N"]
) -> TargetFit | None:
    """The features and row weights for the target catalogue of the config; None without a target.

    A feature is dropped if the target lacks a column that it needs, or if that column is empty.
    Raises `InputError` if no feature remains.
    """
    if config.target.file is None:
        return None
    target, stand_ins = _target_features(config, table)
    measured = np.asarray(np.any(target.available, axis=0))
    names = np.array(list(config.features))
    if not measured.any():
        raise InputError(
            f"target.file {config.target.file} has no column that any feature needs; "
            "check that it is the right catalogue, with the column names of the config"
        )
    warnings = stand_ins + [
        f"feature {name!r} was never measured in the target catalogue; it is left out"
        for name in names[~measured]
    ]
    row_weight = None
    if config.target.importance:
        weight = importance_weights(
            features.rows(labelled), target, power=config.target.importance, seed=config.seed
        )
        row_weight = np.ones(len(labelled))
        row_weight[labelled] = weight
        warnings.append(
            f"importance weights for the {len(target.value)} sources of the target leave "
            f"{effective_sources(weight):.0f} effective sources of {labelled.sum()} labelled ones"
        )
    return TargetFit(measured=measured, row_weight=row_weight, warnings=tuple(warnings))


def _target_features(config: Config, table: Table) -> tuple[Features, list[str]]:
    """The features of the target catalogue, and warnings of stand-ins.

    Columns that it lacks are not available.
    """
    needed = list(needed_columns(config))
    optional = tuple({*config.catalog.optional, *needed})
    roles = config.catalog.model_copy(update={"optional": optional, "label": None})
    path = found_target(config)
    numbers, text = number_columns(config), [roles.id, *text_columns(config)]
    read = read_catalog(path, text=text, numbers=numbers, table=roles.table_name)
    target = check_catalog(read, roles, needed, "classify", numbers=numbers)
    stand_ins = training_stand_ins(target, config)
    state_degrees(target, config)
    target = convert_units(target, units_of(table, needed), needed)
    built, _ = build_features(target, config.model_copy(update={"catalog": roles}))
    return built, [f"target: {message}" for message in stand_ins]


def importance_weights(
    training: Features, target: Features, power: float, seed: int
) -> Float[np.ndarray, "N"]:
    """The out-of-fold importance weights of the training rows, with mean 1.

    Only features that are available in both samples are used: a feature that one sample lacks
    carries no information about its sources.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold

    shared = np.asarray(training.available).any(0) & np.asarray(target.available).any(0)
    training_rows, target_rows = (
        np.where(f.measured, f.value, np.nan)[:, shared] for f in (training, target)
    )
    n_training, n_target = len(training_rows), len(target_rows)
    if not shared.any():
        return np.ones(n_training)
    rows = np.concatenate([training_rows, target_rows])
    is_target = np.arange(len(rows)) >= n_training
    ratio = np.ones(n_training)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for inside, outside in folds.split(rows, is_target):
        model = HistGradientBoostingClassifier(
            max_depth=3, max_iter=60, learning_rate=0.05, min_samples_leaf=20, random_state=seed
        ).fit(rows[inside], is_target[inside])
        held_out = outside[outside < n_training]
        p_target = np.clip(model.predict_proba(rows[held_out])[:, 1], 1e-3, 1 - 1e-3)
        ratio[held_out] = p_target / (1 - p_target) * n_training / n_target
    weight = np.clip(ratio, 1 / LARGEST_RATIO, LARGEST_RATIO) ** power
    return weight / weight.mean()


def effective_sources(weight: Float[np.ndarray, "N"]) -> float:
    """The number of equally weighted sources that are as informative (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())
