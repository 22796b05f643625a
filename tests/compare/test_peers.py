"""Third-party classifiers get the same data and folds as ours, and never see a test row."""

import sys

import jax
import numpy as np
import pytest

from xbayes.classifier.decision import fit_class_weight
from xbayes.classifier.recipe import Recipe
from xbayes.compare import cross_validate_peer, hard_rules
from xbayes.compare.peers import PEERS, Sample, chosen_peers
from xbayes.compare.plan import Folds
from xbayes.errors import InputError
from xbayes.evaluate import cross_validate
from xbayes.evaluate.cross_validate import nested_splits
from xbayes.evaluate.scores import log_losses
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Labels, Names

NAMES = ("fx_g", "abs_b", "gamma")
FOLDS = Folds(outer=3, repeats=1, inner=2, seed=5)
FEW = {
    "random_forest": ({"n_estimators": 10, "min_samples_leaf": 3}, ()),
    "hist_gradient_boosting": ({"max_iter": 12, "max_leaf_nodes": 8}, (4, 12)),
    "lightgbm": ({"n_estimators": 12, "num_leaves": 8}, (4, 12)),
    "explainable_boosting": ({"interactions": 0, "outer_bags": 1, "max_rounds": 30}, ()),
    "hard_rules": ({}, ()),
}


def quick(name):
    settings, stages = FEW[name]
    return PEERS[name]._replace(settings=(settings,), stages=stages)


def held_out(name, features, truth, folds=FOLDS, calibration="none", **options):
    labels = Labels(truth, np.arange(len(truth)))
    options |= {"names": NAMES, "n_classes": 4, "focus": 2, "calibration": calibration}
    return cross_validate_peer.cross_validate_peer(quick(name), features, labels, folds, **options)


def physical(four_classes):
    """The features of the fixture, shifted to the thresholds of the hard rules."""
    features, truth = four_classes
    value = features.value * [1.0, 15.0, 0.5] + [-6.5, 25.0, 1.9]
    return features._replace(value=np.where(features.measured, value, 0.0)), truth


@pytest.mark.parametrize("name", list(PEERS))
def test_every_peer_beats_the_class_proportions(name, four_classes):
    pytest.importorskip(PEERS[name].library)
    features, truth = physical(four_classes)
    found = held_out(name, features, truth)
    share = np.bincount(truth) / len(truth)
    loss = log_losses(truth, found.posterior[0]).mean()
    assert loss < -(share * np.log(share)).sum() - 0.05
    np.testing.assert_allclose(found.posterior.sum(-1), 1.0)
    assert set(np.unique(found.prediction)) <= set(range(4))
    assert found.fit_seconds > 0
    assert len(found.chosen) == 3


@pytest.mark.slow
def test_peers_have_the_folds_of_configs(four_classes, monkeypatch):
    """A spy on the splits: a config and a peer get the same ones."""
    features, truth = four_classes
    seen = []

    def spy(*arguments, **options):
        for split in nested_splits(*arguments, **options):
            seen.append(split)
            yield split

    monkeypatch.setattr(cross_validate, "nested_splits", spy)
    monkeypatch.setattr(cross_validate_peer, "nested_splits", spy)
    peer = held_out("hard_rules", *physical(four_classes))
    density = smooth_density(np.full((3, 2), np.nan), np.array([False, False, True]), 4)
    properties = Names(NAMES, ("x", "y"), (0, 0, 1), ("A", "B", "C", "D"))
    recipe = Recipe(density, naive_bayes((0, 0, 1), 4, "property"), properties, (30.0,), 1, 2)
    labels = Labels(truth, np.arange(len(truth)))
    ours = cross_validate.cross_validate(
        recipe, features, labels, jax.random.key(0), n_folds=3, seed=5
    )
    np.testing.assert_array_equal(ours.outer_fold, peer.outer_fold)
    for one, other in zip(seen[:3], seen[3:], strict=True):
        np.testing.assert_array_equal(one.test, other.test)
        np.testing.assert_array_equal(one.inner, other.inner)
        assert one.seed == other.seed


