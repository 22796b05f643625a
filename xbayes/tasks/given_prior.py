"""Class proportions as a person gives and reads them, and those that a catalogue was made with."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float

from xbayes.classifier.fitted_model import FittedModel
from xbayes.errors import InputError

SAME = 1e-6  # relative difference of two priors that count as one


def in_proportion(shares: Mapping[str, float | int], classes: Sequence[str]) -> dict[str, float]:
    """Class proportions with sum 1 from any positive numbers, such as counts.

    Raises
    ------
    InputError
        For a class without a positive number, or a name that is no class.
    """
    unknown = [name for name in shares if name not in classes]
    if unknown:
        raise InputError(f"no class {unknown[0]!r}; the classes are {', '.join(classes)}")
    for name in classes:
        share = shares.get(name)
        if share is None or not 0 < share < math.inf:
            found = "none" if share is None else f"{share:g}"
            raise InputError(f"the prior needs a positive number for every class; {name}: {found}")
    total = math.fsum(shares.values())
    return {name: shares[name] / total for name in classes}


def proportions_of(log_prior: Float[np.ndarray, "C"], classes: Sequence[str]) -> dict[str, float]:
    """The class proportions of a log prior, which may lack its constant."""
    log_prior = np.asarray(log_prior, np.float64)
    share = np.exp(log_prior - log_prior.max())
    return dict(zip(classes, (share / share.sum()).tolist(), strict=True))


def other_prior(path: Path, model: FittedModel) -> dict[str, float] | None:
    """The prior of the posteriors in a classified Parquet file, if it is not that of the run."""
    meta = json.loads((pq.read_schema(path).metadata or {}).get(b"xbayes", b"{}"))
    prior = meta.get("PRIOR")
    if not isinstance(prior, list) or len(prior) != len(model.classes):
        return None
    own = proportions_of(model.applied_log_prior, model.classes)
    given = dict(zip(model.classes, map(float, prior), strict=True))
    if np.allclose(list(given.values()), list(own.values()), rtol=SAME):
        return None
    return in_proportion(given, model.classes)


def same_posterior(
    row: Mapping[str, object], other: Mapping[str, object], classes: Sequence[str], within: float
) -> bool:
    """Whether two classified rows have the same posterior, each probability `within` a distance."""
    values = [[each.get(f"p_{name}") for name in classes] for each in (row, other)]
    if any(value is None for each in values for value in each):
        return False
    return bool(np.allclose(*np.array(values, np.float64), rtol=0, atol=within))
