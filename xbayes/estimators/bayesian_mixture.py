"""A variational Bayesian Gaussian mixture like scikit-learn's."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import mixture as peers

from xbayes.errors import InputError
from xbayes.estimators import mixture_shapes as shapes
from xbayes.estimators.mixture_base import MixtureEstimator
from xbayes.estimators.mixture_starts import start_from
from xbayes.models import sticks
from xbayes.models.base import Model
from xbayes.models.bayesian_mixture import MixturePrior, VariationalParams, starting_from
from xbayes.models.bayesian_mixture_types import bayesian_mixture_of_type
from xbayes.models.normal_wishart import NormalWishart
from xbayes.models.sticks import Sticks


class BayesianGaussianMixture(MixtureEstimator):
    """A Bayesian Gaussian mixture, a replacement for `sklearn.mixture.BayesianGaussianMixture`.

    The posterior of weights, means and precisions is approximated by variational Bayes (Bishop
    2006, section 10.2; Blei & Jordan 2006). Components that the rows do not need get a weight close
    to 0. From the same start every iteration gives the numbers of scikit-learn, up to rounding, and
    the same `random_state` gives the same start. All computations are in float64.

    Parameters
    ----------
    n_components : int
        Largest number K of components.
    covariance_type : {"full", "tied", "diag", "spherical"}
        As in `GaussianMixture`.
    tol : float
        The fit ends when the lower bound of all rows together changes by less.
    reg_covar, max_iter, n_init, init_params
        As in `GaussianMixture`.
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}
        Stick-breaking weights, in which the order of the components matters, or a symmetric
        Dirichlet distribution.
    weight_concentration_prior : float or None
        Concentration (gamma) of the process, or of each component; None: 1 / K. Smaller values give
        fewer components.
    mean_precision_prior : float or None
        Number of rows that the prior mean counts for; None: 1.
    mean_prior : array [F] or None
        None: the mean of X.
    degrees_of_freedom_prior : float or None
        Number of rows that the prior covariance counts for, above F - 1; None: F.
    covariance_prior : array or None
        [F F] (full, tied), [F] (diag) or a number (spherical); None: the covariance of X.
    random_state, warm_start, verbose, verbose_interval, missing
        As in `GaussianMixture`.

    Attributes
    ----------
    weights_ : array [K]
        Mean weights.
    means_ : array [K F]
        Means of the posterior of the means.
    covariances_, precisions_, precisions_cholesky_ : array
        Inverse of the mean precisions, shaped as in `GaussianMixture`.
    weight_concentration_ : array [K], or two of them
        Parameters of the Dirichlet distribution, or of the Beta distributions of the process.
    mean_precision_ : array [K]
    degrees_of_freedom_ : array [K], or float (tied)
    weight_concentration_prior_, mean_precision_prior_, mean_prior_ : float, float, array [F]
    degrees_of_freedom_prior_, covariance_prior_ : float, array
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Evidence lower bound of all rows after the last M step, up to a constant.
    lower_bounds_ : list
        The same for each iteration.
    n_features_in_ : int
    feature_names_in_ : array [F]
        If X has column names.

    Notes
    -----
    Missing values, `noise` and `sample_weight` work as in `GaussianMixture`. Missing values are
    latent variables here, so a row without a measured value has a log density below 0. The default
    `mean_prior` and `covariance_prior` are those of the measured values, errors included.
    `score_samples` is the expected log density under the posterior, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from xbayes.estimators import BayesianGaussianMixture
    >>> x = np.concatenate([np.linspace(-1, 1, 50), np.linspace(9, 11, 50)])[:, None]
    >>> mixture = BayesianGaussianMixture(n_components=5, max_iter=500, random_state=0).fit(x)
    >>> int((mixture.weights_ > 0.05).sum())
    2
    """

    _peer = peers.BayesianGaussianMixture

    def __init__(
        self,
        *,
        n_components=1,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=None,
        mean_precision_prior=None,
        mean_prior=None,
        degrees_of_freedom_prior=None,
        covariance_prior=None,
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
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.missing = missing

    def _model(self) -> Model:
        return bayesian_mixture_of_type(self.covariance_type, float(self.reg_covar))

    def _check_given(self, X, weight):
        n_features = X.shape[1]
        concentration, precision = self.weight_concentration_prior, self.mean_precision_prior
        self.weight_concentration_prior_ = (
            1.0 / self.n_components if concentration is None else concentration
        )
        self.mean_precision_prior_ = 1.0 if precision is None else precision
        mean, covariance = _mean_and_covariance(X.astype(np.float64), weight)
        if self.mean_prior is not None:
            mean = shapes.checked("means", self.mean_prior, (n_features,))
        self.mean_prior_ = mean
        degrees = self.degrees_of_freedom_prior
        if degrees is not None and not degrees > n_features - 1:
            raise InputError(
                "The parameter 'degrees_of_freedom_prior' should be greater than "
                f"{n_features - 1}, but got {degrees:.3f}."
            )
        self.degrees_of_freedom_prior_ = n_features if degrees is None else degrees
        kind = self.covariance_type
        default = {
            "full": covariance,
            "tied": covariance,
            "diag": np.diagonal(covariance).copy(),
            "spherical": np.diagonal(covariance).mean(),
        }[kind]
        shape = shapes.shape_of(kind, 1, n_features)
        shape = shape if kind == "tied" else shape[1:]
        given = shapes.checked_precisions(self.covariance_prior, shape, kind, "covariance_prior")
        self.covariance_prior_ = default if given is None else given

    def _prior(self) -> MixturePrior:
        n_components, n_features = int(self.n_components), len(self.mean_prior_)
        gamma = float(self.weight_concentration_prior_)
        scatter = np.asarray(self.covariance_prior_)
        scatter = scatter if scatter.ndim == 2 else scatter * np.eye(n_features)
        if self._is_process():
            stick = sticks.stick_breaking(n_components, gamma, open_end=True)
        else:
            stick = sticks.dirichlet(jnp.full(n_components, gamma))
        component = NormalWishart(
            mean_precision=jnp.asarray(self.mean_precision_prior_, float),
            mean=jnp.asarray(self.mean_prior_),
            degrees=jnp.asarray(self.degrees_of_freedom_prior_, float),
            scatter=jnp.asarray(scatter),
        )
        return MixturePrior(stick=stick, component=component)

    def _starts(self, X, weight, rows, row_weight):
        model, tied = self._model(), self.covariance_type == "tied"
        blank = starting_from(self._prior())
        each = [
            start_from(model, blank, rows, row_weight, resp, tied=tied)
            for resp in self._responsibilities(X, weight)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    def _last(self):
        if self._is_process():
            taken, left = self.weight_concentration_
        else:
            taken = np.asarray(self.weight_concentration_)
            left = np.append(np.cumsum(taken[::-1])[::-1][1:], 0.0)
        degrees = np.broadcast_to(self.degrees_of_freedom_, len(self.means_)).astype(np.float64)
        component = NormalWishart(
            mean_precision=jnp.asarray(self.mean_precision_),
            mean=jnp.asarray(self.means_),
            degrees=jnp.asarray(degrees),
            scatter=jnp.asarray(self._full_covariances() * degrees[:, None, None]),
        )
        stick = Sticks(taken=jnp.asarray(taken), left=jnp.asarray(left))
        return VariationalParams(stick=stick, component=component, prior=self._prior())

    def _store(self, params: VariationalParams):
        stick, component = jax.tree.map(np.asarray, (params.stick, params.component))
        both = (stick.taken, stick.left)
        self.weight_concentration_ = both if self._is_process() else stick.taken
        self.weights_ = np.exp(sticks.log_mean_weight(params.stick))
        self.mean_precision_, self.means_ = component.mean_precision, component.mean
        degrees = component.degrees
        self.degrees_of_freedom_ = degrees[0] if self.covariance_type == "tied" else degrees
        self._store_covariances(component.scatter / degrees[:, None, None])

    def _is_process(self) -> bool:
        return self.weight_concentration_prior_type == "dirichlet_process"


def _mean_and_covariance(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and unbiased covariance of the measured values; weight 2 counts twice.

    With missing values the variances are those of the measured values, and the correlations those
    with missing values at the mean, which make a covariance matrix.
    """
    measured = ~np.isnan(X)
    count = (weight[:, None] * measured).sum(0)
    mean = (weight[:, None] * np.where(measured, X, 0.0)).sum(0) / count
    off = np.where(measured, X - mean, 0.0)
    covariance = (weight[:, None] * off).T @ off
    scale = 1.0 / np.sqrt(np.maximum(count - 1, 1.0))
    return mean, covariance * scale[:, None] * scale
