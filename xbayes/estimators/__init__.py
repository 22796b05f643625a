"""Estimators with the interface of scikit-learn."""

from xbayes.estimators.alpha_bayes import AlphaBayesClassifier
from xbayes.estimators.mixture import GaussianMixture
