"""The decision rules: argmax, class weights, and thresholds from expected scores."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import f1_score

from xbayes.classifier.decision import (
    NEVER,
    Decision,
    by_class_weight,
    by_threshold,
    decide,
    expected_scores,
    fit_class_weight,
    fit_rule,
    threshold_for,
)
from xbayes.classifier.held_out import HeldOutSample, reweighted

EXPECTED_F1 = Decision(kind="expected_f1")


def simulate(n, seed, group_size=1, log_prior=(0.6, 0.35, 0.05)):
    """Calibrated posteriors of three classes, the last of them rare."""
    rng = np.random.default_rng(seed)
    logit = 2.0 * rng.normal(size=(n // group_size, 3)) + np.log(log_prior)
    posterior = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    truth = np.array([rng.choice(3, p=p) for p in posterior])
    group = np.repeat(np.arange(len(truth)), group_size)
    return np.repeat(posterior, group_size, 0), np.repeat(truth, group_size), group


def f1(posterior, truth, weight):
    return f1_score(truth == 2, decide(posterior, by_class_weight(weight)) == 2)


def exact_expected_f1(p, chosen):
    """E[2 TP / (chosen + members)] over all labels of independent sources; 0 / 0 counts as 0."""
    total = 0.0
    for labels in product((0, 1), repeat=len(p)):
        y = np.array(labels)
        size = chosen.sum() + y.sum()
        if size:
            total += np.prod(np.where(y, p, 1 - p)) * 2 * (y * chosen).sum() / size
    return total


def subsets(n):
    return [np.array(chosen) for chosen in product((0, 1), repeat=n)]


def test_ones_are_the_most_probable_class():
    posterior, _, _ = simulate(100, 0)
    rule = by_class_weight(np.ones(3))
    np.testing.assert_array_equal(decide(posterior, rule), posterior.argmax(1))


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


def test_a_threshold_takes_the_focus_class_or_the_most_probable_other_one():
    posterior = np.array([[0.5, 0.1, 0.4], [0.2, 0.45, 0.35], [0.05, 0.15, 0.8], [0.3, 0.4, 0.3]])
    expected = [2, 1, 2, 1]
    rule = by_threshold(3, focus=2, threshold=0.4)
    np.testing.assert_array_equal(decide(posterior, rule), expected)
    traced = jax.jit(decide)(jnp.asarray(posterior), jax.tree.map(jnp.asarray, rule))
    np.testing.assert_array_equal(traced, expected)
    # A threshold above the largest p of the class gives the class to no source, even if it is the
    # most probable one.
    np.testing.assert_array_equal(decide(posterior, by_threshold(3, 2, NEVER)), [0, 1, 1, 1])


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_all_subsets_holds_the_largest_posteriors(seed):
    """Brute force over 2^N subsets and 2^N labels."""
    rng = np.random.default_rng(seed)
    p = np.sort(rng.beta(0.5, 0.8, 6))[::-1]
    exact = {tuple(chosen): exact_expected_f1(p, chosen) for chosen in subsets(len(p))}
    best = np.array(max(exact, key=lambda chosen: exact[chosen]))
    assert (np.diff(best) <= 0).all(), "the best subset is the first k"
    # The ratio of expectations loses little, although the class has two or three members here.
    chosen = (p >= threshold_for(EXPECTED_F1, p)).astype(int)
    assert exact[tuple(chosen)] > max(exact.values()) - 0.02


def test_the_loss_of_the_ratio_of_expectations_shrinks_with_the_number_of_members():
    """The exact expectation by the distributions of hits and misses, over all k."""

    def counts(p):
        """Distribution of the number of members among sources with these posteriors."""
        out = np.ones(1)
        for each in p:
            out = np.convolve(out, [1 - each, each])
        return out

    def exact(p, k):
        hits, missed = counts(p[:k]), counts(p[k:])
        a, b = np.arange(len(hits))[:, None], np.arange(len(missed))[None]
        return (hits[:, None] * missed * 2 * a / np.maximum(k + a + b, 1)).sum()

    loss = {}
    for n in (12, 48, 192):
        p = np.sort(np.random.default_rng(n).beta(0.3, 1.2, n))[::-1]
        f1_of = np.array([exact(p, k) for k in range(1, n + 1)])
        loss[n] = f1_of.max() - f1_of[(p >= threshold_for(EXPECTED_F1, p)).sum() - 1]
    assert loss[12] < 0.03
    assert loss[192] < 0.001


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_half_the_attainable_f1(seed):
    p = simulate(500, seed)[0][:, 2]
    threshold = threshold_for(EXPECTED_F1, p)
    of_all = [expected_scores(p, each).f1 for each in np.sort(p)]
    assert expected_scores(p, threshold).f1 == pytest.approx(max(of_all), rel=1e-12)
    assert threshold == pytest.approx(max(of_all) / 2, rel=1e-12)


def test_expected_scores_are_those_of_the_labels():
    posterior, truth, _ = simulate(60_000, 6)
    threshold = threshold_for(EXPECTED_F1, posterior[:, 2])
    chosen, member = posterior[:, 2] >= threshold, truth == 2
    expected = expected_scores(posterior[:, 2], threshold)
    assert expected.precision == pytest.approx(member[chosen].mean(), abs=0.03)
    assert expected.recall == pytest.approx(chosen[member].mean(), abs=0.03)
    assert expected.f1 == pytest.approx(f1_score(member, chosen), abs=0.03)
    assert expected.share == chosen.mean()


def test_the_threshold_is_as_good_as_the_best_class_weight_and_better_where_others_compete():
    """A class weight compares the class with the largest other one, not with all others."""
    rng = np.random.default_rng(7)
    focus, split = rng.beta(1.0, 2.0, 40_000), rng.choice([0.5, 1.0], 40_000)
    others = (1 - focus)[:, None] * np.stack([split, 1 - split], 1)
    posterior = np.column_stack([others, focus])
    truth = (rng.random(len(focus)) < focus).astype(int) * 2  # other classes do not matter here
    rule = by_threshold(3, 2, threshold_for(EXPECTED_F1, posterior[:, 2]))
    by_rule = f1_score(truth == 2, decide(posterior, rule) == 2)
    grid = max(f1(posterior, truth, np.array([1, 1, t])) for t in np.geomspace(0.1, 10, 80))
    assert by_rule > grid + 0.005


def test_the_set_of_a_precision_is_the_largest_one_that_has_it():
    posterior, truth, _ = simulate(60_000, 8)
    p = posterior[:, 2]
    for precision in (0.6, 0.9):
        threshold = threshold_for(Decision(kind="precision", precision=precision), p)
        found = expected_scores(p, threshold)
        assert precision <= found.precision < precision + 1e-3
        ordered = np.sort(p)[::-1]
        more = ordered[: int((p >= threshold).sum()) + 1]
        assert more.mean() < precision, "one source more would have too small a precision"
        assert (truth[p >= threshold] == 2).mean() == pytest.approx(precision, abs=0.04)


def test_rows_of_equal_posterior_are_chosen_together_or_not_at_all():
    p = np.array([0.95, 0.9, 0.8, 0.8, 0.8])
    threshold = threshold_for(Decision(kind="precision", precision=0.88), p)
    assert (p >= threshold).sum() == 2  # one 0.8 would leave 0.883, all three leave 0.85


def test_no_source_is_chosen_if_no_threshold_has_the_precision():
    assert threshold_for(Decision(kind="precision", precision=0.9), np.full(9, 0.5)) == NEVER
    assert threshold_for(EXPECTED_F1, np.zeros(9)) == NEVER
    assert np.isnan(expected_scores(np.full(9, 0.5), NEVER).precision)


def test_another_prior_is_the_threshold_of_a_sample_with_those_proportions():
    """Reweighted posteriors give what a sample drawn with the other proportions gives."""
    old, new = np.array([0.6, 0.35, 0.05]), np.array([0.3, 0.3, 0.4])
    rng = np.random.default_rng(9)

    def sample(share, n):
        truth = rng.choice(3, size=n, p=share)
        x = rng.normal(np.array([0.0, 1.5, 3.0])[truth])
        density = np.exp(-0.5 * (x[:, None] - np.array([0.0, 1.5, 3.0])) ** 2)
        return density * share / (density * share).sum(1, keepdims=True)

    posterior, weight = reweighted(sample(old, 80_000), np.log(old), np.log(new))
    direct = threshold_for(EXPECTED_F1, sample(new, 80_000)[:, 2])
    assert threshold_for(EXPECTED_F1, posterior[:, 2], weight) == pytest.approx(direct, abs=0.01)
    assert threshold_for(EXPECTED_F1, posterior[:, 2]) != pytest.approx(direct, abs=0.03)


def test_weights_count_like_copies():
    p, copies = (
        simulate(300, 10)[0][:, 2],
        np.random.default_rng(0).integers(0, 4, 300).astype(float),
    )
    for decision in (EXPECTED_F1, Decision(kind="precision", precision=0.5)):
        repeated = np.repeat(p, copies.astype(int))
        threshold = threshold_for(decision, p, copies)
        assert (repeated >= threshold).sum() == (
            repeated >= threshold_for(decision, repeated)
        ).sum()
        assert expected_scores(p, threshold, copies).f1 == pytest.approx(
            expected_scores(repeated, threshold).f1
        )


def test_a_threshold_needs_no_labels():
    posterior, truth, group = simulate(400, 11)
    sample = HeldOutSample(
        posterior=posterior, class_index=truth, group=group, outlier_p=np.ones(400)
    )
    other = sample._replace(class_index=np.zeros(400, int))
    for decision in (EXPECTED_F1, Decision(kind="precision", precision=0.7)):
        rules = [fit_rule(decision, 2, each, 0) for each in (sample, other)]
        assert rules[0].threshold == rules[1].threshold
        assert rules[0].focus == 2
    assert fit_rule(Decision(kind="f1"), 2, sample, 0).class_weight[2] != 1
    assert fit_rule(Decision(), 2, sample, 0).focus == -1
