"""Releases and cells of the sky held out, beside random folds."""

import jax
import numpy as np
import pytest

from xbayes.classifier.recipe import Recipe
from xbayes.config.reader import parse_config
from xbayes.errors import InputError
from xbayes.evaluate.cross_validate import (
    CrossValidation,
    cross_validate,
    held_out_releases,
    nested_splits,
    too_few_without,
)
from xbayes.evaluate.harder_split import HarderSplit, check_folds, choose_harder, harder_block
from xbayes.evaluate.scores import log_losses
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features, Labels, Names

CLASSES = ("AGN", "Star", "XRB")
CENTRE = np.array([[0, 0], [2.5, 0.5], [0.5, 2.8]])
CONFIG = """
name: small
catalog: {id: name, ra: ra, dec: dec, label: Class, block: release}
taxonomy: {classes: {AGN: [AGN], Star: [Star], XRB: [XRB]}}
features: {a: {expression: a, category: one}, b: {expression: b, category: two}}
validation: {folds: 3, inner_folds: 2, bootstrap: 50}
"""


def config(**validation):
    given = [f"validation.{key}={value}" for key, value in validation.items()]
    return parse_config(CONFIG, overrides=given)


def labels(n=300, seed=0, releases=2, **more):
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return Labels(truth, np.arange(n), cell=rng.integers(0, 80, n), release=np.arange(n) % releases)


def sources(known, shift=0.0):
    """Features of which the second release is shifted."""
    rng = np.random.default_rng(4)
    value = CENTRE[known.class_index] + rng.normal(size=(len(known.class_index), 2))
    value[:, 0] += shift * (known.release == 1)
    there = np.ones(value.shape, bool)
    return Features(value, there, there, np.ones_like(value), np.zeros_like(value))


@pytest.fixture(scope="module")
def recipe():
    density = smooth_density(np.tile([-9.0, 12.0], (2, 1)), np.zeros(2, bool), 3)
    names = Names(("a", "b"), ("one", "two"), (0, 1), CLASSES)
    return Recipe(density, naive_bayes((0, 1), 3, "property"), names, (3.0,), 1, 2)


