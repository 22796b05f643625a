"""The parts of the two mixture estimators that do not depend on the model."""

import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from xbayes.errors import InputError
from xbayes.estimators import mixture_shapes as shapes
from xbayes.estimators.arrays import complete, plain
from xbayes.estimators.mixture_starts import OWN_START, responsibilities
from xbayes.infer.em import EMInfo, fit_em, pad_rows
from xbayes.models.base import Model, Params
from xbayes.models.measured import Measured, Rows, check_rows, check_values

MISSING = ("refuse", "marginalise")
LEAST_ROWS = 256  # rows are padded to this or one of a few larger sizes: few compilations
SINGULAR = (
    "Fitting the mixture model failed because some components have ill-defined empirical "
    "covariance (for instance caused by singleton or collapsed samples). Try to decrease the "
    "number of components, increase reg_covar, or scale the input data."
)
NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase "
    "max_iter, tol, or check for degenerate data."
)
COLLAPSED = (
    " A component collapsed onto a point or a plane in iteration {}; the parameters before it are "
    "kept. Decrease n_components, increase reg_covar, or scale the data."
)


class MixtureEstimator(DensityMixin, BaseEstimator):
    """EM of a mixture with the interface of scikit-learn; subclasses give model and attributes."""

    _peer: type  # the estimator of scikit-learn, which checks the parameters
    n_components: int
    covariance_type: str
    tol: float
    max_iter: int
    n_init: int
    init_params: str
    random_state: int | np.random.RandomState | None
    warm_start: bool
    verbose: int
    verbose_interval: int
    missing: str
    weights_: np.ndarray
    means_: np.ndarray
    covariances_: np.ndarray

    def fit(self, X, y=None, *, sample_weight=None, noise=None):
        """Fit to X [N F]; y is ignored.

        Raises
        ------
        ValueError
            A parameter, or X, is not valid; or a component is ill-defined from the start.
        """
        self._check_parameters()
        X = self._validate(X, reset=True)
        n_rows = X.shape[0]
        if n_rows < self.n_components:
            raise InputError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {n_rows}"
            )
        weight = _row_weight(sample_weight, n_rows)
        rows = _measured(X, noise)
        check_rows(rows, weight, self.n_components)
        self._check_given(X, weight)
        began = time.perf_counter()
        with jax.enable_x64(True):
            info = self._fit(X, weight, rows)
        self.n_iter_, self.converged_ = int(info.n_steps), bool(info.converged)
        self.lower_bound_ = float(info.log_lik)
        self.lower_bounds_ = np.asarray(info.history)[: self.n_iter_].tolist()
        self._report(time.perf_counter() - began)
        if not self.converged_ and self.max_iter > 0:
            early = self.n_iter_ < self.max_iter
            warnings.warn(
                NOT_CONVERGED + (COLLAPSED.format(self.n_iter_) if early else ""),
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
        """Responsibilities [N K] of the components for each row."""
        joint = self._log_joint(X, noise)
        return np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))

    def score_samples(self, X, *, noise=None):
        """Log density [N] of the measured values."""
        return np.logaddexp.reduce(self._log_joint(X, noise), axis=1)

    def score(self, X, y=None, *, sample_weight=None, noise=None):
        """Mean of `score_samples` over the rows."""
        log_density = self.score_samples(X, noise=noise)
        weight = _row_weight(sample_weight, log_density.size)
        return float(np.average(log_density, weights=weight))

    def sample(self, n_samples=1):
        """Random rows (X [n F], component [n]) without measurement errors."""
        check_is_fitted(self)
        if n_samples < 1:
            raise InputError(
                f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one "
                "sample."
            )
        random = check_random_state(self.random_state)  # the same random numbers as scikit-learn
        counts = random.multinomial(n_samples, self.weights_)
        if self.covariance_type in ("full", "tied"):
            drawn = [
                random.multivariate_normal(mean, covariance, int(count))
                for mean, covariance, count in zip(
                    self.means_, self._full_covariances(), counts, strict=True
                )
            ]
        else:
            n_features = self.means_.shape[1]
            drawn = [
                mean + random.standard_normal(size=(count, n_features)) * np.sqrt(variance)
                for mean, variance, count in zip(
                    self.means_, self.covariances_, counts, strict=True
                )
            ]
        return np.vstack(drawn), np.repeat(np.arange(len(counts)), counts)

    def __sklearn_tags__(self):
        """Tags of scikit-learn: `missing` decides whether NaN is allowed in X."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginalise"
        return tags

    def _model(self) -> Model:
        raise NotImplementedError

    def _check_given(self, X, weight) -> None:
        """Check the arrays among the parameters, and set the attributes that follow from them."""
        raise NotImplementedError

    def _starts(self, X, weight, rows, row_weight) -> Params:
        """Starting values, stacked along a first axis."""
        raise NotImplementedError

    def _last(self) -> Params:
        """The fitted parameters."""
        raise NotImplementedError

    def _store(self, params: Params) -> None:
        """Set the attributes."""
        raise NotImplementedError

    def _check_parameters(self):
        """Refuse a parameter as scikit-learn does, whose own check precedes that of its data."""
        given = {n: v for n, v in self.get_params(deep=False).items() if n != "missing"}
        own = isinstance(given["init_params"], str) and given["init_params"] == OWN_START
        try:
            self._peer(**(given | {"init_params": "kmeans"} if own else given)).fit(
                np.empty((0, 1))
            )
        except ValueError as error:
            if isinstance(error, TypeError):  # its InvalidParameterError is both; no rows is not
                raise
        if not isinstance(self.missing, str) or self.missing not in MISSING:
            raise InputError(
                f"The 'missing' parameter of {type(self).__name__} must be a str among "
                f"{set(MISSING)}. Got {self.missing!r} instead."
            )

    def _validate(self, X, reset: bool) -> np.ndarray:
        finite = "allow-nan" if self.missing == "marginalise" else True
        return np.asarray(
            validate_data(
                self,
                plain(X),
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_all_finite=finite,
                ensure_min_samples=2 if reset else 1,
            )
        )

    def _fit(self, X, weight, rows) -> EMInfo:
        model = self._model()
        padded, row_weight = _padded((rows, weight), len(X))
        warm = self.warm_start and hasattr(self, "converged_")
        warm = warm and self.means_.shape == (self.n_components, X.shape[1])
        if warm:
            starts = jax.tree.map(lambda leaf: leaf[None], self._last())
        else:
            starts = self._starts(X, weight, padded, row_weight)
        if self.max_iter == 0:  # nothing to compare: the last start, as in scikit-learn
            starts = jax.tree.map(lambda leaf: leaf[-1:], starts)
        try:
            params, info = fit_em(
                model,
                starts,
                padded,
                row_weight,
                tol=float(self.tol),
                max_steps=int(self.max_iter),
                previous=float(self.lower_bound_ if warm else -np.inf),
                keep_valid=True,
            )
        except InputError:
            raise InputError(SINGULAR) from None
        self._store(params)
        return info

    def _responsibilities(self, X, weight):
        """Padded responsibilities of each start."""
        for resp in responsibilities(
            self.init_params,
            X,
            weight,
            n_components=int(self.n_components),
            n_starts=int(self.n_init),
            random=check_random_state(self.random_state),
        ):
            yield _padded(resp, len(X))

    def _store_covariances(self, covariance: np.ndarray) -> None:
        self.covariances_ = shapes.from_full(covariance, self.covariance_type)
        factors = shapes.precision_factors(covariance)
        precisions = factors @ factors.swapaxes(1, 2)
        self.precisions_cholesky_ = shapes.from_full(factors, self.covariance_type)
        self.precisions_ = shapes.from_full(precisions, self.covariance_type)

    def _full_covariances(self):
        return shapes.to_full(self.covariances_, self.covariance_type, *self.means_.shape)

    def _log_joint(self, X, noise) -> np.ndarray:
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        rows = _measured(X, noise)
        check_values(rows)
        with jax.enable_x64(True):
            rows = _padded(rows, X.shape[0])
            return np.asarray(self._model().log_joint(self._last(), rows))[: X.shape[0]]

    def _report(self, seconds: float):
        # EM is compiled, so the progress that scikit-learn prints is printed at the end.
        if not self.verbose:
            return
        for number, bound in enumerate(self.lower_bounds_, 1):
            if number % self.verbose_interval == 0:
                print(f"  Iteration {number}\t lower bound {bound:.5f}")
        state = "converged" if self.converged_ else "did not converge"
        print(f"Best initialization {state} after {self.n_iter_} iterations, {seconds:.2f} s")


def _measured(X: np.ndarray, noise) -> Rows:
    """X as `Measured`, or X itself, which is much faster, if all values are measured and exact."""
    X = X.astype(np.float64, copy=False)
    measured = ~np.isnan(X)
    if noise is None and measured.all():
        return X
    return Measured(
        np.where(measured, X, 0.0),
        None if measured.all() else measured,
        None if noise is None else np.asarray(plain(noise), np.float64),
    )


def _row_weight(sample_weight, n_rows: int) -> np.ndarray:
    if sample_weight is None:
        return np.ones(n_rows)
    weight = np.asarray(complete("sample_weight", sample_weight), np.float64)
    if weight.shape not in ((), (n_rows,)):
        raise InputError(f"sample_weight.shape == {weight.shape}, expected ({n_rows},)!")
    return np.broadcast_to(weight, n_rows)


def _padded(tree, n_rows: int):
    above = max(LEAST_ROWS, 1 << (n_rows - 1).bit_length())
    step = max(LEAST_ROWS, above // 8) if above > 4096 else above  # padding costs no more than 1/4
    longer = -(-n_rows // step) * step
    return jax.tree.map(jnp.asarray, pad_rows(tree, longer))
