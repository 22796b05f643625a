"""Soft labels from votes: rows, shares, folds, what learns from them, and what does not."""

import jax
import numpy as np
import pytest
from astropy.table import Table
from ruamel.yaml import YAML

from tests.small_sky import small_sky
from xbayes.catalog.write import write_catalog
from xbayes.classifier.recipe import build_recipe
from xbayes.classifier.training_part import training_part
from xbayes.config.reader import config_of
from xbayes.errors import InputError
from xbayes.report.summary import _of_crowd
from xbayes.tasks.soft_labels import SoftLabels, read_soft_labels, with_soft_rows
from xbayes.tasks.training import (
    cross_validate_training,
    fit_training,
    load_training,
    scored_and_agreement,
)
from xbayes.types import UNLABELLED, Features, Labels

CLASSES = ("AGN", "Star", "XRB")


@pytest.fixture
def sky():
    """A sky of which every second source has lost its label, and the labels of all."""
    table = small_sky(160, 0, (0.5, 0.3, 0.2))
    truth = np.array(table["Class"]).astype("U8")
    table["Class"] = np.where(np.arange(160) % 2 == 0, "", truth)
    return table, truth


def crowd_table(table, truth, sure=0.8):
    """Labels of all sources whose number is a multiple of four or one more than that."""
    rows = np.flatnonzero(np.arange(len(table)) % 4 < 2)
    prob = np.full((len(rows), 3), (1 - sure) / 2)
    prob[np.arange(len(rows)), [CLASSES.index(name) for name in truth[rows]]] = sure
    columns = {f"p_{name}": prob[:, c] for c, name in enumerate(CLASSES)}
    return Table({"name": np.array(table["name"])[rows], **columns})


def config_for(small_config, file, **model):
    given = YAML(typ="safe").load(small_config)
    given["catalog"]["crowd"] = str(file)
    given["taxonomy"]["labels"] = ["reference", "crowd"]
    return given | model


def test_a_source_has_a_row_for_each_class_and_counts_once():
    value = np.arange(8.0).reshape(4, 2)
    full = np.ones((4, 2), bool)
    features = Features(value, full, full, np.ones((4, 2)), np.zeros((4, 2)))
    labels = Labels(np.array([1, UNLABELLED, UNLABELLED, UNLABELLED]), np.array([7, 8, 9, 9]))
    prob = np.array([[0.5, 0.5], [0.7, 0.3], [0.99, 0.01], [0.0, 0.0]])
    soft = SoftLabels(prob=prob, known=np.array([True, True, True, False]))
    more, longer = with_soft_rows(features, labels, soft)
    np.testing.assert_array_equal(longer.class_index, [1, -1, -1, -1, 0, 1, 0])
    np.testing.assert_allclose(longer.soft_share, [0, 0, 0, 0, 0.7, 0.3, 1.0])
    np.testing.assert_array_equal(longer.group, [7, 8, 9, 9, 8, 8, 9])  # copies share a fold
    np.testing.assert_array_equal(more.value[4:], value[[1, 1, 2]])
    assert with_soft_rows(features, labels, None)[1] is labels


def test_soft_labels_teach_proportions_and_are_not_scored(sky, small_config, tmp_path):
    table, truth = sky
    write_catalog(crowd_table(table, truth), tmp_path / "labels.csv")
    training = load_training(config_of(config_for(small_config, tmp_path / "labels.csv")), table)
    assert training.soft is not None and training.soft.known.sum() == 80
    features, labels = training.learned_rows
    recipe = build_recipe(training.config)
    part = training_part(recipe, features, labels, np.where(labels.class_index >= 0, 0, -1), None)
    reference = truth[np.arange(160) % 2 == 1]
    expected = np.array([np.sum(reference == name) for name in CLASSES], float)
    expected += training.soft.prob[np.arange(160) % 4 == 0].sum(0)
    np.testing.assert_allclose(np.exp(part.log_prior), expected / 120)
    assert part.of_known.rows.sum() == 80 and part.rows.sum() == 80 + 3 * 40
    held_out, record = scored_and_agreement(training, cross_validate_training(training, recipe))
    np.testing.assert_array_equal(held_out.rows, np.arange(1, 160, 2))
    assert held_out.products[0].posterior.shape == (80, 3)
    assert record is not None
    assert (record["sources"], record["trained_on"], record["compared"]) == (80, 40, 80)
    assert sum(own["n"] for own in record["by_class"].values()) == 80
    assert record["agree"] > 0.5
    (sentence,) = _of_crowd(record)
    assert "80 sources" in sentence and "voted XRB" in sentence
    classifier, _ = fit_training(training, recipe)
    assert classifier.held_out is not None and len(classifier.held_out.posterior) == 80


