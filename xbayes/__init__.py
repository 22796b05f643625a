"""xbayes: from an X-ray catalogue to calibrated, explainable class posteriors."""

__version__ = "0.1.0"
