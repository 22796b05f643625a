"""Brier decomposition against brute force; coverage and size of sets against counts."""

import numpy as np
import pytest

from xbayes.evaluate.probabilities import brier_parts, interval_width, set_scores, sharpness
from xbayes.evaluate.scores import Predictions, score

CLASSES = ("A", "B", "C")


def simulate(n=400, seed=0, overconfidence=1.0, weighted=True):
    rng = np.random.default_rng(seed)
    logit = 1.5 * rng.normal(size=(n, 3))
    honest = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    truth = np.array([rng.choice(3, p=p) for p in honest])
    p = honest**overconfidence / (honest**overconfidence).sum(1, keepdims=True)
    weight = rng.uniform(0.5, 2.0, n) if weighted else np.ones(n)
    return Predictions(
        truth=truth, posterior=p, prediction=p.argmax(1), group=np.arange(n), weight=weight
    )


def values(block):
    return {name: entry["value"] for name, entry in block.items()}


def test_the_parts_sum_to_the_score_exactly():
    p = simulate()
    parts = values(brier_parts(p, 5, 0))
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_bins"]
    assert total == pytest.approx(score(p, CLASSES, 5, 0)["brier"]["value"], abs=1e-12)


def test_the_parts_against_loops():
    p = simulate(weighted=False)
    expected = dict.fromkeys(("reliability", "resolution", "uncertainty"), 0.0)
    for c in range(3):
        f, o = p.posterior[:, c], p.truth == c
        expected["uncertainty"] += o.mean() * (1 - o.mean())
        for b in range(10):
            in_bin = (f >= b / 10) & ((f < (b + 1) / 10) | (b == 9))
            if in_bin.any():
                expected["reliability"] += (
                    in_bin.mean() * (f[in_bin].mean() - o[in_bin].mean()) ** 2
                )
                expected["resolution"] += in_bin.mean() * (o[in_bin].mean() - o.mean()) ** 2
    parts = values(brier_parts(p, 5, 0))
    for name, value in expected.items():
        assert parts[name] == pytest.approx(value, abs=1e-12)


def test_intervals_contain_their_values():
    """The noise of the bootstrap increases reliability, a sum of squares; centring corrects it."""
    for name, part in brier_parts(simulate(300, 2), 300, 0).items():
        assert part["lo"] <= part["value"] <= part["hi"], name


def test_overconfidence_costs_reliability_and_a_constant_has_no_resolution():
    honest, overconfident = (
        values(brier_parts(simulate(5000, overconfidence=o), 1, 0)) for o in (1.0, 3.0)
    )
    assert overconfident["reliability"] > 5 * honest["reliability"]
    p = simulate()
    share = np.average(np.eye(3)[p.truth], axis=0, weights=p.weight)
    constant = p._replace(posterior=np.tile(share, (len(p.truth), 1)))
    parts = values(brier_parts(constant, 1, 0))
    for name in ("reliability", "resolution", "within_bins"):
        assert parts[name] == pytest.approx(0.0, abs=1e-12)


def test_sharpness_at_its_limits():
    p = simulate(50)
    certain, uniform = (
        p._replace(posterior=q) for q in (np.eye(3)[p.truth], np.full((50, 3), 1 / 3))
    )
    assert values(sharpness(certain, 5, 0)) == {"confidence": 1.0, "entropy": 0.0}
    assert values(sharpness(uniform, 5, 0)) == pytest.approx(
        {"confidence": 1 / 3, "entropy": np.log(3)}
    )


def test_set_scores_against_counts():
    p = simulate(300, weighted=False)
    sets = np.random.default_rng(1).random((300, 3)) < 0.5
    flagged = np.random.default_rng(2).random(300) < 0.1
    got = set_scores(p, sets, CLASSES, 200, 0, flagged=flagged)
    held = sets[np.arange(300), p.truth]
    assert got["coverage"]["value"] == pytest.approx(held.mean())
    assert got["size"]["value"] == pytest.approx(sets.sum(1).mean())
    assert got["flagged"]["value"] == pytest.approx(flagged.mean())
    assert got["single"]["value"] == pytest.approx((sets.sum(1) == 1).mean())
    for c, name in enumerate(CLASSES):
        scores = got["by_class"][name]
        assert scores["coverage"]["value"] == pytest.approx(held[p.truth == c].mean())
        assert scores["size"]["value"] == pytest.approx(sets[p.truth == c].sum(1).mean())
        assert scores["coverage"]["lo"] < scores["coverage"]["value"] < scores["coverage"]["hi"]


def test_a_class_without_sources_has_no_coverage():
    p = simulate(100)
    p = p._replace(truth=np.minimum(p.truth, 1))
    got = set_scores(p, np.ones((100, 3), bool), CLASSES, 20, 0, flagged=np.zeros(100, bool))
    assert got["by_class"]["C"]["coverage"]["value"] is None
    assert got["coverage"]["value"] == 1.0


def test_interval_widths_are_those_of_the_predicted_class():
    interval = np.array(
        [
            [[0.7, 0.9], [0.0, 0.9], [0.0, 0.9]],
            [[0.5, 1.0], [0.0, 0.9], [0.0, 0.9]],
            [[0.0, 0.9], [0.3, 0.6], [0.0, 0.9]],
            [[0.6, 0.7], [0.0, 0.9], [0.0, 0.9]],
        ]
    )
    got = interval_width(interval, np.array([0, 0, 1, 0]), CLASSES)
    assert got["median"] == pytest.approx(0.25)  # of 0.2, 0.5, 0.3, 0.1
    assert got["by_prediction"]["A"] == pytest.approx(0.2)
    assert got["by_prediction"]["B"] == pytest.approx(0.3)
    assert got["by_prediction"]["C"] is None
