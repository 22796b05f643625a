"""Initial responsibilities of the mixtures: the same random numbers as scikit-learn."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from sklearn.cluster import KMeans, kmeans_plusplus

from xbayes.models.base import Model
from xbayes.models.gaussian_mixture import moments_about, moments_given, standardised
from xbayes.models.measured import Rows, as_measured
from xbayes.models.mixture_start import k_means

OWN_START = "kmeans_scaled"  # scikit-learn has no start of this name


def responsibilities(
    init_params: str,
    X: Float[np.ndarray, "N F"],
    weight: Float[np.ndarray, "N"],
    *,
    n_components: int,
    n_starts: int,
    random: np.random.RandomState,
) -> Iterator[Float[np.ndarray, "N K"]]:
    """Responsibilities of each start.

    On complete rows of weight 1 they are those of scikit-learn for the same random state. Missing
    values (NaN) are replaced by the mean of their feature. Rows of weight zero are left out.
    """
    used = np.flatnonzero(weight > 0)
    rows, weight = _filled(X[used], weight[used]), weight[used]
    own = init_params == OWN_START
    clusters = _k_means_scaled(rows, weight, n_components, n_starts, random) if own else None
    for start in range(n_starts):
        found = np.zeros((len(X), n_components))
        if clusters is None:
            found[used] = _STARTS[init_params](rows, weight, n_components, random)
        else:
            found[used, clusters[start]] = 1.0
        yield found


@partial(jax.jit, static_argnames=("model", "tied"))
def start_from(model: Model, params, x: Rows, row_weight, resp, *, tied: bool):
    """The M step of the model for given responsibilities; `params`, if not None, carry a prior.

    The first tied covariance of scikit-learn has the squares of all rows, also of those that no
    component starts from, about zero. So has this one.
    """
    whole, statistics = moments_given(x, row_weight, resp)
    # Moments about the mean of each component: a component of one row has exactly no width.
    count = statistics.count[:, None]
    step = jnp.where(count > 0, statistics.moments.first / jnp.where(count > 0, count, 1.0), 0.0)
    whole = whole._replace(mean=whole.mean + step)
    statistics = moments_about(whole, x, resp * row_weight[:, None])
    if tied:
        value = jnp.asarray(as_measured(x).value)
        left = row_weight * (1.0 - resp.sum(1))
        second = statistics.moments.second.at[0].add((left * value.T) @ value)
        statistics = statistics._replace(moments=statistics.moments._replace(second=second))
    if params is None:
        params = whole
    else:
        params = params._replace(component=params.component._replace(mean=whole.mean))
    assert model.maximise is not None
    return model.maximise(params, statistics)


def _k_means(rows, weight, n_components, random):
    options: dict[str, Any] = {"n_init": 1, "random_state": random}
    found = KMeans(n_clusters=n_components, **options)
    return np.eye(n_components)[found.fit_predict(rows, sample_weight=weight)]


def _k_means_plus_plus(rows, weight, n_components, random):
    _, index = kmeans_plusplus(rows, n_components, random_state=random, sample_weight=weight)
    return _single_rows(index, len(rows))


def _random(rows, weight, n_components, random):
    share = random.uniform(size=(len(rows), n_components))
    return share / share.sum(axis=1)[:, np.newaxis]


def _random_from_data(rows, weight, n_components, random):
    return _single_rows(random.choice(len(rows), size=n_components, replace=False), len(rows))


def _k_means_scaled(rows, weight, n_components, n_starts, random) -> np.ndarray:
    """The cluster of each row in each start."""
    key = jax.random.key(int(random.randint(np.iinfo(np.int32).max)))
    keys = jax.random.split(key, n_starts)
    return np.asarray(_clusters_of_scaled(keys, rows.astype(float), weight, n_components))


@partial(jax.jit, static_argnames="n_components")
def _clusters_of_scaled(keys, rows, weight, n_components):
    scaled = standardised(jnp.asarray(rows), weight)
    # XLA sorts the rows once, outside the loop over keys.
    return jax.lax.map(lambda key: k_means(key, scaled, weight, n_components).argmax(1), keys)


def _single_rows(index, n_rows: int):
    """Each component starts at one row; the other rows belong to none."""
    found = np.zeros((n_rows, len(index)))
    found[index, np.arange(len(index))] = 1.0
    return found


def _filled(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    measured = ~np.isnan(rows)
    if measured.all():
        return rows
    total = (weight[:, None] * measured).sum(0)
    mean = (weight[:, None] * np.where(measured, rows, 0.0)).sum(0) / total
    return np.where(measured, rows, mean.astype(rows.dtype))


_STARTS = {
    "kmeans": _k_means,
    "k-means++": _k_means_plus_plus,
    "random": _random,
    "random_from_data": _random_from_data,
}
