"""A class with few labelled sources is named in a warning of the run, with what it means."""

import numpy as np
import pytest
from scipy.stats import binom

from tests.small_sky import small_sky
from xbayes.config.reader import parse_config
from xbayes.evaluate.cross_validate import FEW, RECALL, scarcity_warnings
from xbayes.tasks.training import load_training
from xbayes.types import Labels


def labels(*members, rows=1):
    """Labels of classes with these numbers of groups, each of `rows` rows."""
    truth = np.repeat(np.arange(len(members)), members).repeat(rows)
    return Labels(class_index=truth, group=np.arange(len(truth)) // rows)


def test_the_classes_below_the_limit_are_named():
    (text,) = scarcity_warnings(labels(FEW - 1, 12, FEW), ["AGN", "CV", "Star"])
    assert f"class AGN ({FEW - 1}), CV (12)" in text and "Star" not in text
    for meaning in ("densities", "wide", "uncertain", "F1", "interval", "label more"):
        assert meaning in text
    assert scarcity_warnings(labels(FEW, FEW + 5), ["AGN", "CV"]) == []


def test_groups_count_and_not_their_rows():
    (text,) = scarcity_warnings(labels(10, 40, rows=7), ["AGN", "CV"])
    assert "class AGN (10)" in text


@pytest.mark.parametrize("n", [8, 15, 29])
def test_the_width_is_that_of_the_binomial_distribution(n):
    (text,) = scarcity_warnings(labels(n, 100), ["A", "B"])
    width = float(text.split("+-")[1].split(",")[0])
    exact = (binom.ppf(0.95, n, RECALL) - binom.ppf(0.05, n, RECALL)) / (2 * n)
    assert abs(width - exact) < 1 / n  # the exact interval has steps of 1 / n


def test_a_run_has_the_warning(small_config):
    sky = small_sky(300, 0)
    sky.remove_rows(np.flatnonzero(sky["Class"] == "XRB")[9:])
    texts = load_training(parse_config(small_config), sky).warnings
    assert any("class XRB (9)" in text for text in texts)
