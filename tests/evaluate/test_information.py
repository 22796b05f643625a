"""Information of labels against brute force over all outcomes, and batches without redundancy."""

from itertools import product

import jax
import numpy as np
import pytest

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.recipe import PosteriorOptions, Recipe
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.evaluate.information import Batch, _channel, _gaussian, choose_batch, information
from xbayes.evaluate.scores import log_losses
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.tasks.suggest_labels import draw_posteriors
from xbayes.types import Features, Labels, Names


def brute(posterior):
    """I(labels; sample) of all sources together, summed over all outcomes."""
    n_draws, n, n_classes = posterior.shape
    joint = (
        np.array(
            [
                [
                    np.prod([posterior[d, i, y] for i, y in enumerate(labels)])
                    for d in range(n_draws)
                ]
                for labels in product(range(n_classes), repeat=n)
            ]
        )
        / n_draws
    )  # [outcome, draw]
    independent = joint.sum(1, keepdims=True) / n_draws
    return float((joint * np.log(joint / independent)).sum())


def spread(rng, n_draws, n, n_classes, width):
    logits = rng.normal(size=(n, n_classes)) + width * rng.normal(size=(n_draws, n, n_classes))
    p = np.exp(logits)
    return p / p.sum(-1, keepdims=True)


def test_information_is_the_mutual_information():
    posterior = spread(np.random.default_rng(0), 5, 4, 3, 1.0)
    expected = [brute(posterior[:, [i]]) for i in range(4)]
    np.testing.assert_allclose(information(posterior), expected, rtol=1e-10)


def test_a_source_with_equal_probabilities_in_every_sample_has_no_information():
    posterior = np.tile([0.5, 0.5], (8, 1, 1))
    np.testing.assert_allclose(information(posterior), 0.0, atol=1e-12)
    split = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(information(split), np.log(2))


def test_the_gaussian_channel_is_exact_to_second_order():
    for width, tolerance in ((0.05, 0.02), (0.3, 0.2)):
        posterior = spread(np.random.default_rng(1), 200, 30, 3, width)
        found = _gaussian(_channel(posterior))
        np.testing.assert_allclose(found, information(posterior), rtol=tolerance)


def test_gains_add_up_to_the_information_of_the_batch():
    """Against the exact sum over all outcomes, for four dependent sources and few samples."""
    rng = np.random.default_rng(2)
    common = rng.normal(size=(12, 1, 1)) * np.array([1.0, -1.0, 0.0])
    logits = np.array([[0.3, 0, 0], [0.1, 0.2, 0], [-1, 0, 0], [0, 0, 0.5]]) + 0.5 * common
    posterior = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    batch = choose_batch(posterior, 4)
    exact = brute(posterior)
    assert information(posterior).sum() > 1.1 * exact  # the sum ignores the redundancy
    np.testing.assert_allclose(batch.gain.sum(), exact, rtol=0.06)
    assert np.all(np.diff(batch.gain) <= 1e-12)


def test_the_most_informative_source_is_first_and_its_twin_is_not_second():
    rng = np.random.default_rng(3)
    best = spread(rng, 100, 1, 3, 0.9)
    other = spread(rng, 100, 1, 3, 0.7)
    dull = spread(rng, 100, 1, 3, 0.05)
    posterior = np.concatenate([best, best, other, dull], axis=1)
    alone = information(posterior)
    assert alone[0] > alone[2] > alone[3]
    batch = choose_batch(posterior, 4)
    assert isinstance(batch, Batch)
    assert batch.chosen[0] in (0, 1)
    assert batch.chosen[1] == 2
    assert batch.gain[0] == pytest.approx(alone[0])
    twin = brute(posterior[:, :2]) - alone[0]  # the exact gain of the second twin
    at = int(np.flatnonzero(np.isin(batch.chosen, [0, 1]))[1])
    assert batch.gain[at] < 0.95 * alone[0]
    np.testing.assert_allclose(batch.gain[at], twin, rtol=0.15)


def test_certain_sources_have_no_gain_and_too_large_batches_are_refused():
    posterior = np.tile(np.eye(3)[[0, 1]], (10, 1, 1))
    batch = choose_batch(posterior, 2)
    np.testing.assert_allclose(batch.gain, 0.0, atol=1e-9)
    with pytest.raises(ValueError, match="3 of 2"):
        choose_batch(posterior, 3)


CENTRE = np.array([[0.0, 0.0], [1.8, 0.0], [1.0, 2.2]])
SHARE = np.array([0.75, 0.2, 0.05])


def sky(n, seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=SHARE)
    value = CENTRE[truth] + rng.normal(size=(n, 2))
    there = np.ones(value.shape, bool)
    return Features(value, there, there, np.ones_like(value), np.zeros_like(value)), truth


@pytest.mark.slow
def test_suggested_labels_help_more_than_random_ones():
    """Test log loss after 25 more labels, on 32 skies: suggested minus the mean of 4 random."""
    density = smooth_density(np.tile([-5.0, 7.0], (2, 1)), np.zeros(2, bool), 3)
    names = Names(("a", "b"), ("x", "y"), (0, 1), ("A", "B", "C"))
    point = Recipe(density, naive_bayes((0, 1), 3, "property"), names, (3.0,), 1, 2)
    options = PosteriorOptions("laplace", 2, 0, 200, 1, 60, True, "property", True)
    test, test_truth = sky(3000, 999)
    differences = []
    for seed in range(32):
        features, truth = sky(500, seed)
        rng = np.random.default_rng(seed)
        first = np.zeros(500, bool)
        for c, n in enumerate((30, 10, 4)):
            first[rng.permutation(np.flatnonzero(truth == c))[:n]] = True

        def fitted(recipe, labelled, features=features, truth=truth):
            labels = Labels(truth, np.arange(500))
            fold = inner_folds(truth, np.arange(500), labelled, 2, 0)
            return fit_classifier(recipe, features, labels, fold, jax.random.key(0))[0]

        def loss(more, first=first, fitted=fitted):
            labelled = first.copy()
            labelled[more] = True
            posterior = draw_posteriors(point, fitted(point, labelled), test)[0]
            return log_losses(test_truth, posterior).mean()

        drawn = draw_posteriors(point, fitted(point._replace(posterior=options), first), features)
        pool = np.flatnonzero(~first)
        suggested = pool[choose_batch(drawn[:, pool], 25).chosen]
        random = [loss(rng.choice(pool, 25, replace=False)) for _ in range(4)]
        differences.append(loss(suggested) - np.mean(random))
    differences = np.array(differences)
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    assert differences.mean() < -2 * error, (differences.mean(), error)
