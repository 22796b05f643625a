"""The learned assignment matrix, against explicit sums over clusters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.models.assignment_matrix import AssignmentParams, assignment_model

N, K, C = 9, 3, 4


@pytest.fixture
def clusters():
    """Shares P(k | c), class-independent densities p(x | k), and class proportions."""
    rng = np.random.default_rng(2)
    share = rng.dirichlet(np.ones(K), C)  # [C, K]
    return share, np.exp(rng.normal(-3, 2, (N, K))), rng.dirichlet(np.ones(C))


def params(proportions, tilt=None, temperature=1.0, offset=None):
    return AssignmentParams(
        log_prior=jnp.log(jnp.asarray(proportions)),
        offset=jnp.zeros(C) if offset is None else jnp.asarray(offset),
        log_temperature=jnp.log(jnp.asarray(temperature)),
        tilt=jnp.zeros((K, C)) if tilt is None else jnp.asarray(tilt),
    )


def test_without_tilt_it_is_responsibility_times_assignment(clusters):
    """The published sum over k of r_k(x) A[k, c], by loops."""
    share, density, proportions = clusters
    posterior = np.zeros((N, C))
    for n in range(N):
        joint = [[proportions[c] * share[c, k] * density[n, k] for c in range(C)] for k in range(K)]
        total = sum(map(sum, joint))
        for k in range(K):
            size = sum(proportions[c] * share[c, k] for c in range(C))
            responsibility = sum(joint[k]) / total
            for c in range(C):
                posterior[n, c] += responsibility * proportions[c] * share[c, k] / size
    x = np.log(share.T[None] * density[:, :, None])
    got = jax.nn.softmax(assignment_model(K, C).log_joint(params(proportions), jnp.asarray(x)))
    np.testing.assert_allclose(got, posterior, rtol=1e-10)


def test_scores_are_the_formula(clusters):
    share, density, proportions = clusters
    rng = np.random.default_rng(3)
    tilt, offset = rng.normal(size=(K, C)), rng.normal(size=C)
    expected = np.zeros((N, C))
    for n, c in np.ndindex(N, C):
        total = sum(share[c, k] * density[n, k] * np.exp(tilt[k, c]) for k in range(K))
        expected[n, c] = np.log(proportions[c]) + offset[c] + 0.7 * np.log(total)
    x = jnp.asarray(np.log(share.T[None] * density[:, :, None]))
    model = assignment_model(K, C)
    got = model.log_joint(params(proportions, tilt, 0.7, offset), x)
    np.testing.assert_allclose(
        np.diff(got, axis=1), np.diff(expected, axis=1), rtol=1e-9, atol=1e-9
    )
    by_vector = model.box.params(
        params(proportions), jnp.concatenate([tilt.ravel(), jnp.log(jnp.array([0.7])), offset])
    )
    np.testing.assert_allclose(model.log_joint(by_vector, x), got)
    warmer = model.rescale(by_vector, jnp.log(2.0), jnp.ones(C))
    np.testing.assert_allclose(
        model.scores(warmer, model.design(x)) - offset - 1,
        2 * (model.scores(by_vector, model.design(x)) - offset),
        rtol=1e-9,
    )


def test_units_do_not_matter_and_gradients_are_finite(clusters):
    share, density, proportions = clusters
    model = assignment_model(K, C)
    x = jnp.asarray(np.log(share.T[None] * density[:, :, None]))
    start = model.init(jax.random.key(0), x)
    np.testing.assert_allclose(
        model.log_joint(start, x + 7.0), model.log_joint(start, x), atol=1e-12
    )
    slope = jax.grad(lambda p: model.log_joint(p, x)[:, 0].sum())(start)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert model.penalty(params(proportions)) == 0


@pytest.mark.parametrize("sizes", [(0, 3), (2, 1)])
def test_wrong_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="a cluster and two classes"):
        assignment_model(*sizes)
