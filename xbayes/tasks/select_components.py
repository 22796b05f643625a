"""The number of mixture components: BIC over several EM runs, its gradient, the silhouette."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table

from xbayes.config.reader import config_of
from xbayes.config.schema import Config, catalog_source
from xbayes.errors import InputError, XbayesWarning
from xbayes.figures.criterion import draw_criterion
from xbayes.infer.check_clusters import check_training_rows
from xbayes.infer.fit_clusters import standardise
from xbayes.infer.information_criteria import Criterion, bic_by_components
from xbayes.infer.unlabelled_clusters import REGULARISER, fit_clusters
from xbayes.models.gaussian_mixture import gaussian_mixture
from xbayes.models.measured import Measured
from xbayes.published.fit_clusters import REGULARISER as PUBLISHED_REGULARISER
from xbayes.published.fit_clusters import published_rows
from xbayes.tasks.precision import in_precision
from xbayes.tasks.training import load_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xbayes.catalog.inputs import CatalogLike, Releases

SILHOUETTE_ROWS = 2000


class ComponentSearch(NamedTuple):
    """The selected number of mixture components, and the criteria for each number."""

    criterion: Criterion
    table: Table  # one row per number: BIC, its SD over runs, its gradient, the silhouette

    @property
    def reason(self) -> str:
        """The selected number and the reason, in one sentence."""
        criterion = self.criterion
        if criterion.taken == criterion.lowest:
            return f"K = {criterion.taken}: it has the lowest mean BIC"
        return (
            f"K = {criterion.taken}: BIC is lowest at {criterion.lowest}, but beyond "
            f"{criterion.elbow} no further component gains a quarter of the largest gain"
        )

    def plot(self) -> "Figure":
        """BIC and its gradient against the number of components."""
        criterion = self.criterion
        return draw_criterion(criterion.n_components, criterion.bic, criterion.taken)


def select_k(
    config: str | os.PathLike[str] | Mapping | Config,
    *,
    catalog: "CatalogLike | Releases | None" = None,
    largest: int = 20,
    runs: int = 10,
    set: Sequence[str] = (),
) -> ComponentSearch:
    """BIC and silhouette of Gaussian mixtures of 2 to `largest` components of a catalogue.

    Parameters
    ----------
    config, catalog, set
        As in `xbayes.run`. The rows are scaled as the model of the config scales them.
    largest
        The largest number of components to try, at least 3.
    runs
        EM runs for each number, from random starts.

    Raises
    ------
    InputError
        For a wrong config, catalogue or number.

    Examples
    --------
    >>> found = xbayes.select_k("configs/demo.yaml", catalog="runs/demo-catalog.fits",
    ...                         largest=3, runs=1, set=["model.density=clusters"])
    >>> found.table["n_components"].tolist()
    [2, 3]
    """
    loaded = config_of(config, set)
    with in_precision(loaded.precision):
        path = catalog_source(loaded) if catalog is None else catalog
        return select_components(loaded, path, largest, runs)


def select_components(
    config: Config, catalog: "CatalogLike | Releases", largest: int, n_runs: int
) -> ComponentSearch:
    """As `select_k`, in the current precision of JAX."""
    if largest < 3:
        raise InputError(f"the largest number of clusters must be at least 3; found {largest}")
    if n_runs < 1:
        raise InputError(f"the number of runs must be at least 1; found {n_runs}")
    training = load_training(config, catalog)
    for warning in training.warnings:
        warnings.warn(warning, XbayesWarning, stacklevel=3)
    features = training.features
    everything = np.ones(len(features.value), bool)
    measured = np.asarray(features.measured)
    published = config.model.density == "published_clusters"
    check_training_rows(features, everything, list(training.config.features), 1, published)
    if published:
        rescale = tuple(feature.rescale for feature in training.config.features.values())
        rows = jnp.asarray(published_rows(features, everything, rescale)[1])
        x = Measured(rows, None if measured.all() else jnp.asarray(measured))
        least_variance = PUBLISHED_REGULARISER
    else:
        x, least_variance = standardise(features, everything)[0], REGULARISER
    weight = jnp.ones(len(x.value), x.value.dtype)
    key = jax.random.key(config.seed)
    criterion = bic_by_components(x, weight, range(2, largest + 1), n_runs, key, least_variance)
    table = _table(criterion, x, weight, least_variance)
    return ComponentSearch(criterion=criterion, table=table)


def _table(criterion: Criterion, x: Measured, weight, least_variance: float) -> Table:
    mean = criterion.bic.mean(1)
    silhouette = [_silhouette(x, weight, int(k), least_variance) for k in criterion.n_components]
    columns = {
        "n_components": criterion.n_components,
        "bic": mean,
        "bic_sd": criterion.bic.std(1),
        "bic_gradient": np.ma.masked_invalid([np.nan, *np.diff(mean)]),
        "silhouette": np.ma.masked_invalid(silhouette),  # masked if all rows are in one cluster
    }
    return Table(columns)


def _silhouette(x: Measured, weight, n_components: int, least_variance: float) -> float:
    """Mean silhouette of hard clusters, on evenly spaced rows (Rousseeuw 1987)."""
    from sklearn.metrics import silhouette_score

    model = gaussian_mixture(n_components, reg_covar=least_variance)
    clusters = fit_clusters(x, weight, n_components, n_starts=1, reg_covar=least_variance)
    joint = model.log_joint(clusters, x)
    every = slice(None, None, -(-len(x.value) // SILHOUETTE_ROWS))
    cluster = np.asarray(joint.argmax(1))[every]
    if len(np.unique(cluster)) < 2:
        return float("nan")
    return float(silhouette_score(np.asarray(x.value)[every], cluster))