def test_each_release_is_held_out_with_the_groups_that_it_shares():
    known = labels(300, releases=3)
    # Rows 0 and 1 are of one source, in the releases 0 and 1.
    group = np.where(np.arange(300) == 1, 0, np.arange(300))
    known = known._replace(group=group)
    splits = list(nested_splits(known, 5, 2, 4, 7, "release"))
    assert [(s.number, s.repeat, s.fold) for s in splits] == [(k, k // 3, k % 3) for k in range(6)]
    for split in splits:
        np.testing.assert_array_equal(split.test, known.release == split.fold)
        assert set(split.inner[split.test]) == {-1}
        expected = ~split.test & ~np.isin(group, group[split.test])
        np.testing.assert_array_equal(split.inner >= 0, expected)
        assert set(split.inner[split.inner >= 0]) == {0, 1, 2, 3}
    assert (splits[0].inner[1], splits[1].inner[0]) == (-1, -1) and splits[2].inner[0] >= 0
    assert np.any(splits[0].inner != splits[3].inner)  # the repeats draw other inner folds


def test_a_release_that_the_others_cannot_replace_is_not_held_out():
    known = labels(300)
    rare = np.flatnonzero((known.class_index == 2) & (known.release == 1))[:-2]
    release = known.release.copy()
    release[rare] = 0  # two XRB are left in release 1
    known = known._replace(release=release)
    reasons = too_few_without(known, 5)
    assert reasons[1] is None and reasons[0] is not None
    assert (reasons[0].modelled, reasons[0].members) == (2, 2)
    assert held_out_releases(known, 5) == (1,) and held_out_releases(known, 2) == (0, 1)
    (warning,) = check_folds(known, config(split="release", inner_folds=5), ("old", "new"))
    assert warning.startswith("release old is not held out: without it there are 2 labelled XRB")
    known = known._replace(release=np.zeros(300, int))
    with pytest.raises(InputError, match="no release can be held out: of 1 releases"):
        check_folds(known, config(split="release"), ("old",))
    with pytest.raises(InputError, match=r"needs a column of releases.*catalog.files"):
        check_folds(known._replace(release=None), config(split="release"), ())


def test_the_harder_folds_are_the_hardest_that_are_possible():
    known = labels()
    assert choose_harder(known, config(harder="none")) is None
    assert choose_harder(known, config(split="release")) is None
    assert choose_harder(known, config(split="blocks", harder="blocks")) is None
    assert choose_harder(known, config()) == HarderSplit(split="release")
    assert choose_harder(known, config(split="blocks")) == HarderSplit(split="release")
    assert choose_harder(known, config(harder="blocks")) == HarderSplit(split="blocks")
    one = known._replace(release=np.zeros(300, int))
    assert choose_harder(one, config()) == HarderSplit(split="blocks")
    slow = choose_harder(known, parse_config(CONFIG + "variant: bayes\n"))
    assert slow is not None and slow.split is None and "variant: bayes" in slow.skipped
    alone = choose_harder(known._replace(release=None, cell=None), config())
    assert alone is not None and alone.split is None
    assert "names no releases" in alone.skipped and "no coordinates" in alone.skipped
    narrow = known._replace(release=None, cell=np.where(known.class_index == 2, 99, known.cell))
    skipped = choose_harder(narrow, config())
    assert skipped is not None and skipped.split is None and "1 groups" in skipped.skipped
    with pytest.raises(InputError, match="class 'XRB' has"):
        check_folds(narrow, config(harder="blocks"), ())


def both(recipe, known, shift, kind):
    features, key = sources(known, shift), jax.random.key(0)
    usual = cross_validate(recipe, features, known, key, 3)
    hard = cross_validate(recipe, features, known, key, 3, kind=kind)
    return usual, hard


def block_of(usual: CrossValidation, hard: CrossValidation, known: Labels, kind: str) -> dict:
    harder = HarderSplit(split=kind, held_out=hard, seconds=1.23)
    return harder_block(harder, usual, known, config(), ("old", "new"))


def test_a_shifted_release_is_harder_than_random_folds_say(recipe):
    known = labels()
    usual, hard = both(recipe, known, 2.0, "release")
    assert hard.log_prior.shape == (2, 3) and len(hard.fits) == 2
    block = block_of(usual, hard, known, "release")
    assert block["split"] == "release" and block["n_folds"] == 2 and block["seconds"] == 1.2
    assert list(block["releases"]) == ["old", "new"] and block["not_held_out"] == []
    losses = log_losses(known.class_index, hard.products[0].posterior)
    np.testing.assert_allclose(block["scores"]["log_loss"]["value"], losses.mean())
    own = block["releases"]["new"]["log_loss"]["value"]
    np.testing.assert_allclose(own, losses[known.release == 1].mean())
    change = block["difference"]["log_loss"]
    both_losses = [block[key]["log_loss"]["value"] for key in ("scores", "same_sources")]
    np.testing.assert_allclose(change["value"], both_losses[0] - both_losses[1])
    assert change["lo"] > 0.1  # the release differs, and the harder folds say so
    assert "expect the scores with whole releases held out" in block["expect"]
    assert "agree" not in block["expect"]


def test_blocks_of_an_even_sky_agree_with_random_folds(recipe):
    known = labels()._replace(release=None)
    usual, hard = both(recipe, labels(), 0.0, "blocks")
    block = block_of(usual, hard, known, "blocks")
    change = block["difference"]["log_loss"]
    assert block["n_folds"] == 3 and change["lo"] < 0.05 and change["hi"] > -0.05
    assert "whole cells of the sky" in block["expect"] and "releases" not in block
    for cell in range(80):
        assert len(np.unique(hard.outer_fold[0][known.cell == cell])) <= 1


def test_only_tested_sources_are_compared(recipe):
    """A release that is not held out has no products, and the usual folds are cut to the others."""
    known = labels()
    rare = (known.class_index == 2) & (known.release == 1)
    release = np.where(rare & (np.cumsum(rare) > 1), 0, known.release)
    known = known._replace(release=release)
    usual, hard = both(recipe, known, 0.0, "release")
    np.testing.assert_array_equal(hard.rows, np.flatnonzero(release == 1))
    assert hard.outer_fold.shape == (1, len(hard.rows)) and len(hard.fits) == 1
    block = block_of(usual, hard, known, "release")
    losses = log_losses(known.class_index, usual.products[0].posterior)
    found = block["same_sources"]["log_loss"]["value"]
    np.testing.assert_allclose(found, losses[release == 1].mean())
    assert block["scores"]["n_sources"] == len(hard.rows)
    assert "release old is not held out" in block["not_held_out"][0]


def test_without_harder_folds_the_block_says_why(recipe):
    harder, known = HarderSplit(split=None, skipped="the catalogue names no releases"), labels()
    usual = cross_validate(recipe, sources(known), known, jax.random.key(0), 3)
    block = harder_block(harder, usual, known, config(), ())
    assert block["split"] is None and "because the catalogue names no releases." in block["expect"]
