"""How many clusters a catalogue asks for: BIC of several runs, its gradient, the silhouette."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table

from xbayes.config.schema import Config
from xbayes.infer.check_clusters import refuse_rows
from xbayes.infer.fit_clusters import REGULARISER, fit_clusters, standardise
from xbayes.infer.information_criteria import Criterion, bic_by_components
from xbayes.models.gaussian_mixture import gaussian_mixture
from xbayes.models.measured import Measured
from xbayes.published.fit_clusters import REGULARISER as PUBLISHED_REGULARISER
from xbayes.published.fit_clusters import published_rows
from xbayes.tasks.training import load_training
from xbayes.types import InputError

SILHOUETTE_ROWS = 2000


def select_components(
    config: Config,
    path: Path,
    largest: int,
    n_runs: int,
    tell: Callable[[str], None] = lambda warning: None,
) -> tuple[Criterion, Table]:
    """BIC for 2 to `largest` clusters of all rows of a catalogue, and a table of it.

    The rows are scaled as the config's model scales them; `tell` gets the warnings of the
    catalogue. Raises `InputError`.
    """
    if largest < 3:
        raise InputError(f"the largest number of clusters must be at least 3; found {largest}")
    if n_runs < 1:
        raise InputError(f"the number of runs must be at least 1; found {n_runs}")
    training = load_training(config, path)
    for warning in training.warnings:
        tell(warning)
    features = training.features
    everything = np.ones(len(features.value), bool)
    observed = np.asarray(features.measured)
    published = config.model.density == "published_clusters"
    refuse_rows(features, everything, list(training.config.features), 1, published)
    if published:
        rescale = tuple(feature.rescale for feature in training.config.features.values())
        rows = jnp.asarray(published_rows(features, everything, rescale)[1])
        x = Measured(rows, None if observed.all() else jnp.asarray(observed))
        least_variance = PUBLISHED_REGULARISER
    else:
        x, least_variance = standardise(features, everything)[0], REGULARISER
    weight = jnp.ones(len(x.value), x.value.dtype)
    key = jax.random.key(config.seed)
    found = bic_by_components(x, weight, range(2, largest + 1), n_runs, key, least_variance)
    return found, _table(found, x, weight, least_variance)


def reason(found: Criterion) -> str:
    """Which number of clusters to take, and why, in a sentence."""
    if found.taken == found.lowest:
        why = "it has the least mean BIC"
    else:
        why = (
            f"BIC is least at {found.lowest}, but from {found.elbow} on no cluster more gains a "
            "quarter of what the best one gained"
        )
    return f"K = {found.taken}: {why}"


def _table(found: Criterion, x: Measured, weight, least_variance: float) -> Table:
    mean = found.bic.mean(1)
    silhouette = [_silhouette(x, weight, int(k), least_variance) for k in found.n_components]
    columns = {
        "n_components": found.n_components,
        "bic": mean,
        "bic_sd": found.bic.std(1),
        "bic_gradient": np.ma.masked_invalid([np.nan, *np.diff(mean)]),
        "silhouette": np.ma.masked_invalid(silhouette),  # none where all rows are in one cluster
    }
    return Table(columns)


def _silhouette(x: Measured, weight, n_components: int, least_variance: float) -> float:
    """Mean silhouette of hard clusters, on evenly spaced rows (Rousseeuw 1987)."""
    from sklearn.metrics import silhouette_score

    model = gaussian_mixture(n_components, reg_covar=least_variance)
    joint = model.log_joint(fit_clusters(x, weight, n_components, 1, least_variance), x)
    every = slice(None, None, -(-len(x.value) // SILHOUETTE_ROWS))
    cluster = np.asarray(joint.argmax(1))[every]
    if len(np.unique(cluster)) < 2:
        return float("nan")
    return float(silhouette_score(np.asarray(x.value)[every], cluster))
