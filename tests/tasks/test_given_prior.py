"""Class proportions as a person gives them."""

import numpy as np
import pytest

from xbayes.errors import InputError
from xbayes.tasks.given_prior import in_proportion, proportions_of, same_posterior


def test_counts_become_proportions():
    assert in_proportion({"B": 3, "A": 1}, ("A", "B")) == {"A": 0.25, "B": 0.75}
    made = proportions_of(np.log([2.0, 6.0]), ("A", "B"))
    assert made == pytest.approx({"A": 0.25, "B": 0.75})


@pytest.mark.parametrize(
    "wrong",
    [
        {"A": 1},
        *({"A": 1, "B": wrong} for wrong in (0, -1, np.inf, np.nan)),
        {"A": 1, "B": 1, "C": 1},
    ],
)
def test_wrong_proportions_are_refused(wrong):
    with pytest.raises(InputError, match=r"positive number|no class"):
        in_proportion(wrong, ("A", "B"))


def test_posteriors_are_compared_by_class():
    row = {"p_A": 0.25, "p_B": 0.75}
    assert same_posterior(row, {"p_A": 0.2504, "p_B": 0.7496}, ("A", "B"), 1e-3)
    assert not same_posterior(row, {"p_A": 0.26, "p_B": 0.74}, ("A", "B"), 1e-3)
    assert not same_posterior(row, {"p_A": 0.25}, ("A", "B"), 1e-3)
