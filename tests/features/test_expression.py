"""The expression language: results, missing values, refused text."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.errors import InputError
from xbayes.features.expression import MAX_DEPTH, parse

NAN = np.nan


@pytest.fixture(scope="module")
def table() -> Table:
    mask = [False, False, False, True]
    return Table(
        {
            "a": [1.0, -2.0, 0.0, NAN],
            "b": MaskedColumn([4.0, 5.0, 6.0, 7.0], mask=mask),
            "n": np.array([1, 2, 3, 4], dtype=np.int16),
            "flag": MaskedColumn([True, False, True, True], mask=mask),
            "kind": MaskedColumn(["gcat", "mcat", "", "x"], mask=mask),
            "empty": MaskedColumn([0.0] * 4, mask=True),
            "ra": [10.0, 200.0, 359.0, NAN],
            "dec": [-5.0, 89.0, 0.0, 3.0],
            "odd name": [1.0, 2.0, np.inf, 4.0],
        }
    )


def value(text: str, table: Table) -> list[float | None]:
    """The result as a list, None where missing."""
    result = parse(text).evaluate(table)
    assert np.array_equal(np.isnan(result.value), result.missing)
    assert not (result.undefined & ~result.missing).any()
    return [None if np.isnan(v) else float(v) for v in result.value]


def refusal(text: str, table: Table | None = None) -> str:
    with pytest.raises(InputError) as caught:
        parse(text).evaluate(Table() if table is None else table)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 ** 2 - -1", [20] * 4),
        ("a + b", [5, 3, 6, None]),
        ("a * n / 2", [0.5, -2, 0, None]),
        ("-a ** 2", [-1, -4, 0, None]),
        ("(-n) ** 2", [1, 4, 9, 16]),
        ("abs(a)", [1, 2, 0, None]),
        ("clip(n, 2, 3)", [2, 2, 3, 3]),
        ("min(a, n, 2.5)", [1, -2, 0, None]),
        ("max(a, n)", [1, 2, 3, None]),
        ("coalesce(a, b)", [1, -2, 0, None]),
        ("coalesce(empty, b, n)", [4, 5, 6, 4]),
        ("hardness(n, b)", [0.6, 3 / 7, 1 / 3, None]),
        ("where(a > 0, n)", [1, None, None, None]),
        ("where(a > 0, n, -n)", [1, -2, -3, None]),
        ("where(observed(a), 1, 2)", [1, 1, 1, 2]),
        ("exp(log(n))", pytest.approx([1, 2, 3, 4])),
        ("log10(100 * n / n)", [2] * 4),
        ("sqrt(n * n)", [1, 2, 3, 4]),
        ("pi - pi", [0] * 4),
        ("a < b", [1, 1, 1, None]),
        ("-2 <= a < n < 9", [0, 1, 1, None]),
        ("0 <= a < n <= 1", [0, 0, 0, 0]),
        ("a == 0", [0, 0, 1, None]),
        ("kind == 'gcat'", [1, 0, None, None]),
        ("'gcat' != kind", [0, 1, None, None]),
        ("flag", [1, 0, 1, None]),
        ("flag + n", [2, 2, 4, None]),
        ("not flag", [0, 1, 0, None]),
        ("~flag | (n > 2)", [0, 1, 1, 1]),
        ("flag & (n > 3)", [0, 0, 0, None]),
        ("flag and n > 0 and n < 3", [1, 0, 0, 0]),
        ("flag or n == 4", [1, 0, 1, 1]),
        ("observed(kind)", [1, 1, 0, 0]),
        ("is_missing(a)", [0, 0, 0, 1]),
        ("isfinite(empty)", [0] * 4),
        ("empty + 1", [None] * 4),
        ("empty == 'x'", [None] * 4),
        ("not empty", [None] * 4),
        ('col("odd name") + 1', [2, 3, None, 5]),
        ("exp(1000)", [None] * 4),
        ("n +\n  1", [2, 3, 4, 5]),
        ("  n # a comment", [1, 2, 3, 4]),
    ],
)
def test_computes(text: str, expected: list[float | None], table: Table) -> None:
    assert value(text, table) == expected


def test_an_expression_knows_its_columns() -> None:
    expression = parse(" where(observed(a), log10(b / a), col('x y')) ")
    assert expression.columns == {"a", "b", "x y"}
    assert parse("pi").columns == set()
    assert parse("min + max").columns == {"min", "max"}


@pytest.mark.parametrize(
    ("text", "expected", "n_undefined"),
    [
        ("log10(a)", [0, None, None, None], 2),
        ("log(b - 5)", [None, None, 0, None], 2),
        ("sqrt(a)", [1, None, 0, None], 1),
        ("1 / a", [1, -0.5, None, None], 1),
        ("hardness(a, -a)", [None, None, None, None], 3),
        ("a ** -1", [1, -0.5, None, None], 1),
        ("a ** 0.5", [1, None, 0, None], 1),
        ("log10(a) + log10(-a)", [None] * 4, 3),
        ("log10(a) + empty", [None] * 4, 2),
        ("where(a > 0, log10(a), 7)", [0, 7, 7, None], 0),
        ("coalesce(log10(a), 7)", [0, 7, 7, 7], 0),
        ("is_missing(log10(a))", [0, 1, 1, 1], 0),
        ("exp(1000 * n)", [None] * 4, 0),
        ("log10(a) > -1 and n > 1", [0, None, None, None], 2),
    ],
)
def test_undefined_results_are_missing_and_marked(
    text: str, expected: list[float | None], n_undefined: int, table: Table
) -> None:
    assert value(text, table) == expected
    assert parse(text).evaluate(table).undefined.sum() == n_undefined


def test_galactic_coordinates_are_those_of_astropy(table: Table) -> None:
    present = SkyCoord(table["ra"][:3], table["dec"][:3], unit="deg").galactic
    for name, angle in (("galactic_l", present.l.deg), ("galactic_b", present.b.deg)):
        result = parse(f"{name}(ra, dec)").evaluate(table)
        np.testing.assert_allclose(result.value[:3], angle, rtol=1e-13)
        assert result.missing.tolist() == [False, False, False, True]
    # The galactic centre: Sgr A* lies at l = -0.056, b = -0.046.
    centre = parse("galactic_b(266.41684, -29.00781)").evaluate(table)
    np.testing.assert_allclose(centre.value, -0.0462, atol=1e-4)
    assert "must lie in [-90, 90]; found 95 (row 1)" in refusal("galactic_l(ra, dec + 100)", table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty expression; write one"),
        ("   ", "an empty expression"),
        ("n + " * 500 + "n", "may have 2000 characters; found 2001"),
        ("n + lg10(n)", "character 5, lg10(n): unknown function 'lg10' (did you mean 'log10'?)"),
        ("é_é + zzz(n)", "character 7, zzz(n): unknown function 'zzz'; have log10, log"),
        ("nn + kinds == 1", "unknown column 'kinds' (did you mean 'kind'?)"),
        ("zzzz", "unknown column 'zzzz'; have a, b, n, flag"),
        ("log10(n, 2)", "log10 takes 1 arguments; found 2"),
        ("where(n > 1)", "where takes 2 to 3 arguments; found 1"),
        ("min(n)", "min takes 2 or more arguments; found 1"),
        ("col(n)", 'col takes one name in quotes, as in col("e flux")'),
        ("col('a', 'b')", "col takes one name in quotes"),
        ("kind + 1", "character 1, kind: text where numbers belong: column 'kind' holds 'gcat'"),
        ("n + kind", "(row 1)"),
        ("log10('x')", "text where numbers belong: 'x'"),
        ("kind", "text where numbers belong: column 'kind' holds 'gcat' (row 1)"),
        ("kind < 'x'", "text can only be compared with == and !="),
        ("n == 'x'", "character 1, n: a number where text belongs"),
        ("n & (a > 1)", "character 1, n: a number where a condition belongs"),
        ("a > 1 & n > 2", "in brackets where & or | join it"),
        ("where(n, 1, 2)", "a number where a condition belongs"),
        ("where(n > 1, kind, 'x')", "text where numbers belong"),
        ("n ^ 2", "write ** for a power"),
        ("n % 2", "not allowed in an expression; use numbers, columns"),
        ("a.b", "character 1, a.b: not allowed"),
        ("a[0]", "not allowed"),
        ("[1, 2]", "not allowed"),
        ("(1, 2)", "not allowed"),
        ("lambda: 1", "not allowed"),
        ("1 if n else 2", "not allowed"),
        ("(n := 1)", "not allowed"),
        ("f'{n}'", "not allowed"),
        ("True", "not allowed"),
        ("None", "not allowed"),
        ("1j", "not allowed"),
        ("b'x' == n", "not allowed"),
        ("...", "not allowed"),
        ("n in ('a', 'b')", "not allowed"),
        ("max(n, key=abs)", "not allowed"),
        ("max(*n)", "not allowed"),
        ("log10(n)(n)", "not allowed"),
        ("().__class__.__bases__", "not allowed"),
        ("__import__('os').system('true')", "not allowed"),
        ("__import__('os')", "unknown function '__import__'"),
        ("eval('1')", "unknown function 'eval'"),
        ("[x for x in ().__class__.__mro__]", "not allowed"),
        ("n +", "not an expression"),
        ("import os", "not an expression"),
        ("n; 1", "not an expression"),
        ("a b", 'is written col("its name")'),
        ("class + 1", 'is written col("its name")'),
        ("n = 1", "not an expression"),
        ("n)) + ((n", "not an expression"),
        ("n # hidden\n + 1", "may not hold a #"),
        ("1e999", "too large a number"),
        ("0x" + "f" * 1000, "too large a number"),
        ("9" * 1900, "too large a number"),
        ("-" * (MAX_DEPTH + 1) + "n", "nested deeper than 50"),
        ("-" * 1999 + "n", "nested"),
        ("(" * 500 + "n" + ")" * 500, "not an expression"),
        ("\x00", "not an expression"),
        ("\ud800", "not an expression"),
    ],
)
def test_refuses(text: str, message: str, table: Table) -> None:
    assert message in refusal(text, table)


def test_odd_columns_are_refused() -> None:
    arrays = Table({"x": np.zeros((2, 3)), "z": np.array([1j, 2])})
    assert "column 'x' holds arrays" in refusal("x", arrays)
    assert "column 'z' holds complex128" in refusal("z", arrays)


def test_bytes_objects_and_other_byte_orders_are_read() -> None:
    table = Table(
        {
            "bytes": np.array([b"gcat", b""]),
            "text": Column(["gcat", None], dtype=object),
            "number": Column([1.5, None], dtype=object),
            "swapped": np.array([1.5, 2.5], dtype=">f4"),
        }
    )
    assert value("bytes == 'gcat'", table) == [1, None]
    assert value("text == 'gcat'", table) == [1, None]
    assert value("number * 2", table) == [3, None]
    assert value("swapped * 2", table) == [3, 5]


def test_towers_of_powers_and_nested_comparisons_finish() -> None:
    result = parse("9**9**9**9**9**9").evaluate(Table({"n": [1, 2]}))
    assert result.missing.all() and not result.undefined.any()
    # Nested comparisons compute each part once, so this does not take 2**40 steps.
    nested = "(" * 40 + "n" + " < n < n)" * 40
    assert parse(nested).evaluate(Table({"n": [1, 2]})).value.tolist() == [0, 0]


def test_a_table_without_rows() -> None:
    table = Table({"ra": np.zeros(0), "dec": np.zeros(0)})
    for text in ("1", "ra + 1", "galactic_l(ra, dec)", "where(ra > 1, log10(dec))"):
        result = parse(text).evaluate(table)
        assert result.value.shape == result.missing.shape == (0,)


# A random expression as text, together with its result computed by NumPy on the same columns.
Made = tuple[str, np.ndarray]
ROWS = {
    "x": np.array([1.0, -2.5, 0.0, 3.0, NAN, 1e200]),
    "y": np.array([0.5, 2.0, 0.0, NAN, 4.0, -1e200]),
    "z": np.array([-1.0, 0.0, 2.0, 7.0, 1.0, 3.0]),
}
UFUNCS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}
CALLS = {"log10": np.log10, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "exp": np.exp}


def finite(data: np.ndarray, *args: np.ndarray) -> np.ndarray:
    """NaN where the result is not finite or an argument is missing (NumPy: nan ** 0 is 1)."""
    missing = np.any([np.isnan(arg) for arg in args], axis=0)
    return np.where(np.isfinite(data) & ~missing, data, NAN)


def joined(parts: tuple[Made, str, Made]) -> Made:
    (left, a), sign, (right, b) = parts
    with np.errstate(all="ignore"):
        return f"({left} {sign} {right})", finite(UFUNCS[sign](a, b), a, b)


def called(parts: tuple[str, Made]) -> Made:
    name, (text, a) = parts
    with np.errstate(all="ignore"):
        return f"{name}({text})", finite(CALLS[name](a), a)


def chosen(parts: tuple[Made, Made, Made]) -> Made:
    (left, a), (right, b), (other, c) = parts
    unknown = np.isnan(a) | np.isnan(b)
    return f"where({left} < {right}, {other})", np.where(~unknown & (a < b), c, NAN)


def larger(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(sorted(UFUNCS)), inner).map(joined),
        st.tuples(st.sampled_from(sorted(CALLS)), inner).map(called),
        st.tuples(inner, inner, inner).map(chosen),
        inner.map(lambda made: (f"(-{made[0]})", -made[1])),
    )


smallest = st.one_of(
    st.sampled_from(sorted(ROWS)).map(lambda name: (name, ROWS[name])),
    st.floats(0, 1e6).map(lambda number: (repr(number), np.full(6, number))),
)


@settings(deadline=None, max_examples=50)
@given(made=st.recursive(smallest, larger, max_leaves=12))
def test_agrees_with_numpy(made: Made) -> None:
    text, expected = made
    result = parse(text).evaluate(Table(ROWS))
    np.testing.assert_array_equal(result.value, expected)
    np.testing.assert_array_equal(result.missing, np.isnan(expected))


@settings(deadline=None, max_examples=50)
@given(made=st.recursive(smallest, larger, max_leaves=8), row=st.integers(0, 5))
def test_a_row_is_computed_from_itself_alone(made: Made, row: int) -> None:
    table = Table(ROWS)
    other = Table({name: np.where(np.arange(6) == row, data, 9.0) for name, data in ROWS.items()})
    expression = parse(made[0])
    np.testing.assert_array_equal(
        expression.evaluate(table).value[row], expression.evaluate(other).value[row]
    )


BITS = """( ) [ ] { } + - * / ** < > == != & | ~ , . : ; ' \" \\ # @ = n kind 1 1e9 0x log10 min
where col and or not if else lambda in is True None f'' __class__ é"""
bits = st.sampled_from([*BITS.split(), "\n", "\t", "\0"])


@settings(deadline=None, max_examples=50)
@given(text=st.one_of(st.text(max_size=80), st.lists(bits, max_size=25).map(" ".join)))
def test_any_text_is_computed_or_refused(text: str, table: Table) -> None:
    try:
        result = parse(text).evaluate(table)
    except InputError as error:
        assert str(error)
    else:
        assert np.array_equal(np.isfinite(result.value), ~result.missing)
