"""The scikit-learn face of the models."""

from xbayes.estimators.alpha_bayes import AlphaBayesClassifier
from xbayes.estimators.mixture import GaussianMixture
