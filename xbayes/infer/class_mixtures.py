"""One mixture of factor analysers per class, fitted on all rows and without each fold.

The classes share a prior: the factor analysis of all rows about the means of their classes. It
keeps the components of a small class close to the covariance that all classes have in common. Its
strength in such a class is chosen by held-out log-likelihood.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from xbayes.models.factor_mixture import (
    Factors,
    Points,
    expect,
    fit_factors,
    one_component,
)

N_FACTORS = 12
ROWS_PER_COMPONENT, MAX_COMPONENTS = 150, 4
N_STEPS = 15  # of EM; 30 gain 0.1 nats a source with 39 features
PSEUDO_ROWS = 5.0  # of the prior in a class with many members
CHOICES = (5.0, 10.0, 30.0, 100.0)  # in a class with fewer than MANY members per feature
MANY = 10
K_MEANS_STEPS = 10


class ClassMixtures(NamedTuple):
    """The components of each class: from all rows, and from those outside each fold."""

    whole: tuple[Factors, ...]  # C
    without: tuple[tuple[Factors, ...], ...]  # folds, C
    pseudo_rows: tuple[float, ...]  # C


class _Shared(NamedTuple):
    """What the classes have in common, from one set of rows."""

    rows: Int[np.ndarray, "M"]
    mean: Float[np.ndarray, "C F"]
    prior: Factors
    factor: Float[np.ndarray, "M Q"]  # of each of the rows, by the prior


def fit_class_mixtures(
    points: Points,
    class_index: Int[np.ndarray, "N"],
    fold: Int[np.ndarray, "N"],
    n_classes: int,
    seed: int,
) -> ClassMixtures:
    """Mixtures of all rows, each of class >= 0 and fold >= 0. `points` are standardised."""
    # The matrix products are small: threads would wait for each other, ten times as long on a
    # machine that is busy.
    with threadpool_limits(1):
        return _fit(points, class_index, fold, n_classes, seed)


def _fit(points: Points, class_index, fold, n_classes: int, seed: int) -> ClassMixtures:
    folds = np.unique(fold)
    shared = [_shared(points, class_index, np.flatnonzero(fold != j), n_classes) for j in folds]
    whole = _shared(points, class_index, np.arange(len(fold)), n_classes)
    fitted, without, pseudo_rows = [], [], []
    for c in range(n_classes):
        size = int((class_index == c).sum())
        n_components = int(np.clip(round(size / ROWS_PER_COMPONENT), 1, MAX_COMPONENTS))
        choices = CHOICES if size < MANY * len(points.value) else (PSEUDO_ROWS,)

        def fit(part, strength, c=c, n_components=n_components):
            return _fit_class(points, class_index, part, c, n_components, strength, seed)

        held_out = [[fit(part, strength) for part in shared] for strength in choices]
        gain = [_log_lik(points, class_index == c, fold, folds, models) for models in held_out]
        best = int(np.argmax(gain))
        without.append(held_out[best])
        fitted.append(fit(whole, choices[best]))
        pseudo_rows.append(choices[best])
    return ClassMixtures(
        whole=tuple(fitted),
        without=tuple(zip(*without, strict=True)),
        pseudo_rows=tuple(pseudo_rows),
    )


def _shared(points: Points, class_index, rows, n_classes: int) -> _Shared:
    """The class means, and the factor analysis of the rows about them.

    The mean of a class has one pseudo-row at 0, the mean of all rows.
    """
    part, label = _chosen(points, rows), class_index[rows]
    member = np.eye(n_classes)[label]  # [M, C]
    mean = (part.value @ member / (part.measured @ member + 1)).T
    centred = part._replace(value=(part.value - mean[label].T) * part.measured)
    n_factors = min(N_FACTORS, len(points.value))
    prior = one_component(centred, n_factors, N_STEPS)
    return _Shared(rows=rows, mean=mean, prior=prior, factor=expect(prior, centred).factor[0].T)


def _fit_class(
    points: Points,
    class_index,
    shared: _Shared,
    c: int,
    n_components: int,
    strength: float,
    seed: int,
) -> Factors:
    """The components of one class, started from groups of its rows in the space of the factors."""
    chosen = class_index[shared.rows] == c
    prior = shared.prior._replace(mean=shared.mean[c][None])
    group = _groups(shared.factor[chosen], n_components, seed)  # [M, K]
    count = group.sum(0) + 1
    centre = group.T @ shared.factor[chosen] / count[:, None]
    start = Factors(
        log_weight=np.log(count / count.sum()),
        mean=shared.mean[c] + centre @ prior.loading[0].T,
        loading=np.repeat(prior.loading, n_components, 0),
        variance=np.repeat(prior.variance, n_components, 0),
    )
    return fit_factors(_chosen(points, shared.rows[chosen]), start, prior, strength, N_STEPS)


def _groups(rows: Float[np.ndarray, "M Q"], n_groups: int, seed: int) -> Float[np.ndarray, "M K"]:
    """One-hot groups of the rows by k-means, from k-means++ centres."""
    if n_groups == 1 or len(rows) == 0:
        return np.eye(n_groups)[np.zeros(len(rows), int)]
    rng = np.random.default_rng(seed)
    centre = rows[[rng.integers(len(rows))]]
    for _ in range(n_groups - 1):
        distance = _squares(rows, centre).min(1)
        share = distance / distance.sum() if distance.any() else None
        centre = np.concatenate([centre, rows[[rng.choice(len(rows), p=share)]]])
    group = np.eye(n_groups)[_squares(rows, centre).argmin(1)]
    for _ in range(K_MEANS_STEPS):
        count = group.sum(0)[:, None]
        centre = np.where(count > 0, group.T @ rows / np.maximum(count, 1), centre)
        group = np.eye(n_groups)[_squares(rows, centre).argmin(1)]
    return group


def _squares(rows: Float[np.ndarray, "M Q"], centre: Float[np.ndarray, "K Q"]):
    return ((rows[:, None] - centre) ** 2).sum(2)


def _log_lik(points: Points, member, fold, folds, models: list[Factors]) -> float:
    """Log-likelihood of the rows of a class, each under the model without its fold."""
    total = 0.0
    for j, model in zip(folds, models, strict=True):
        joint = expect(model, _chosen(points, np.flatnonzero(member & (fold == j)))).log_joint
        most = joint.max(0)
        total += float((most + np.log(np.exp(joint - most).sum(0))).sum())
    return total


def _chosen(points: Points, rows: Int[np.ndarray, "M"]) -> Points:
    return Points._make(array[:, rows] for array in points)
