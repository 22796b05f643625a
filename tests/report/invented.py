"""Invented sources and scores for the tests of the report."""

import numpy as np

from xbayes.report.labels import PropertyLabel
from xbayes.report.track import Track

CLASSES = ("AGN", "Star", "XRB", "CV")
CATEGORIES = ("location", "spectrum", "counterparts", "variability")
PROPERTIES = (
    *(PropertyLabel("abs_b", "location", "galactic latitude, absolute", "deg"),),
    *(PropertyLabel("abs_l", "location", "longitude from the galactic centre", "deg"),),
    *(PropertyLabel("hr_ms", "spectrum", "hardness ratio (M - S) / (M + S)"),),
    *(PropertyLabel("hr_hm", "spectrum", "hardness ratio (H - M) / (H + M)"),),
    *(PropertyLabel("gamma", "spectrum", "photon index"),),
    *(PropertyLabel("flux", "spectrum", "X-ray flux, 0.5-7 keV", "erg/s/cm2", "log10"),),
    *(PropertyLabel("fx_g", "counterparts", "X-ray to G-band flux", "dex"),),
    *(PropertyLabel("bp_rp", "counterparts", "colour BP - RP", "mag"),),
    *(PropertyLabel("w1_w2", "counterparts", "colour W1 - W2", "mag"),),
    *(PropertyLabel("distance", "counterparts", "geometric distance", "pc", "log10"),),
    *(PropertyLabel("parallax_snr", "counterparts", "parallax over its error", "", "squash"),),
    *(PropertyLabel("p_any", "counterparts", "probability of any counterpart"),),
    *(PropertyLabel("var_intra", "variability", "probability of variability within"),),
    *(PropertyLabel("var_inter", "variability", "probability of variability between"),),
)
VALUES = (
    *("2.1 deg", "7.3 deg", "0.42", "0.31", "1.62", "3.4e-13 erg/s/cm2", "1.9 dex", "1.84 mag"),
    *("missing", "8,100 pc", "missing", "0.71", "0.997", "not surveyed"),
)
CATEGORY = tuple(CATEGORIES.index(p.category) for p in PROPERTIES)


def invented_track(n_properties: int = len(PROPERTIES), n_classes: int = 4, seed: int = 3) -> Track:
    """A source whose bars add up; at the default size a likely X-ray binary."""
    rng = np.random.default_rng(seed)
    classes = (*CLASSES, "NS", "YSO", "ULX", "TDE", "Galaxy cluster", "GRB")[:n_classes]
    take = [f % len(PROPERTIES) for f in range(n_properties)]
    values = tuple(VALUES[f] for f in take)
    category = tuple(CATEGORY[f] for f in take)
    contribution = rng.normal(0, 0.75, (n_properties, n_classes))
    contribution[:, min(2, n_classes - 1)] += 0.45
    contribution[[v == "not surveyed" for v in values]] = 0.0
    contribution -= contribution.mean(-1, keepdims=True)
    log_prior = np.log(np.linspace(2, 0.2, n_classes) / np.linspace(2, 0.2, n_classes).sum())
    offset = rng.normal(0, 0.3, n_classes)
    by_category = np.stack([contribution[np.array(category) == g].sum(0) for g in range(4)])
    posterior = _softmax(log_prior + offset + contribution.sum(0))
    return Track(
        "CXO J174540.0-290028", classes, CATEGORIES, category, [PROPERTIES[f].name for f in take],
        values, contribution, offset, log_prior, _softmax(log_prior + by_category), posterior,
        int(posterior.argmax()), 0.43, classes[1],
    )  # fmt: skip


def _softmax(score):
    weight = np.exp(score - score.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def invented_labels(n_properties: int) -> list[PropertyLabel]:
    """As many properties as asked for; the invented ones over and over, with names of their own."""
    times = [PROPERTIES[f % len(PROPERTIES)] for f in range(n_properties)]
    return [p._replace(name=f"{p.name}_{f}") if f >= 14 else p for f, p in enumerate(times)]


def invented_classes(n_classes: int) -> tuple[str, ...]:
    return (*CLASSES, "NS", "YSO", "ULX", "TDE", "Galaxy cluster", "GRB")[:n_classes]


def invented_predictions(n_sources: int = 2300, n_classes: int = 4, seed: int = 1):
    """Posteriors `[N, C]`, a little too sure of themselves, and the truth."""
    rng = np.random.default_rng(seed)
    share = 0.6 ** np.arange(n_classes)
    truth = rng.choice(n_classes, n_sources, p=share / share.sum())
    score = rng.normal(0, 1.2, (n_sources, n_classes)) + np.log(share)
    score[np.arange(n_sources), truth] += 3.0
    return _softmax(1.3 * score), truth


def invented_weights(n_properties: int = len(PROPERTIES), n_classes: int = 4, seed: int = 2):
    """alpha `[F, C]`, the same for all classes, and mixing `[F, C, C]`."""
    rng = np.random.default_rng(seed)
    alpha = np.tile(rng.gamma(3.0, 0.25, (n_properties, 1)), (1, n_classes))
    return alpha, rng.normal(0, 0.3, (n_properties, n_classes, n_classes))


def invented_densities(n_properties: int = len(PROPERTIES), n_classes: int = 4, seed: int = 4):
    """Nodes `[F, B]`, densities `[F, B, C]` and values by property and class."""
    rng = np.random.default_rng(seed)
    node = np.linspace(-4, 5, 128) * np.ones((n_properties, 1))
    centre = rng.normal(0, 1.2, (n_properties, 1, n_classes))
    width = rng.uniform(0.3, 1.2, (n_properties, 1, n_classes))
    density = np.exp(-0.5 * ((node[..., None] - centre) / width) ** 2) / width / np.sqrt(2 * np.pi)
    values = [
        [rng.normal(centre[f, 0, c], width[f, 0, c], 300 // (c + 1)) for c in range(n_classes)]
        for f in range(n_properties)
    ]
    return node, density, values