def test_labels_with_certainty_equal_reference_labels(sky, small_config, tmp_path):
    """Densities and weights are those of the same labels in the catalogue."""
    table, truth = sky
    write_catalog(crowd_table(table, truth, sure=1.0), tmp_path / "labels.csv")
    crowd = load_training(config_of(config_for(small_config, tmp_path / "labels.csv")), table)
    known = table.copy()
    rows = np.arange(160) % 4 == 0
    known["Class"] = np.where(rows, truth, np.array(table["Class"]))
    reference = load_training(config_of(YAML(typ="safe").load(small_config)), known)
    recipe = build_recipe(crowd.config)
    fits = [fit_training(training, recipe)[0] for training in (crowd, reference)]
    for one, other in zip(*(jax.tree.leaves(fit.density) for fit in fits), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-6, atol=1e-8)


def test_the_prior_of_the_votes_is_taken_out(sky, small_config, tmp_path):
    table, truth = sky
    labels = crowd_table(table, truth)
    for name in CLASSES:
        labels[f"prior_{name}"] = np.array(labels[f"p_{name}"])  # the votes said nothing
    write_catalog(labels, tmp_path / "labels.csv")
    config = config_of(config_for(small_config, tmp_path / "labels.csv"))
    soft = read_soft_labels(config, table)
    mean = np.array([np.mean(labels[f"p_{name}"]) for name in CLASSES])
    np.testing.assert_allclose(soft.prob[soft.known], np.tile(mean, (80, 1)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t[t.colnames[:2]], "no column 'p_Star'"),
        (lambda t: Table({**t, "name": np.full(len(t), "s1")}), "rows of 's1'"),
        (lambda t: Table({**t, "p_AGN": np.full(len(t), 0.9)}), "no probabilities"),
        (lambda t: Table({**t, "name": [f"x{n}" for n in range(len(t))]}), "none of the"),
    ],
    ids=["column", "repeated id", "sum", "no source"],
)
def test_wrong_tables_are_refused(sky, small_config, tmp_path, change, says):
    table, truth = sky
    labels = crowd_table(table, truth)
    plain = Table({name: np.array(labels[name]) for name in labels.colnames})
    write_catalog(change(plain), tmp_path / "labels.csv")
    config = config_of(config_for(small_config, tmp_path / "labels.csv"))
    with pytest.raises(InputError, match=says):
        read_soft_labels(config, table)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"variant": "bayes"}, "variant: point"),
        ({"target": {"file": "x.csv", "importance": 0.5}}, "target.importance"),
        ({"taxonomy": {"labels": ["crowd"]}}, "must hold reference"),
        ({"taxonomy": {"labels": ["reference"]}}, "taxonomy.labels has no crowd"),
        ({"catalog": {"crowd": None}}, "needs catalog.crowd"),
        ({"taxonomy": {"subclasses": "auto"}}, "no taxonomy.subclasses"),
    ],
)
def test_settings_that_do_not_fit_are_refused(small_config, change, says):
    given = config_for(small_config, "labels.csv")
    for section, values in change.items():
        given[section] = (
            {**given.get(section, {}), **values} if isinstance(values, dict) else values
        )
    with pytest.raises(InputError, match=says):
        config_of(given)


def test_a_missing_file_is_named(sky, small_config, tmp_path):
    config = config_of(config_for(small_config, tmp_path / "none.csv"))
    with pytest.raises(InputError, match="no file"):
        read_soft_labels(config, sky[0])
