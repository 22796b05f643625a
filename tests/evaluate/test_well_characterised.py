"""Scores of the well-characterised sources: those of the subset, and none without sources."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from xbayes.evaluate.scores import Predictions
from xbayes.evaluate.well_characterised import score_well_characterised

CLASSES = ("A", "B", "C")


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    posterior = rng.dirichlet([1, 1, 1], 300) + 0.7 * np.eye(3)[truth]
    posterior /= posterior.sum(1, keepdims=True)
    return Predictions(truth, posterior, posterior.argmax(1), np.arange(300), np.ones(300))


def test_it_is_the_score_of_the_subset(predictions):
    chosen = np.arange(300) % 3 == 0
    block = score_well_characterised(predictions, chosen, CLASSES, 50, 0)
    truth, guess = predictions.truth[chosen], predictions.prediction[chosen]
    assert block["n_sources"] == 100
    assert list(block["members"].values()) == np.bincount(truth).tolist()
    np.testing.assert_allclose(
        [block["f1"][c]["value"] for c in CLASSES], f1_score(truth, guess, average=None)
    )
    np.testing.assert_allclose(block["macro_f1"]["value"], f1_score(truth, guess, average="macro"))
    np.testing.assert_allclose(
        block["log_loss"]["value"], log_loss(truth, predictions.posterior[chosen])
    )
    assert block["macro_f1"]["lo"] < block["macro_f1"]["value"] < block["macro_f1"]["hi"]


def test_a_class_without_members_has_no_score(predictions):
    chosen = predictions.truth != 1
    assert (predictions.prediction[chosen] == 1).any()
    block = score_well_characterised(predictions, chosen, CLASSES, 50, 0)
    assert block["members"]["B"] == 0
    for name in ("precision", "recall", "f1"):
        assert block[name]["B"] == {"value": None, "lo": None, "hi": None}
    both = np.mean([block["f1"][c]["value"] for c in ("A", "C")])
    np.testing.assert_allclose(block["macro_f1"]["value"], both)


def test_no_source_at_all(predictions):
    block = score_well_characterised(predictions, np.zeros(300, bool), CLASSES, 50, 0)
    assert block == {"members": {"A": 0, "B": 0, "C": 0}, "n_sources": 0}


def test_repeats_of_a_source_count_once(predictions):
    twice = Predictions._make(np.concatenate([part, part]) for part in predictions)
    twice = twice._replace(weight=np.full(600, 0.5))
    chosen = np.arange(600) % 300 < 30
    one = score_well_characterised(predictions, chosen[:300], CLASSES, 50, 0)
    two = score_well_characterised(twice, chosen, CLASSES, 50, 0)
    assert two["n_sources"] == one["n_sources"] == 30
    assert two["members"] == one["members"]
    np.testing.assert_allclose(two["macro_f1"]["value"], one["macro_f1"]["value"])
