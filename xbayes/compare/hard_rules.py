"""The decision tree of hard rules by which astronomers sort X-ray sources without a model.

The questions are the customary ones:

    log X-ray to optical flux below -2: a star; between -1 and 1: an AGN     (Maccacaro et al. 1988)
    |b| above 20 deg: mostly AGN; below: mostly of the Galaxy                (the rules in
                                                                              Tranin et al. 2022)
    parallax five times its error: of the Galaxy
    W1 - W2 above 0.8: an AGN                                               (Stern et al. 2012)
    photon index 1.91 +- 0.31 and little variability: an AGN; very soft, very hard or highly
    variable: a compact object                                              (Lin et al. 2012)

Where there is no optical magnitude, spectrum and variability are asked alone. What the rules make
is leaves; a leaf's probabilities are the class frequencies of the training sources in it, so any
classes will do. Differs from Lin et al. 2012: their infrared flux and their flares and long-term
variation factors are not in these catalogues.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.types import InputError

# Names are found by these names, in the scale of the configs of this repository.
OTHER_NAMES = {
    "powlaw_gamma": "gamma",
    "hard_hs": "hr_hs",
    "var_prob_b": "var_intra",
}
# log10 of the G-band flux at magnitude 0 [erg/s/cm2]: Gaia's zero point times its width.
LOG_FLUX_G0 = -5.0
STAR, FAINT_AGN = -2.0 + LOG_FLUX_G0, -1.0 + LOG_FLUX_G0
PARALLAX_SNR = float(np.log10(5.0))
PLANE, AGN_COLOUR = 20.0, 0.8  # deg, mag
HARD, SOFT = 1.91 - 2 * 0.31, 1.91 + 2 * 0.31  # photon index
VARIABLE = 0.95  # probability; where the property is log10 odds, a probability of 0.9
SMOOTHING = 1.0  # training sources' worth of the overall class frequencies in each leaf


class Ask(NamedTuple):
    """One question; a value that is missing is an answer of its own."""

    name: str
    threshold: float
    below: "Ask | str"
    above: "Ask | str"
    missing: "Ask | str"


def _by_spectrum(where: str) -> Ask:
    """Whether the X-rays alone look like those of an AGN."""
    steady = Ask("gamma", HARD, f"{where}, hard", "", f"{where}, steady")
    usual = Ask("gamma", SOFT, f"{where}, spectrum of an AGN", f"{where}, soft", "")
    steady = steady._replace(above=usual)
    return Ask("var_inter", VARIABLE, steady, f"{where}, variable", steady)


OPTICAL = Ask(
    "parallax_snr",
    PARALLAX_SNR,
    below=(
        _beyond := Ask(
            "fx_g",
            STAR,
            below="faint in X-rays, far",
            above=Ask(
                "w1_w2",
                AGN_COLOUR,
                below=(
                    _blue := Ask(
                        "abs_b",
                        PLANE,
                        _by_spectrum("in the plane"),
                        _by_spectrum("off the plane"),
                        _by_spectrum("anywhere"),
                    )
                ),
                above="infrared colour of an AGN",
                missing=_blue,
            ),
            missing=Ask(
                "abs_b",
                PLANE,
                _by_spectrum("no counterpart, in the plane"),
                _by_spectrum("no counterpart, off the plane"),
                _by_spectrum("no counterpart"),
            ),
        )
    ),
    above=Ask(
        "fx_g",
        STAR,
        "a star with a parallax",
        Ask("fx_g", FAINT_AGN, "active, with a parallax", "compact, with a parallax", ""),
        "a parallax, no magnitude",
    ),
    missing=_beyond,
)
_quiet = Ask("gamma", SOFT, "spectrum of an AGN", "soft", "")
X_RAYS = Ask(
    "var_intra",
    VARIABLE,
    below=(_steady := Ask("gamma", HARD, "hard", _quiet, "no spectrum")),
    above=Ask("hr_hs", 0.0, "variable, soft", "variable, hard", "variable"),
    missing=_steady,
)


class RuleTree(NamedTuple):
    """The tree and what the training sources taught its leaves."""

    leaves: tuple[str, ...]
    probability: Float[np.ndarray, "L C"]
    names: tuple[str, ...]


def fit_rules(
    x: Float[np.ndarray, "N F"], truth: Int[np.ndarray, "N"], n_classes: int, names: Sequence[str]
) -> RuleTree:
    """Class frequencies in each leaf. Raises `InputError` where no rule has its property."""
    tree = _tree(names)
    leaves = tuple(dict.fromkeys(_leaves_of(tree)))
    leaf = _leaf_index(tree, leaves, x, names)
    overall = np.bincount(truth, minlength=n_classes) / len(truth)
    count = np.zeros((len(leaves), n_classes))
    np.add.at(count, (leaf, truth), 1.0)
    count += SMOOTHING * overall
    return RuleTree(leaves, count / count.sum(1, keepdims=True), tuple(names))


def predict_rules(tree: RuleTree, x: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N C"]:
    """The class frequencies of the leaf that each source falls in."""
    return tree.probability[_leaf_index(_tree(tree.names), tree.leaves, x, tree.names)]


def leaf_names(x: Float[np.ndarray, "N F"], names: Sequence[str]) -> list[str]:
    """The leaf of each source, in words."""
    tree = _tree(names)
    return _descend(tree, x, [OTHER_NAMES.get(name, name) for name in names]).tolist()


def _tree(names: Sequence[str]) -> Ask:
    known = {OTHER_NAMES.get(name, name) for name in names}
    tree = OPTICAL if "fx_g" in known else X_RAYS
    asked = sorted(set(_asked(tree)))
    if not known & set(asked):
        raise InputError(
            f"the peer hard_rules asks for properties named {', '.join(asked)} (or "
            f"{', '.join(OTHER_NAMES)}), and the config has none; name them so, or leave it out"
        )
    return tree


def _leaf_index(tree: Ask, leaves, x, names: Sequence[str]) -> Int[np.ndarray, "N"]:
    number = {leaf: at for at, leaf in enumerate(leaves)}
    found = _descend(tree, x, [OTHER_NAMES.get(name, name) for name in names])
    return np.array([number[leaf] for leaf in found], dtype=np.int64)


def _descend(node: Ask | str, x: Float[np.ndarray, "N F"], names: list[str]) -> np.ndarray:
    """The leaf's name of each row; a property that is not there is missing in all."""
    if isinstance(node, str):
        return np.full(len(x), node, dtype=object)
    value = x[:, names.index(node.name)] if node.name in names else np.full(len(x), np.nan)
    leaf = np.empty(len(x), dtype=object)
    missing = np.isnan(value)
    above = ~missing & (value > node.threshold)
    for rows, then in (
        (missing, node.missing),
        (above, node.above),
        (~missing & ~above, node.below),
    ):
        if rows.any():
            leaf[rows] = _descend(then, x[rows], names)
    return leaf


def _leaves_of(node: Ask | str) -> list[str]:
    if isinstance(node, str):
        return [node]
    return [leaf for then in node[2:] for leaf in _leaves_of(then)]


def _asked(node: Ask | str) -> list[str]:
    if isinstance(node, str):
        return []
    return [node.name, *(name for then in node[2:] for name in _asked(then))]