@pytest.mark.parametrize("name", ["random_forest", "hist_gradient_boosting", "hard_rules"])
def test_a_peer_never_sees_the_test_fold(name, four_classes):
    """Wild values and other labels in the test fold change neither model, calibration nor rule."""
    features, truth = physical(four_classes)
    labels = Labels(truth, np.arange(len(truth)))
    split = next(nested_splits(labels, *FOLDS))
    x = np.where(features.measured, features.value, np.nan)
    wild, other = x.copy(), truth.copy()
    wild[split.test] = 1e3 * np.random.default_rng(0).normal(size=wild[split.test].shape)
    other[split.test] = 3 - truth[split.test]
    fits = [
        cross_validate_peer.fit_peer(
            quick(name), Sample(values, classes, 4, NAMES), labels.group, split, 2, "temperature"
        )
        for values, classes in ((x, truth), (wild, other), (wild[::-1].copy(), truth))
    ]
    p, q, r = (cross_validate_peer.apply_peer(quick(name), fit, x, None) for fit in fits)
    np.testing.assert_array_equal(p, q)
    np.testing.assert_array_equal(fits[0].class_weight, fits[1].class_weight)
    assert not np.array_equal(p, r)  # the control: training rows do matter


def test_the_rule_is_tuned_on_held_out_calibrated_probabilities(four_classes, monkeypatch):
    features, truth = physical(four_classes)
    seen = []

    def spy(posterior, classes, group, focus, seed):
        seen.append((posterior, classes, focus))
        return fit_class_weight(posterior, classes, group, focus, seed)

    monkeypatch.setattr(cross_validate_peer, "fit_class_weight", spy)
    found = held_out("random_forest", features, truth, calibration="temperature")
    assert all("calibration temperature" in text for text in found.chosen)
    for k, (posterior, classes, focus) in enumerate(seen):
        np.testing.assert_array_equal(classes, truth[found.outer_fold[0] != k])
        assert focus == 2
        # In sample a forest would be nearly perfect.
        assert log_losses(classes, posterior).mean() > 0.3


def test_a_given_prior_replaces_the_training_proportions(four_classes):
    features, truth = physical(four_classes)
    plain = held_out("hard_rules", features, truth).posterior[0]
    flat = held_out("hard_rules", features, truth, log_prior=np.full(4, -np.log(4))).posterior[0]
    share = np.bincount(truth) / len(truth)
    expected = plain / share / (plain / share).sum(1, keepdims=True)
    np.testing.assert_allclose(flat, expected, atol=0.01)  # proportions of folds are rounded


def test_hard_rules_sort_textbook_sources_as_astronomers_do():
    names = ("parallax_snr", "fx_g", "w1_w2", "abs_b", "gamma", "var_inter")
    nan = np.nan
    x = np.array(
        [
            [2.0, -9.0, 0.0, 5.0, 2.0, 0.1],  # nearby bright star
            [2.0, -4.0, 0.0, 5.0, 2.0, 0.1],  # accreting white dwarf with a parallax
            [nan, -5.0, 1.2, 60.0, 1.9, 0.1],  # quasar
            [nan, -5.0, 0.2, 60.0, 1.9, 0.1],  # quasar without the colour
            [nan, -4.0, 0.2, 2.0, 1.0, 0.99],  # variable in the plane
            [nan, nan, nan, 2.0, 0.5, 0.1],  # hard, no counterpart
        ]
    )
    leaves = hard_rules.leaf_names(x, names)
    assert leaves == [
        "a star with a parallax",
        "compact, with a parallax",
        "infrared colour of an AGN",
        "off the plane, spectrum of an AGN",
        "in the plane, variable",
        "no counterpart, in the plane, hard",
    ]


def test_leaves_are_smoothed_class_frequencies():
    names = ("powlaw_gamma", "var_prob_b")
    x = np.array([[1.0, 0.1]] * 3 + [[1.9, 0.1]] * 5)
    truth = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    tree = hard_rules.fit_rules(x, truth, 2, names)
    got = hard_rules.predict_rules(tree, x)
    overall = np.array([2, 6]) / 8
    np.testing.assert_allclose(got[0], (np.array([2, 1]) + overall) / 4)
    np.testing.assert_allclose(got[-1], (np.array([0, 5]) + overall) / 6)
    unseen = hard_rules.predict_rules(tree, np.array([[5.0, 0.1]]))
    np.testing.assert_allclose(unseen[0], overall)


def test_rules_without_their_features_are_refused():
    with pytest.raises(InputError, match="hard_rules needs features named"):
        hard_rules.fit_rules(np.zeros((4, 1)), np.array([0, 1, 0, 1]), 2, ("a",))


def test_peers_by_name(monkeypatch):
    assert chosen_peers(["hard_rules", "hard_rules"]) == ["hard_rules"]
    with pytest.raises(InputError, match=r"no such peer.*random_forest"):
        chosen_peers(["random_forrest"])
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(
        InputError, match=r"'lightgbm' is not installed; pip install 'xbayes\[peers"
    ):
        chosen_peers(["all"])
