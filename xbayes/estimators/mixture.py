"""A Gaussian mixture estimator like scikit-learn's, with missing values, errors and weights."""

import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from xbayes.estimators import mixture_shapes as shapes
from xbayes.infer import information_criteria
from xbayes.infer.em import fit_em, pad_rows, random_starts
from xbayes.models.gaussian_mixture import (
    COVARIANCE_TYPES,
    MixtureParams,
    free_parameters,
    gaussian_mixture,
    log_joint,
)
from xbayes.models.measured import Measured, check_rows, check_values
from xbayes.models.mixture_start import k_means, k_means_plus_plus, random_centres, random_rows
from xbayes.types import InputError

STARTS = {
    "kmeans": k_means,
    "k-means++": k_means_plus_plus,
    "random": random_centres,
    "random_from_data": random_rows,
}
LEAST_ROWS = 256  # rows are padded to this or one of a few larger sizes: few compilations


class GaussianMixture(DensityMixin, BaseEstimator):
    """A Gaussian mixture fitted by EM, a replacement for `sklearn.mixture.GaussianMixture`.

    Parameters and attributes are those of scikit-learn. From the same start (weights_init,
    means_init, precisions_init) every iteration gives the same numbers, up to rounding. All
    computations are in float64, whatever the setting of JAX.

    Differences from scikit-learn: `missing="marginalise"` integrates over missing values (NaN) in
    all methods. `fit` and the methods that read X accept `noise`, error variances [N F] or
    covariances [N F F] in the squared units of X; means_ and covariances_ then describe the
    error-free values (Bovy, Hogg & Roweis 2011). `fit` accepts `sample_weight` [N]; weight 2 equals
    a repeated row. A component that loses its rows is initialised again. Random starts differ, and
    init_params="random" draws centres, because random responsibilities start all components at
    nearly the same position.

    Attributes
    ----------
    weights_ : array [K]
    means_ : array [K F]
    covariances_, precisions_, precisions_cholesky_ : array
        [K F F] (full), [F F] (tied), [K F] (diag) or [K] (spherical).
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Mean log-likelihood before the last M step.
    lower_bounds_ : list
        The same for each iteration.

    Examples
    --------
    >>> import numpy as np
    >>> from xbayes.estimators import GaussianMixture
    >>> x = np.concatenate([np.linspace(-1, 1, 50), np.linspace(9, 11, 50)])[:, None]
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(x)
    >>> sorted(mixture.means_.ravel().round().astype(int).tolist())
    [0, 10]
    """

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        missing="refuse",
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.missing = missing

    def fit(self, X, y=None, *, sample_weight=None, noise=None):
        """Fit to X [N F]; y is ignored. Raises ValueError if no mixture can be fitted to X."""
        self._check_parameters()
        X = self._validate(X, reset=True)
        if X.shape[0] < self.n_components:
            raise InputError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {X.shape[0]}"
            )
        weight = _row_weight(sample_weight, X.shape[0])
        rows = _measured(X, noise)
        check_rows(rows, weight, self.n_components)
        began = time.perf_counter()
        with jax.enable_x64(True):
            self._fit(*_padded((rows, weight), X.shape[0]))
        self._report(time.perf_counter() - began)
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init parameters, "
                "or increase max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def fit_predict(self, X, y=None, *, sample_weight=None, noise=None):
        """Fit, and return the most probable component [N] of each row."""
        fitted = self.fit(X, y, sample_weight=sample_weight, noise=noise)
        return fitted.predict(X, noise=noise)

    def predict(self, X, *, noise=None):
        """The most probable component [N] of each row."""
        return self._log_joint(X, noise).argmax(1)

    def predict_proba(self, X, *, noise=None):
        """Responsibilities [N K]; weights_ for a row without a measured value."""
        joint = self._log_joint(X, noise)
        return np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))

    def score_samples(self, X, *, noise=None):
        """Log density [N] of the measured values; 0 for a row without one."""
        return np.logaddexp.reduce(self._log_joint(X, noise), axis=1)

    def score(self, X, y=None, *, sample_weight=None, noise=None):
        """Mean log density of the rows."""
        log_density = self.score_samples(X, noise=noise)
        weight = _row_weight(sample_weight, log_density.size)
        return float(np.average(log_density, weights=weight))

    def bic(self, X, *, noise=None):
        """Bayesian information criterion (Schwarz 1978); lower is better."""
        log_density = self.score_samples(X, noise=noise)
        return information_criteria.bic(float(log_density.sum()), self._n_free(), log_density.size)

    def aic(self, X, *, noise=None):
        """Akaike's information criterion (Akaike 1974); lower is better."""
        log_lik = float(self.score_samples(X, noise=noise).sum())
        return information_criteria.aic(log_lik, self._n_free())

    def sample(self, n_samples=1):
        """Random rows (X [n F], component [n]) without measurement errors."""
        check_is_fitted(self)
        if n_samples < 1:
            raise InputError(f"n_samples must be at least 1; got {n_samples}")
        random = check_random_state(self.random_state)
        counts = random.multinomial(n_samples, self.weights_)
        label = np.repeat(np.arange(len(counts)), counts)
        standard = random.standard_normal((n_samples, self.means_.shape[1]))
        roots = np.linalg.cholesky(self._full_covariances())
        return self.means_[label] + np.einsum("nfg,ng->nf", roots[label], standard), label

    def __sklearn_tags__(self):
        """Tags of scikit-learn: `missing` decides whether NaN is allowed in X."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginalise"
        return tags

    def _check_parameters(self):
        chosen = {
            "covariance_type": COVARIANCE_TYPES,
            "init_params": tuple(STARTS),
            "missing": ("refuse", "marginalise"),
        }
        for name, allowed in chosen.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is one of {allowed}; got {getattr(self, name)!r}")
        least = {"n_components": 1, "n_init": 1, "max_iter": 0, "tol": 0, "reg_covar": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise InputError(f"{name} must be at least {bound}; got {getattr(self, name)!r}")

    def _validate(self, X, reset: bool) -> np.ndarray:
        finite = "allow-nan" if self.missing == "marginalise" else True
        least = 2 if reset else 1
        return np.asarray(
            validate_data(
                self,
                X,
                reset=reset,
                dtype=np.float64,
                ensure_all_finite=finite,
                ensure_min_samples=least,
            )
        )

    def _fit(self, rows, weight):
        model = gaussian_mixture(
            int(self.n_components),
            self.covariance_type,
            float(self.reg_covar),
            STARTS[self.init_params],
        )
        n_features = (rows.value if isinstance(rows, Measured) else rows).shape[1]
        warm = self.warm_start and hasattr(self, "converged_")
        warm = warm and self.means_.shape == (self.n_components, n_features)
        starts = self._last() if warm else self._starts(model, rows, weight, n_features)
        previous = self.lower_bound_ if warm else -np.inf
        params, info = fit_em(
            model,
            jax.tree.map(jnp.asarray, starts),
            rows,
            weight,
            tol=float(self.tol),
            max_steps=int(self.max_iter),
            previous=float(previous),
        )
        self._store(params)
        self.n_iter_, self.converged_ = int(info.n_steps), bool(info.converged)
        self.lower_bound_ = float(info.log_lik)
        self.lower_bounds_ = np.asarray(info.history)[: self.n_iter_].tolist()

    def _store(self, params: MixtureParams):
        weights, covariance = np.exp(params.log_weight), np.asarray(params.covariance)
        self.weights_, self.means_ = weights / weights.sum(), np.asarray(params.mean)
        self.covariances_ = shapes.from_full(covariance, self.covariance_type)
        factors = shapes.precision_factors(covariance)
        precisions = factors @ factors.swapaxes(1, 2)
        self.precisions_cholesky_ = shapes.from_full(factors, self.covariance_type)
        self.precisions_ = shapes.from_full(precisions, self.covariance_type)

    def _starts(self, model, rows, weight, n_features: int):
        given = (self.weights_init, self.means_init, self.precisions_init)
        if all(part is not None for part in given):
            zero = jnp.zeros((1, self.n_components, n_features, n_features))
            blank = MixtureParams(log_weight=zero[..., 0, 0], mean=zero[..., 0], covariance=zero)
            return shapes.with_given(blank, *given, self.covariance_type)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        random = random_starts(model, jax.random.key(seed), rows, weight, int(self.n_init))
        return shapes.with_given(random, *given, self.covariance_type)

    def _last(self):
        """The fitted parameters as a single start [1 ...]."""
        return MixtureParams(
            log_weight=jnp.log(jnp.asarray(self.weights_))[None],
            mean=jnp.asarray(self.means_)[None],
            covariance=jnp.asarray(self._full_covariances())[None],
        )

    def _full_covariances(self):
        return shapes.to_full(self.covariances_, self.covariance_type, *self.means_.shape)

    def _log_joint(self, X, noise) -> np.ndarray:
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        rows = _measured(X, noise)
        check_values(rows)
        with jax.enable_x64(True):
            params = jax.tree.map(lambda leaf: leaf[0], self._last())
            (rows,) = _padded((rows,), X.shape[0])
            return np.asarray(log_joint(params, rows))[: X.shape[0]]

    def _n_free(self) -> int:
        return free_parameters(self.covariance_type, *self.means_.shape)

    def _report(self, seconds: float):
        # EM is compiled, so the progress that scikit-learn prints is printed at the end.
        if not self.verbose:
            return
        for number, bound in enumerate(self.lower_bounds_, 1):
            if number % self.verbose_interval == 0:
                print(f"  Iteration {number}\t lower bound {bound:.5f}")
        state = "converged" if self.converged_ else "did not converge"
        print(f"Best initialization {state} after {self.n_iter_} iterations, {seconds:.2f} s")


def _measured(X: np.ndarray, noise):
    """X as `Measured`, or X itself, which is much faster, if all values are measured and exact."""
    measured = ~np.isnan(X)
    if noise is None and measured.all():
        return X
    return Measured(
        np.where(measured, X, 0.0),
        None if measured.all() else measured,
        None if noise is None else np.asarray(noise, np.float64),
    )


def _row_weight(sample_weight, n_rows: int) -> np.ndarray:
    if sample_weight is None:
        return np.ones(n_rows)
    weight = np.asarray(sample_weight, np.float64)
    if weight.shape not in ((), (n_rows,)):
        raise InputError(f"sample_weight.shape == {weight.shape}, expected ({n_rows},)!")
    return np.broadcast_to(weight, n_rows)


def _padded(tree, n_rows: int):
    above = max(LEAST_ROWS, 1 << (n_rows - 1).bit_length())
    step = max(LEAST_ROWS, above // 8) if above > 4096 else above  # padding costs no more than 1/4
    longer = -(-n_rows // step) * step
    return jax.tree.map(jnp.asarray, pad_rows(tree, longer))
