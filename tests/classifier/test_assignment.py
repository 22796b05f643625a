"""The assignment matrix, and the classifier it is turned into."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.small_recipe import N_CLASSES, N_CLUSTERS, cluster_recipe
from xbayes.classifier.assignment import apply_assignment, weight_learning_recipe
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.config.reader import load_config
from xbayes.errors import InputError
from xbayes.models.assignment_matrix import AssignmentParams
from xbayes.types import Labels

CONFIG = Path(__file__).parents[2] / "configs/demo.yaml"
K, C = N_CLUSTERS, N_CLASSES


@pytest.fixture(scope="module")
def recipe():
    return cluster_recipe()


def test_classifier_gives_the_scores_of_the_assignment(recipe, four_classes):
    features, truth = jax.tree.map(jnp.asarray, four_classes)
    density, rng = recipe.density, np.random.default_rng(1)
    prepared = density.prepare(four_classes[0], np.ones(600, bool))
    params = density.fit(prepared, jax.nn.one_hot(truth, C))
    log_prior = jnp.log(jnp.bincount(truth) / 600)
    learned = AssignmentParams(
        log_prior=log_prior,
        offset=jnp.asarray(rng.normal(size=C)),
        log_temperature=jnp.log(0.6),
        tilt=jnp.asarray(rng.normal(size=(K, C))),
    )
    learner = weight_learning_recipe(recipe)
    x = learner.density.log_lik(params, features)
    assert x.shape == (600, K, C)
    expected = jax.nn.softmax(learner.model.log_joint(learned, x))
    tilted, weights = apply_assignment(recipe, params, learned)
    score = recipe.model.log_joint(weights, density.log_lik(tilted, features))
    np.testing.assert_allclose(jax.nn.softmax(score), expected, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "optimiser"), [("log_loss", "gradient"), ("f1", "gradient"), ("f1", "evolution")]
)
def test_assignment_is_learned_for_log_loss_and_f1(
    recipe, four_classes, objective, optimiser, monkeypatch
):
    monkeypatch.setattr("xbayes.published.evolution.GENERATIONS", 10)
    features, truth = four_classes
    fold = np.where(np.arange(600) < 400, np.arange(600) % 2, -1)
    recipe = recipe._replace(objective=objective, optimiser=optimiser)
    labels = Labels(truth, np.arange(600))
    classifier, _ = fit_classifier(recipe, features, labels, fold, jax.random.key(0))
    held_out = fold < 0
    posterior = classify(recipe, classifier, features).posterior
    loss = -np.log(posterior[np.arange(600), truth])[held_out].mean()
    prior_loss = -np.log(np.bincount(truth) / 600)[truth].mean()
    assert loss < 0.75 * prior_loss
    alpha = np.asarray(recipe.model.alpha(classifier.weights))
    np.testing.assert_allclose(alpha, alpha[0, 0])  # one temperature
    np.testing.assert_allclose(np.exp(classifier.density.log_share).sum(1), 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "needs density: clusters"),
        (["model.density=clusters", "model.clusters={components: auto}"], "components: auto"),
        (["model.density=clusters", "model.offsets=false"], "offsets: true"),
    ],
)
def test_unsupported_assignment_config_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        load_config(CONFIG, ["model.weights=assignment", *settings])
