"""A table and a config to the arrays that the models read.

Every row is built from itself alone, but for one thing: whether a column was measured in a block
of rows is seen in the whole block. So no row of a test part can alter a training row's values.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int

from xbayes.config import Config, FeatureConfig
from xbayes.features.expression import Evaluated, Expression, parse
from xbayes.features.values import Value, read_column
from xbayes.types import Features, InputError, Properties

# A few empty cells are non-detections; a whole empty block is a column never measured there.
MIN_BLOCK = 20
_PARTS = ("expression", "error", "measured")


class FeatureCounts(NamedTuple):
    """Rows of one feature in each state; the first three sum to the rows of the table."""

    observed: int
    missing: int  # although surveyed
    not_surveyed: int
    nonpositive: int  # of the missing: a log, root or division of present numbers has no result
    outside_bounds: int  # of the observed


class FeatureReport(NamedTuple):
    """What became of the rows, by feature name, and what the user should know of it."""

    counts: dict[str, FeatureCounts]
    warnings: tuple[str, ...]


class _Parsed(NamedTuple):
    """The expressions of one feature."""

    config: FeatureConfig
    expression: Expression
    error: Expression | None
    measured: Expression | None

    @property
    def columns(self) -> frozenset[str]:
        parts = (self.expression, self.error, self.measured)
        return frozenset().union(*(part.columns for part in parts if part is not None))


class _Built(NamedTuple):
    """One feature in N rows, as in Features, and its counts."""

    value: Float[np.ndarray, "N"]
    observed: Bool[np.ndarray, "N"]
    surveyed: Bool[np.ndarray, "N"]
    weight: Float[np.ndarray, "N"]
    counts: FeatureCounts


def build_features(table: Table, config: Config) -> tuple[Features, FeatureReport]:
    """The features of every row, in the order of the config.

    A value is not surveyed where `measured` is not true, and where a column of its expression is
    unmeasured: absent from the file, or missing in all of a block of at least MIN_BLOCK rows.
    The weight is 1 without an error column; with one it is 1 / error in the unit of the
    expression, 0 where unknown, to be normalised on the training part.
    Raises InputError, one line for each feature that cannot be built.
    """
    parsed = _parse(config)
    values, problems = {}, []
    for column in sorted(frozenset().union(*(feature.columns for feature in parsed.values()))):
        try:
            values[column] = read_column(table, column)
        except InputError as error:
            users = [name for name, feature in parsed.items() if column in feature.columns]
            problems.append(f"features.{users[0]}: {error}")
    if problems:
        raise InputError("\n".join(problems))
    unmeasured = _unmeasured(table, values, config.catalog.block)
    built = _for_each(parsed, lambda feature: _build(feature, values, unmeasured, len(table)))
    columns = list(built.values())
    features = Features(
        value=np.stack([column.value for column in columns], axis=1),
        observed=np.stack([column.observed for column in columns], axis=1),
        surveyed=np.stack([column.surveyed for column in columns], axis=1),
        weight=np.stack([column.weight for column in columns], axis=1),
    )
    counts = {name: column.counts for name, column in built.items()}
    return features, FeatureReport(counts, _warnings(counts, config))
