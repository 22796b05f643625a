"""Mixtures of factor analysers for rows with missing values and measurement errors.

    x = m_k + W_k z + e + noise,  z ~ N(0, I_Q),  e ~ N(0, diag(psi_k)),  noise ~ N(0, diag(s^2))

The covariance W W^T + diag(psi) of a component stays well defined for features that are
combinations of each other, such as colours, and for components with fewer rows than features. A row
costs F Q^2 operations instead of the F^3 of a full covariance (Ghahramani & Hinton 1996,
CRG-TR-96-1). Features are the first axis here and rows the last, so that the long axis is
contiguous.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

MIN_VARIANCE = 0.01  # of a feature given the factors, in units of its variance over all rows
SMALL = 1e-12


class Factors(NamedTuple):
    """Components of one mixture, or of several in one list."""

    log_weight: Float[Array | np.ndarray, "K"]
    mean: Float[Array | np.ndarray, "K F"]
    loading: Float[Array | np.ndarray, "K F Q"]
    variance: Float[Array | np.ndarray, "K F"]  # of each feature given the factors


class Points(NamedTuple):
    """Rows to fit: features first, rows last."""

    value: Float[np.ndarray, "F N"]  # 0 where not measured
    measured: Float[np.ndarray, "F N"]  # 1 or 0
    noise: Float[np.ndarray, "F N"]  # error variances


class Expected(NamedTuple):
    """Of each row under each component: log of weight times density, and moments of the factors."""

    log_joint: Float[np.ndarray, "K N"]
    factor: Float[np.ndarray, "K Q N"]
    spread: Float[np.ndarray, "K Q Q N"]  # posterior covariance of the factors
    precision: Float[np.ndarray, "K F N"]  # 1 / (variance + noise), 0 where not measured


def one_component(points: Points, n_factors: int, n_steps: int) -> Factors:
    """Factor analysis of all rows, started from their principal components.

    The variances have one pseudo-row of the marginal variance, so they are positive for any rows.
    """
    n_features, n_rows = points.value.shape
    mean, scatter = _moments(points)
    centred = (points.value - mean[:, None]) * points.measured
    value, vector = np.linalg.eigh(centred @ centred.T / max(n_rows, 1))
    largest = slice(None, -n_factors - 1, -1)
    start = vector[:, largest] * np.sqrt(np.maximum(value[largest], SMALL))
    loading = np.zeros((n_features, n_factors))
    loading[:, : start.shape[1]] = start
    first = Factors(
        log_weight=np.zeros(1),
        mean=mean[None],
        loading=loading[None],
        variance=np.maximum(scatter / 2, MIN_VARIANCE)[None],
    )
    prior = Factors(
        log_weight=np.zeros(1),
        mean=mean[None],
        loading=np.zeros((1, n_features, n_factors)),
        variance=np.maximum(scatter, MIN_VARIANCE)[None],
    )
    return fit_factors(points, first, prior, 1.0, n_steps)


def fit_factors(
    points: Points, start: Factors, prior: Factors, pseudo_rows: float, n_steps: int
) -> Factors:
    """A mixture after `n_steps` of EM, from `start`.

    `prior` is one component. It counts as `pseudo_rows` rows in the loading and the variance of
    each component, and as one in the mean.
    """
    params = start
    for _ in range(n_steps):
        expected = expect(params, points)
        most = expected.log_joint.max(0)
        share = np.exp(expected.log_joint - most)
        params = _maximise(params, points, expected, share / share.sum(0), prior, pseudo_rows)
    return params


def expect(params: Factors, points: Points) -> Expected:
    """The E step. A row without values has the log weights as its log joint."""
    n_factors = params.loading.shape[2]
    total = params.variance[:, :, None] + points.noise
    precision = points.measured / total  # [K, F, N]
    offset = points.value - params.mean[:, :, None]
    squares = params.loading[:, :, :, None] * params.loading[:, :, None, :]
    squares = squares.reshape(*params.loading.shape[:2], -1).swapaxes(1, 2)
    shape = len(params.mean), n_factors, n_factors, points.value.shape[1]
    information = np.asarray(squares @ precision).reshape(shape)
    information[:, np.arange(n_factors), np.arange(n_factors)] += 1.0
    right = params.loading.swapaxes(1, 2) @ (precision * offset)
    spread, log_det = _inverse(information)
    factor = (spread * right[:, None]).sum(2)
    distance = (precision * offset**2).sum(1) - (right * factor).sum(1)
    log_norm = log_det + (points.measured * np.log(total)).sum(1)
    log_norm = log_norm + np.log(2 * np.pi) * points.measured.sum(0)
    return Expected(
        log_joint=params.log_weight[:, None] - 0.5 * (distance + log_norm),
        factor=factor,
        spread=spread,
        precision=precision,
    )


def _inverse(matrix: Float[np.ndarray, "K Q Q N"]):
    """Inverses and log determinants of positive matrices, by sweeps; overwrites the matrices."""
    log_det = np.zeros(matrix.shape[::3])
    for q in range(matrix.shape[1]):
        pivot = matrix[:, q, q].copy()
        column = matrix[:, q].copy()
        ratio = column / pivot[:, None]
        matrix -= column[:, :, None] * ratio[:, None]
        matrix[:, q], matrix[:, :, q] = ratio, ratio
        matrix[:, q, q] = -1 / pivot
        log_det += np.log(pivot)
    return -matrix, log_det


def _maximise(
    params: Factors, points: Points, expected: Expected, resp, prior: Factors, pseudo_rows: float
) -> Factors:
    """The M step: loadings and means by weighted least squares, then the variances given them."""
    n_components, n_factors, n_rows = expected.factor.shape
    ones = np.ones((n_components, 1, n_rows))
    augmented = np.concatenate([expected.factor, ones], 1)  # [K, Q + 1, N]
    product = augmented[:, :, None] * augmented[:, None]
    product[:, :-1, :-1] += expected.spread
    weight = resp[:, None] * expected.precision  # [K, F, N]
    flat = product.reshape(n_components, (n_factors + 1) ** 2, n_rows).swapaxes(1, 2)
    left = (weight @ flat).reshape(*params.mean.shape, n_factors + 1, n_factors + 1)
    right = (weight * points.value) @ augmented.swapaxes(1, 2)
    # The prior as rows: `pseudo_rows` for each loading, one for the mean.
    strength = np.append(np.full(n_factors, pseudo_rows), 1.0)
    scaled = strength / params.variance[..., None]  # [K, F, Q + 1]
    known = np.concatenate([prior.loading, prior.mean[..., None]], 2)
    left = left + scaled[..., None] * np.eye(n_factors + 1)
    solution = np.linalg.solve(left, (right + scaled * known)[..., None])[..., 0]
    loading, mean = solution[..., :-1], solution[..., -1]
    residual = points.value - solution @ augmented
    squares = (loading[..., None] * loading[..., None, :]).reshape(*params.mean.shape, -1)
    spread = expected.spread.reshape(n_components, n_factors**2, n_rows)
    second = residual**2 + squares @ spread
    kept = params.variance[..., None] * expected.precision  # the share of the residual not noise
    each = points.measured * (params.variance[..., None] * (1 - kept) + kept**2 * second)
    share = resp[:, None] * points.measured
    total = (resp[:, None] * each).sum(2) + pseudo_rows * prior.variance
    count = resp.sum(1) + 1 / n_components
    return Factors(
        log_weight=np.log(count / count.sum()),
        mean=mean,
        loading=loading,
        variance=np.maximum(total / (share.sum(2) + pseudo_rows), MIN_VARIANCE),
    )


def _moments(points: Points):
    """Mean and variance of the measured values of each feature; 0 and 1 without any."""
    count = points.measured.sum(1)
    mean = points.value.sum(1) / np.maximum(count, 1.0)
    square = ((points.value - mean[:, None]) ** 2 * points.measured).sum(1)
    return mean, np.where(count > 1, square / np.maximum(count, 1.0), 1.0)


class Distances(NamedTuple):
    """Of each row from each component."""

    log_joint: Float[Array, "K N"]  # log of weight times density
    square: Float[Array, "K N"]  # Mahalanobis distance of the expected true values
    freedom: Float[Array, "K N"]  # about its expectation under the component


def distances(
    params: Factors,
    value: Float[Array | np.ndarray, "F N"],
    measured: Float[Array | np.ndarray, "F N"],
    noise: Float[Array | np.ndarray, "F N"],
) -> Distances:
    """The distance of the true values that are expected given the row, from each component.

    With covariances C of the true values and S of the noise, and u = (C + S)^-1 (x - m), it is
    u^T C u. Without noise this is the squared Mahalanobis distance; a feature whose noise grows
    without limit drops out of it, as one that is not measured. Its expectation under the component
    is tr(C (C + S)^-1), here without the correlations: the sum of C_ff / (C_ff + S_ff).
    """
    params = Factors._make(map(jnp.asarray, params))
    values, precision, information, right = _information(params, value, measured, noise)
    offset, log_total = values
    factor, log_det = _solve(information, right)
    residual = precision * (offset - params.loading @ factor)  # u
    square = (factor**2).sum(1) + (params.variance[..., None] * residual**2).sum(1)
    distance = (residual * offset).sum(1)
    marginal = (params.loading**2).sum(2) + params.variance
    freedom = (measured * marginal[..., None] / (marginal[..., None] + noise)).sum(1)
    log_norm = log_det + log_total + np.log(2 * np.pi) * measured.sum(0)
    return Distances(
        log_joint=params.log_weight[:, None] - 0.5 * (distance + log_norm),
        square=square,
        freedom=freedom,
    )


def _information(params: Factors, value, measured, noise):
    """What the rows say of the factors: their information matrix and its product with the mean."""
    total = params.variance[..., None] + noise
    precision = measured / total  # [K, F, N]
    offset = measured * (value - params.mean[..., None])
    n_factors = params.loading.shape[2]
    row, column = np.tril_indices(n_factors)  # half of a symmetric matrix
    squares = (params.loading[..., row] * params.loading[..., column]).swapaxes(1, 2)
    place = np.zeros((n_factors, n_factors), int)
    place[row, column] = place[column, row] = np.arange(len(row))
    information = jnp.asarray(squares @ precision)[:, place] + jnp.eye(n_factors)[..., None]
    right = jnp.einsum("kfq,kfn->kqn", params.loading, precision * offset)
    return (offset, (measured * jnp.log(total)).sum(1)), precision, information, right


def _solve(matrix: Float[Array, "K Q Q N"], right: Float[Array, "K Q N"]):
    """Solutions of matrix @ x = right for positive matrices, and log determinants.

    Gauss-Jordan elimination over the rows of all components at once, because LAPACK is slower for
    so many matrices that are so small.
    """
    n_factors = matrix.shape[1]

    def eliminate(q, carry):
        augmented, log_det = carry
        column = augmented[:, :, q]
        pivot = column[:, q]
        ratio = augmented[:, q] / pivot[:, None]
        rest = augmented - column[:, :, None] * ratio[:, None]
        own = (jnp.arange(n_factors) == q)[:, None, None]
        return jnp.where(own, ratio[:, None], rest), log_det + jnp.log(pivot)

    augmented = jnp.concatenate([matrix, right[:, :, None]], 2)  # [K, Q, Q + 1, N]
    start = augmented, jnp.zeros_like(right[:, 0])
    solved, log_det = jax.lax.fori_loop(0, n_factors, eliminate, start)
    return solved[:, :, -1], log_det
