"""The prior of each source, where `model.prior` gives expressions over columns.

An expression gives the relative frequency of a class at the position, flux and host of the source,
such as the expected number of its sources there. With e_c(n) the value of class c for source n,

    prior(c | n) = (e_c(n) / sum over classes of e(n) + SMALLEST) / (1 + C SMALLEST)

so that no class is impossible. A source for which an expression has no value gets the constant
prior. The prior of a source depends on its row and the run alone.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.config.schema import Config
from xbayes.errors import InputError
from xbayes.features.availability import LackedBy, unavailable_columns, unavailable_rows
from xbayes.features.blocks import lacking_blocks, read_block
from xbayes.features.expression import Expression, errors_name, parse
from xbayes.features.values import Value, read_column

SMALLEST = 1e-6  # prior of a class whose expression is 0


class SourcePrior(NamedTuple):
    """The log prior of each source, and how many have the constant one."""

    log_prior: Float[np.ndarray, "N C"]
    n_constant: int
    reasons: tuple[str, ...]  # why, with the number of sources


def expressions_of_prior(config: Config) -> dict[str, Expression]:
    """The expressions of the prior by class; empty if all sources have one prior.

    Raises InputError for an expression that cannot be read.
    """
    parsed = {}
    for name, text in config.model.expressions_of_prior.items():
        with errors_name(f"model.prior.{name}"):
            parsed[name] = parse(text if isinstance(text, str) else repr(float(text)))
    return parsed


def source_prior(
    table: Table,
    config: Config,
    constant: Float[np.ndarray, "C"],
    lacked_by: LackedBy | None = None,
) -> SourcePrior | None:
    """The log prior of each source of a table; None if all sources have one prior.

    Parameters
    ----------
    constant
        The log prior of a source for which an expression has no value.
    lacked_by
        The blocks that lack a column, as the run learned them; None learns them from this table.

    Raises
    ------
    InputError
        For an expression that cannot be read, and for a column that is absent or unsuitable.
    """
    expressions, n_rows = expressions_of_prior(config), len(table)
    if not expressions:
        return None
    names = sorted(set().union(*(e.columns for e in expressions.values())))
    values = {name: read_column(table, name) for name in names}
    if lacked_by is None:
        lacked_by = lacking_blocks(table, config, values)
    optional = config.catalog.optional
    block = read_block(table, config)
    unavailable = unavailable_columns(values, block, lacked_by, optional, n_rows)
    relative, usable, reasons = np.zeros((n_rows, len(expressions))), np.ones(n_rows, bool), []
    for c, name in enumerate(config.taxonomy.classes):
        with errors_name(f"model.prior.{name}"):
            relative[:, c] = _relative(expressions[name], values, unavailable, n_rows)
        faults = {"no value": np.isnan(relative[:, c]), "a negative value": relative[:, c] < 0}
        for fault, rows in faults.items():
            usable &= ~rows
            reasons += [f"model.prior.{name} has {fault} in {rows.sum()}"] if rows.any() else []
    total = np.where(usable[:, None], relative, 0.0).sum(1)
    nothing = usable & (total == 0)
    reasons += [f"all expressions are 0 in {nothing.sum()}"] if nothing.any() else []
    usable &= total > 0
    share = np.where(usable[:, None], relative, 1.0) / np.where(usable, total, 1.0)[:, None]
    log_prior = np.log((share + SMALLEST) / (1 + share.shape[1] * SMALLEST))
    log_prior[~usable] = np.asarray(constant, np.float64)
    return SourcePrior(log_prior=log_prior, n_constant=int((~usable).sum()), reasons=tuple(reasons))


def _relative(
    expression: Expression,
    values: dict[str, Value],
    unavailable: dict[str, Bool[np.ndarray, "N"]],
    n_rows: int,
) -> Float[np.ndarray, "N"]:
    """The values of an expression; NaN where it has none or is not available."""
    result = expression.evaluate_values(values, n_rows)
    if result.is_condition and not result.missing.all():
        raise InputError("must be a number; found a condition; write where(condition, 1, 0)")
    absent = unavailable_rows(expression, values, unavailable, n_rows)
    return np.where(absent | ~np.isfinite(result.value), np.nan, result.value)
