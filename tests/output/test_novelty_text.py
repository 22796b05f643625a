"""The reason for which a source is unlike the training sources, with units and scales."""

import numpy as np
import pytest

from xbayes.config.schema import FeatureConfig
from xbayes.output.novelty_text import novelty_texts

FEATURES = {
    "g_j": FeatureConfig(expression="g - j", category="x", unit="mag"),
    "distance": FeatureConfig(expression="d", category="x", scale="log10", unit="pc"),
    "snr": FeatureConfig(expression="s", category="x", scale="squash"),
}


class Few:
    """The products that are read."""

    def __init__(self, feature, number):
        self.unusual_feature = np.array(feature)
        self.unusual_number = np.array(number, float)


def texts(feature, number):
    from inspect import unwrap

    return unwrap(novelty_texts)(FEATURES, Few(feature, number))


NONE, NAN = [-1, -1, -1], [np.nan] * 3


def test_value_expectation_and_distance_are_said_in_units():
    found = texts(
        [
            [[0, 1, -1], NONE],
            [NONE, NONE],
            [[1, -1, -1], [0, 1, 2]],
            [[2, 0, -1], NONE],
        ],
        [[[7.9, 1.2, 0.5], NAN], [NAN, NAN], [[3, 2, 0.1], [1, 2, 0.2]], [[0.5, -0.5, 0.2], NAN]],
    )
    assert found == [
        "g_j = 7.9 mag, where 1.2 mag is expected given distance (13 sigma)",
        "",
        "distance = 1e+03 pc, where 100 pc is expected of its class (10 sigma); "
        "g_j = 1 mag, where 2 mag is expected given distance and snr (5 sigma)",
        "snr = 1, where -1 is expected given g_j (5 sigma)",
    ]


def test_without_joint_densities_there_is_no_text():
    assert texts(np.zeros((3, 0, 3), int), np.zeros((3, 0, 3))) is None


@pytest.mark.parametrize("expected", [1e9, -40.0, 2.0])
def test_any_expectation_has_a_text(expected):
    for f in range(3):
        (text,) = texts([[[f, -1, -1]]], [[[0.5, expected, 1e-3]]])
        assert "nan" not in text and "inf" not in text
