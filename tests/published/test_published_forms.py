"""The two published forms, as the paper writes it and as the code computes it, by brute force."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from tests.published.by_hand import (
    Form,
    Property,
    code_posterior,
    paper_outlier,
    paper_posterior,
)
from xbayes.classifier.explain import explain
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import parse_config
from xbayes.config.schema import given_log_prior
from xbayes.errors import InputError
from xbayes.features.build import build_features
from xbayes.types import Labels

RECORDED = Path(__file__).parent / "code_form.json"
CLASSES = ("AGN", "Star", "XRB")
ALPHA = {"location": 0.5, "spectrum": 3.0, "counterparts": 6.0, "variability": 9.0}
PRIOR = [0.7, 0.23, 0.07]
PROPERTIES = {
    "b": Property("location", cosine_for=(2,)),
    "hr": Property("spectrum"),
    "flux": Property("spectrum"),
    "fx_w1": Property("counterparts"),
    "flag": Property("counterparts"),  # few distinct values
    "bands": Property("counterparts"),  # few distinct values in the class AGN only
    "ratio": Property("variability"),
}
CONFIG = """
name: forms
catalog: {id: name, label: Class}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}}
features:
  b: {expression: b, category: location, missing: evidence, cosine_for: [XRB]}
  hr: {expression: hr, category: spectrum, missing: evidence}
  flux: {expression: 10 ** flux, scale: log10, category: spectrum, missing: evidence}
  fx_w1: {expression: fx_w1, category: counterparts, missing: evidence}
  flag: {expression: flag, category: counterparts, missing: evidence}
  bands: {expression: bands, category: counterparts, missing: evidence}
  ratio: {expression: ratio, category: variability, missing: evidence}
model:
  alpha: {location: 0.5, spectrum: 3, counterparts: 6, variability: 9}
  missing_weight: 0.7
  normalise: true
  density: published
  shrink_outliers: false
  calibration: none
  prior: {AGN: 0.7, Star: 0.23, XRB: 0.07}
validation: {inner_folds: 3}
"""


def invented_sources(seed=5):
    """Values of 90 training sources and 30 others, some far outside; NaN is missing."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2], [45, 31, 14])
    kind = np.r_[truth, rng.integers(0, 3, 30)]
    n = len(kind)
    values = {
        "b": np.clip(rng.normal(0, np.array([40, 15, 8])[kind]), -89, 89),
        "hr": np.tanh(rng.normal(np.array([0.2, -0.6, 0.5])[kind], 0.4)),
        "flux": rng.normal(np.array([-13.2, -12.9, -12.1])[kind], 0.6),
        "fx_w1": rng.normal(np.array([0.1, -2.5, 1.3])[kind], 0.8),
        "flag": rng.integers(0, 4, n) + (kind == 2) * rng.integers(0, 3, n),
        "bands": np.where(kind == 0, rng.integers(0, 5, n), rng.uniform(0, 9, n)),
        "ratio": rng.gamma(np.array([1.5, 1.0, 4.0])[kind]),
    }
    values = {name: np.round(np.asarray(v, float), 6) for name, v in values.items()}
    for name in values:
        rate = rng.uniform(0.1, 0.4, 3)[kind]
        values[name][rng.random(n) < rate] = np.nan
    values["ratio"][-3:] = 40.0, -5.0, 1.0  # outside the grid; the last has nothing else
    for name in ("b", "hr", "flux", "fx_w1", "flag", "bands"):
        values[name][-1] = np.nan
    return values, truth


def form_of(values, truth, **changes):
    n = len(truth)
    form = Form(
        properties=PROPERTIES,
        alpha=ALPHA,
        alpha_null=0.7,
        prior=PRIOR,
        train={name: v[:n].tolist() for name, v in values.items()},
        truth=truth.tolist(),
    )
    return form._replace(**changes)


def sources_of(values):
    n = len(values["b"])
    return [{name: float(v[i]) for name, v in values.items()} for i in range(n)]


@pytest.fixture(scope="module")
def fitted():
    """`fitted(density)`: products, terms and recipe of all 120 sources, weights given."""
    values, truth = invented_sources()
    n = len(truth)

    def fit(*settings):
        config = parse_config(CONFIG, overrides=settings)
        features, _ = build_features(Table(values, masked=True), config)
        label = np.r_[truth, np.full(len(values["b"]) - n, -1)]
        recipe = build_recipe(config)
        labels = Labels(class_index=label, group=np.arange(len(label)))
        fold = np.where(label >= 0, np.arange(len(label)) % 3, -1)
        classifier, report = fit_classifier(recipe, features, labels, fold, jax.random.key(0))
        given = classify(recipe, classifier, features, given_log_prior(config))
        terms = explain(recipe, classifier, features, given_log_prior(config))
        return given, terms, classifier, report

    return fit


def test_the_paper_form_is_the_formula(fitted):
    values, truth = invented_sources()
    products, _, _, _ = fitted()
    form, sources = form_of(values, truth), sources_of(values)
    expected = np.array([paper_posterior(form, source) for source in sources])
    np.testing.assert_allclose(products.posterior, expected, rtol=1e-12, atol=1e-15)
    measure = [paper_outlier(form, source) for source in sources]
    np.testing.assert_allclose(products.outlier, measure, rtol=1e-12)


