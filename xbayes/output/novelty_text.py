"""The reason for which a source is unlike the training sources, as text."""

from collections.abc import Mapping

import numpy as np

from xbayes.classifier.predict import Products
from xbayes.config.schema import FeatureConfig

NOVELTY_WHY = "novelty_why"  # the column of these texts


def novelty_texts(features: Mapping[str, FeatureConfig], products: Products) -> list[str] | None:
    """One text per source, empty where there is no reason to give; None without joint densities.

    For example `g_j = 7.9 mag, where 1.2 mag is expected given j_k and w1 (13 sigma)`.
    """
    if not products.unusual_feature.shape[1]:
        return None
    texts = []
    for feature, number in zip(products.unusual_feature, products.unusual_number, strict=True):
        pairs = zip(feature.tolist(), number.tolist(), strict=True)
        texts.append("; ".join(_text(features, f, x) for f, x in pairs if f[0] >= 0))
    return texts


def _text(features: Mapping[str, FeatureConfig], feature: list[int], number: list[float]) -> str:
    names = list(features)
    f, *given = (names[k] for k in feature if k >= 0)
    value, expected, deviation = number
    sigma = f"{abs(value - expected) / deviation:.2g} sigma"
    of = f"given {' and '.join(given)}" if given else "of its class"
    shown, usual = (_with_unit(features[f], x) for x in (value, expected))
    return f"{f} = {shown}, where {usual} is expected {of} ({sigma})"


def _with_unit(feature: FeatureConfig, scaled: float) -> str:
    """The value in the unit of its expression."""
    value = scaled
    if feature.scale == "log10":
        value = 10.0 ** min(scaled, 300.0)
    elif feature.scale == "squash":
        # An expectation may lie outside the range of the scale.
        inside = float(np.clip(scaled, -0.999, 0.999))
        value = inside / (1 - abs(inside))
    return f"{value:.3g} {feature.unit}".strip()
