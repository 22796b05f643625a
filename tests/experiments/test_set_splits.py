"""Coverage over splits: the promise where rows are exchangeable, groups kept together."""

import numpy as np
from set_splits import coverage_over_splits, table_of_coverage

from xbayes.types import Labels


def test_sets_cover_each_class_and_the_table_says_so():
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 900, p=[0.6, 0.35, 0.05])
    score = 2 * np.eye(3)[truth] + rng.normal(size=(900, 3))
    posterior = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    labels = Labels(truth, np.arange(900))
    found = coverage_over_splits(labels, posterior, 60, 1)
    assert found.shape == (60, 2, 3)
    np.testing.assert_allclose(found[:, 0].mean(0), 0.9, atol=0.03)
    sure = coverage_over_splits(labels, np.eye(3)[truth] * 0.98 + 0.01, 5, 1)
    assert (sure[:, 1] < 1.05).all() and (found[:, 1].mean(0) > 1).all()
    lines = table_of_coverage(labels, ("A", "B", "C"), found)
    assert len(lines) == 6 and lines[-1].startswith("| all | 900 |")
    assert f"{found[:, 0, 2].mean():.4f}" in lines[4]
