"""A Gaussian mixture estimator like scikit-learn's, with missing values, errors and weights."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import mixture as peers

from xbayes.estimators import mixture_shapes as shapes
from xbayes.estimators.mixture_base import MixtureEstimator
from xbayes.estimators.mixture_starts import start_from
from xbayes.infer import information_criteria
from xbayes.models.base import Model
from xbayes.models.gaussian_mixture import MixtureParams, free_parameters, gaussian_mixture


class GaussianMixture(MixtureEstimator):
    """A Gaussian mixture fitted by EM, a replacement for `sklearn.mixture.GaussianMixture`.

    Parameters, attributes and messages are those of scikit-learn, whose own checks refuse the wrong
    parameters. From the same start every iteration gives the same numbers, up to rounding, and the
    same `random_state` gives the same start. All computations are in float64, whatever the setting
    of JAX.

    Parameters
    ----------
    n_components : int
        Number K of components.
    covariance_type : {"full", "tied", "diag", "spherical"}
        One matrix per component, one for all, one variance per feature, or one variance.
    tol : float
        EM ends when the mean log-likelihood of a row changes by less.
    reg_covar : float
        Added to the variances after each M step, in the squared units of X.
    max_iter, n_init : int
        EM iterations, and starts, of which the best is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data", "kmeans_scaled"}
        The start. The first four are those of scikit-learn, on X as it is. "kmeans_scaled" is
        k-means on features of mean 0 and variance 1: use it if features differ in scale. It does
        not depend on the order of the rows, nor on whether a row of weight 2 is written twice.
    weights_init, means_init, precisions_init : array or None
        Given starting values [K], [K F], and in the shape of `precisions_`.
    random_state : int, RandomState or None
        Of the starts and samples.
    warm_start : bool
        Whether `fit` continues from the last fit.
    verbose, verbose_interval : int
        Whether and how often lower bounds are printed, after the fit.
    missing : {"refuse", "marginalise"}
        "refuse": NaN and masked values in X are an error. "marginalise": they are integrated out in
        all methods; a row without a measured value has log density 0 and responsibilities
        `weights_`.

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
    n_features_in_ : int
    feature_names_in_ : array [F]
        If X has column names.

    Notes
    -----
    `fit` and the methods that read X accept `noise`, error variances [N F] or covariances [N F F]
    in the squared units of X; means_ and covariances_ then describe the error-free values (Bovy,
    Hogg & Roweis 2011). `fit` and `score` accept `sample_weight` [N].

    A component whose covariance becomes singular in the course of EM ends the fit with a
    ConvergenceWarning. The last valid parameters are kept, where scikit-learn raises an error. From
    the start it is an error in both.

    Examples
    --------
    >>> import numpy as np
    >>> from xbayes.estimators import GaussianMixture
    >>> x = np.concatenate([np.linspace(-1, 1, 50), np.linspace(9, 11, 50)])[:, None]
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(x)
    >>> sorted(mixture.means_.ravel().round().astype(int).tolist())
    [0, 10]
    """

    _peer = peers.GaussianMixture

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

    def bic(self, X, *, noise=None):
        """Bayesian information criterion (Schwarz 1978); lower is better."""
        log_density = self.score_samples(X, noise=noise)
        n_free = self._n_parameters()
        return information_criteria.bic(float(log_density.sum()), n_free, log_density.size)

    def aic(self, X, *, noise=None):
        """Akaike's information criterion (Akaike 1974); lower is better."""
        log_lik = float(self.score_samples(X, noise=noise).sum())
        return information_criteria.aic(log_lik, self._n_parameters())

    def _n_parameters(self) -> int:
        return free_parameters(self.covariance_type, *self.means_.shape)

    def _model(self) -> Model:
        return gaussian_mixture(
            len(self.weights_) if hasattr(self, "weights_") else int(self.n_components),
            self.covariance_type,
            float(self.reg_covar),
            reseeds=False,
        )

    def _check_given(self, X, weight):
        shape = int(self.n_components), X.shape[1]
        means = self.means_init
        covariance_type = self.covariance_type
        self._given = (
            shapes.checked_weights(self.weights_init, shape[0]),
            None if means is None else shapes.checked("means", means, shape),
            shapes.checked_precisions(
                self.precisions_init,
                shapes.shape_of(covariance_type, *shape),
                covariance_type,
                "precision",
            ),
        )

    def _starts(self, X, weight, rows, row_weight):
        if all(part is not None for part in self._given):
            n_components, n_features = int(self.n_components), X.shape[1]
            zero = jnp.zeros((1, n_components, n_features, n_features))
            starts = MixtureParams(log_weight=zero[..., 0, 0], mean=zero[..., 0], covariance=zero)
        else:
            model, tied = self._model(), self.covariance_type == "tied"
            each = [
                start_from(model, None, rows, row_weight, resp, tied=tied)
                for resp in self._responsibilities(X, weight)
            ]
            starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
        return shapes.with_given(starts, *self._given, self.covariance_type)

    def _last(self):
        with np.errstate(divide="ignore"):
            return MixtureParams(
                log_weight=jnp.asarray(np.log(self.weights_)),
                mean=jnp.asarray(self.means_),
                covariance=jnp.asarray(self._full_covariances()),
            )

    def _store(self, params: MixtureParams):
        weights = np.exp(params.log_weight)
        self.weights_, self.means_ = weights / weights.sum(), np.asarray(params.mean)
        self._store_covariances(np.asarray(params.covariance))
