"""Mixtures and class densities from statistics that are summed over partitions."""

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import xbayes
from xbayes.catalog.columns import to_table
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.hats.fit import MixtureSpec, fit_densities, fit_mixture
from xbayes.hats.workers import Work
from xbayes.infer.em import fit_em
from xbayes.models.gaussian_mixture import gaussian_mixture
from xbayes.models.measured import Measured
from xbayes.tasks.classify import rows_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(sky, small):
    """The features and classes of the whole catalogue, in memory."""
    files = (sky / "sky" / "dataset").glob("Norder=0/Dir=0/Npix=*.parquet")
    ordered = sorted(files, key=lambda file: int(file.stem.partition("=")[2]))
    arrow = pa.concat_tables([pq.ParquetFile(file).read() for file in ordered])
    table = to_table(columns_of_arrow(arrow, None), {})
    features = rows_of(xbayes.load(small.folder).model, table, 0).features
    classes = np.array([("AGN", "Star", "XRB").index(c) for c in table["Class"]])
    return jax.tree.map(np.asarray, features), classes


def close(found, want):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


def test_a_mixture_is_that_of_the_rows_in_memory(sky, small, cluster, whole):
    features, _ = whole
    x = Measured(value=features.value, observed=features.measured)
    model, weight = gaussian_mixture(3), jax.numpy.ones(len(x.value))
    start = model.init(jax.random.key(2), x, weight)
    spec = MixtureSpec(n_components=3, tol=0.0, max_steps=15)
    work = Work(scheduler=cluster.scheduler_address)
    found = fit_mixture(xbayes.load(small.folder), sky, spec, start=start, work=work)
    starts = jax.tree.map(lambda leaf: leaf[None], start)
    want, info = fit_em(model, starts, x, weight, tol=0.0, max_steps=15)
    close(found.params, want)
    np.testing.assert_allclose(found.info.log_lik, info.log_lik, rtol=1e-8)


def test_densities_are_those_of_the_rows_in_memory(sky, small, cluster, whole):
    features, classes = whole
    fit = xbayes.load(small.folder)
    found = fit_densities(fit, sky, work=Work(scheduler=cluster.scheduler_address))
    density = fit.model.recipe.scoring.density
    prepared = density.prepare(features, np.ones(len(classes), bool))
    fold = jax.numpy.zeros(len(classes), int)
    counts = density.statistics(prepared, features, jax.numpy.asarray(classes), fold, 1)
    close(found.prepared, prepared)
    close(found.params, density.fit(prepared, jax.tree.map(lambda leaf: leaf[0], counts)))
    assert found.n_rows == 2000
