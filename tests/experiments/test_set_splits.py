"""Coverage of prediction sets over random splits of exchangeable rows."""

import numpy as np
from set_splits import coverage_over_splits, table_of_coverage

from xbayes.types import Labels


def test_sets_cover_each_class_and_the_table_shows_it():
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 900, p=[0.6, 0.35, 0.05])
    score = 2 * np.eye(3)[truth] + rng.normal(size=(900, 3))
    posterior = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    labels = Labels(class_index=truth, group=np.arange(900))
    coverage = coverage_over_splits(labels, posterior, 60, 1)
    assert coverage.shape == (60, 2, 3)
    np.testing.assert_allclose(coverage[:, 0].mean(0), 0.9, atol=0.03)
    certain = coverage_over_splits(labels, np.eye(3)[truth] * 0.98 + 0.01, 5, 1)
    assert (certain[:, 1] < 1.05).all() and (coverage[:, 1].mean(0) > 1).all()
    lines = table_of_coverage(labels, ("A", "B", "C"), coverage)
    assert len(lines) == 6 and lines[-1].startswith("| all | 900 |")
    assert f"{coverage[:, 0, 2].mean():.4f}" in lines[4]
