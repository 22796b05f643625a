"""The prior of each source, from expressions over its columns."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.config.reader import parse_config
from xbayes.errors import InputError
from xbayes.features.build import build_features, needed_columns
from xbayes.features.conditions import number_columns
from xbayes.features.prior import SMALLEST, source_prior
from xbayes.features.prior_messages import prior_messages

TEXT = """
name: a
catalog: {id: id, file: a.csv, block: release, optional: [sfr]}
taxonomy: {classes: {A: [A], B: [B], C: [C]}}
features:
  f: {expression: log10(x), category: k}
  g: {expression: "hardness(x, area)", category: k}
model: {prior: {C: 1, A: "area * x", B: "where(detected(host), sfr / 2, 0)"}}
"""
CONSTANT = np.log([0.5, 0.3, 0.2])


def table_of(**columns) -> Table:
    n = len(columns["x"])
    host = columns.get("host", ["M31"] * n)
    return Table(
        {
            "release": ["1"] * n,
            "x": columns["x"],
            "area": columns.get("area", [1.0] * n),
            "host": MaskedColumn(host, mask=[name == "" for name in host]),
            "sfr": columns.get("sfr", [4.0] * n),
        }
    )


def prior_of(table: Table, text: str = TEXT, **options) -> np.ndarray:
    found = source_prior(table, parse_config(text), CONSTANT, **options)
    assert found is not None
    return np.exp(found.log_prior)


def test_the_values_of_a_source_are_divided_by_their_sum():
    prior = prior_of(table_of(x=[3.0, 7.0], area=[1.0, 2.0]))
    np.testing.assert_allclose(prior, [[3 / 6, 2 / 6, 1 / 6], [14 / 17, 2 / 17, 1 / 17]], atol=3e-6)
    np.testing.assert_allclose(prior.sum(1), 1, rtol=1e-12)


def test_no_class_is_impossible():
    prior = prior_of(table_of(x=[1.0], host=[""]))
    assert prior[0, 1] == pytest.approx(SMALLEST / (1 + 3 * SMALLEST))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"x": [np.nan]}, "model.prior.A has no value in 1"),
        ({"x": [-1.0]}, "model.prior.A has a negative value in 1"),
        ({"x": [1.0], "sfr": [np.nan]}, "model.prior.B has no value in 1"),
        ({"x": [1.0], "sfr": [np.inf]}, "model.prior.B has no value in 1"),
    ],
)
def test_a_source_whose_prior_cannot_be_computed_has_the_constant_one(columns, reason):
    table = table_of(**{k: [*v, 2.0 if k != "sfr" else 4.0] for k, v in columns.items()})
    found = source_prior(table, parse_config(TEXT), CONSTANT)
    assert found is not None and found.n_constant == 1 and found.reasons == (reason,)
    np.testing.assert_allclose(found.log_prior[0], CONSTANT)
    assert not np.allclose(found.log_prior[1], CONSTANT)
    (told,) = prior_messages(table, parse_config(TEXT), found)[:1]
    assert f"the prior of 1 of 2 sources cannot be computed ({reason})" in told


def test_all_expressions_zero():
    found = source_prior(
        table_of(x=[0.0], host=[""]), parse_config(TEXT.replace("C: 1,", "C: 0,")), CONSTANT
    )
    assert found is not None and found.reasons == ("all expressions are 0 in 1",)


def test_a_column_that_is_not_available_is_not_an_empty_one():
    """Where a release lacks the column of hosts, nobody knows whether there is a host."""
    table = table_of(x=[1.0, 1.0], host=["", ""])
    table["release"] = ["1", "2"]
    prior = prior_of(table, lacked_by={"host": ("2",)})
    assert prior[0, 1] < 1e-5
    np.testing.assert_allclose(prior[1], np.exp(CONSTANT))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1e3), st.booleans()), min_size=1, max_size=8))
def test_a_prior_depends_on_its_row_alone(rows):
    x, has_host = zip(*rows, strict=True)
    table = table_of(x=list(x), host=["M31" if h else "" for h in has_host])
    whole = prior_of(table, lacked_by={})
    for row in range(len(rows)):
        np.testing.assert_array_equal(prior_of(table[row : row + 1], lacked_by={})[0], whole[row])
    np.testing.assert_array_equal(prior_of(table[::-1], lacked_by={}), whole[::-1])


def test_the_columns_of_a_prior_are_needed_numbers():
    config = parse_config(TEXT)
    assert needed_columns(config) == {"x": ("f", "g"), "area": ("g",), "host": (), "sfr": ()}
    assert "sfr" in number_columns(config)
    with pytest.raises(InputError, match=r"model\.prior: unknown column 'host'"):
        build_features(table_of(x=[1.0])["release", "x", "area", "sfr"], config)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("area * x", "area *", r"model\.prior\.A: .*not an expression"),
        ("area * x", "x > 1", r"model\.prior\.A: must be a number; found a condition"),
        ("area * x", "host", r"model\.prior\.A: .*text where numbers belong"),
    ],
)
def test_wrong_expressions_name_their_class(old, new, says):
    with pytest.raises(InputError, match=says):
        prior_of(table_of(x=[1.0]), TEXT.replace(old, new))


def test_a_feature_whose_expression_is_in_the_prior_is_told():
    """Not one that combines its columns otherwise, such as a hardness ratio of two fluxes."""
    table, config = table_of(x=[1.0]), parse_config(TEXT)
    (told,) = prior_messages(table, config, source_prior(table, config, CONSTANT))
    assert "expression of the feature f, so that the same evidence may count twice" in told


def test_one_prior_for_all_sources():
    plain = TEXT.replace(
        '{C: 1, A: "area * x", B: "where(detected(host), sfr / 2, 0)"}', "training"
    )
    assert source_prior(table_of(x=[1.0]), parse_config(plain), CONSTANT) is None
