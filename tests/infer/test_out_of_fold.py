"""Out-of-fold likelihoods against densities refitted without the rows; the penalty's selection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.infer.out_of_fold import out_of_fold
from xbayes.infer.select_penalty import select_penalty
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.published.code_density import published_code_density
from xbayes.published.density import published_density

J = 3


@pytest.fixture(params=["smooth", "published", "published_code"], scope="module")
def density(request):
    evidence = np.array([False, False, True])
    if request.param == "smooth":
        return smooth_density(np.full((3, 2), np.nan), evidence, 4)
    if request.param == "published_code":
        return published_code_density(np.zeros((3, 4), bool))
    return published_density(evidence, np.zeros((3, 4), bool))


@pytest.fixture
def folded(density, four_classes):
    features, truth = four_classes
    fold = np.random.default_rng(1).integers(0, J, len(truth))
    prepared = jax.tree.map(jnp.asarray, density.prepare(features, np.ones(len(truth), bool)))
    statistics = density.statistics(prepared, features, jnp.asarray(truth), jnp.asarray(fold), J)
    held_out = out_of_fold(density, prepared, statistics, features, jnp.asarray(fold))
    return prepared, features, truth, fold, held_out


def refitted(density, prepared, features, truth, rows):
    """Log-likelihoods by densities of the given rows only, on the same grid."""
    fold = jnp.where(jnp.asarray(rows), 0, -1)
    statistics = density.statistics(prepared, features, jnp.asarray(truth), fold, 1)
    params = density.fit(prepared, jax.tree.map(lambda leaf: leaf[0], statistics))
    return np.asarray(density.log_lik(params, features))


def test_single_is_refitting_without_the_fold(density, folded):
    prepared, features, truth, fold, held_out = folded
    for j in range(J):
        expected = refitted(density, prepared, features, truth, fold != j)[fold == j]
        np.testing.assert_allclose(held_out.single[fold == j], expected, rtol=1e-7, atol=1e-9)


def test_nested_leaves_out_both_folds(density, folded):
    prepared, features, truth, fold, held_out = folded
    for j in range(J):
        for i in range(J):
            expected = refitted(density, prepared, features, truth, (fold != j) & (fold != i))
            rows = fold == i
            np.testing.assert_allclose(
                held_out.nested[j][rows], expected[rows], rtol=1e-7, atol=1e-9
            )


def test_selection_never_sees_the_fold_it_scores(density, folded):
    """Permuting the labels of fold 0 leaves the held-out scores of its rows unchanged."""
    _, _, truth, fold, held_out = folded
    model = naive_bayes((0, 0, 1), 4, "property")
    prior = jnp.log(jnp.bincount(jnp.asarray(truth), length=4) / len(truth))

    def held_out_scores(labels):
        return select_penalty(
            model,
            jax.random.key(0),
            held_out.nested,
            jnp.asarray(labels),
            jnp.asarray(fold),
            log_prior=prior,
            penalties=(10.0,),
        ).log_joint

    other = np.where(fold == 0, np.random.default_rng(3).permutation(truth), truth)
    before, after = held_out_scores(truth), held_out_scores(other)
    np.testing.assert_array_equal(before[fold == 0], after[fold == 0])
    assert not np.array_equal(before[fold == 1], after[fold == 1])


def test_the_selected_penalty_has_the_least_held_out_loss(density, folded):
    _, _, truth, fold, held_out = folded
    model = naive_bayes((0, 0, 1), 4, "matrix")
    prior = jnp.log(jnp.bincount(jnp.asarray(truth), length=4) / len(truth))
    penalties = (0.01, 10.0, 1e5)
    got = select_penalty(
        model,
        jax.random.key(0),
        held_out.nested,
        jnp.asarray(truth),
        jnp.asarray(fold),
        log_prior=prior,
        penalties=penalties,
    )
    assert got.penalty == penalties[np.argmin(got.held_out_loss)]
    log_posterior = jax.nn.log_softmax(got.log_joint)[jnp.arange(len(truth)), truth]
    np.testing.assert_allclose(-log_posterior.mean(), got.held_out_loss.min(), rtol=1e-9)
