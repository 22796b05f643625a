"""An additive model of the classes as tables of main effects and pairwise feature interactions.

score(c | x) = base[c] + sum over f of main[f, x_f, c] + sum over pairs of pair_table[x_a, x_b, c]

where each value stands for its bin. This is a generalised additive model with pairwise interactions
(Lou et al. 2013, GA2M). The tables are pure: the average of a pair table over the training rows, at
a fixed bin of either feature, is zero. So the effect of a single feature is in its main term only
(Lengerich et al. 2020). A feature that is not available contributes zero, which is the average of
its terms, because only training rows in which a feature is available enter the averages. A feature
that is not detected has a bin of its own. Beyond the range of the training values a term decreases
to zero within a margin, because nothing was learned there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.types import Features

MARGIN = 0.15  # in units of the range of the training values, as for the grids of the densities
PAIRS = 128  # the padded number of pairs is a multiple
RIDGE = 1e-10  # in units of the share of rows in a bin; keeps the values of bins without rows


class TermTables(NamedTuple):
    """The learned tables; K bins, the last of them for values that are not measured."""

    share: Float[Array | np.ndarray, ""]  # weight of these terms in the average of log-odds
    base: Float[Array | np.ndarray, "C"]
    edge: Float[Array | np.ndarray, "F E"]  # upper ends of the bins, E = K - 2; inf past the last
    main: Float[Array | np.ndarray, "F K C"]
    pair: Int[Array | np.ndarray, "P 2"]  # the two features
    pair_table: Float[Array | np.ndarray, "P K K C"]
    reach: Float[Array | np.ndarray, "F 2"]  # least and largest training value


def bins(edge: Float[Array | np.ndarray, "F E"], features: Features) -> Int[Array, "N F"]:
    """The bin of each value: the first whose upper end is not below it; E + 1 if not measured."""
    over = (jnp.asarray(features.value)[:, :, None] > edge).sum(-1)
    return jnp.where(jnp.asarray(features.measured), over, edge.shape[1] + 1)


def range_factor(tables: TermTables, features: Features) -> Float[Array, "N F"]:
    """The factor that reduces the terms of a value beyond the range of the training values.

    It is 1 inside the range and for values that are not detected, decreases to 0 within MARGIN
    beyond the range, and is 0 where not available.
    """
    low, high = jnp.asarray(tables.reach).T
    value = jnp.where(jnp.asarray(features.measured), jnp.asarray(features.value), low)
    beyond = jnp.maximum(low - value, 0.0) + jnp.maximum(value - high, 0.0)
    margin = jnp.where(high > low, MARGIN * (high - low), 1.0)
    return jnp.where(jnp.asarray(features.available), jnp.clip(1 - beyond / margin, 0.0, 1.0), 0.0)


def padded(tables: TermTables) -> TermTables:
    """The same model with empty pair tables, up to a multiple of PAIRS: others share compilations.

    Folds and runs find other numbers of pairs, and JAX compiles for each number.
    """
    pair = np.asarray(tables.pair)
    more = -len(pair) % PAIRS
    if not more:
        return tables
    table = jnp.asarray(tables.pair_table)
    return tables._replace(
        pair=np.concatenate([pair, np.zeros((more, 2), pair.dtype)]),
        pair_table=jnp.concatenate([table, jnp.zeros((more, *table.shape[1:]), table.dtype)]),
    )


def contributions(tables: TermTables, features: Features) -> Float[Array, "N F C"]:
    """The contribution of each feature to the scores, with half of each of its pair terms.

    Half for each feature is the Shapley value of a pairwise interaction.
    """
    at, factor = bins(tables.edge, features), range_factor(tables, features)
    each = jnp.arange(tables.main.shape[0])
    main = factor[:, :, None] * tables.main[each, at]  # [N, F, C]
    if not len(tables.pair):
        return main

    def add(total, one):
        # One pair at a time, to limit memory.
        (a, b), table = one
        half = 0.5 * (factor[:, a] * factor[:, b])[:, None] * table[at[:, a], at[:, b]]
        return total.at[a].add(half).at[b].add(half), None

    total, _ = jax.lax.scan(add, main.transpose(1, 0, 2), (tables.pair, tables.pair_table))
    return total.transpose(1, 0, 2)


def pair_terms(tables: TermTables, features: Features) -> Float[Array, "N P C"]:
    """The term of each pair, for a few rows."""
    at, factor = bins(tables.edge, features), range_factor(tables, features)
    a, b = jnp.asarray(tables.pair).T
    term = tables.pair_table[jnp.arange(len(a)), at[:, a], at[:, b]]
    return (factor[:, a] * factor[:, b])[..., None] * term


def importance(tables: TermTables, count: Float[np.ndarray, "P K K"]) -> Float[np.ndarray, "P"]:
    """Root mean square of each pair table over rows, counted by cell, and classes."""
    mean = (count[..., None] * np.asarray(tables.pair_table) ** 2).sum((1, 2)).mean(-1)
    return np.sqrt(mean / np.maximum(count.sum((1, 2)), 1))


def pair_counts(
    at: Int[np.ndarray, "N F"],
    available: Bool[np.ndarray, "N F"],
    pair: Int[np.ndarray, "P 2"],
    n_bins: int,
) -> Float[np.ndarray, "P K K"]:
    """Number of rows in each cell of each pair table, of those with both features available."""
    counts = [
        np.bincount(at[both, a] * n_bins + at[both, b], minlength=n_bins**2)
        for a, b in pair
        for both in [available[:, a] & available[:, b]]
    ]
    return np.reshape(counts, (len(pair), n_bins, n_bins)).astype(np.float64)


def purified(
    tables: TermTables, at: Int[np.ndarray, "N F"], available: Bool[np.ndarray, "N F"]
) -> TermTables:
    """Pure tables, for training rows in the bins `at`.

    Rows in which every feature is available keep their scores. The additive part of a pair table,
    by least squares weighted with the number of rows in each cell, moves to the main terms of its
    features; the remainder has mean zero over either feature. The mean of a main term moves to the
    base.
    """
    n_features, n_bins = tables.main.shape[:2]
    base, main = np.array(tables.base, np.float64), np.array(tables.main, np.float64)
    table, pair = np.array(tables.pair_table, np.float64), np.asarray(tables.pair)
    if len(pair):
        weight = pair_counts(at, available, pair, n_bins) / max(len(at), 1)
        down, across = _additive_part(weight, table)  # [P, K, C] each
        table -= down[:, :, None] + across[:, None]
        np.add.at(main, pair[:, 0], down)
        np.add.at(main, pair[:, 1], across)
    for f in range(n_features):
        rows = available[:, f]
        mean = main[f][at[rows, f]].sum(0) / max(rows.sum(), 1)
        main[f] -= mean
        base += mean
    return tables._replace(base=base, main=main, pair_table=table)


def _additive_part(weight: Float[np.ndarray, "P K K"], table: Float[np.ndarray, "P K K C"]):
    """The f(a) + g(b) nearest to each table, by the normal equations of least squares."""
    n_pairs, n_bins, _ = weight.shape
    normal = np.zeros((n_pairs, 2 * n_bins, 2 * n_bins))
    first, second = np.arange(n_bins), np.arange(n_bins, 2 * n_bins)
    normal[:, first, first], normal[:, second, second] = weight.sum(2), weight.sum(1)
    normal[:, :n_bins, n_bins:], normal[:, n_bins:, :n_bins] = weight, weight.transpose(0, 2, 1)
    # The ridge makes the solution unique: f + constant, g - constant fit equally well, and the
    # value of a bin without rows is free.
    normal[:, np.arange(2 * n_bins), np.arange(2 * n_bins)] += RIDGE
    each = weight[..., None] * table
    right = np.concatenate([each.sum(2), each.sum(1)], axis=1)  # [P, 2K, C]
    solution = np.linalg.solve(normal, right)
    return solution[:, :n_bins], solution[:, n_bins:]
