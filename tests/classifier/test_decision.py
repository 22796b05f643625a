"""The decision rule for the F1 of one class."""

import numpy as np
from sklearn.metrics import f1_score

from xbayes.classifier.decision import decide, fit_class_weight


def simulate(n, seed, group_size=1):
    """Calibrated posteriors of three classes, the last of them rare."""
    rng = np.random.default_rng(seed)
    logit = 2.0 * rng.normal(size=(n // group_size, 3)) + np.log([0.6, 0.35, 0.05])
    posterior = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    truth = np.array([rng.choice(3, p=p) for p in posterior])
    group = np.repeat(np.arange(len(truth)), group_size)
    return np.repeat(posterior, group_size, 0), np.repeat(truth, group_size), group


def f1(posterior, truth, weight):
    return f1_score(truth == 2, decide(posterior, weight) == 2)


def test_ones_are_the_most_probable_class():
    posterior, _, _ = simulate(100, 0)
    np.testing.assert_array_equal(decide(posterior, np.ones(3)), posterior.argmax(1))


def test_only_the_focus_class_has_a_weight():
    weight = fit_class_weight(*simulate(2000, 1), focus=2, seed=0)
    assert weight[0] == weight[1] == 1.0
    assert weight[2] != 1.0


def test_near_the_best_weight_of_a_grid_on_new_sources():
    weight = fit_class_weight(*simulate(5000, 1), focus=2, seed=0)
    posterior, truth, _ = simulate(50_000, 2)
    grid = max(f1(posterior, truth, np.array([1, 1, t])) for t in np.geomspace(0.1, 10, 80))
    assert f1(posterior, truth, weight) > grid - 0.01
    assert f1(posterior, truth, weight) > f1(posterior, truth, np.ones(3)) + 0.02


def test_calibrated_posteriors_of_a_rare_class_need_a_weight_above_one():
    """The F1 rule takes a source at p > F1 / 2, argmax at about 1/2 (Lipton et al. 2014)."""
    assert fit_class_weight(*simulate(20_000, 3), focus=2, seed=0)[2] > 1.2


def test_groups_are_resampled_together():
    """Ten copies of each source in one group change nothing."""
    posterior, truth, _ = simulate(400, 4)
    copies = np.repeat(posterior, 10, 0), np.repeat(truth, 10), np.repeat(np.arange(400), 10)
    once = fit_class_weight(posterior, truth, np.arange(400), 2, seed=0)
    np.testing.assert_allclose(fit_class_weight(*copies, 2, seed=0), once)


def test_without_members_of_the_class_all_weights_are_one():
    posterior, _, group = simulate(100, 5)
    np.testing.assert_array_equal(fit_class_weight(posterior, np.zeros(100, int), group, 2, 0), 1.0)
