"""`posterior.average: log_odds`: a mean over samples that is still a sum of contributions."""

from pathlib import Path

import jax
import numpy as np
import pytest

from xbayes.catalog.read import read_catalog
from xbayes.classifier.calibration import calibrated
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.classifier.store import load_model
from xbayes.config.reader import parse_config
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.features.build import build_features
from xbayes.infer.select_terms import TermPlan
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.models.term_tables import contributions
from xbayes.types import Features, Labels, Names

pytestmark = pytest.mark.usefixtures("few_rounds")

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"
N, SHARE, SHOWN = 400, 0.4, 60
LAPLACE = PosteriorOptions(
    method="laplace",
    chains=1,
    warmup=50,
    draws=50,
    thin=1,
    samples=20,
    densities=True,
    weights="property",
    offsets=True,
    average="log_odds",
)
RECIPE = Recipe(
    density=smooth_density(np.full((3, 2), np.nan), np.array([False, False, True]), 3),
    model=naive_bayes((0, 1, 1), 3, "property"),
    names=Names(
        features=("a", "b", "c"),
        categories=("x", "y"),
        category=(0, 1, 1),
        classes=("A", "B", "C"),
    ),
    penalties=(10.0,),
    n_starts=2,
    n_folds=3,
    calibration="temperature",
    posterior=LAPLACE,
    terms=TermPlan(depth=1, share=SHARE),
)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(3)
    truth = rng.choice(3, N, p=[0.5, 0.4, 0.1])
    value = rng.normal(size=(N, 3)) + 1.5 * np.eye(3)[truth]
    measured = np.ones((N, 3), bool)
    measured[:, 2] = rng.random(N) < np.array([0.9, 0.9, 0.5])[truth]
    available = np.ones((N, 3), bool)
    measured[0] = available[0] = False  # nothing available
    value = np.where(measured, value, 0.0)
    features = Features(
        value=value,
        measured=measured,
        available=available,
        weight=np.ones_like(value),
        error=0 * value,
    )
    inner = inner_folds(truth, np.arange(N), np.ones(N, bool), 3, 0)
    labels = Labels(truth, np.arange(N))
    classifier, _ = fit_classifier(RECIPE, features, labels, inner, jax.random.key(0))
    return features.rows(slice(SHOWN)), classifier


def mean_scores(features, classifier):
    """The calibrated mean scores with terms, by a loop over the samples."""
    density, weights = classifier.draws
    total = 0.0
    for d in range(LAPLACE.samples):
        params, alpha = jax.tree.map(lambda leaf, d=d: leaf[d], (density, weights))
        log_lik = RECIPE.density.log_lik(params, features)
        total += np.asarray(RECIPE.model.log_joint(alpha, log_lik))
    terms = classifier.terms.base + contributions(classifier.terms, features).sum(1)
    measured = features.available.any(1)
    score = total / LAPLACE.samples
    score = np.where(measured[:, None], (1 - SHARE) * score + SHARE * np.asarray(terms), score)
    trained = classifier.weights.log_prior
    return np.asarray(calibrated(classifier.calibrator, score, trained, measured))


@pytest.mark.slow
def test_a_run_with_the_other_average_still_has_contributions(bayes, explained_in_sum):
    """The shared run, whose samples are averaged as probabilities."""
    config, recipe, classifier, _ = load_model(bayes.folder)
    features, _ = build_features(read_catalog(bayes.catalog), config)
    other = recipe._replace(posterior=recipe.posterior._replace(average="log_odds"))
    explained_in_sum(other, classifier, features)
    means = [classify(each, classifier, features).posterior for each in (recipe, other)]
    assert np.abs(means[0] - means[1]).max() > 1e-4  # the control


@pytest.mark.slow
def test_probabilities_are_those_of_the_mean_log_odds(fitted):
    posterior = classify(RECIPE, fitted[1], fitted[0]).posterior
    score = mean_scores(*fitted)
    odds = np.log(posterior / posterior[:, :1])
    np.testing.assert_allclose(odds, score - score[:, :1], atol=1e-4)
    # Control: the mean of the probabilities differs.
    probability = RECIPE._replace(posterior=LAPLACE._replace(average="probability"))
    mean = classify(probability, fitted[1]._replace(terms=None), fitted[0]).posterior
    assert np.abs(mean - posterior).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("prior", [None, (0.2, 0.2, 0.6)])
def test_contributions_sum_to_the_reported_log_odds(fitted, prior, explained_in_sum):
    features, classifier = fitted
    log_prior = None if prior is None else np.log(prior)
    explained = explained_in_sum(RECIPE, classifier, features, log_prior)
    assert np.abs(explained.contribution[1:]).max() > 0.5
    assert not explained.contribution[0].any() and not explained.offset[0].any()


@pytest.mark.slow
def test_intervals_are_those_of_the_samples_with_terms(fitted):
    products = classify(RECIPE, fitted[1], fitted[0])
    low, high = np.moveaxis(products.posterior_interval, -1, 0)
    assert ((low <= products.posterior) & (products.posterior <= high)).mean() > 0.95
    assert np.median((high - low)[1:]) > 1e-3


def test_terms_with_posterior_samples_need_a_mean_of_log_odds():
    settings = ["variant=bayes", "model.terms=pairs"]
    with pytest.raises(InputError, match=r"must be log_odds if there are model\.terms"):
        parse_config(CONFIG.read_text(), overrides=settings)
    config = parse_config(CONFIG.read_text(), overrides=[*settings, "posterior.average=log_odds"])
    assert config.posterior.average == "log_odds"
