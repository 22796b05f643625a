"""Estimators with the interface of scikit-learn."""

from xbayes.estimators.alpha_bayes import AlphaBayesClassifier
from xbayes.estimators.bayesian_mixture import BayesianGaussianMixture
from xbayes.estimators.mixture import GaussianMixture
