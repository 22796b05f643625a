"""What `classify` learns from a catalogue as a whole, and only if it is asked to.

`prior="estimate"` learns class proportions, `decision="catalogue"` a threshold. Everything else in
the result of a row depends on the row and the run alone.
"""

from collections.abc import Callable, Mapping

import numpy as np

from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import trained_log_prior
from xbayes.classifier.predict import Products
from xbayes.errors import InputError
from xbayes.evaluate.applied_rule import (
    CATALOGUE,
    AppliedRule,
    Asked,
    parse_decision,
    rule_of_catalogue,
    rule_of_run,
)
from xbayes.evaluate.label_shift import DECLINED, CheckedEstimate, checked_proportions

ESTIMATE = "estimate"  # the prior that is estimated from the catalogue itself

Prior = Mapping[str, float] | str | None
SampleProducts = Callable[[FittedModel], Products]  # of evenly spaced rows of the catalogue


def with_prior(
    model: FittedModel,
    prior: Prior,
    n_rows: int,
    sample: SampleProducts,
    *,
    estimated: Callable[[CheckedEstimate], None],
    warn: Callable[[str], None],
) -> FittedModel:
    """The model under the prior of this catalogue, given or estimated from its sample."""
    if not isinstance(prior, str):
        return model.under(prior)
    if prior != ESTIMATE:
        raise InputError(f"prior must be class proportions or {ESTIMATE!r}; found {prior!r}")
    if n_rows == 1:
        raise InputError("prior 'estimate' needs a catalogue; one source has no proportions")
    products, sampled = sample(model), model.classifier.held_out
    assert sampled is not None, "a classifier lacks its held-out sample only inside jit"
    estimate = checked_proportions(
        sampled,
        trained_log_prior(model.recipe, model.classifier),
        products.posterior,
        products.outlier_p,
        applied_log_prior=np.log(products.prior)
        if products.prior.shape[1]
        else model.applied_log_prior,
        seed=model.config.seed,
    )
    estimated(estimate)
    if estimate.verdict == DECLINED:
        warn(estimate.text(model.classes))
    if estimate.weight == 0:
        return model
    return model.under(dict(zip(model.classes, estimate.proportions.tolist(), strict=True)))


def applied_rule(
    model: FittedModel, decision: Asked | None, n_rows: int, sample: SampleProducts
) -> AppliedRule:
    """The decision rule for this catalogue; None: that of the run, under the prior of the model."""
    asked = None if decision is None else parse_decision(decision)
    if decision is None or asked is not None:
        return rule_of_run(model.recipe, model.classifier, model.prior_of_rule, asked)
    if n_rows == 1:
        raise InputError(f"decision {CATALOGUE!r} needs a catalogue; one source has no threshold")
    return rule_of_catalogue(model.recipe, sample(model).posterior)
