"""The checks of the parameters of `AlphaBayesClassifier`. All raise InputError, a ValueError."""

import numbers
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.base import BaseEstimator

from xbayes.errors import InputError
from xbayes.infer.select_penalty import PENALTIES
from xbayes.models.naive_bayes import KINDS

CHOICES = {
    "weights": KINDS,
    "density": ("smooth", "published", "published_code"),
    "missing": ("evidence", "ignore"),
    "objective": ("log_loss", "f1"),
    "decision": ("argmax", "f1", "expected_f1"),
}


def check_parameters(model: BaseEstimator) -> None:
    """Raise InputError unless the parameters are valid and go together."""
    given = model.get_params(deep=False)
    for name, allowed in CHOICES.items():
        if not isinstance(given[name], str) or given[name] not in allowed:
            raise InputError(f"{name} is one of {allowed}; got {given[name]!r}")
    for name in ("normalise", "offsets"):
        if not isinstance(given[name], bool | np.bool_):
            raise InputError(f"{name} is True or False; got {given[name]!r}")
    for name, least in {"n_starts": 1, "n_folds": 2}.items():
        if not _is_number(given[name], numbers.Integral) or given[name] < least:
            raise InputError(f"{name} is a whole number, at least {least}; got {given[name]!r}")
    penalties_of(given["penalty"])
    exponent = given["missing_weight"]
    if not _is_number(exponent, numbers.Real) or not 0 <= float(exponent) <= 1:
        raise InputError(f"missing_weight is a number from 0 to 1; got {exponent!r}")
    _check_weights(given)
    if given["focus_class"] is not None:
        return
    for name in ("objective", "decision"):
        if given[name] in ("f1", "expected_f1"):
            raise InputError(f'{name}="{given[name]}" needs focus_class, a class of y')


def _check_weights(given: Mapping[str, object]) -> None:
    """Parameters that go with some weights only."""
    weights, objective = given["weights"], given["objective"]
    if given["alpha"] is not None:
        if weights not in ("matrix", "category"):
            raise InputError(f'alpha needs weights="category"; got {weights!r}')
        if objective != "log_loss":
            raise InputError(
                "alpha gives the weights, so that no objective is optimised; leave objective at "
                f'"log_loss"; got {objective!r}'
            )
        weights = "category"
    if given["normalise"] and weights != "category":
        raise InputError(f'normalise=True needs weights="category"; got {weights!r}')
    found = (weights, bool(given["normalise"]), given["missing"])
    if given["density"] == "published_code" and found != ("category", True, "evidence"):
        raise InputError(
            'density="published_code" needs weights="category", normalise=True and '
            f'missing="evidence"; got {", ".join(map(repr, found))}'
        )


def kind_of_weights(model: BaseEstimator) -> str:
    """The kind of the weights; given weights are weights of categories."""
    given = model.get_params(deep=False)
    return given["weights"] if given["alpha"] is None else "category"


def given_alpha(model: BaseEstimator, names: Sequence[object]) -> tuple[float, ...] | None:
    """The given weight of each of these categories; None if the weights are learned."""
    alpha, normalise = (model.get_params(deep=False)[name] for name in ("alpha", "normalise"))
    if alpha is None:
        return None
    given = alpha if isinstance(alpha, Mapping) else {}
    values = [float(given[name]) for name in names if _is_number(given.get(name), numbers.Real)]
    right = len(values) == len(names) == len(given) and all(0 <= v < np.inf for v in values)
    if not right or (normalise and not sum(values)):
        some = " and one above 0 (normalise=True)" if normalise else ""
        raise InputError(
            f"alpha is None or a dict with a number of at least 0 for each category of "
            f"{list(names)}{some}; got {alpha!r}"
        )
    return tuple(values)


def penalties_of(penalty: object) -> tuple[float, ...]:
    """The candidate penalties of "auto", or the one that is given."""
    if isinstance(penalty, str) and penalty == "auto":
        return PENALTIES
    if not isinstance(penalty, numbers.Real) or not _is_number(penalty, numbers.Real):
        raise InputError(f'penalty is "auto" or a number above 0; got {penalty!r}')
    if not 0 < float(penalty) < np.inf:
        raise InputError(f'penalty is "auto" or a number above 0; got {penalty!r}')
    return (float(penalty),)


def _is_number(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)