def test_the_code_form_has_the_recorded_outputs(fitted):
    recorded = json.loads(RECORDED.read_text())
    values, _ = invented_sources()
    for name, column in recorded["values"].items():  # the catalogue itself is recorded too
        np.testing.assert_array_equal(values[name], np.array(column, float))
    products, _, _, _ = fitted("model.density=published_code")
    np.testing.assert_allclose(products.posterior, recorded["posterior"], rtol=1e-12, atol=1e-15)


def test_the_recorded_outputs_are_those_of_the_stated_formula():
    recorded = json.loads(RECORDED.read_text())
    values, truth = invented_sources()
    form = form_of(values, truth)
    again = [code_posterior(form, source) for source in sources_of(values)]
    np.testing.assert_allclose(recorded["posterior"], again, rtol=1e-9)


@pytest.mark.parametrize("density", ["published", "published_code"])
def test_contributions_sum_to_the_score(fitted, density):
    products, terms, _, _ = fitted(f"model.density={density}")
    score = terms.log_prior + terms.offset + terms.contribution.sum(1)
    total = np.exp(score - np.logaddexp.reduce(score, axis=1, keepdims=True))
    np.testing.assert_allclose(total, products.posterior, rtol=1e-12, atol=1e-15)
    expected = np.tile(PRIOR, (len(score), 1))
    np.testing.assert_allclose(np.exp(terms.log_prior), expected, rtol=1e-12)
    offset = terms.offset - terms.offset.mean(-1, keepdims=True)  # b = 0 in every class
    np.testing.assert_allclose(offset, 0.0, atol=1e-12)


@pytest.mark.parametrize("null", [0.0, 1.0])
def test_the_weight_of_missing_values(fitted, null):
    values, truth = invented_sources()
    form, sources = form_of(values, truth, alpha_null=null), sources_of(values)
    for density, brute in (("published", paper_posterior), ("published_code", code_posterior)):
        settings = f"model.missing_weight={null}", f"model.density={density}"
        got = fitted(*settings)[0].posterior
        expected = [brute(form, source) for source in sources]
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_the_two_forms_differ(fitted):
    paper, code = (fitted(f"model.density={d}")[0] for d in ("published", "published_code"))
    assert np.abs(paper.posterior - code.posterior).max() > 0.1


def test_searching_the_exponent_of_missing_values_equals_setting_it(fitted):
    """Evolution multiplies log-likelihoods of exponent 1, in which n_null counts fully."""
    values, _ = invented_sources()
    arrays = []
    for null in (1.0, 0.3):
        config = parse_config(
            CONFIG, overrides=(f"model.missing_weight={null}", "model.density=published_code")
        )
        density = build_recipe(config).density
        features = jax.tree.map(jnp.asarray, build_features(Table(values, masked=True), config)[0])
        arrays.append(density.log_lik(fitted_density(density, features), features))
    assert density.reweigh_missing is not None and density.with_missing_weight is not None
    again = density.reweigh_missing(arrays[0], features.measured, features.available, 0.3)
    np.testing.assert_allclose(again, arrays[1], rtol=1e-12)
    params = density.with_missing_weight(fitted_density(density, features), 1.0)
    np.testing.assert_allclose(density.log_lik(params, features), arrays[0], rtol=1e-12)


def fitted_density(density, features):
    _, truth = invented_sources()
    label = jnp.asarray(np.r_[truth, np.full(len(features.value) - len(truth), -1)])
    prepared = density.prepare(jax.tree.map(np.asarray, features), np.asarray(label) >= 0)
    prepared = jax.tree.map(jnp.asarray, prepared)
    statistics = density.statistics(prepared, features, label, jnp.where(label < 0, -1, 0), 1)
    return density.fit(prepared, statistics[0])


def test_a_source_beyond_the_grid_has_likelihood_one_in_the_code(fitted):
    """Only the terms of its other properties and of its presence are left."""
    values, truth = invented_sources()
    form, sources = form_of(values, truth), sources_of(values)
    changed = [source | {"ratio": 1e6} for source in sources if source["ratio"] == 40.0]
    assert changed
    products = fitted("model.density=published_code")[0]
    row = [source["ratio"] == 40.0 for source in sources].index(True)
    np.testing.assert_allclose(
        products.posterior[row], code_posterior(form, changed[0]), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.normalise=false", "published_code needs weights: category and normalise: true"),
        ("features.hr.missing=ignore", "must be evidence for every feature"),
    ],
)
def test_the_code_form_refuses_what_it_does_not_have(setting, message):
    with pytest.raises(InputError, match=message):
        parse_config(CONFIG, overrides=("model.density=published_code", setting))


def record() -> None:
    """Write the catalogue and the outputs of the formula: python -m tests.published.test_..."""
    values, truth = invented_sources()
    form = form_of(values, truth)
    record = {
        "values": {
            name: [None if np.isnan(x) else x for x in v.tolist()] for name, v in values.items()
        },
        "posterior": [code_posterior(form, source) for source in sources_of(values)],
    }
    RECORDED.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    record()
