"""The shifts: training part, test part and columns of each. No remedy uses test labels."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from xbayes.catalog.columns import masked_column
from xbayes.evaluate.cross_validate import inner_folds, nested_splits
from xbayes.features.build import build_features
from xbayes.tasks.training import Training
from xbayes.types import Features

FLUX = ("Fcsc_s", "Fcsc_m", "Fcsc_h")
FAINT = 5e-14  # erg/s/cm2, 0.5-7 keV
LONGITUDES = (0, 60, 150, 240, 360)  # edges of the blocks in galactic longitude, degrees
YSO_TIMES = 4

GAIA_ERRORS = ("e_Gmag", "e_BPmag", "e_RPmag")
GAIA = ("Gmag", "BPmag", "RPmag", *GAIA_ERRORS, "RPlx", "PM", "epsi", "sepsi", "ruwe", "rgeo")
NEAR_INFRARED, WISE = ("Jmag", "Hmag", "Kmag"), ("W1mag", "W2mag", "W3mag")
# The columns that the earlier release of this table lacks (data/README.md).
EARLIER = ("powlaw_gamma_mean", "p_any", "epsi", "sepsi", "ruwe")
VARIABILITY = ("var_intra_prob", "var_inter_prob")
ZERO_IS_NONE = ("p_any",)  # 0 says that there is no counterpart; an empty cell says nothing

Part = tuple[np.ndarray, np.ndarray, int]  # inner fold of each training row (else -1), test, seed


class Shift(NamedTuple):
    """A difference between training and test part."""

    title: str
    parts: Callable[[Training], Iterator[Part]]
    columns: tuple[str, ...] = ()  # removed from the test part
    not_detected: bool = False  # the removed columns are not detected, instead of not available
    yso_times: int = 1


def folds(training: Training) -> Iterator[Part]:
    """Random folds, with inner folds as in the config."""
    n_inner, seed = training.config.validation.inner_folds, training.config.seed
    kind = inner_kind(training)
    for split in nested_splits(training.labels, 5, 1, n_inner, seed, inner_kind=kind):
        yield split.inner, split.test, split.seed


def inner_kind(training: Training) -> str:
    """How the config divides a training part into inner folds."""
    kind = training.config.validation.inner_split
    return "random" if kind == "same" else kind


def faint(training: Training) -> Iterator[Part]:
    """Training on bright sources, testing on faint ones."""
    flux = np.sum([np.asarray(masked_column(training.table, c).filled(0)) for c in FLUX], axis=0)
    yield _part(training, flux < FAINT, 1)


def sky(training: Training) -> Iterator[Part]:
    """Each block of galactic longitude, with training on the other blocks."""
    from astropy.coordinates import SkyCoord

    position = SkyCoord(training.table["ra"], training.table["dec"], unit="deg")
    block = np.digitize(position.galactic.l.deg, LONGITUDES[1:-1])
    for k in range(len(LONGITUDES) - 1):
        yield _part(training, block == k, k)


def _part(training: Training, test: np.ndarray, number: int) -> Part:
    truth, group, cell = training.labels.class_index, training.labels.group, training.labels.cell
    seed = training.config.seed + number
    n_inner, kind = training.config.validation.inner_folds, inner_kind(training)
    return inner_folds(truth, group, ~test, n_inner, seed, kind, cell=cell), test, seed


SHIFTS = {
    "none": Shift("no shift", folds),
    "faint": Shift("faint after bright", faint),
    "sky": Shift("another part of the sky", sky),
    "counterparts_unknown": Shift(
        "counterparts not available", folds, (*GAIA, *NEAR_INFRARED, *WISE, "p_any")
    ),
    "counterparts_absent": Shift(
        "counterparts not detected",
        folds,
        (*GAIA, *NEAR_INFRARED, *WISE, "p_any"),
        not_detected=True,
    ),
    "variability": Shift("no variability", folds, VARIABILITY),
    "infrared": Shift("no infrared", folds, (*NEAR_INFRARED, *WISE)),
    "hard": Shift("no hard band", folds, ("Fcsc_h",)),
    "parallax": Shift("no parallax", folds, ("RPlx", "rgeo")),
    "yso": Shift("four times the YSO", folds, yso_times=YSO_TIMES),
    "earlier": Shift(
        "four times the YSO, columns of an earlier release", folds, EARLIER, yso_times=YSO_TIMES
    ),
    "other": Shift(
        "four times the YSO; also no variability, no errors of magnitudes",
        folds,
        (*EARLIER, *VARIABILITY, *GAIA_ERRORS),
        yso_times=YSO_TIMES,
    ),
    "worse": Shift(
        "four times the YSO; also no near-infrared, no parallax",
        folds,
        (*EARLIER, *NEAR_INFRARED, "RPlx", "rgeo"),
        yso_times=YSO_TIMES,
    ),
}


def test_features(training: Training, shift: Shift) -> Features:
    """The features of all rows, as in the test part."""
    if not shift.columns:
        return training.features
    table = training.table.copy()
    removed = sorted(set(shift.columns) & set(table.colnames))
    for name in removed:
        empty = not (shift.not_detected and name in ZERO_IS_NONE)
        table[name] = np.ma.masked_array(np.zeros(len(table)), empty)
    # Empty cells count as not detected (`missing: evidence`) unless the catalogue lacks the column.
    lacked_by = {} if shift.not_detected else {name: (None,) for name in removed}
    return build_features(table, training.config, lacked_by)[0]


def copies(training: Training, shift: Shift) -> np.ndarray:
    """How often each source occurs in the test part."""
    is_yso = np.asarray(training.table["Class"]) == "YSO"
    return np.where(is_yso, shift.yso_times, 1)
