"""Joint novelty in a fitted classifier: false alarms, shrunk posteriors and their reasons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.novelty import combine, novelty_p, novelty_score
from xbayes.classifier.outlier import outlier_score, tail_probability
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

N, C = 900, 3
NAMES = Names(
    features=("a", "b", "c"), categories=("x", "y"), category=(0, 1, 1), classes=("A", "B", "C")
)
RECIPE = Recipe(
    density=smooth_density(np.full((3, 2), np.nan), np.zeros(3, bool), C),
    model=naive_bayes((0, 1, 1), C, "property"),
    names=NAMES,
    penalties=(3.0,),
    n_starts=1,
    n_folds=3,
    joint_novelty=True,
    shrinks_outliers=True,
)


def simulate(seed):
    """The classes differ in all features; b follows a, and c is measured in two of three."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(C, N, p=[0.4, 0.4, 0.2])
    value = rng.normal(size=(N, 3))
    value[:, 1] = value[:, 0] + 0.2 * value[:, 1]
    value += 1.5 * truth[:, None] * [1, 1, -1]
    measured = np.ones((N, 3), bool)
    measured[:, 2] = rng.random(N) < 2 / 3
    return features_of(value, measured), truth


def features_of(value, measured):
    return Features(
        value=np.where(measured, value, 0.0),
        measured=measured,
        available=measured,
        weight=np.ones(value.shape),
        error=np.zeros(value.shape),
    )


@pytest.fixture(scope="module")
def classifier():
    features, truth = simulate(1)
    inner = inner_folds(truth, np.arange(N), np.ones(N, bool), 3, 0)
    labels = Labels(class_index=truth, group=np.arange(N))
    return fit_classifier(RECIPE, features, labels, inner, jax.random.key(0))[0]


def p_values(classifier, features, truth):
    """The p-values of `classify`, for the true class."""
    log_lik = RECIPE.density.log_lik(classifier.density, features)
    score = outlier_score(classifier.outlier, log_lik, jnp.asarray(features.available))
    joint = np.asarray(novelty_score(classifier.novelty, features))
    p = tail_probability(classifier.outlier, np.asarray(score), truth)
    return combine(classifier.novelty, p, novelty_p(classifier.novelty, joint, truth), truth)


def test_p_values_of_new_sources_of_the_training_classes_are_uniform(classifier):
    new = [simulate(seed) for seed in range(2, 10)]
    p = np.stack([p_values(classifier, *sample) for sample in new])
    truth = np.stack([truth for _, truth in new])
    for c in range(C):
        own = p[truth == c]
        n_reference = (simulate(1)[1] == c).sum()
        for level in (0.05, 0.2, 0.5):
            error = np.sqrt(level * (1 - level) * (1 / len(own) + 1 / n_reference))
            assert abs((own <= level).mean() - level) < 3.5 * error
    # Negative control: other sources are not uniform.
    swapped, label = simulate(20)
    odd = swapped._replace(value=swapped.value * [1, -1, 1])
    assert (p_values(classifier, odd, label) <= 0.05).mean() > 0.3


def test_an_unusual_combination_gets_a_posterior_near_the_prior_and_a_reason(classifier):
    """Each value is usual in class A; a and b have other signs."""
    value = np.array([[1.2, 1.2, 0.0], [2.2, -2.2, 0.0]])
    products = classify(RECIPE, classifier, features_of(value, np.ones((2, 3), bool)))
    prior = np.exp(np.asarray(classifier.weights.log_prior, np.float64))
    usual, odd = products.posterior
    assert np.abs(odd - prior).max() < 0.05 < np.abs(usual - prior).max()
    assert products.outlier_p[1] <= 0.01 < products.outlier_p[0]
    assert (products.unusual_feature[0] == -1).all()
    assert set(products.unusual_feature[1, 0, :2].tolist()) == {0, 1}
    own, expected, deviation = products.unusual_number[1, 0]
    assert abs(own - expected) > 5 * deviation


def test_without_joint_densities_there_are_no_reasons(classifier):
    value = np.array([[2.2, -2.2, 0.0]])
    features = features_of(value, np.ones((1, 3), bool))
    products = classify(RECIPE, classifier._replace(novelty=None), features)
    assert products.unusual_feature.shape == (1, 0, 3)
