"""A prior that depends on the source, from training to the classified table."""

from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.table import Table

from tests.small_sky import small_sky
from xbayes.catalog.read import table_chunks
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.learned import rule_under, trained_log_prior
from xbayes.classifier.recipe import build_recipe
from xbayes.classifier.store import load_model, save_model
from xbayes.config.reader import parse_config
from xbayes.config.schema import given_log_prior
from xbayes.errors import InputError
from xbayes.evaluate.votes import combine, mean_log_odds
from xbayes.features.prior import source_prior
from xbayes.features.trained_on import trained_on
from xbayes.tasks.classify import classify_chunks, classify_table
from xbayes.tasks.explain import explain_source
from xbayes.tasks.pool_detections import pool_detections
from xbayes.tasks.suggest_labels import draw_posteriors
from xbayes.tasks.training import fit_training, load_training

CLASSES = ("AGN", "Star", "XRB")
TEXT = """
name: a
catalog: {id: name, file: a.csv, label: Class, ra: ra, dec: dec}
taxonomy:
  classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}
  groups: {other: [Star, XRB]}
features:
  a: {expression: a, category: one}
  b: {expression: b, category: two}
  c: {expression: c, category: two}
model:
  penalty: 10
  starts: 1
  calibration: temperature
  prior: {AGN: 1, Star: exp(dec / 40), XRB: "where(ra < 180, 3, 0.2)"}
validation: {folds: 2, inner_folds: 2}
"""


def fitted(text: str) -> FittedModel:
    """A fitted run that is in no folder."""
    training = load_training(parse_config(text), small_sky(300, 1))
    recipe = build_recipe(training.config)
    classifier, _ = fit_training(training, recipe)
    facts = trained_on(
        training.table, training.features, training.labels.class_index >= 0, training.config
    )
    return FittedModel(
        folder=Path("nowhere"),
        config=training.config,
        recipe=recipe,
        classifier=classifier,
        trained_on=facts,
        log_prior=given_log_prior(training.config),
    )


@pytest.fixture(scope="module")
def model() -> FittedModel:
    return fitted(TEXT)


@pytest.fixture(scope="module")
def sky() -> Table:
    table = small_sky(80, 7)
    table["ra"][3] = np.nan
    return table["name", "ra", "dec", "a", "b", "c", "star"]


def columns(table: Table, prefix: str = "p") -> np.ndarray:
    return np.stack([np.asarray(table[f"{prefix}_{c}"]) for c in CLASSES], 1)


def proportions(log_prior: np.ndarray) -> dict[str, float]:
    return dict(zip(CLASSES, np.exp(log_prior).tolist(), strict=True))


def without_ra_check(model: FittedModel) -> FittedModel:
    """Coordinates that are no role may be empty."""
    roles = model.config.catalog.model_copy(update={"ra": None, "dec": None})
    return model._replace(config=model.config.model_copy(update={"catalog": roles}))


def test_only_the_prior_term_is_replaced(model, sky):
    """p(c | D, n) is p(c | D) prior(c | n) / prior(c), normalised; else it was learned anew."""
    model = without_ra_check(model)
    trained = trained_log_prior(model.recipe, model.classifier)
    made = classify_table(model, sky)
    plain = classify_table(model, sky, prior=proportions(trained))
    prior = columns(made, "prior")
    joint = columns(plain) * prior / np.exp(trained)
    np.testing.assert_allclose(columns(made), joint / joint.sum(1, keepdims=True), rtol=1e-9)
    expected = source_prior(sky, model.config, trained)
    assert expected is not None
    np.testing.assert_allclose(prior, np.exp(expected.log_prior), rtol=1e-9)
    assert not any(name.startswith("prior_") for name in plain.colnames)


def test_each_row_equals_a_run_with_its_prior_for_all_sources(model, sky):
    model = without_ra_check(model)
    made = classify_table(model, sky)
    prior = columns(made, "prior")
    for row in (0, 3, 5):
        same = classify_table(model, sky, prior=proportions(np.log(prior[row])))
        for name in (*(f"p_{c}" for c in CLASSES), *(f"p_two_{c}" for c in CLASSES), "outlier"):
            assert made[name][row] == pytest.approx(same[name][row], rel=1e-9)


def test_chunks_shuffles_and_single_rows(model, sky):
    model = without_ra_check(model)
    whole = columns(classify_table(model, sky))
    parts = list(classify_chunks(model, table_chunks(sky, 13)))
    np.testing.assert_allclose(np.concatenate([columns(p) for p in parts]), whole, rtol=1e-12)
    np.testing.assert_allclose(columns(classify_table(model, sky[::-1])), whole[::-1], rtol=1e-12)
    np.testing.assert_allclose(columns(classify_table(model, sky[4:5]))[0], whole[4], rtol=1e-12)


def test_rows_with_the_constant_prior_are_told(model, sky):
    told: list[str] = []
    made = classify_table(without_ra_check(model), sky, warn=told.append)
    assert any("the prior of 1 of 80 sources cannot be computed" in text for text in told)
    trained = trained_log_prior(model.recipe, model.classifier)
    np.testing.assert_allclose(columns(made, "prior")[3], np.exp(trained), rtol=1e-6)
    stated = TEXT.replace("  prior:", "  constant_prior: {AGN: 0.2, Star: 0.3, XRB: 0.5}\n  prior:")
    other = without_ra_check(model)._replace(config=parse_config(stated))
    other = without_ra_check(other)._replace(log_prior=given_log_prior(parse_config(stated)))
    made = classify_table(other, sky)
    np.testing.assert_allclose(columns(made, "prior")[3], [0.2, 0.3, 0.5], atol=1e-9)


