"""A decision tree of the hard rules with which astronomers sort X-ray sources without a model.

The rules are the customary ones:

    log X-ray to optical flux ratio below -2: star; between -1 and 1: AGN   (Maccacaro et al. 1988)
    |b| above 20 deg: mostly AGN; below: mostly Galactic sources            (the rules in
                                                                            Tranin et al. 2022)
    parallax above five times its error: Galactic source
    W1 - W2 above 0.8: AGN                                                  (Stern et al. 2012)
    photon index 1.91 +- 0.31 and little variability: AGN; very soft, very hard or highly
    variable: compact object                                                (Lin et al. 2012)

Without an optical magnitude in the config, only spectrum and variability are used. The rules define
the leaves of the tree. The probabilities of a leaf are the class frequencies of its training
sources, so the rules work with any set of classes. Differs from Lin et al. 2012: their infrared
flux, flares and long-term variation factors are not in these catalogues.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.errors import InputError

# Features are found by the names in `Rule`, or by these; scales as in the configs of xbayes.
OTHER_NAMES = {
    "powlaw_gamma": "gamma",
    "hard_hs": "hr_hs",
    "var_prob_b": "var_intra",
}
# log10 of the G-band flux at magnitude 0 [erg/s/cm2]: Gaia zero point times bandwidth.
LOG_FLUX_G0 = -5.0
STAR, FAINT_AGN = -2.0 + LOG_FLUX_G0, -1.0 + LOG_FLUX_G0
PARALLAX_SNR = float(np.log10(5.0))
PLANE, AGN_COLOUR = 20.0, 0.8  # deg, mag
HARD, SOFT = 1.91 - 2 * 0.31, 1.91 + 2 * 0.31  # photon index
VARIABLE = 0.95  # probability; if the feature is a log10 odds, this is a probability of 0.9
SMOOTHING = 1.0  # pseudo-sources with the overall class frequencies, added to each leaf


class Rule(NamedTuple):
    """A rule on one feature; the branches are further rules or the names of leaves."""

    name: str
    threshold: float
    below: "Rule | str"
    above: "Rule | str"
    missing: "Rule | str"


def _spectrum_rules(where: str) -> Rule:
    """Rules on the X-ray spectrum and variability, after the position `where`."""
    not_hard = Rule("gamma", SOFT, f"{where}, spectrum of an AGN", f"{where}, soft", "")
    steady = Rule("gamma", HARD, f"{where}, hard", not_hard, f"{where}, steady")
    return Rule("var_inter", VARIABLE, steady, f"{where}, variable", steady)


def _optical_rules() -> Rule:
    """The rules for configs with an optical magnitude."""
    by_latitude = Rule(
        "abs_b",
        PLANE,
        below=_spectrum_rules("in the plane"),
        above=_spectrum_rules("off the plane"),
        missing=_spectrum_rules("anywhere"),
    )
    without_counterpart = Rule(
        "abs_b",
        PLANE,
        below=_spectrum_rules("no counterpart, in the plane"),
        above=_spectrum_rules("no counterpart, off the plane"),
        missing=_spectrum_rules("no counterpart"),
    )
    by_colour = Rule("w1_w2", AGN_COLOUR, by_latitude, "infrared colour of an AGN", by_latitude)
    distant = Rule("fx_g", STAR, "faint in X-rays, far", by_colour, without_counterpart)
    bright = Rule("fx_g", FAINT_AGN, "active, with a parallax", "compact, with a parallax", "")
    nearby = Rule("fx_g", STAR, "a star with a parallax", bright, "a parallax, no magnitude")
    return Rule("parallax_snr", PARALLAX_SNR, below=distant, above=nearby, missing=distant)


def _x_ray_rules() -> Rule:
    """The rules for configs without an optical magnitude."""
    not_hard = Rule("gamma", SOFT, "spectrum of an AGN", "soft", "")
    steady = Rule("gamma", HARD, "hard", not_hard, "no spectrum")
    variable = Rule("hr_hs", 0.0, "variable, soft", "variable, hard", "variable")
    return Rule("var_intra", VARIABLE, below=steady, above=variable, missing=steady)


OPTICAL, X_RAYS = _optical_rules(), _x_ray_rules()


class RuleTree(NamedTuple):
    """The leaves of the tree, with the class frequencies of the training sources."""

    leaves: tuple[str, ...]
    probability: Float[np.ndarray, "L C"]
    names: tuple[str, ...]


def fit_rules(
    x: Float[np.ndarray, "N F"], truth: Int[np.ndarray, "N"], n_classes: int, names: Sequence[str]
) -> RuleTree:
    """Class frequencies in each leaf. Raises `InputError` without any of the features."""
    leaves = tuple(dict.fromkeys(_leaves_of(_tree(names))))
    overall = np.bincount(truth, minlength=n_classes) / len(truth)
    count = np.zeros((len(leaves), n_classes))
    np.add.at(count, (_leaf_index(leaves, x, names), truth), 1.0)
    count += SMOOTHING * overall
    probability = count / count.sum(1, keepdims=True)
    return RuleTree(leaves=leaves, probability=probability, names=tuple(names))


def predict_rules(tree: RuleTree, x: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N C"]:
    """The class frequencies of the leaf of each source."""
    return tree.probability[_leaf_index(tree.leaves, x, tree.names)]


def leaf_names(x: Float[np.ndarray, "N F"], names: Sequence[str]) -> list[str]:
    """The leaf of each source."""
    return _descend(_tree(names), x, [OTHER_NAMES.get(name, name) for name in names]).tolist()


def _tree(names: Sequence[str]) -> Rule:
    known = {OTHER_NAMES.get(name, name) for name in names}
    tree = OPTICAL if "fx_g" in known else X_RAYS
    needed = sorted(set(_features_of(tree)))
    if not known & set(needed):
        raise InputError(
            f"the peer hard_rules needs features named {', '.join(needed)} (or "
            f"{', '.join(OTHER_NAMES)}), but the config has none of them; rename the features, or "
            "leave this peer out"
        )
    return tree


def _leaf_index(
    leaves: Sequence[str], x: Float[np.ndarray, "N F"], names: Sequence[str]
) -> Int[np.ndarray, "N"]:
    number = {leaf: at for at, leaf in enumerate(leaves)}
    return np.array([number[leaf] for leaf in leaf_names(x, names)], dtype=np.int64)


def _descend(node: Rule | str, x: Float[np.ndarray, "N F"], names: list[str]) -> np.ndarray:
    """The name of the leaf of each row; a feature that is not in the config counts as missing."""
    if isinstance(node, str):
        return np.full(len(x), node, dtype=object)
    value = x[:, names.index(node.name)] if node.name in names else np.full(len(x), np.nan)
    leaf = np.empty(len(x), dtype=object)
    missing = np.isnan(value)
    above = ~missing & (value > node.threshold)
    branches = ((missing, node.missing), (above, node.above), (~missing & ~above, node.below))
    for rows, branch in branches:
        if rows.any():
            leaf[rows] = _descend(branch, x[rows], names)
    return leaf


def _leaves_of(node: Rule | str) -> list[str]:
    if isinstance(node, str):
        return [node]
    return [leaf for branch in node[2:] for leaf in _leaves_of(branch)]


def _features_of(node: Rule | str) -> list[str]:
    if isinstance(node, str):
        return []
    return [node.name, *(name for branch in node[2:] for name in _features_of(branch))]
