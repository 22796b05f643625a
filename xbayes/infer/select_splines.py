"""Selection of the smooth curves: their penalty and their share in the score, on inner folds.

curves without each fold -> scores of that fold -> penalty and share -> held-out averages -> curves
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xbayes.infer.fit_splines import PENALTIES, fit_splines
from xbayes.infer.select_terms import HeldOut, select_share
from xbayes.models.additive_terms import SplineTerms, contributions, mixed_log_joint
from xbayes.types import Features

SHARES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)


class SplineReport(NamedTuple):
    """The selected share and penalty, and their gain."""

    share: float = 0.0  # 0: the curves do not improve the scores, and there are none
    penalty: tuple[float, float] = (0.0, 0.0)  # of second differences, of size
    gain: float = 0.0  # held-out log loss without the curves minus that with them
    gain_error: float = 0.0  # its standard error, clustered by group


def learn_splines(
    features: Features, held_out: HeldOut, row_weight: Float[np.ndarray, "N"] | None = None
) -> tuple[SplineTerms | None, Float[np.ndarray, "N C"], SplineReport]:
    """Curves fitted to all rows with `fold >= 0`, held-out averaged scores, and a report.

    The curves are None where the log loss falls by no more than its standard error (the rule of
    one standard error: Breiman et al. 1984, section 3.4.3). The scores are then those of the base
    model.
    """
    training, n_classes = held_out.fold >= 0, held_out.log_joint.shape[1]
    staged = np.zeros((len(PENALTIES), *held_out.log_joint.shape))
    for j in np.unique(held_out.fold[training]):
        rows = held_out.fold == j
        part = training & ~rows
        for r, penalty in enumerate(PENALTIES):
            splines = fit_splines(
                features, held_out.truth, part, n_classes, penalty, row_weight=row_weight
            )
            staged[r, rows] = splines.base + contributions(splines, features.rows(rows)).sum(1)
    best = select_share(held_out, staged, SHARES)
    if not best.gain > best.gain_error:
        report = SplineReport(gain=best.gain, gain_error=best.gain_error)
        return None, held_out.log_joint, report
    penalty = PENALTIES[best.stage]
    splines = fit_splines(
        features,
        held_out.truth,
        training,
        n_classes,
        penalty,
        share=best.share,
        row_weight=row_weight,
    )
    # The staged scores already contain the base of the fit without the row's fold.
    base_model = np.asarray(held_out.log_joint, np.float64)
    without_base = splines._replace(base=np.zeros(n_classes))
    log_joint = np.array(
        mixed_log_joint(without_base, base_model, staged[best.stage], held_out.measured)
    )
    log_joint[~training] = base_model[~training]
    report = SplineReport(
        share=best.share, penalty=penalty, gain=best.gain, gain_error=best.gain_error
    )
    return splines, log_joint, report