def test_a_given_prior_needs_no_columns_of_the_prior(model, sky):
    model = without_ra_check(model)
    short = sky["name", "a", "b", "c"]
    with pytest.raises(InputError, match="lacks columns 'dec'"):
        classify_table(model, short)
    given = {"AGN": 0.5, "Star": 0.2, "XRB": 0.3}
    made = classify_table(model, short, prior=given)
    np.testing.assert_allclose(columns(made), columns(classify_table(model, sky, prior=given)))


def test_an_estimated_prior_is_constant(model):
    table, verdicts = small_sky(400, 9, (0.05, 0.9, 0.05)), []
    made = classify_table(model, table, prior="estimate", estimated=verdicts.append)
    (estimate,) = verdicts
    if estimate.weight:
        assert not any(name.startswith("prior_") for name in made.colnames)
        assert estimate.proportions[1] > 0.7


def test_a_group_is_the_sum_of_its_classes(model, sky):
    made = classify_table(without_ra_check(model), sky)
    np.testing.assert_allclose(made["p_other"], made["p_Star"] + made["p_XRB"], rtol=1e-12)
    assert "the sum over Star, XRB" in made["p_other"].description


def test_the_track_shows_the_prior_of_its_source(model, sky):
    model = without_ra_check(model)
    made = classify_table(model, sky)
    track = explain_source(model, sky, sky["name"][5])
    np.testing.assert_allclose(np.exp(track.log_prior), columns(made, "prior")[5], rtol=1e-9)
    score = track.log_prior + track.offset + track.contribution.sum(0)
    odds = np.log(columns(made)[5])
    np.testing.assert_allclose(score - score[0], odds - odds[0], atol=1e-9)
    assert track.groups == [("other", pytest.approx(made["p_other"][5]))]


def test_the_threshold_is_learned_under_the_priors_of_the_held_out_sources(model):
    sample = model.classifier.held_out
    assert sample is not None and sample.log_prior is not None
    assert model.prior_of_rule is not None and model.prior_of_rule.shape == (300, 3)
    by_source = rule_under(model.recipe, model.classifier, model.prior_of_rule)
    # As under one prior, if all held-out sources have it.
    same = np.log([0.2, 0.3, 0.5])
    every = np.broadcast_to(same, sample.log_prior.shape)
    constant = model.classifier._replace(held_out=sample._replace(log_prior=every))
    assert float(rule_under(model.recipe, constant, every).threshold) == pytest.approx(
        float(rule_under(model.recipe, model.classifier, same).threshold)
    )
    assert by_source.threshold != rule_under(model.recipe, model.classifier, same).threshold


def test_detections_are_pooled_under_their_own_priors(model, sky):
    made = classify_table(without_ra_check(model), sky)
    pooled = pool_detections(made, "star", rho=0.3).table
    prior, posterior = np.log(columns(made, "prior")), columns(made)
    _, source = np.unique(np.asarray(made["star"]), return_inverse=True)
    number = np.bincount(source)
    of_source = np.stack([np.bincount(source, prior[:, c]) / number for c in range(3)], 1)
    expected = combine(mean_log_odds(posterior, prior, source), number, of_source, 0.3)
    names, found = np.unique(np.asarray(pooled["star"]), return_index=True)
    assert len(names) == len(number)
    combined = np.stack([np.asarray(pooled[f"combined_{c}"])[found] for c in CLASSES], 1)
    np.testing.assert_allclose(combined, expected, rtol=1e-9)


def test_posterior_samples_have_the_prior_of_their_row(model, sky):
    features = load_training(parse_config(TEXT), small_sky(300, 1)).features.rows(slice(0, 5))
    prior = np.log(np.random.default_rng(1).dirichlet([1, 1, 1], 5))
    drawn = draw_posteriors(model.recipe, model.classifier, features, prior)
    for row in range(5):
        one = draw_posteriors(
            model.recipe, model.classifier, features.rows(slice(row, row + 1)), prior[row]
        )
        np.testing.assert_allclose(drawn[:, row], one[:, 0], rtol=1e-9)


def test_the_priors_survive_a_file(model, tmp_path):
    save_model(tmp_path / "run" / "model", model.config, model.classifier)
    stored = load_model(tmp_path / "run")[2].held_out
    assert stored is not None and model.classifier.held_out is not None
    jax.tree.map(np.testing.assert_array_equal, stored, model.classifier.held_out)


def test_the_published_selection_of_ulx(sky):
    """With two classes P > f under equal proportions, exactly where the posterior exceeds 1/2."""
    text = TEXT.replace("  groups: {other: [Star, XRB]}\n", "  unlabelled: [Star]\n")
    text = text.replace("Star: [Star], ", "").replace("Star: exp(dec / 40), ", "")
    text = text.replace("AGN: 1,", "AGN: exp(dec / 40),")
    model = without_ra_check(fitted(text))
    by_source = classify_table(model, sky)
    equal = classify_table(model, sky, prior={"AGN": 0.5, "XRB": 0.5})
    contaminants = np.asarray(by_source["prior_AGN"])
    published = np.asarray(equal["p_XRB"]) > contaminants
    assert np.array_equal(published, np.asarray(by_source["p_XRB"]) > 0.5)
    assert 10 < published.sum() < 70
