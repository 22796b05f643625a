"""One mixture per class: out of fold, and closer to the shared covariance where rows are few."""

import numpy as np

from xbayes.infer.class_mixtures import CHOICES, fit_class_mixtures
from xbayes.models.factor_mixture import Points, expect

F, N = 6, 400


def simulate(seed=0):
    """A large class and one of twelve members, with the same covariance of rank two."""
    rng = np.random.default_rng(seed)
    loading = np.random.default_rng(9).normal(size=(F, 2))
    value = loading @ rng.normal(size=(2, N)) + 0.3 * rng.normal(size=(F, N))
    label = (np.arange(N) < 12).astype(int)
    value[:, label == 1] += 3.0
    points = Points(value=value, measured=np.ones((F, N)), noise=np.zeros((F, N)))
    return points, label, np.arange(N) % 4


def test_models_without_a_fold_ignore_its_rows():
    points, label, fold = simulate()
    value = points.value.copy()
    value[:, fold == 2] += 100.0
    one = fit_class_mixtures(points, label, fold, 2, 0)
    other = fit_class_mixtures(points._replace(value=value), label, fold, 2, 0)
    np.testing.assert_array_equal(one.without[2][0].loading, other.without[2][0].loading)
    assert np.abs(one.without[1][0].mean - other.without[1][0].mean).max() > 1


def test_small_class_takes_the_shared_covariance():
    points, label, fold = simulate()
    fitted = fit_class_mixtures(points, label, fold, 2, 0)
    assert fitted.pseudo_rows[1] > min(CHOICES)
    large, small = (m.loading[0] @ m.loading[0].T + np.diag(m.variance[0]) for m in fitted.whole)
    alone = np.cov(points.value[:, label == 1], bias=True)
    assert np.abs(small - large).mean() < 0.7 * np.abs(alone - large).mean()


def test_large_class_gets_several_components():
    rng = np.random.default_rng(1)
    value = rng.normal(size=(F, N)) * 0.5
    value[0] += np.where(rng.random(N) < 0.5, 4.0, -4.0)
    points = Points(value=value, measured=np.ones((F, N)), noise=np.zeros((F, N)))
    label, fold = np.zeros(N, int), np.arange(N) % 4
    mixture = fit_class_mixtures(points, label, fold, 1, 0).whole[0]
    assert len(mixture.mean) == 3
    gap = points._replace(value=np.zeros((F, N)))
    inside = expect(mixture, points).log_joint.max(0).mean()
    assert expect(mixture, gap).log_joint.max(0).mean() < inside - 5
