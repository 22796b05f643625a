"""An additive model of classes as tables: terms of one property and of two, looked up and added.

score(c | x) = base[c] + sum over f of main[f, x_f, c] + sum over pairs of pair_table[x_a, x_b, c]

with each value as its bin. This is a generalised additive model with pairwise interactions (Lou et
al. 2013, GA2M). The tables are pure: an average over either property of a pair, over the training
rows, is zero, so that what one property tells alone is in its own term and nowhere else (Lengerich
et al. 2020). A property that was not available adds nothing; one that a survey looked for and did
not find has a bin of its own. Beyond the training values a term fades to zero within a margin of
their range, for nothing was learned there.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from xbayes.types import Features

MARGIN = 0.15  # of the range of the training values, as far as the grids of the densities reach
RIDGE = 1e-10  # in units of the rows' share of a bin: leaves bins without rows as they are


class TermTables(NamedTuple):
    """What is learned; K bins, the last of them for missing values."""

    share: Float[Array | np.ndarray, ""]  # of these terms in the log-odds of the whole classifier
    base: Float[Array | np.ndarray, "C"]
    edge: Float[Array | np.ndarray, "F E"]  # upper ends of the bins, E = K - 2; inf past the last
    main: Float[Array | np.ndarray, "F K C"]
    pair: Int[Array | np.ndarray, "P 2"]  # the two properties
    pair_table: Float[Array | np.ndarray, "P K K C"]
    reach: Float[Array | np.ndarray, "F 2"]  # least and largest training value


def bins(edge: Float[Any, "F E"], features: Features) -> Int[Any, "N F"]:
    """The bin of each value: the first whose upper end is not below it; E + 1 where missing."""
    over = (jnp.asarray(features.value)[:, :, None] > edge).sum(-1)
    return jnp.where(jnp.asarray(features.measured), over, edge.shape[1] + 1)


def known_share(tables: TermTables, features: Features) -> Float[Any, "N F"]:
    """How much of its terms a value has: 1 among the training values, and where missing.

    Beyond them it falls to 0 within MARGIN of their range. 0 where not available.
    """
    low, high = jnp.asarray(tables.reach).T
    value = jnp.where(jnp.asarray(features.measured), jnp.asarray(features.value), low)
    beyond = jnp.maximum(low - value, 0.0) + jnp.maximum(value - high, 0.0)
    margin = jnp.where(high > low, MARGIN * (high - low), 1.0)
    return jnp.where(jnp.asarray(features.available), jnp.clip(1 - beyond / margin, 0.0, 1.0), 0.0)


def contributions(tables: TermTables, features: Features) -> Float[Array, "N F C"]:
    """What each property adds to the scores, half of each of its pairs included.

    Half to each is the Shapley value of an interaction of two.
    """
    at, known = bins(tables.edge, features), known_share(tables, features)
    each = jnp.arange(tables.main.shape[0])
    main = known[:, :, None] * tables.main[each, at]  # [N, F, C]
    if not len(tables.pair):
        return main

    def add(total, one):
        # A pair at a time: memory holds the terms of one, and the sum.
        (a, b), table = one
        half = 0.5 * (known[:, a] * known[:, b])[:, None] * table[at[:, a], at[:, b]]
        return total.at[a].add(half).at[b].add(half), None

    total, _ = jax.lax.scan(add, main.transpose(1, 0, 2), (tables.pair, tables.pair_table))
    return total.transpose(1, 0, 2)


def pair_terms(tables: TermTables, features: Features) -> Float[Array, "N P C"]:
    """What each pair adds to the scores; for a few rows, to be named."""
    at, known = bins(tables.edge, features), known_share(tables, features)
    a, b = jnp.asarray(tables.pair).T
    found = tables.pair_table[jnp.arange(len(a)), at[:, a], at[:, b]]
    return (known[:, a] * known[:, b])[..., None] * found


def importance(tables: TermTables, count: Float[np.ndarray, "P K K"]) -> Float[np.ndarray, "P"]:
    """Root of the mean square over rows (counted by bins of the pair) and classes."""
    mean = (count[..., None] * np.asarray(tables.pair_table) ** 2).sum((1, 2)).mean(-1)
    return np.sqrt(mean / np.maximum(count.sum((1, 2)), 1))


def pair_counts(at: Int[np.ndarray, "N F"], pair: Int[np.ndarray, "P 2"], n_bins: int):
    """Rows in each cell of each pair, [P, K, K]."""
    flat = at[:, pair[:, 0]] * n_bins + at[:, pair[:, 1]]  # [N, P]
    counts = [np.bincount(column, minlength=n_bins**2) for column in flat.T]
    return np.reshape(counts, (len(pair), n_bins, n_bins)).astype(np.float64)


def purified(tables: TermTables, at: Int[np.ndarray, "N F"]) -> TermTables:
    """The same scores with pure terms: what rows in bins `at` have on average moves up.

    The additive part of a pair's table, by least squares weighted with the rows in each cell, goes
    to the two properties; what is left has mean zero over either of them. The mean of a property's
    term goes to the base.
    """
    n_features, n_bins = tables.main.shape[:2]
    base, main = np.array(tables.base, np.float64), np.array(tables.main, np.float64)
    table, pair = np.array(tables.pair_table, np.float64), np.asarray(tables.pair)
    if len(pair):
        weight = pair_counts(at, pair, n_bins) / max(len(at), 1)
        down, across = _additive_part(weight, table)  # [P, K, C] each
        table -= down[:, :, None] + across[:, None]
        np.add.at(main, pair[:, 0], down)
        np.add.at(main, pair[:, 1], across)
    for f in range(n_features):
        mean = main[f][at[:, f]].mean(0)
        main[f] -= mean
        base += mean
    return tables._replace(base=base, main=main, pair_table=table)


def _additive_part(weight: Float[np.ndarray, "P K K"], table: Float[np.ndarray, "P K K C"]):
    """f(a) + g(b) next to each table: the normal equations of weighted least squares."""
    n_pairs, n_bins, _ = weight.shape
    normal = np.zeros((n_pairs, 2 * n_bins, 2 * n_bins))
    own = np.arange(n_bins)
    normal[:, own, own], normal[:, own + n_bins, own + n_bins] = weight.sum(2), weight.sum(1)
    normal[:, :n_bins, n_bins:], normal[:, n_bins:, :n_bins] = weight, weight.transpose(0, 2, 1)
    # f + constant, g - constant fit alike, and a bin without rows fits anything: the ridge decides.
    normal[:, np.arange(2 * n_bins), np.arange(2 * n_bins)] += RIDGE
    each = weight[..., None] * table
    right = np.concatenate([each.sum(2), each.sum(1)], axis=1)  # [P, 2K, C]
    found = np.linalg.solve(normal, right)
    return found[:, :n_bins], found[:, n_bins:]
