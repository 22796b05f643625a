"""Learn for another catalogue: what it never measured is left out, and sources like its own count.

The classes of that catalogue are not looked at.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.read import read_catalog
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.suspects import convert_units, units_of
from xbayes.config import Config, target_path
from xbayes.features.build import build_features, needed_columns
from xbayes.importance import effective_sources, importance_weights
from xbayes.types import Features, InputError


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
    measured = np.asarray(np.any(target.surveyed, axis=0))
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
