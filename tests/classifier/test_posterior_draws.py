"""The posterior of the whole classifier: coverage of its intervals, in runs and in Python."""

import json
import warnings
from functools import lru_cache
from pathlib import Path

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from tests.small_sky import small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.intervals import containing, group_intervals, interval
from xbayes.classifier.predict import classify
from xbayes.classifier.probabilities import with_prior
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.classifier.store import load_model
from xbayes.config.reader import load_config
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.features.build import build_features
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.output.table import output_table
from xbayes.types import Features, Labels, Names

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
LAPLACE = PosteriorOptions(
    method="laplace",
    chains=2,
    warmup=0,
    draws=200,
    thin=1,
    samples=60,
    densities=True,
    weights="none",
    offsets=True,
)
SHARE = np.array([0.7, 0.3])
CENTRE = np.array([[-0.6, -0.4], [0.6, 0.4]])


def features_of(value):
    measured = np.ones(value.shape, bool)
    return Features(
        value=value,
        measured=measured,
        available=measured,
        weight=np.ones_like(value),
        error=np.zeros_like(value),
    )


def sources(n, seed):
    """Two classes, two independent Gaussian features, for which all weights are one."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(2, n, p=SHARE)
    return features_of(CENTRE[truth] + rng.normal(size=(n, 2))), truth


def true_posterior(value):
    score = np.log(SHARE) + stats.norm.logpdf(value[:, None], CENTRE).sum(-1)
    return np.asarray(jax.nn.softmax(score, axis=1))


@lru_cache  # equal arguments give the same recipe, so that JAX compiles once
def recipe_of(weights="none", **changes):
    density = smooth_density(np.tile([-6.0, 6.0], (2, 1)), np.zeros(2, bool), 2)
    names = Names(features=("a", "b"), categories=("x", "y"), category=(0, 1), classes=("A", "B"))
    options = LAPLACE._replace(weights=weights, **changes)
    return Recipe(
        density=density,
        model=naive_bayes((0, 1), 2, weights),
        names=names,
        penalties=(3.0,),
        n_starts=1,
        n_folds=2,
        posterior=options,
    )


def learned(recipe, features, truth):
    n = len(truth)
    labels = Labels(class_index=truth, group=np.arange(n))
    fold = inner_folds(truth, labels.group, np.ones(n, bool), 2, 0)
    return fit_classifier(recipe, features, labels, fold, jax.random.key(0))


def width(products):
    return products.posterior_interval[..., 1] - products.posterior_interval[..., 0]


@pytest.fixture(scope="module")
def recipe():
    return recipe_of()


@pytest.fixture(scope="module")
def classifier(recipe):
    return learned(recipe, *sources(300, 0))[0]


def test_intervals_contain_the_mean_of_the_samples(recipe, classifier):
    features, _ = sources(500, 1)
    products = classify(recipe, classifier, features)
    sampled = []
    for d in range(LAPLACE.samples):
        density, weights = jax.tree.map(lambda leaf, d=d: jnp.asarray(leaf)[d], classifier.draws)
        log_lik = recipe.density.log_lik(density, features)
        sampled.append(jax.nn.softmax(recipe.model.log_joint(weights, log_lik)))
    np.testing.assert_allclose(products.posterior, np.mean(sampled, 0), atol=1e-6)
    ends = np.quantile(np.array(sampled), [0.05, 0.95], axis=0)
    np.testing.assert_allclose(products.posterior_interval, np.moveaxis(ends, 0, -1), atol=1e-6)
    low, high = np.moveaxis(products.posterior_interval, -1, 0)
    assert np.all(low <= high)
    within = (low <= products.posterior) & (products.posterior <= high)
    assert within.mean() > 0.98
    assert products.outlier_interval.shape == (500, 2)


def test_the_interval_of_a_group_is_that_of_the_sum_of_its_classes(recipe, classifier):
    rng = np.random.default_rng(0)
    samples = rng.dirichlet([1, 2, 3], (40, 6)).astype(np.float32)  # the sixth row fills a chunk
    reported = samples[:, :5].mean(0).astype(np.float64)
    found = group_intervals(jnp.asarray(samples), reported, (("AB", (0, 1)), ("C", (2,))))
    assert found.shape == (5, 2, 2)
    ends = np.quantile(samples[:, :5, :2].sum(-1), [0.05, 0.95], axis=0)
    np.testing.assert_allclose(found[:, 0], containing(ends.T, 1 - reported[:, 2]), atol=1e-6)
    # The classes of a group are not independent: the interval is not a sum of intervals.
    np.testing.assert_allclose(found[:, 0], 1 - found[:, 1, ::-1], atol=1e-5)
    grouped = recipe._replace(names=recipe.names._replace(groups=(("all", (0, 1)), ("B", (1,)))))
    products = classify(grouped, classifier, sources(500, 1)[0])
    np.testing.assert_allclose(products.group_interval[:, 0], 1, atol=1e-6)
    np.testing.assert_array_equal(products.group_interval[:, 1], products.posterior_interval[:, 1])
    blank = np.zeros(500)
    made = output_table(Table({"id": blank}), products, grouped.names, np.ones(2))
    for end, word in enumerate(("lo", "hi")):
        column = made[f"p_all_{word}"]
        np.testing.assert_array_equal(column, products.group_interval[:, 0, end])
        assert column.description.endswith("of p_all")
        assert column.meta["ucd"] == made[f"p_A_{word}"].meta["ucd"]
    assert made.meta["GROUPS"] == {"all": ["A", "B"], "B": ["B"]}


def test_far_from_all_sources_every_sample_is_near_the_prior(recipe, classifier):
    """The densities have a common shape there, so that the evidence ends."""
    far = np.tile([[40.0, -40.0]], (3, 1))
    products = classify(recipe, classifier, features_of(far))
    prior = np.exp(np.asarray(classifier.weights.log_prior))
    np.testing.assert_allclose(products.posterior, np.tile(prior, (3, 1)), atol=0.1)
    assert np.abs(products.posterior_interval - prior[None, :, None]).max() < 0.2


@pytest.mark.slow
def test_intervals_shrink_with_the_sample(recipe, classifier):
    more, _ = learned(recipe, *sources(2700, 3))
    features, _ = sources(300, 4)
    few, many = (width(classify(recipe, c, features)).mean() for c in (classifier, more))
    assert 1.7 < few / many < 4.5  # expected: the square root of 9


def test_without_measured_features_the_posterior_is_the_prior(recipe, classifier):
    features, _ = sources(3, 5)
    nothing = np.zeros((3, 2), bool)
    blank = features._replace(measured=nothing, available=nothing)
    for given in (None, np.log([0.2, 0.8])):
        products = classify(recipe, classifier, blank, given)
        prior = np.exp(given) if given is not None else np.exp(classifier.weights.log_prior)
        np.testing.assert_allclose(products.posterior, np.tile(prior, (3, 1)), rtol=1e-6)
        np.testing.assert_allclose(width(products), 0.0, atol=1e-6)


def test_another_prior_changes_the_intervals_like_the_posterior(recipe, classifier):
    """For two classes p is monotonic in the prior odds, and so are its quantiles."""
    features, _ = sources(200, 6)
    new = np.array([0.2, 0.8])
    before, after = (classify(recipe, classifier, features, p) for p in (None, np.log(new)))
    old = np.exp(np.asarray(classifier.weights.log_prior))
    for end in (0, 1):
        p = before.posterior_interval[:, 0, end]
        moved = with_prior(np.stack([p, 1 - p], 1), old, new)[:, 0]
        # The interpolation between samples does not commute exactly with the change of p.
        np.testing.assert_allclose(after.posterior_interval[:, 0, end], moved, atol=0.01)
    np.testing.assert_array_equal(after.set_flag, before.set_flag)
    same = after.prediction == before.prediction
    np.testing.assert_array_equal(after.prediction_set[same], before.prediction_set[same])
    for products in (before, after):
        low, high = np.moveaxis(products.posterior_interval, -1, 0)
        assert ((low <= products.posterior) & (products.posterior <= high)).all()
        assert products.prediction_set[np.arange(200), products.prediction].all()


def test_interval_is_numpys_quantile():
    samples = np.random.default_rng(0).normal(size=(37, 5, 3))
    expected = np.moveaxis(np.quantile(samples, [0.05, 0.95], axis=0), 0, -1)
    np.testing.assert_allclose(interval(samples), expected, rtol=1e-12)
    one = interval(samples[:1])
    np.testing.assert_array_equal(one[..., 0], one[..., 1])


@hypothesis.given(
    samples=arrays(float, (9, 4), elements=st.floats(0, 1, width=32)),
    reported=arrays(float, 4, elements=st.floats(0, 1)),
)
def test_the_interval_contains_what_is_reported_and_moves_no_other_end(samples, reported):
    ends = interval(samples)
    got = containing(ends, reported)
    assert (got[:, 0] <= reported).all() and (reported <= got[:, 1]).all()
    assert (got >= 0).all() and (got <= 1).all()
    inside = (ends[:, 0] <= reported) & (reported <= ends[:, 1])
    np.testing.assert_array_equal(got[inside], ends[inside])
    assert ((got == ends).sum(1) >= 1).all()  # at most one end moves


def test_the_mean_of_a_wide_log_odds_lies_above_its_quantile():
    """The reason for the extension: from a standard deviation of 3.3 on, as the docstring says."""
    rng = np.random.default_rng(0)
    for spread, above in ((2.9, False), (3.7, True)):
        p = 1 / (1 + np.exp(30 - spread * rng.normal(size=(400_000, 1))))
        mean, ends = p.mean(0), interval(p)
        assert (mean > ends[:, 1]).all() == above
        low, high = containing(ends, mean)[0]
        assert 0.9 <= ((low <= p) & (p <= high)).mean() <= 0.95 + 1e-6


def sources_of(recipe, params, log_prior, n, rng):
    """Sources drawn from fitted densities by their inverse distribution functions."""
    node, density = recipe.density.curves(params)  # [F, B], [F, B, C]
    truth = rng.choice(2, n, p=np.exp(log_prior))
    value = np.empty((n, len(node)))
    for f, c in np.ndindex(len(node), 2):
        below = np.concatenate([[0.0], np.cumsum(density[f, 1:, c] + density[f, :-1, c])])
        rows = truth == c
        value[rows, f] = np.interp(rng.random(rows.sum()), below / below[-1], node[f])
    return features_of(value), truth


def coverage(recipe, seeds, n=300):
    """Fraction of the 90 % intervals that contain p of the model that generated the sources."""
    plain, inside = recipe_of()._replace(posterior=None), []
    for seed in seeds:
        model, _ = learned(plain, *sources(n, 900 + seed))
        rng, log_prior = np.random.default_rng(seed), np.asarray(model.weights.log_prior)
        found, _ = learned(recipe, *sources_of(recipe, model.density, log_prior, n, rng))
        features, _ = sources_of(recipe, model.density, log_prior, 400, rng)
        score = log_prior + np.asarray(recipe.density.log_lik(model.density, features)).sum(1)
        exact = np.asarray(jax.nn.softmax(score, axis=1))
        low, high = np.moveaxis(classify(recipe, found, features).posterior_interval, -1, 0)
        inside.append(((low <= exact) & (exact <= high)).mean())
    return np.mean(inside)


@pytest.mark.slow
def test_intervals_cover_the_posterior_of_the_generating_model():
    """Over twelve models: 0.88 (+- 0.015) with weights of one, 0.89 with learned weights.

    With 1,200 sources it is 0.84: the process smooths structure that kernel densities have.
    """
    found = coverage(recipe_of(), range(6))
    learned_weights = coverage(recipe_of("property"), range(6))
    weights_only = coverage(recipe_of(densities=False), range(3))
    assert 0.82 < found < 0.97, (found, learned_weights, weights_only)
    assert 0.82 < learned_weights < 0.97, (found, learned_weights, weights_only)
    assert weights_only < found - 0.15, (found, weights_only)


@pytest.mark.slow
def test_intervals_cover_the_true_posterior():
    """The densities are normal, unlike any kernel density."""
    inside = []
    recipe = recipe_of()
    for seed in range(6):
        found, _ = learned(recipe, *sources(300, 10 + seed))
        features, _ = sources(400, 100 + seed)
        low, high = np.moveaxis(classify(recipe, found, features).posterior_interval, -1, 0)
        exact = true_posterior(features.value)
        inside.append(((low <= exact) & (exact <= high)).mean())
    assert 0.8 < np.mean(inside) < 0.97, np.mean(inside)


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["temperature", "auto"])
def test_the_mean_over_samples_is_calibrated(calibration):
    recipe = recipe_of("property")._replace(calibration=calibration)
    found, report = learned(recipe, *sources(300, 0))
    assert report.posterior is not None
    assert report.posterior.method == "laplace"
    assert report.posterior.sites["alpha"].shape == (1, 400, 2)
    assert not any(name.startswith("z_") for name in report.posterior.sites)
    assert report.posterior.log_lik.shape == (1, 400, 300)
    products = classify(recipe, found, sources(300, 7)[0])
    truth = sources(300, 7)[1]
    loss = -np.log(products.posterior[np.arange(300), truth]).mean()
    exact = true_posterior(sources(300, 7)[0].value)[np.arange(300), truth]
    assert loss < -np.log(exact).mean() + 0.1


BAYES = ("variant=bayes", "posterior={method: laplace, chains: 1, draws: 100, samples: 20}")
VARIANTS = {
    "smooth": (),
    "nuts, one chain": ("posterior={method: nuts, chains: 1, warmup: 60, draws: 60, samples: 20}",),
    "svi": ("posterior={method: svi, chains: 1, draws: 100, samples: 20}",),
    "log odds": ("posterior.average=log_odds", "model.shrink_outliers=true"),
    "no weights": ("model.weights=none", "posterior.densities=false"),
    "mixture by variational Bayes": (
        "model.density=clusters",
        "model.weights=assignment",
        "model.clusters.mixture=dirichlet",
    ),
    "sampled mixture": (
        "model.density=clusters",
        "model.weights=assignment",
        "model.clusters.mixture=nuts",
        "model.clusters.draws=50",
    ),
    "clusters": ("model.density=clusters", "model.weights=assignment"),
}


@pytest.fixture
def short_trajectories(monkeypatch):
    """NUTS of the clusters in short steps: samples are stored alike, converged or not."""
    monkeypatch.setattr("xbayes.infer.mixture_mcmc.MAX_TREE_DEPTH", 3)


@pytest.mark.slow
@pytest.mark.usefixtures("short_trajectories")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_and_its_saved_model_agree(numbers_only, exit_code, variant, small_config, tmp_path):
    settings = [a for s in (*BAYES, *VARIANTS[variant]) for a in ("--set", s)]
    (tmp_path / "config.yaml").write_text(small_config)
    sky, out = tmp_path / "sky.parquet", tmp_path / "run"
    write_catalog(small_sky(150, 0, missing=0.1), sky)
    # Reports of the other two are tested with the commands, samples of the weights alone too.
    call = exit_code if variant == "clusters" else numbers_only
    assert call("run", tmp_path / "config.yaml", "--catalog", sky, "--out", out, *settings) == 0
    config, recipe, classifier, _ = load_model(out)
    features, _ = build_features(read_catalog(sky), config)
    products = classify(recipe, classifier, features)
    table = read_catalog(out / "catalog.parquet")
    for c, name in enumerate(recipe.names.classes):
        columns = [np.asarray(table[f"p_{name}{end}"]) for end in ("", "_lo", "_hi")]
        np.testing.assert_allclose(columns[0], products.posterior[:, c], atol=1e-6)
        np.testing.assert_allclose(
            np.stack(columns[1:], 1), products.posterior_interval[:, c], atol=1e-6
        )
        assert np.all((columns[1] <= columns[0]) & (columns[0] <= columns[2]))
    check_posterior_file(out, read_catalog(sky))


def check_posterior_file(run, sky):
    """ArviZ plots every trace; sources and classes have their names."""
    import arviz
    from matplotlib import pyplot

    data = arviz.from_netcdf(str(run / "posterior.nc"))
    assert data.observed_data["source"].values.tolist() == np.asarray(sky["name"]).tolist()
    assert data.posterior["class"].values.tolist() == ["AGN", "Star", "XRB"]
    record = json.loads((run / "metrics.json").read_text())["posterior"]
    assert all(site["rhat"] is None for site in record.get("sites", ()))  # one chain at most
    with warnings.catch_warnings():
        # ArviZ calls Matplotlib in a deprecated way; any other warning is an error.
        warnings.filterwarnings("ignore", message="Passing a dict or None as alias_mapping")
        axes = arviz.plot_trace(data, compact=True)
    assert axes.shape == (len(data.posterior.data_vars), 2)
    pyplot.close("all")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.objective=f1", "model.objective"),
        ("model={weights: category, normalise: true}", "model.normalise"),
        ("model.density=published", "posterior.densities"),
    ],
)
def test_a_config_without_a_posterior_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        load_config(CONFIG, ["variant=bayes", setting])
