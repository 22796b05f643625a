"""A feature with `missing: ignore` and no value adds exactly zero to every class of any model."""

import jax
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.classifier.explain import explain
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import parse_config
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.features.build import build_features
from xbayes.types import Labels

pytestmark = pytest.mark.usefixtures("few_rounds")

N = 400
CONFIG = """
name: absent
catalog: {id: id}
taxonomy: {classes: {A: [a], B: [b], C: [c]}}
features:
  a: {expression: a, category: first, error: 0.3 + 0 * a}
  b: {expression: b, category: first}
  c: {expression: c, category: second, scale: log10}
  d: {expression: "where(p > 0, d)", category: second, missing: evidence}
  e: {expression: e, category: second}
validation: {folds: 2, inner_folds: 3}
"""
IGNORED = {"a": 0, "b": 1, "c": 2, "e": 4}
# Of each kind: the settings of the model, and the parts that it must have.
KINDS = {
    "smooth densities": ["model.weights=matrix"],
    "mixtures of a category": ["categories={first: {likelihood: mixture}}"],
    "clusters": ["model.density=clusters", "model.clusters.components=2"],
    "published densities": ["model.density=published", "features.a.error=null"],
    "terms": ["model.terms=single", "model.terms_share=0.5"],
    "interactions and curves": ["model.terms=pairs", "model.terms_share=0.5", "model.splines=true"],
    "joint novelty": ["model.novelty=joint"],
}
FAST = "interactions and curves"


def catalogue() -> Table:
    """Absence and value of each feature tell the class; a and b do so only together."""
    rng = np.random.default_rng(3)
    truth = rng.choice(3, N, p=[0.4, 0.4, 0.2])
    sign = rng.choice([-1.0, 1.0], N)
    value = rng.normal(size=(N, 5))
    value[:, 0] += 2 * sign
    value[:, 1] += 2 * sign * np.where(truth == 1, -1, 1)
    value[:, 2:] += 1.5 * truth[:, None] * [1, -1, 1]
    absent = rng.random((N, 5)) < np.array([0.05, 0.2, 0.5])[truth][:, None]
    columns = dict(zip("abcde", np.where(absent, np.nan, value).T, strict=True))
    columns["c"] = 10.0 ** columns["c"]
    p = np.where(absent[:, 3], 0.0, 0.5)
    columns["d"] = value[:, 3]
    return Table({**columns, "p": p, "truth": truth})


@pytest.fixture(
    scope="module",
    params=[pytest.param(k, marks=() if k == FAST else pytest.mark.slow) for k in KINDS],
)
def fitted(request):
    """Config, recipe and classifier of one kind."""
    config = parse_config(CONFIG, overrides=KINDS[request.param])
    table = catalogue()
    features, _ = build_features(table, config)
    truth = np.asarray(table["truth"])
    inner = inner_folds(truth, np.arange(N), np.ones(N, bool), 3, 0)
    recipe = build_recipe(config)
    labels = Labels(class_index=truth, group=np.arange(N))
    classifier, _ = fit_classifier(recipe, features, labels, inner, jax.random.key(0))
    if request.param in ("terms", FAST):
        assert classifier.terms is not None
    if request.param == FAST:
        assert classifier.splines is not None and len(classifier.terms.pair)
    if request.param == "joint novelty":
        assert classifier.novelty is not None
    return config, recipe, classifier


def check(fitted, absent: dict[str, float], value: list[float]) -> None:
    """Ten random rows, and the same with some cells replaced by what is no value."""
    config, recipe, classifier = fitted
    columns = {name: [value[k]] for k, name in enumerate("abcde")} | {"p": [0.5]}
    columns["c"] = [10.0 ** value[2]]
    columns |= {name: [cell] for name, cell in absent.items()}
    features, report = build_features(Table(columns), config, {})
    gone = [IGNORED[name] for name in absent]
    assert not features.available[0, gone].any()
    assert {count.name for count in report.counts if count.not_available} == set(absent)
    explained = explain(recipe, classifier, features)
    assert not explained.contribution[0, gone].any()
    if classifier.terms is not None and explained.pairs.size:
        with_it = np.isin(np.asarray(classifier.terms.pair), gone).any(1)
        assert not explained.pairs[0, with_it].any()
    products = classify(recipe, classifier, features)
    assert products.n_missing[0] == products.n_not_available[0] == len(gone)
    filled = features._replace(value=np.where(features.measured, features.value, 7.0))
    np.testing.assert_array_equal(
        classify(recipe, classifier, filled).posterior, products.posterior
    )


NO_VALUE = st.sampled_from([np.nan, np.inf])
UNDEFINED = st.sampled_from([np.nan, 0.0, -3.0])  # of a logarithm
CELLS = st.fixed_dictionaries({}, optional=dict.fromkeys("abe", NO_VALUE) | {"c": UNDEFINED})


@settings(max_examples=25, deadline=None)
@given(absent=CELLS, value=st.lists(st.floats(-4, 4), min_size=5, max_size=5))
def test_an_absent_feature_adds_exactly_zero_to_every_class(fitted, absent, value):
    check(fitted, absent, value)


def test_a_row_in_which_nothing_is_available_gets_the_prior(fitted):
    config, recipe, classifier = fitted
    empty = Table({name: [np.nan] for name in "abcdep"})
    features, _ = build_features(empty, config, {})
    assert not features.available.any()
    products = classify(recipe, classifier, features)
    prior = np.exp(np.asarray(classifier.weights.log_prior, np.float64))
    np.testing.assert_allclose(products.posterior[0], prior / prior.sum(), atol=1e-6)
    assert products.n_not_available[0] == 5


def test_a_feature_that_was_not_detected_is_evidence(fitted):
    """A negative control: the same check fails for the feature with `missing: evidence`."""
    config, recipe, classifier = fitted
    row = Table({name: [0.5] for name in "abce"} | {"d": [0.0], "p": [0.0]})
    features, _ = build_features(row, config, {})
    assert features.available[0, 3] and not features.measured[0, 3]
    explained = explain(recipe, classifier, features)
    assert np.abs(explained.contribution[0, 3]).max() > 0.01
    assert classify(recipe, classifier, features).n_not_available[0] == 0
