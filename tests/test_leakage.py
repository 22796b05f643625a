"""What is learned on a training part does not know the rows left out, bit for bit."""

import jax
import numpy as np
import pytest

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe
from xbayes.evaluate.cross_validate import cross_validate, inner_folds
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

PROPERTIES = Names(("a", "b", "c"), ("x", "y"), (0, 0, 1), ("A", "B", "C", "D"))


@pytest.fixture(scope="module")
def recipe():
    density = smooth_density(np.full((3, 2), np.nan), np.array([False, False, True]), 4)
    return Recipe(density, naive_bayes((0, 0, 1), 4, "matrix"), PROPERTIES, (3.0, 30.0), 2, 3)


def singles(class_index):
    """Every source its own group."""
    return Labels(class_index, np.arange(len(class_index)))


def garbled(features, rows, seed=0):
    """The same catalogue with the given rows replaced by something wild."""
    rng = np.random.default_rng(seed)
    value, measured = features.value.copy(), features.measured.copy()
    value[rows] = 1e3 * rng.normal(size=value[rows].shape)
    measured[rows] = rng.random(measured[rows].shape) < 0.5
    return features._replace(value=value, measured=measured)


def test_test_rows_leave_every_fitted_array_bit_identical(recipe, four_classes):
    features, truth = four_classes
    test = stratified_folds(truth, np.arange(600), 4, 0) == 1
    inner = inner_folds(truth, np.arange(600), ~test, 3, 0)
    other_truth = np.where(test, 3 - truth, truth)
    fits = [
        fit_classifier(recipe, rows, singles(labels), inner, jax.random.key(0))[0]
        for rows, labels in ((features, truth), (garbled(features, test), other_truth))
    ]
    for a, b in zip(*map(jax.tree.leaves, fits), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_rows_do_change_the_fit(recipe, four_classes):
    """The negative control of the test above."""
    features, truth = four_classes
    inner = inner_folds(truth, np.arange(600), np.ones(600, bool), 3, 0)
    few = np.arange(600) < 10
    fits = [
        fit_classifier(recipe, rows, singles(truth), inner, jax.random.key(0))[0]
        for rows in (features, garbled(features, few))
    ]
    assert not all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, fits), strict=True))


def test_a_source_does_not_know_its_own_label(recipe, four_classes):
    """Shuffled labels: held-out posteriors are no better than the class proportions."""
    features, truth = four_classes
    shuffled = np.random.default_rng(1).permutation(truth)
    labels = Labels(shuffled, np.arange(600))
    held_out = cross_validate(recipe, features, labels, jax.random.key(0), n_folds=3)
    posterior = held_out.products[0].posterior[np.arange(600), shuffled]
    proportions = np.bincount(shuffled) / 600
    assert -np.log(posterior).mean() > -(proportions * np.log(proportions)).sum() - 0.02


def test_held_out_beats_the_proportions_on_true_labels(recipe, four_classes):
    features, truth = four_classes
    labels = Labels(truth, np.arange(600))
    held_out = cross_validate(recipe, features, labels, jax.random.key(0), n_folds=3)
    posterior = held_out.products[0].posterior[np.arange(600), truth]
    assert -np.log(posterior).mean() < 0.75
    assert (np.bincount(held_out.outer_fold[0]) > 150).all()


def test_unlabelled_rows_are_classified_and_teach_nothing(recipe, four_classes):
    features, truth = four_classes
    unknown = np.arange(600) % 5 == 0
    inner = inner_folds(truth, np.arange(600), ~unknown, 3, 0)
    fits = []
    for rows, labels in (
        (features, np.where(unknown, -1, truth)),
        (garbled(features, unknown), truth),
    ):
        fits.append(fit_classifier(recipe, rows, singles(labels), inner, jax.random.key(0))[0])
    for a, b in zip(*map(jax.tree.leaves, fits), strict=True):
        np.testing.assert_array_equal(a, b)


def test_classifying_in_any_order_or_number_gives_the_same(recipe, four_classes):
    features, truth = four_classes
    inner = inner_folds(truth, np.arange(600), np.ones(600, bool), 3, 0)
    classifier, _ = fit_classifier(recipe, features, singles(truth), inner, jax.random.key(0))
    everything = classify(recipe, classifier, features)
    order = np.random.default_rng(0).permutation(600)[:37]
    some = classify(recipe, classifier, Features(*(a[order] for a in features)))
    np.testing.assert_allclose(some.posterior, everything.posterior[order], rtol=1e-9)
    np.testing.assert_array_equal(some.prediction, everything.prediction[order])
    one = classify(recipe, classifier, Features(*(a[order[:1]] for a in features)))
    np.testing.assert_allclose(one.posterior[0], everything.posterior[order[0]], rtol=1e-9)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300, -1e300])
def test_no_value_makes_a_posterior_other_than_a_probability(recipe, four_classes, value):
    features, truth = four_classes
    inner = inner_folds(truth, np.arange(600), np.ones(600, bool), 3, 0)
    classifier, _ = fit_classifier(recipe, features, singles(truth), inner, jax.random.key(0))
    wild = features._replace(value=np.full_like(features.value, value))
    if not np.isfinite(value):  # the reader masks what is not finite; fillers must not matter
        wild = wild._replace(measured=np.zeros_like(features.measured))
    posterior = classify(recipe, classifier, wild).posterior
    assert np.isfinite(posterior).all()
    np.testing.assert_allclose(posterior.sum(1), 1.0, rtol=1e-12)


def test_repeats_redraw_the_folds_and_groups_stay_whole(recipe, four_classes):
    features, truth = four_classes
    labels = Labels(truth, np.arange(600) // 2)  # two detections of each source
    held_out = cross_validate(recipe, features, labels, jax.random.key(0), n_folds=3, n_repeats=2)
    first, second = held_out.outer_fold
    assert not np.array_equal(first, second)
    for fold in (first, second):
        np.testing.assert_array_equal(fold[::2], fold[1::2])
    assert len(held_out.products) == 2
    assert len(held_out.fits) == 6
    assert not np.array_equal(held_out.products[0].posterior, held_out.products[1].posterior)
