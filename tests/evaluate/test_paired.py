"""Paired differences against brute force and known variance, and the standing of variants."""

import numpy as np
import pytest

from xbayes.evaluate.paired import difference, is_real, shared_draws, standing
from xbayes.evaluate.scores import Predictions, log_losses

N, C = 400, 3


def predictions(sharpness, noise_seed, group=None, seed=0, n=N):
    """Posteriors of the given sharpness; `noise_seed` makes the errors of a variant."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng(noise_seed)
    truth = rng.choice(C, n, p=[0.5, 0.3, 0.2])
    logit = sharpness * np.eye(C)[truth] + noise.normal(size=(n, C))
    p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    group = np.arange(n) if group is None else group
    return Predictions(truth, p, p.argmax(1), group, np.ones(n))


def test_draws_agree_with_brute_force_over_groups():
    group = np.repeat(np.arange(80), 5)
    pair = [predictions(2.0, 1, group), predictions(1.5, 2, group)]
    draws = shared_draws(pair, 2, C, 50, 7)
    rng = np.random.default_rng(7)
    times = rng.multinomial(80, np.full(80, 1 / 80), size=50)
    for s in (0, 49):
        rows = np.repeat(np.arange(N), times[s][group])
        for v, one in enumerate(pair):
            loss = log_losses(one.truth[rows], one.posterior[rows]).mean()
            np.testing.assert_allclose(draws.drawn["log_loss"][v, s], loss)
            hit = ((one.truth == 2) & (one.prediction == 2))[rows].sum()
            f1 = 2 * hit / ((one.truth == 2)[rows].sum() + (one.prediction == 2)[rows].sum())
            np.testing.assert_allclose(draws.drawn["f1"][v, s], f1)


@pytest.mark.parametrize("size", [1, 5])
def test_the_interval_has_the_known_width(size):
    """The standard error of a mean difference; with groups, that of the sums over groups."""
    group = np.repeat(np.arange(N // size), size)
    rng = np.random.default_rng(3)
    shared = np.repeat(rng.normal(size=(N // size, C)), size, axis=0)  # a group shares its error

    def variant(noise):
        truth = np.repeat(np.random.default_rng(0).integers(0, C, N // size), size)
        logit = 1.5 * np.eye(C)[truth] + noise
        p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
        return Predictions(truth, p, p.argmax(1), group, np.ones(N))

    pair = [variant(0.0 * shared), variant(shared)]
    found = difference(shared_draws(pair, 0, C, 4000, 1), "log_loss", 0, 1)
    change = log_losses(pair[1].truth, pair[1].posterior)
    change = change - log_losses(pair[0].truth, pair[0].posterior)
    assert found["value"] == pytest.approx(change.mean())
    sums = np.bincount(group, change)
    error = sums.std() * np.sqrt(len(sums)) / N
    assert (found["hi"] - found["lo"]) / (2 * 1.645 * error) == pytest.approx(1.0, abs=0.08)
    # With independent rows the interval would be too narrow by the root of the group size.
    if size > 1:
        assert found["hi"] - found["lo"] > 1.8 * 2 * 1.645 * change.std() / np.sqrt(N)


def test_probability_of_being_better_and_its_sign():
    good, bad = predictions(3.0, 1), predictions(1.0, 2)
    draws = shared_draws([good, bad], 0, C, 300, 0)
    loss, f1 = difference(draws, "log_loss", 0, 1), difference(draws, "f1", 0, 1)
    assert loss["value"] > 0 and loss["p_better"] == 0.0  # lower is better
    assert f1["value"] < 0 and f1["p_better"] == 0.0
    back = difference(draws, "log_loss", 1, 0)
    assert back["p_better"] == 1.0 and back["value"] == -loss["value"]
    assert is_real(loss) and is_real(back)


def test_identical_variants_are_never_best():
    one = predictions(2.0, 1)
    draws = shared_draws([one, one, predictions(0.5, 2)], 0, C, 300, 0)
    for name in ("log_loss", "f1", "brier"):
        assert standing(draws, name) == ["alike", "alike", ""]
    tie = difference(draws, "log_loss", 0, 1)
    assert tie == {"value": 0.0, "lo": 0.0, "hi": 0.0, "p_better": 0.5}
    assert not is_real(tie)


def test_a_clearly_better_variant_is_best_and_a_hardly_better_one_is_not():
    good, near = predictions(3.0, 1), predictions(3.0, 2)
    far = [predictions(0.5, seed) for seed in (3, 4)]
    clear = shared_draws([far[0], good, far[1]], 0, C, 300, 0)
    assert standing(clear, "log_loss") == ["", "best", ""]
    close = shared_draws([good, near, far[0]], 0, C, 300, 0)
    assert standing(close, "log_loss") == ["alike", "alike", ""]


def test_a_variant_without_score_is_never_best():
    draws = shared_draws([predictions(3.0, 1), predictions(1.0, 2)], 0, C, 50, 0)
    draws.value["f1"][0] = draws.drawn["f1"][0] = np.nan
    assert standing(draws, "f1") == ["", ""]  # a single variant has no standing
    assert difference(draws, "f1", 0, 1)["value"] is None


def test_repeats_of_a_source_are_drawn_together():
    one = predictions(2.0, 1)
    twice = Predictions._make(np.concatenate([a, a]) for a in one)
    twice = twice._replace(weight=np.full(2 * N, 0.5))
    single, double = (shared_draws([p, p], 0, C, 50, 3) for p in (one, twice))
    for name in ("log_loss", "f1", "ece"):
        np.testing.assert_allclose(single.drawn[name], double.drawn[name], rtol=1e-9)
