"""Scores against scikit-learn, intervals against simulations."""

import numpy as np
import pytest
from sklearn import metrics as reference

from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import (
    Predictions,
    calibrated_ece_quantile,
    confusion,
    proportion_weights,
    score,
)

CLASSES = ("A", "B", "C")


def simulate(n, seed=0, sharpness=1.5, overconfidence=1.0, group_size=1):
    """Predictions that are calibrated with overconfidence 1."""
    rng = np.random.default_rng(seed)
    n_groups = n // group_size
    logit = np.repeat(sharpness * rng.normal(size=(n_groups, 3)), group_size, axis=0)
    probability = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    by_group = [rng.choice(3, p=p) for p in probability[::group_size]]
    p = np.exp(overconfidence * logit)
    p /= p.sum(1, keepdims=True)
    return Predictions(
        truth=np.repeat(by_group, group_size),
        posterior=p,
        prediction=p.argmax(1),
        group=np.repeat(np.arange(n_groups), group_size),
        weight=np.ones(len(p)),
    )


def test_scores_are_those_of_scikit_learn():
    p = simulate(500)
    got = score(p, CLASSES, 50, 0)
    np.testing.assert_array_equal(
        got["confusion"], reference.confusion_matrix(p.truth, p.prediction)
    )
    for name, function in (
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
        ("f1", reference.f1_score),
    ):
        expected = function(p.truth, p.prediction, average=None)
        np.testing.assert_allclose([got[name][c]["value"] for c in CLASSES], expected)
    assert got["macro_f1"]["value"] == pytest.approx(
        reference.f1_score(p.truth, p.prediction, average="macro")
    )
    assert got["log_loss"]["value"] == pytest.approx(reference.log_loss(p.truth, p.posterior))
    brier = ((p.posterior - np.eye(3)[p.truth]) ** 2).sum(1).mean()
    assert got["brier"]["value"] == pytest.approx(brier)


def test_ece_is_the_binned_gap():
    p = simulate(400, overconfidence=2.0)
    top, hit = p.posterior.max(1), p.posterior.argmax(1) == p.truth
    bins = np.minimum((top * 10).astype(int), 9)
    expected = sum(
        abs(top[bins == b].mean() - hit[bins == b].mean()) * (bins == b).mean() for b in set(bins)
    )
    assert score(p, CLASSES, 10, 0)["ece"]["value"] == pytest.approx(expected)


def test_weights_act_like_repeated_rows():
    p = simulate(200)
    times = np.random.default_rng(1).integers(0, 4, 200)
    weighted = score(p._replace(weight=times.astype(float)), CLASSES, 1, 0)
    repeated = Predictions._make(np.repeat(part, times, axis=0) for part in p)
    repeated = score(repeated, CLASSES, 1, 0)
    for name in ("macro_f1", "log_loss", "brier", "ece", "accuracy"):
        assert weighted[name]["value"] == pytest.approx(repeated[name]["value"])


def test_clipping_bounds_the_loss():
    certain_and_wrong = Predictions(
        truth=np.array([0]),
        posterior=np.array([[0.0, 1.0, 0.0]]),
        prediction=np.array([1]),
        group=np.array([0]),
        weight=np.ones(1),
    )
    got = score(certain_and_wrong, CLASSES, 1, 0)["log_loss"]["value"]
    assert got == pytest.approx(-np.log(1e-6 / (1 + 2e-6)))


def test_a_class_never_predicted_has_no_precision_and_zero_f1():
    p = simulate(100)
    never = p._replace(prediction=np.zeros(100, int))
    got = score(never, CLASSES, 20, 0)
    assert got["precision"]["B"]["value"] is None
    assert got["f1"]["B"]["value"] == 0.0


def test_a_calibrated_model_stays_below_its_ece_quantile_and_an_overconfident_one_does_not():
    honest = [simulate(400, seed) for seed in range(60)]
    over = [
        score(p, CLASSES, 1, 0)["ece"]["value"] > calibrated_ece_quantile(p, n_draws=200)
        for p in honest
    ]
    assert sum(over) <= 8  # 3 expected; more than 8 has p < 0.01
    overconfident = simulate(400, 1, overconfidence=3.0)
    ece = score(overconfident, CLASSES, 1, 0)["ece"]["value"]
    assert ece > calibrated_ece_quantile(overconfident)


def coverage(group_size, by_group):
    """In how many of 100 samples the 90 % interval of the accuracy contains the true accuracy."""
    truth = score(simulate(200_000, 99), CLASSES, 1, 0)["accuracy"]["value"]
    inside = 0
    for seed in range(100):
        p = simulate(300, seed, group_size=group_size)
        if not by_group:
            p = p._replace(group=np.arange(300))
        interval = score(p, CLASSES, 200, seed)["accuracy"]
        inside += interval["lo"] <= truth <= interval["hi"]
    return inside


def test_paired_differences_use_the_same_draws():
    """Shared errors drop out: the interval is narrower than that of independent samples."""
    rng = np.random.default_rng(4)
    n, classes = 600, ("a", "b")
    truth = rng.integers(0, 2, n)
    wrong = rng.random(n) < 0.3
    top = rng.uniform(0.6, 0.9, n)
    chosen = np.where(wrong, 1 - truth, truth)
    better = np.where(rng.random(n) < 0.1, truth, chosen)

    def predictions(prediction):
        posterior = np.where(np.eye(2)[prediction] > 0, top[:, None], 1 - top[:, None])
        return Predictions(
            truth=truth,
            posterior=posterior,
            prediction=prediction,
            group=np.arange(n),
            weight=np.ones(n),
        )

    first, second = predictions(chosen), predictions(better)
    got = paired_differences(first, second, classes, 500, 0)
    scores = [score(p, classes, 500, 0) for p in (first, second)]
    for name in ("f1", "log_loss"):
        one, two = (block[name]["b"] if name == "f1" else block[name] for block in scores)
        change = got[name]["b"] if name == "f1" else got[name]
        assert change["value"] == pytest.approx(two["value"] - one["value"])
        independent = np.hypot(one["hi"] - one["lo"], two["hi"] - two["lo"])
        assert change["lo"] < change["value"] < change["hi"]
        assert change["hi"] - change["lo"] < 0.7 * independent
    same = paired_differences(first, first, classes, 50, 0)
    assert same["f1"]["a"] == {"value": 0.0, "lo": 0.0, "hi": 0.0}
    with pytest.raises(ValueError, match="same sources"):
        paired_differences(first, second._replace(truth=1 - truth), classes, 50, 0)


@pytest.mark.slow
def test_intervals_cover_and_ignoring_groups_does_not():
    assert coverage(1, True) >= 80  # 90 expected; fewer than 80 has p < 0.002
    assert coverage(10, True) >= 78
    assert coverage(10, False) <= 65  # ten detections of a source are not ten sources


def test_proportion_weights_give_the_proportions():
    truth = np.repeat([0, 1, 2], [80, 15, 5])
    weight = proportion_weights(truth, np.array([0.2, 0.3, 0.5]))
    np.testing.assert_allclose(np.bincount(truth, weight) / 100, [0.2, 0.3, 0.5])
    p = Predictions(truth, np.eye(3)[truth], truth, np.arange(100), weight)
    np.testing.assert_allclose(confusion(p, 3).sum(1) / 100, [0.2, 0.3, 0.5])
