"""The small sky that `small_config` describes: three overlapping classes in three features."""

import numpy as np
from astropy.table import Table

CLASSES = np.array(["AGN", "Star", "XRB"])
CENTRE = np.array([[0, 0, 0], [1.8, 0, 1], [0, 1.8, -1]])  # classes by features
CORRELATION = 0.5  # of the detections of a star


def small_sky(n: int, seed: int, proportions=(0.4, 0.35, 0.25), missing: float = 0.0) -> Table:
    """n rows; `star` and `field` name stars of about two detections, and fields of two stars.

    With `missing`, this share of the values is NaN, and so are all values of the first two rows.
    `z` and `flag` are no features; AGN have neither.
    """
    rng = np.random.default_rng(seed)
    star = np.repeat(np.arange(n), rng.integers(1, 4, n))[:n]
    truth = rng.choice(3, n, p=proportions)[star]
    common, own = rng.normal(size=(n, 3))[star], rng.normal(size=(n, 3))
    value = CENTRE[truth] + np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own
    if missing:
        value[rng.random((n, 3)) < missing] = np.nan
        value[:2] = np.nan
    table = Table(dict(zip("abc", value.T, strict=True)))
    table["name"] = [f"s{i}" for i in range(n)]
    table["star"] = [f"star {i}" for i in star]
    table["field"] = star // 2
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    table["z"] = np.where((rng.random(n) < 0.4) | (truth == 0), np.nan, 1.0)
    table["flag"] = np.where(truth == 0, 0, rng.integers(0, 2, n))
    table["Class"] = CLASSES[truth]
    return table
