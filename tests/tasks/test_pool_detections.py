"""Votes against loops, the combination against Bayes' theorem, and the table of sources."""

import time

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.classifier.probabilities import class_posterior
from xbayes.errors import InputError
from xbayes.evaluate.scores import log_losses
from xbayes.evaluate.votes import (
    combine,
    effective_number,
    hard_vote,
    learn_rho,
    mean_log_odds,
    soft_vote,
    vote,
)
from xbayes.tasks.pool_detections import pool_detections

PRIOR = np.array([0.6, 0.3, 0.1])
LOG_PRIOR = np.log(PRIOR)
CLASSES = ("AGN", "Star", "XRB")


def random_detections(n_detections, n_sources, seed=0):
    """Posteriors and sources of detections; every source has at least one."""
    rng = np.random.default_rng(seed)
    source = np.append(np.arange(n_sources), rng.integers(0, n_sources, n_detections - n_sources))
    posterior = class_posterior(LOG_PRIOR + rng.normal(0, 1.5, (n_detections, 3)))
    return posterior, rng.permutation(source)


def gaussian_detections(n_sources, icc, seed, number=(1, 9), mean=(-1.0, 0.5, 2.0)):
    """Detections x = mean of the class + effect of the source + noise, of total variance 1.

    Returns x [D], source [D], truth [N] and each detection's own posterior [D C].
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n_sources, p=PRIOR)
    source = np.repeat(np.arange(n_sources), rng.integers(*number, n_sources))
    effect = rng.normal(0, np.sqrt(icc), n_sources)
    x = np.array(mean)[truth][source] + effect[source]
    x += rng.normal(0, np.sqrt(1 - icc), len(source))
    posterior = class_posterior(LOG_PRIOR - 0.5 * (x[:, None] - np.array(mean)) ** 2)
    return x, source, truth, posterior


def pooled(posterior, source, rho):
    evidence = mean_log_odds(posterior, LOG_PRIOR, source)
    return combine(evidence, np.bincount(source), LOG_PRIOR, rho)


def loss(posterior, source, truth, rho):
    return log_losses(truth, pooled(posterior, source, rho)).mean()


def learned(posterior, source, truth):
    evidence = mean_log_odds(posterior, LOG_PRIOR, source)
    return learn_rho(evidence, np.bincount(source), LOG_PRIOR, truth)


# Votes against loops.


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_every_vote_against_a_loop(seed, rho):
    posterior, source = random_detections(60, 17, seed)
    prediction = posterior.argmax(-1)
    got = vote(posterior, prediction, source, LOG_PRIOR, rho)
    for n in range(17):
        mine = [d for d in range(60) if source[d] == n]
        assert got.number[n] == len(mine)
        mean = [sum(posterior[d][c] for d in mine) / len(mine) for c in range(3)]
        np.testing.assert_allclose(got.mean[n], mean)
        np.testing.assert_allclose(got.sd[n], np.std(posterior[mine], axis=0), atol=1e-15)
        assert got.soft[n] == np.argmax(mean)
        votes = [sum(prediction[d] == c for d in mine) for c in range(3)]
        best = max(range(3), key=lambda c: (votes[c], mean[c]))
        assert got.hard[n] == best
        assert got.hard_share[n] == votes[best] / len(mine)
        assert got.unique[n] == (np.argmax(mean) == best)
        worth = len(mine) / (1 + (len(mine) - 1) * rho)
        score = PRIOR * np.prod((posterior[mine] / PRIOR) ** (worth / len(mine)), axis=0)
        np.testing.assert_allclose(got.combined[n], score / score.sum(), rtol=1e-9)


def test_probabilities_sum_to_one():
    posterior, source = random_detections(500, 90)
    got = vote(posterior, posterior.argmax(-1), source, LOG_PRIOR, 0.3)
    np.testing.assert_allclose(got.mean.sum(1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(got.combined.sum(1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.4, 1.0])
def test_one_detection_gives_its_own_posterior(rho):
    posterior, _ = random_detections(50, 50)
    got = vote(posterior, posterior.argmax(-1), np.arange(50), LOG_PRIOR, rho)
    np.testing.assert_array_equal(got.mean, posterior)
    np.testing.assert_allclose(got.combined, posterior, rtol=1e-12)
    assert (got.sd == 0).all()
    assert (got.hard_share == 1).all()
    assert got.unique.all()


def test_a_tie_goes_to_the_larger_mean():
    posterior = np.array([[0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    source = np.array([0, 0, 0])
    mean, _ = soft_vote(posterior, source)
    assert hard_vote(np.array([0, 1, 2]), source, mean)[0][0] == 1
    assert hard_vote(np.array([0, 0, 2]), source, mean)[0][0] == 0  # no tie, smaller mean
    hard, share = hard_vote(np.array([0, 2, 2]), source, mean)
    assert (hard[0], share[0]) == (2, 2 / 3)


def test_order_of_detections_changes_nothing():
    posterior, source = random_detections(300, 40)
    order = np.random.default_rng(1).permutation(300)
    one, other = (
        vote(posterior[o], posterior[o].argmax(-1), source[o], LOG_PRIOR, 0.5)
        for o in (np.arange(300), order)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_posteriors_of_zero_and_one_stay_finite():
    """As of a classifier whose posteriors underflow."""
    posterior = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]])
    got = pooled(posterior, np.zeros(3, int), 0.0)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, [[1, 0, 0]], atol=1e-100)


def test_a_million_detections_take_seconds():
    posterior, source = random_detections(1_000_000, 300_000)
    table = classified(posterior, source)
    started = time.process_time()
    assert len(pool_detections(table, "name", rho=0.5).table) == 300_000
    assert time.process_time() - started < 5


# Cases in which the combination is exactly Bayes' theorem.


def test_independent_detections_multiply():
    """rho = 0: the prior times the product of the densities."""
    mean = np.array([-1.0, 0.5, 2.0])
    x, source, _, posterior = gaussian_detections(200, 0.0, 3)
    for n, got in enumerate(pooled(posterior, source, 0.0)):
        joint = PRIOR.copy()
        for value in x[source == n]:
            joint = joint * np.exp(-0.5 * (value - mean) ** 2) / np.sqrt(2 * np.pi)
        np.testing.assert_allclose(got, joint / joint.sum(), rtol=1e-9)


def test_equally_correlated_gaussians_are_exact():
    """rho = the intraclass correlation: the joint normal density with that covariance."""
    from scipy.stats import multivariate_normal

    icc, mean = 0.35, np.array([-1.0, 0.5, 2.0])
    x, source, _, posterior = gaussian_detections(100, icc, 4)
    for n, got in enumerate(pooled(posterior, source, icc)):
        values = x[source == n]
        covariance = (1 - icc) * np.eye(len(values)) + icc
        joint = PRIOR * [
            multivariate_normal.pdf(values, np.full(len(values), m), covariance) for m in mean
        ]
        np.testing.assert_allclose(got, joint / joint.sum(), rtol=1e-8)


def test_effective_number_at_its_limits():
    number = np.array([1, 2, 10, 1000])
    np.testing.assert_array_equal(effective_number(number, 0.0), number)
    np.testing.assert_array_equal(effective_number(number, 1.0), 1.0)
    assert effective_number(number, 0.5).max() < 2.0


# Learning the correlation.


@pytest.mark.parametrize("icc", [0.2, 0.5, 0.8])
def test_the_learned_correlation_lowers_the_held_out_log_loss(icc):
    _, source, truth, posterior = gaussian_detections(4000, icc, 5)
    fit = learned(posterior, source, truth)
    assert fit.rho == pytest.approx(icc, abs=0.1)
    assert fit.n_sources == int((np.bincount(source) > 1).sum())
    _, source, truth, posterior = gaussian_detections(4000, icc, 6)
    best = loss(posterior, source, truth, fit.rho)
    assert best < loss(posterior, source, truth, 0.0)
    assert best < loss(posterior, source, truth, 1.0)


def test_independent_detections_have_rho_near_zero():
    _, source, truth, posterior = gaussian_detections(4000, 0.0, 7)
    assert learned(posterior, source, truth).rho < 0.05


@pytest.mark.parametrize("copies", [2, 5, 20])
def test_copies_of_one_detection_add_no_information(copies):
    """Control: with rho = 0 the posterior is overconfident, and its log loss larger."""
    _, _, truth, single = gaussian_detections(3000, 0.0, 8, number=(1, 2))
    source = np.repeat(np.arange(3000), copies)
    copied = np.repeat(single, copies, axis=0)
    fit = learned(copied, source, truth)
    alone = log_losses(truth, single).mean()
    assert fit.rho > 0.85
    assert loss(copied, source, truth, fit.rho) <= alone + 1e-12
    overconfident = pooled(copied, source, 0.0)
    assert log_losses(truth, overconfident).mean() > 1.05 * alone
    accuracy = (overconfident.argmax(-1) == truth).mean()
    assert overconfident.max(-1).mean() > accuracy + 0.03
    calibrated = pooled(copied, source, 1.0)
    assert calibrated.max(-1).mean() == pytest.approx(
        (calibrated.argmax(-1) == truth).mean(), abs=0.02
    )


def test_rho_has_the_lowest_log_loss_of_a_fine_grid():
    _, source, truth, posterior = gaussian_detections(500, 0.4, 9)
    fit = learned(posterior, source, truth)
    many = np.bincount(source) > 1
    grid = [
        log_losses(truth[many], pooled(posterior, source, r)[many]).mean()
        for r in np.linspace(0, 1, 501)
    ]
    assert fit.log_loss <= min(grid)


def test_unlabelled_and_single_detections_do_not_count():
    _, source, truth, posterior = gaussian_detections(800, 0.5, 10)
    number = np.bincount(source)
    hidden = np.where(np.arange(800) % 2, truth, -1)
    fit = learned(posterior, source, hidden)
    assert fit.n_sources == int(((hidden >= 0) & (number > 1)).sum())
    with pytest.raises(InputError, match="two or more"):
        learned(posterior, source, np.where(number == 1, truth, -1))


# The table.


def classified(posterior, source, **columns):
    """A table as `xbayes classify` writes it."""
    table = Table(masked=True)
    table["name"] = MaskedColumn(source)
    table["prediction"] = MaskedColumn(np.array(CLASSES)[posterior.argmax(-1)])
    for c, label in enumerate(CLASSES):
        table[f"p_{label}"] = MaskedColumn(posterior[:, c])
    for name, values in columns.items():
        table[name] = MaskedColumn(values)
    table.meta = {"CLASSES": ",".join(CLASSES), "PRIOR": PRIOR.tolist(), "NOPOOL": ["run_of_rows"]}
    return table


def test_the_table_of_sources():
    posterior, source = random_detections(300, 40)
    result = pool_detections(classified(posterior, source), "name", rho=0.5)
    table, votes = (
        result.table,
        vote(posterior, posterior.argmax(-1), source, LOG_PRIOR, 0.5),
    )
    names = np.asarray(table["name"])
    assert names[0] == source[0]  # in the order of first detections
    np.testing.assert_array_equal(table["n_detections"], votes.number[names])
    np.testing.assert_allclose(table["p_XRB"], votes.mean[names, 2])
    np.testing.assert_allclose(table["sd_XRB"], votes.sd[names, 2], atol=1e-15)
    np.testing.assert_allclose(table["combined_XRB"], votes.combined[names, 2])
    for column, index in (("soft_class", votes.soft), ("hard_class", votes.hard)):
        np.testing.assert_array_equal(table[column], np.array(CLASSES)[index[names]])
    np.testing.assert_allclose(table["hard_share"], votes.hard_share[names])
    agreement = np.where(votes.unique[names], "uniquely classified", "ambiguous")
    np.testing.assert_array_equal(table["vote"], agreement)
    assert {"uniquely classified", "ambiguous"} == set(agreement)
    best = np.array(CLASSES)[votes.combined.argmax(-1)[names]]
    np.testing.assert_array_equal(table["combined_class"], best)
    assert (result.rho, result.origin, result.doubts) == (0.5, "as given", ())


def test_groups_of_classes_are_pooled_like_classes():
    posterior, source = random_detections(40, 12)
    table = classified(posterior, source)
    table.meta["GROUPS"] = {"stellar": ["Star", "XRB"]}
    made = pool_detections(table, "name", rho=0.3).table
    for name in ("p", "combined"):
        both = made[f"{name}_Star"] + made[f"{name}_XRB"]
        np.testing.assert_allclose(made[f"{name}_stellar"], both, rtol=1e-12)
    # The deviation is that of the sum, not a sum of deviations.
    of_first = posterior[np.asarray(table["name"]) == made["name"][0]][:, 1:].sum(1)
    assert made["sd_stellar"][0] == pytest.approx(of_first.std())
    for name in ("p", "sd", "combined"):
        one, other = made[f"{name}_stellar"], made[f"{name}_Star"]
        assert one.description and one.meta["ucd"] == other.meta["ucd"]
    table.meta["GROUPS"] = {"stellar": ["Star", "CV"]}
    with pytest.raises(InputError, match=r"GROUPS is .*; classify it again"):
        pool_detections(table, "name", rho=0.3)


def test_names_as_text_and_as_numbers_are_the_same_sources():
    posterior, source = random_detections(300, 40)
    text = np.array([f"SRC {number:03d}" for number in source])
    tables = [
        pool_detections(classified(posterior, names), "name", rho=0.2).table
        for names in (source, text)
    ]
    assert tables[0]["name"].dtype.kind == "i"
    for name in tables[0].colnames[1:]:
        np.testing.assert_array_equal(tables[0][name], tables[1][name])


def test_a_decision_rule_gives_a_warning():
    posterior, source = random_detections(30, 10)
    table = classified(posterior, source)
    table["prediction"][:] = "XRB"
    result = pool_detections(table, "name", rho=0.5)
    assert (np.asarray(result.table["hard_class"]) == "XRB").all()
    assert "decision rule" in result.doubts[0]


def test_rho_is_learned_from_labels_and_otherwise_one():
    _, source, truth, posterior = gaussian_detections(4000, 0.5, 11)
    labelled = classified(posterior, source, true_class=np.array(CLASSES)[truth][source])
    result = pool_detections(labelled, "name")
    assert result.rho == pytest.approx(0.5, abs=0.1)
    assert "labelled sources of the catalogue" in result.origin
    result = pool_detections(classified(posterior, source), "name")
    assert result.rho == 1.0
    assert result.origin.startswith("the default")


def damaged(change):
    posterior, source = random_detections(30, 10)
    table = classified(posterior, source)
    change(table)
    return table


def mask(table, name, row):
    table[name].mask[row] = True


def drop_meta(key):
    return lambda table: table.meta.pop(key)


@pytest.mark.parametrize(
    ("change", "by", "says"),
    [
        (lambda t: None, "nmae", "lacks column 'nmae' .*did you mean 'name'"),
        (lambda t: None, "run_of_rows", "may be made from labels"),
        (lambda t: None, "prediction", "may be made from labels"),
        (lambda t: None, "p_AGN", "must be text or a whole number"),
        (lambda t: mask(t, "name", 4), "name", "1 detections name no source, the first in row 5"),
        (lambda t: t.remove_columns(["p_AGN", "p_Star", "p_XRB"]), "name", "lacks p_AGN, p_Star"),
        (lambda t: mask(t, "p_XRB", 2), "name", "first in row 3"),
        (lambda t: t["p_XRB"].__setitem__(6, 0.9), "name", "sums to 1, the first in row 7"),
        (lambda t: t["p_XRB"].__setitem__(6, -0.9), "name", "sums to 1, the first in row 7"),
        (lambda t: t["prediction"].__setitem__(1, "SN"), "name", "no class in row 2"),
        (lambda t: t.rename_column("name", "vote"), "vote", "two columns 'vote'"),
        (drop_meta("CLASSES"), "name", "--run RUN"),
        (drop_meta("PRIOR"), "name", "the prior, --prior"),
        (lambda t: t.meta.update(PRIOR=[1.0, 0.0, 0.0]), "name", "damaged"),
        (lambda t: t.meta.update(PRIOR="AGN"), "name", "damaged"),
    ],
)
def test_wrong_catalogues_are_refused(change, by, says):
    with pytest.raises(InputError, match=says):
        pool_detections(damaged(change), by, rho=0.5)


def test_labels_of_two_classes_for_one_source_are_refused():
    table = damaged(lambda t: None)
    table["true_class"] = np.where(np.arange(30) % 2, "AGN", "XRB")
    with pytest.raises(InputError, match=r"labels of two classes, (AGN and XRB|XRB and AGN)"):
        pool_detections(table, "name")
    assert len(pool_detections(table, "name", rho=1.0).table) == 10


def test_the_prior_option_must_agree_with_the_file():
    bare = damaged(drop_meta("PRIOR"))
    given = {"AGN": 0.6, "Star": 0.3, "XRB": 0.1}
    in_file = pool_detections(damaged(lambda t: None), "name", prior=given, rho=0.0).table
    from_option = pool_detections(bare, "name", prior=given, rho=0.0).table
    np.testing.assert_allclose(in_file["combined_XRB"], from_option["combined_XRB"])
    with pytest.raises(InputError, match=r"classified under, AGN=0\.6,Star=0\.3,XRB=0\.1"):
        pool_detections(
            damaged(lambda t: None), "name", prior={"AGN": 0.5, "Star": 0.4, "XRB": 0.1}
        )
