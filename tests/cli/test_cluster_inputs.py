"""Catalogues to which clusters and mixtures cannot be fitted, or only barely."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.write import write_catalog
from xbayes.classifier.build_density import build_density
from xbayes.config.reader import load_config
from xbayes.infer.em import fit_em
from xbayes.models.gaussian_mixture import MixtureParams, gaussian_mixture
from xbayes.types import Features

KINDS = {
    "clusters": ["model.density=clusters"],
    "mixture": ["categories={one: {likelihood: mixture}}"],
    "dirichlet": ["model.density=clusters", "model.clusters.mixture=dirichlet"],
    "published": ["model.density=published_clusters"],
}
CLASS = np.arange(60) % 3


@pytest.fixture
def config(small_config, tmp_path):
    (tmp_path / "config.yaml").write_text(small_config)
    return tmp_path / "config.yaml"


def sky():
    rng = np.random.default_rng(0)
    value = rng.normal(size=(60, 3)) + np.array([[0, 0, 0], [3, 0, 1], [0, 3, -1]])[CLASS]
    table = Table(dict(zip("abc", value.T, strict=True)))
    table["name"] = [f"s{i}" for i in range(60)]
    table["ra"], table["dec"] = rng.uniform(0, 360, 60), rng.uniform(-80, 80, 60)
    table["Class"] = np.array(["AGN", "Star", "XRB"])[CLASS]
    return table


def with_values(rows, names, value):
    table = sky()
    for name in names:
        table[name][rows] = value
    return table


def with_members(n):
    table = sky()
    table["Class"] = np.where((CLASS == 2) & (np.arange(60) >= 3 * n), "AGN", table["Class"])
    return table


def in_one_group():
    table = sky()
    table["field"] = np.where(CLASS == 2, 0, np.arange(60))
    return table


ALL = slice(None)
HUGE = with_values(slice(5), "b", 1e300)
FAULTS = {
    "row": (sky()[:1], (), "no feature varies"),
    "missing": (with_values(ALL, "abc", np.nan), (), "is not measured in any labelled row"),
    "constant": (with_values(ALL, "abc", 1.0), (), "is 1 in every labelled row"),
    "infinite": (with_values(ALL, "abc", np.inf), (), "is not measured in any labelled row"),
    "member": (with_members(1), (), "class XRB has 1 labelled sources"),
    "members": (with_members(3), (), "class XRB has 3 labelled sources"),
    "group": (in_one_group(), ("catalog.group=field",), "class XRB has 1 labelled sources"),
    "huge": (
        HUGE,
        ("catalog.measured_values={b: [1e300]}",),
        "feature 'b' has a value of size 1e+300",
    ),
    "components": (sky(), ("model.clusters.components=50",), "50 clusters need as many sources"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_is_refused_and_leaves_nothing(fault, kind, config, refused):
    table, settings, says = FAULTS[fault]
    catalog = config.with_name("sky.parquet")
    write_catalog(table, catalog)
    options = [word for s in (*KINDS[kind], *settings) for word in ("--set", s)]
    out = config.with_name("run")
    refused("run", config, "--catalog", catalog, "--out", out, *options, says=[says])
    assert sorted(config.parent.iterdir()) == [config, catalog]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "components"])
def test_select_k_is_refused(fault, config, refused):
    table, settings, says = FAULTS[fault]
    catalog, out = config.with_name("sky.parquet"), config.with_name("bic.csv")
    write_catalog(table, catalog)
    options = [word for s in settings for word in ("--set", s)]
    refused("select-k", config, "--catalog", catalog, "--out", out, *options, says=[says])
    assert not out.exists()


AWKWARD = {
    "collinear": lambda x: x.at[:, 1].set(2 * x[:, 0] + 1),
    "constant": lambda x: x.at[:, 1].set(1.0),
    "nearly constant": lambda x: x.at[:, 1].set(jnp.where(jnp.arange(60) == 0, 5.0, 1.0)),
    "missing rows": lambda x: x.at[:9].set(jnp.nan),
    "missing class": lambda x: jnp.where((CLASS == 2)[:, None], jnp.nan, x),
    "repeated rows": lambda x: jnp.repeat(x[:3], 20, axis=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_awkward_rows_and_rows_far_away_have_finite_likelihoods(kind, config):
    """The last class has no training row."""
    density = build_density(load_config(config, [*KINDS[kind]]))
    plain = jnp.stack([jnp.asarray(sky()[name]) for name in "abc"], axis=1)
    training = CLASS < 2
    for name, change in AWKWARD.items():
        value = np.asarray(change(plain))
        observed = ~np.isnan(value)
        features = Features(
            np.where(observed, value, 0.0), observed, observed, np.ones((60, 3)), np.zeros((60, 3))
        )
        prepared = jax.tree.map(jnp.asarray, density.prepare(features, training))
        arrays = jax.tree.map(jnp.asarray, features)
        truth = jnp.asarray(np.where(training, CLASS, -1))
        statistics = density.statistics(prepared, arrays, truth, jnp.where(training, 0, -1), 1)
        params = density.fit(prepared, jax.tree.map(lambda leaf: leaf[0], statistics))
        far = arrays._replace(value=arrays.value * 1e200)
        for rows in (arrays, far):
            assert np.isfinite(density.log_lik(params, rows)).all(), name


def test_a_feature_without_a_value_in_training_is_named(config):
    density = build_density(load_config(config, KINDS["clusters"]))
    value, observed = np.ones((60, 3)), np.ones((60, 3), bool)
    observed[:58, 1] = False
    features = Features(value, observed, observed, value, 0 * value)
    with pytest.raises(ValueError, match="'b' has a value in none of the 50 sources"):
        density.prepare(features, np.arange(60) < 50)


@pytest.mark.parametrize("covariance", [[[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])
def test_a_start_that_is_not_positive_definite_is_refused(covariance):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(60, 2)))
    start = MixtureParams(jnp.zeros((1, 1)), jnp.zeros((1, 1, 2)), jnp.asarray([[covariance]]))
    run = partial(fit_em, gaussian_mixture(1), start, x, jnp.ones(60))
    with pytest.raises(ValueError, match="ill-defined covariance"):
        run()
