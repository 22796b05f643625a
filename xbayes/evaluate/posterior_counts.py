"""Number of sources of each class in a catalogue, from their posteriors.

The maximum-likelihood proportions pi of Saerens et al. 2002 (xbayes.evaluate.proportions) assume
exact posteriors. Posteriors learned from few labelled sources have errors, and an error of the odds
that is small for one source adds up over a catalogue. The posteriors are therefore recalibrated:

    q_c is proportional to exp(a ln p_c + b_c),  with a and b fitted to the out-of-fold labels

(temperature and bias: Alexandari, Kundaje & Shrikumar 2020, ICML, arXiv 1901.06852). Each draw of
the counts uses the a and b of one draw of the Bayesian bootstrap over groups. If the errors of the
odds have another form (densities of few sources), the intervals are too narrow.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.classifier.probabilities import clipped
from xbayes.evaluate.counts import PSEUDO_SOURCES, Counts
from xbayes.evaluate.proportions import drawn_counts, most_likely

DRAWS = 200
NEWTON_STEPS = 15
GIBBS_STEPS = 20  # starting at the maximum-likelihood proportions
ENOUGH = 20_000  # sources used for the proportions; all sources are counted


def posterior_counts(
    labelled: Float[np.ndarray, "L C"],
    truth: Int[np.ndarray, "L"],
    group: Int[np.ndarray, "L"],
    posterior: Float[np.ndarray, "N C"],
    seed: int,
    n_draws: int = DRAWS,
) -> Counts:
    """Class counts of N sources; `labelled` are the out-of-fold posteriors of labelled sources.

    Both posteriors must have the same prior; b absorbs its value.
    """
    _, member = np.unique(group, return_inverse=True)
    rng = np.random.default_rng(seed)
    weight = rng.standard_exponential((n_draws, member.max() + 1))[:, member]
    keys = jax.random.split(jax.random.key(seed), n_draws)
    log_p = [jnp.asarray(np.log(clipped(p))) for p in (labelled, posterior)]
    every = -(-len(posterior) // ENOUGH)
    drawn = _all_counts(every, *log_p, jnp.asarray(truth), jnp.asarray(weight), keys)
    return Counts(draws=np.asarray(drawn, np.float64))


@partial(jax.jit, static_argnums=0)
def _all_counts(every: int, labelled, log_p, truth, weight, keys) -> Float[Array, "S C"]:
    one = partial(_counts_of_draw, every, labelled, log_p, truth)
    return jax.lax.map(lambda drawn: one(*drawn), (weight.astype(log_p.dtype), keys))


def _counts_of_draw(
    every: int, labelled, log_p, truth, weight: Float[Array, "L"], key: PRNGKeyArray
) -> Float[Array, "C"]:
    n_classes = log_p.shape[1]
    hit = jax.nn.one_hot(truth, n_classes, dtype=log_p.dtype)
    theta = _recalibration(labelled, hit, weight)
    # The recalibrated posteriors have the proportions of the labelled sample as their prior.
    share = (weight @ hit + 1 / n_classes) / (weight.sum() + 1)
    evidence = jax.nn.softmax(_logits(theta, log_p) - jnp.log(share))
    some = evidence[::every]

    def step(pi, key):
        of_class, of_pi = jax.random.split(key)
        count = drawn_counts(of_class, some, pi)
        return jax.random.dirichlet(of_pi, count + PSEUDO_SOURCES), None

    keys = jax.random.split(key, GIBBS_STEPS + 1)
    start = most_likely(some) + PSEUDO_SOURCES / len(some)
    pi, _ = jax.lax.scan(step, start / start.sum(), keys[1:])
    return drawn_counts(keys[0], evidence, pi)


def _logits(theta: Float[Array, "T"], log_p: Float[Array, "N C"]) -> Float[Array, "N C"]:
    return theta[0] * log_p + theta[1:]


def _recalibration(log_p, hit, weight) -> Float[Array, "T"]:
    """a and b by Newton steps, with normal priors of unit width around 1 and 0."""
    centre = jnp.zeros(1 + log_p.shape[1], log_p.dtype).at[0].set(1.0)

    def loss(theta):
        log_q = jax.nn.log_softmax(_logits(theta, log_p))
        return -(weight * (hit * log_q).sum(1)).sum() + 0.5 * ((theta - centre) ** 2).sum()

    def step(theta, _):
        gradient, curvature = jax.grad(loss)(theta), jax.hessian(loss)(theta)
        return theta - jnp.linalg.solve(curvature, gradient), None

    return jax.lax.scan(step, centre, length=NEWTON_STEPS)[0]
