"""Learning curves: nested subsamples of whole groups, and the gain of more labels."""

import jax
import numpy as np
import pytest

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.recipe import Recipe
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import cross_validate, inner_folds
from xbayes.evaluate.learning_curve import Design, _subsamples, learning_curve, usable_fractions
from xbayes.evaluate.scores import log_losses
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

SHARE = np.array([0.6, 0.25, 0.15])
CENTRE = np.array([[0, 0], [1.5, 0.5], [0.5, 1.8]])
DESIGN = Design(fractions=(0.15, 1.0), n_folds=3, n_repeats=1, seed=0, n_bootstrap=50)


@pytest.fixture(scope="module")
def recipe():
    density = smooth_density(np.tile([-6.0, 6.0], (2, 1)), np.zeros(2, bool), 3)
    names = Names(("a", "b"), ("x", "y"), (0, 1), ("A", "B", "C"))
    return Recipe(density, naive_bayes((0, 1), 3, "property"), names, (3.0,), 1, 2)


def sources(n, seed=0, rows=1):
    """Sources in groups of `rows` rows, each of one class."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n // rows, p=SHARE).repeat(rows)
    value = CENTRE[truth] + rng.normal(size=(n, 2))
    there = np.ones(value.shape, bool)
    features = Features(value, there, there, np.ones_like(value), np.zeros_like(value))
    return features, Labels(truth, np.arange(n) // rows)


@pytest.mark.parametrize("rows", [1, 3])
def test_subsamples_are_nested_and_stratified_and_split_no_group(recipe, rows):
    _, labels = sources(600, rows=rows)
    design = DESIGN._replace(fractions=(0.2, 0.5, 1.0), n_repeats=2)
    subsamples = _subsamples(recipe, labels, design)
    assert len(subsamples) == 6
    for split, chosen in subsamples:
        test = split.test
        small, middle, whole = chosen
        np.testing.assert_array_equal(whole, ~test)
        assert not (small & ~middle).any() and not (middle & ~whole).any()
        for part in chosen:
            assert len(np.unique(labels.group[part])) * rows == part.sum()
        for c in range(3):
            is_class = labels.class_index == c
            assert abs((small & is_class).sum() - 0.2 * (whole & is_class).sum()) <= rows


def test_more_labels_help_and_the_last_point_is_the_cross_validation(recipe):
    features, labels = sources(600)
    key = jax.random.key(0)
    few, many = learning_curve(recipe, features, labels, key, DESIGN)
    assert few.members.sum() < 0.2 * many.members.sum()
    np.testing.assert_allclose(many.members.sum(), 400)
    assert many.log_loss["value"] < few.log_loss["value"]
    usual = cross_validate(recipe, features, labels, key, 3)
    loss = log_losses(labels.class_index, usual.products[0].posterior)
    np.testing.assert_allclose(many.log_loss["value"], loss.mean())
    class_loss = loss[labels.class_index == 2].mean()
    np.testing.assert_allclose(many.class_log_loss[2]["value"], class_loss)
    low, value, high = (many.f1[0][end] for end in ("lo", "value", "hi"))
    assert low < value < high


@pytest.mark.slow
def test_the_values_of_rows_left_out_change_nothing(recipe):
    """The fit is bit-identical with other values in them."""
    features, labels = sources(300)
    part = _subsamples(recipe, labels, DESIGN._replace(fractions=(0.4,)))[0][1][0]
    fold = inner_folds(*labels[:2], part, 2, 0)
    value = np.where(part[:, None], features.value, 5.0)
    fits = [
        fit_classifier(recipe, features._replace(value=v), labels, fold, jax.random.key(0))[0]
        for v in (features.value, value)
    ]
    for one, other in zip(*map(jax.tree.leaves, fits), strict=True):
        np.testing.assert_array_equal(one, other)


def test_default_sizes_are_possible(recipe):
    _, labels = sources(300)
    fractions = usable_fractions(recipe, labels, DESIGN)
    assert len(fractions) == 5 and fractions[-1] == 1
    assert np.all(np.diff(fractions) > 0)
    _subsamples(recipe, labels, DESIGN._replace(fractions=fractions))


def test_a_size_too_small_is_refused(recipe):
    features, labels = sources(300)
    with pytest.raises(InputError, match=r"size 0.01 leaves class .* 2 inner folds"):
        learning_curve(
            recipe, features, labels, jax.random.key(0), DESIGN._replace(fractions=(0.01, 1.0))
        )
