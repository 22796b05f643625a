"""The scikit-learn face of the models."""

from xbayes.estimators.mixture import GaussianMixture
