"""Masked, null and missing values in the arrays of users: missing, or refused; never a value."""

import doctest
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from xbayes.errors import InputError
from xbayes.estimators import AlphaBayesClassifier, BayesianGaussianMixture, GaussianMixture
from xbayes.estimators.arrays import complete, plain

WRONG = 777.0  # the value under every mask
MASK = np.array([[False, False], [True, False], [False, True], [False, False]])
VALUE = np.where(MASK, WRONG, np.arange(8.0).reshape(4, 2))
RIGHT = np.where(MASK, np.nan, VALUE)
ROWS = [[None if np.isnan(v) else v for v in row] for row in RIGHT]
COLUMNS = {name: [row[f] for row in ROWS] for f, name in enumerate("ab")}


def frame(dtype):
    return pd.DataFrame({name: pd.array(column, dtype=dtype) for name, column in COLUMNS.items()})


def structured():
    kind = [("a", float), ("b", int)]
    rows = np.array([tuple(row) for row in VALUE], kind)
    return np.ma.array(rows, mask=[tuple(row) for row in MASK])


TABLES = {
    "masked array": np.ma.array(VALUE, mask=MASK),
    "masked float32": np.ma.array(VALUE.astype("f4"), mask=MASK),
    "masked integers": np.ma.array(VALUE.astype(int), mask=MASK),
    "masked unsigned": np.ma.array(VALUE.astype("u2"), mask=MASK),
    "masked objects": np.ma.array(VALUE.astype(object), mask=MASK),
    "hard mask": np.ma.array(VALUE, mask=MASK, hard_mask=True),
    "structured": structured(),
    "list of masked rows": [np.ma.array(v, mask=m) for v, m in zip(VALUE, MASK, strict=True)],
    "tuple of masked rows": tuple(np.ma.array(v, mask=m) for v, m in zip(VALUE, MASK, strict=True)),
    "lists with masked": [[np.ma.masked if v is None else v for v in row] for row in ROWS],
    "lists with NA": [[pd.NA if v is None else v for v in row] for row in ROWS],
    "lists with None": ROWS,
    "objects with NA": np.array([[pd.NA if v is None else v for v in row] for row in ROWS], object),
    "Masked": Masked(VALUE, mask=MASK),
    "Masked Quantity": Masked(VALUE * u.mJy, mask=MASK),
    "list of Masked": [Masked(v * u.mJy, mask=m) for v, m in zip(VALUE, MASK, strict=True)],
    "Table": Table(
        {n: MaskedColumn(VALUE[:, f].astype(int), mask=MASK[:, f]) for f, n in enumerate("ab")}
    ),
    "QTable": QTable({n: Masked(VALUE[:, f] * u.mJy, mask=MASK[:, f]) for f, n in enumerate("ab")}),
    "Float64": frame("Float64"),
    "Int64": frame("Int64"),
    "double[pyarrow]": frame("double[pyarrow]"),
    "int32[pyarrow]": frame("int32[pyarrow]"),
    "objects of pandas": frame(object),
    "pyarrow Table": pa.table(COLUMNS),
    "pyarrow RecordBatch": pa.RecordBatch.from_pydict(COLUMNS),
    "pyarrow of integers": pa.table({n: pa.array(c, pa.int64()) for n, c in COLUMNS.items()}),
}
VECTORS = {
    "masked array": np.ma.array([1, 2, WRONG], mask=[0, 0, 1]),
    "MaskedColumn": MaskedColumn([1, 2, WRONG], mask=[0, 0, 1]),
    "MaskedColumn of text": MaskedColumn(["a", "b", "wrong"], mask=[0, 0, 1]),
    "masked booleans": np.ma.array([True, False, True], mask=[0, 0, 1]),
    "Masked Quantity": Masked([1, 2, WRONG] * u.s, mask=[False, False, True]),
    "list": [1.0, 2.0, np.ma.masked],
    "list of text": ["a", "b", np.ma.masked],
    "list with NA": ["a", "b", pd.NA],
    "list with None": ["a", "b", None],
    "Int64": pd.array([1, 2, None], dtype="Int64"),
    "Series of Float64": pd.Series([1.0, 2.0, None], dtype="Float64"),
    "string": pd.Series(["a", "b", None], dtype="string"),
    "category": pd.Series(["a", "b", None], dtype="category"),
    "boolean": pd.array([True, False, None], dtype="boolean"),
    "pyarrow": pa.array([1, 2, None]),
    "pyarrow text": pa.array(["a", "b", None]),
    "chunked": pa.chunked_array([[1.0, 2.0], [None]]),
    "NaN": np.array([1.0, 2.0, np.nan]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_masked_value_of_a_table_is_nan(kind):
    np.testing.assert_array_equal(np.asarray(plain(TABLES[kind]), float), RIGHT)


@pytest.mark.parametrize("kind", VECTORS)
def test_a_missing_value_is_refused_where_none_may_be(kind):
    with pytest.raises(InputError, match="y has 1 missing value"):
        complete("y", VECTORS[kind])


@pytest.mark.parametrize("data", [None, 1.0, "balanced", VALUE, [1, 2], ["a", "b"], pd.Series([1])])
def test_complete_data_pass_as_they_are(data):
    assert complete("y", data) is data or np.array_equal(complete("y", data), data)


def test_without_a_masked_value_the_type_stays():
    whole = np.ma.array([[1, 2]], mask=False)
    assert plain(whole).dtype == whole.dtype
    assert not isinstance(plain(whole), np.ma.MaskedArray)
    wide = Table({"a": [[1.0, 2.0]]})
    with pytest.raises(InputError, match=r"columns \['a'\] have several values per row"):
        plain(wide)


KINDS = st.sampled_from(["f4", "f8", "i1", "i8", "u2", "?", "O"])


@settings(max_examples=200, deadline=None)
@given(st.data(), KINDS, of_numpy.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
def test_no_value_under_a_mask_is_ever_seen(data, kind, shape):
    mask = data.draw(of_numpy.arrays(bool, shape))
    masked = np.ma.array(np.ones(shape, kind), mask=mask)
    for form in (masked, list(masked) if masked.ndim > 1 else masked):
        found = np.asarray(plain(form), float)
        assert np.isnan(found).sum() == mask.sum()
        assert (found[~np.isnan(found)] == 1).all()


def many(kind):
    """A table of 40 rows in that form, the complete rows and the classes."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    X = np.round(rng.normal(size=(40, 2)) + 5 * y[:, None], 3)
    mask = np.zeros(X.shape, bool)
    mask[[3, 30], [0, 1]] = True
    hidden = np.where(mask, WRONG, X)
    plainly = np.where(mask, np.nan, X)
    forms = {
        "masked": np.ma.array(hidden, mask=mask),
        "rows": [np.ma.array(v, mask=m) for v, m in zip(hidden, mask, strict=True)],
        "quantity": Masked(hidden * u.mJy, mask=mask),
        "table": Table(
            {n: MaskedColumn(hidden[:, f], mask=mask[:, f]) for f, n in enumerate("ab")}
        ),
        "pandas": pd.DataFrame(plainly, columns=["a", "b"]).astype("Float64"),
        "pyarrow": pa.Table.from_pandas(pd.DataFrame(plainly, columns=["a", "b"])),
    }
    return forms[kind], plainly, y


FORMS = ["masked", "rows", "quantity", "table", "pandas", "pyarrow"]
MIXTURES = {"em": GaussianMixture(2), "bayes": BayesianGaussianMixture(n_components=2)}


def same_names(form, X):
    """X with the column names of the form."""
    form = plain(form)
    return pd.DataFrame(X, columns=form.columns) if isinstance(form, pd.DataFrame) else X


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_marginalise_or_refuse_masked_values(name, form):
    masked, X, _ = many(form)
    mixture = MIXTURES[name].set_params(missing="marginalise", random_state=0, tol=0.1)
    expected = mixture.fit(same_names(masked, X))
    means, log_density = expected.means_, expected.score_samples(same_names(masked, X))
    found = mixture.fit(masked)
    np.testing.assert_array_equal(found.means_, means)
    np.testing.assert_array_equal(found.score_samples(masked), log_density)
    assert found.score(masked) == pytest.approx(log_density.mean())
    np.testing.assert_array_equal(found.predict(masked), found.predict(same_names(masked, X)))
    assert np.abs(found.means_).max() < 10
    with pytest.raises(ValueError, match="NaN"):
        found.set_params(missing="refuse").fit(masked)
    with pytest.raises(ValueError, match="NaN"):
        found.predict_proba(masked)


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_refuse_masked_weights_and_errors(name):
    _, X, _ = many("masked")
    X = np.nan_to_num(X)
    hidden = np.ma.array(np.ones(40), mask=np.arange(40) == 3)
    mixture = MIXTURES[name].set_params(missing="refuse", random_state=0, tol=0.1)
    with pytest.raises(InputError, match="sample_weight has 1 missing"):
        mixture.fit(X, sample_weight=hidden)
    with pytest.raises(InputError, match="noise is not finite"):
        mixture.fit(X, noise=np.ma.array(np.ones((40, 2)), mask=X > 1))
    with pytest.raises(InputError, match="sample_weight has 1 missing"):
        mixture.fit(X).score(X, sample_weight=hidden)


@pytest.mark.parametrize("given", ["weights_init", "means_init", "precisions_init"])
def test_masked_starts_are_refused(given):
    _, X, _ = many("masked")
    shape = {"weights_init": 2, "means_init": (2, 2), "precisions_init": (2, 2, 2)}[given]
    start = np.ma.array(np.full(shape, 0.5))
    start.mask = np.zeros(shape, bool)
    start.mask.flat[0] = True
    with pytest.raises(InputError, match="1 missing values"):
        GaussianMixture(2, **{given: start}).fit(np.nan_to_num(X))


def test_masked_priors_are_refused():
    _, X, _ = many("masked")
    for name in ("mean_prior", "covariance_prior"):
        prior = np.ma.array([1.0, 1.0], mask=[True, False])
        mixture = BayesianGaussianMixture(covariance_type="diag", **{name: prior})
        with pytest.raises(InputError, match="1 missing values"):
            mixture.fit(np.nan_to_num(X))


def test_the_classifier_does_not_see_the_value_under_a_mask():
    masked, _, y = many("masked")
    masked.data[masked.mask] = np.inf
    with pytest.raises(InputError, match="at least 2 classes"):  # after the check of X
        AlphaBayesClassifier().fit(masked, np.zeros(40))
    with pytest.raises(ValueError, match="infinity"):
        AlphaBayesClassifier().fit(masked.data, y)
    with pytest.raises(InputError, match="y has 1 missing value"):
        AlphaBayesClassifier().fit(masked, np.ma.array(y, mask=np.arange(40) == 3))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_classifier_takes_masked_values_as_missing(form):
    masked, X, y = many(form)
    model = AlphaBayesClassifier(weights="property", n_folds=2, penalty=1.0, random_state=0)
    expected = model.fit(same_names(masked, X), y).predict_proba(same_names(masked, X))
    found = model.fit(masked, y)
    np.testing.assert_array_equal(found.predict_proba(masked), expected)
    hidden = np.ma.array(y, mask=np.arange(40) == 3)
    with pytest.raises(InputError, match="y has 1 missing value"):
        model.fit(masked, hidden)
    with pytest.raises(InputError, match="groups has 1 missing value"):
        model.fit(masked, y, groups=hidden)
    model = found.fit(masked, y)
    with pytest.raises(InputError, match="y has 1 missing value"):
        model.score(masked, hidden)
    with pytest.raises(InputError, match="sample_weight has 1 missing value"):
        model.score(masked, y, sample_weight=np.ma.array(np.ones(40), mask=hidden.mask))
    assert model.score(masked, y) > 0.9


def test_masked_proportions_and_categories_are_refused():
    masked, _, y = many("masked")
    with pytest.raises(InputError, match="2 proportions above 0"):
        AlphaBayesClassifier(prior=[0.5, np.ma.masked]).fit(masked, y)
    with pytest.raises(InputError, match="1 missing value"):
        AlphaBayesClassifier(categories=["a", np.ma.masked]).fit(masked, y)


def test_the_examples_of_the_reference_page_run():
    page = Path(__file__).parents[2] / "docs" / "reference" / "estimators.rst"
    failed, n_examples = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert failed == 0
    assert n_examples > 3
