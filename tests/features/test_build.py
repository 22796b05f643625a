"""Tables to arrays: scales, the three states of a value, blocks, weights and counts."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from xbayes.config.schema import Config, FeatureConfig
from xbayes.errors import InputError
from xbayes.features.availability import MIN_BLOCK
from xbayes.features.build import (
    FeatureCounts,
    build_features,
    columns_lacking,
    names_of,
    needed_columns,
    scale_bounds,
    useful_features,
)
from xbayes.types import Features

NAN = np.nan


def configured(
    block: str | None = None, optional: list[str] | None = None, **features: dict | str
) -> Config:
    """A config with these features; a string stands for the expression. No value is evidence."""
    full = {
        name: {
            "category": "spectrum",
            "missing": "evidence",
            **(given if isinstance(given, dict) else {"expression": given}),
        }
        for name, given in features.items()
    }
    return Config.model_validate(
        {
            "name": "test",
            "catalog": {"id": "id", "block": block, "optional": optional or []},
            "taxonomy": {"classes": {"A": ["a"], "B": ["b"]}},
            "features": full,
        }
    )


def test_scales_and_states() -> None:
    table = Table({"x": [100.0, 0.0, NAN, -3.0], "covered": [True, True, True, False]})
    config = configured(
        linear="x",
        log={"expression": "x", "scale": "log10"},
        squash={"expression": "x", "scale": "squash"},
        partly={"expression": "x", "measured": "covered"},
        condition="x > 1",
    )
    features, report = build_features(table, config)
    np.testing.assert_allclose(
        features.value,
        [
            [100, 2, 100 / 101, 100, 1],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [-3, 0, -0.75, 0, 0],
        ],
    )
    assert features.measured[:, 0].tolist() == [True, True, False, True]
    assert features.measured[:, 1].tolist() == [True, False, False, False]
    assert features.available[:, 3].tolist() == [True, True, True, False]
    assert not (features.measured & ~features.available).any()
    assert features.value.dtype == np.float64 and (features.weight == 1).all()
    assert report.counts[1] == FeatureCounts(
        name="log", measured=1, not_detected=3, not_available=0, undefined=2, outside_bounds=0
    )
    assert report.counts[3] == FeatureCounts(
        name="partly", measured=2, not_detected=1, not_available=1, undefined=0, outside_bounds=0
    )
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("feature 'log': 2 values are logs of non-positive numbers")


def test_without_a_value_a_feature_is_available_only_if_that_is_evidence() -> None:
    """Empty, not finite, undefined and chosen by no `where`: all are not available by default."""
    table = Table({"x": [100.0, NAN, np.inf, -3.0], "p": [0.5, 0.7, 0.0, 0.0]})
    expressions = {"log10": "x", "linear": "where(p > 0, x)"}
    for missing in ("ignore", "evidence"):
        config = configured(
            **{s: {"expression": e, "scale": s, "missing": missing} for s, e in expressions.items()}
        )
        features, report = build_features(table, config)
        assert features.measured[:, 0].tolist() == [True, False, False, False]
        assert features.measured[:, 1].tolist() == [True, False, False, False]
        every = np.ones_like(features.measured)
        assert (features.available == (every if missing == "evidence" else features.measured)).all()
        not_detected = 3 * (missing == "evidence")
        for count in report.counts:
            assert count.not_detected == not_detected and count.not_available == 3 - not_detected
        assert report.counts[0].undefined == 1
        state = "not detected" if missing == "evidence" else "not available"
        assert report.warnings[0].endswith(f"ratios or powers, and count as {state}")


def test_an_unknown_measured_condition_means_not_available_and_a_number_is_refused() -> None:
    table = Table({"x": [1.0, 2.0], "dec": [-40.0, NAN]})
    features, _ = build_features(table, configured(x={"expression": "x", "measured": "dec < 0"}))
    assert features.available[:, 0].tolist() == [True, False]
    with pytest.raises(InputError, match=r"features\.x\.measured: must be a condition, such as"):
        build_features(table, configured(x={"expression": "x", "measured": "x"}))


def test_weights_are_inverse_errors_and_zero_where_the_error_is_unknown() -> None:
    table = Table({"x": [1.0, 2.0, 3.0, 4.0, 5.0], "e": [0.5, NAN, 0.0, -1.0, 1e-320]})
    features, _ = build_features(table, configured(a={"expression": "x", "error": "e"}, b="x"))
    np.testing.assert_array_equal(features.weight[:, 0], [2, 0, 0, 0, 0])
    np.testing.assert_array_equal(features.weight[:, 1], 1)


def two_releases(old: int, new: int) -> Table:
    """x is missing in the whole old release and in one row of the new release."""
    x = np.r_[np.full(old, NAN), np.arange(new, dtype=float)]
    x[old] = NAN
    release = np.r_[np.full(old, "old"), np.full(new, "new")]
    return Table({"x": x, "y": np.arange(old + new, dtype=float), "release": release})


@pytest.mark.parametrize("block", ["release", None])
@pytest.mark.parametrize("old", [MIN_BLOCK, MIN_BLOCK - 1])
def test_a_column_is_not_available_in_a_block_that_lacks_it(old: int, block: str | None) -> None:
    table = two_releases(old, 30)
    features, _ = build_features(
        table, configured(block, a="x", sum="x + y", other="y", first="coalesce(x, y)")
    )
    empty = block is not None and old == MIN_BLOCK
    for f in (0, 1):
        assert features.available[:old, f].all() == (not empty)
        assert features.available[old:, f].all() and not features.measured[old, f]
    assert features.available[:, 2:].all() and features.measured[:, 2:].all()


def test_without_the_block_column_all_rows_are_one_block() -> None:
    table = two_releases(MIN_BLOCK, 30)
    table.remove_column("release")
    features, _ = build_features(table, configured("release", a="x"))
    assert features.available.all()
    features, _ = build_features(table[:MIN_BLOCK], configured("release", a="x"))
    assert not features.available.any()
    features, _ = build_features(table[: MIN_BLOCK - 1], configured("release", a="x"))
    assert features.available.all() and not features.measured.any()


def test_rows_without_a_block_form_one_block() -> None:
    table = two_releases(MIN_BLOCK, 30)
    table["release"] = MaskedColumn(table["release"], mask=table["release"] == "old")
    features, _ = build_features(table, configured("release", a="x"))
    assert features.available[:, 0].tolist() == [False] * MIN_BLOCK + [True] * 30


def test_an_absent_column_is_not_available() -> None:
    """As is an empty cell of a column that the config lets a catalogue lack."""
    table = Table({"y": [1.0, 2.0, 3.0]})
    table["x"] = MaskedColumn([NAN, NAN, 1.0], mask=[True, True, False])
    config = configured(
        optional=["x"], a="x", b="x + y", c="coalesce(x, y)", d="observed(x)", e="y", f="x == 1"
    )
    features, _ = build_features(table, config)
    lacking = [False, False, True, False, True, False]
    assert features.available.tolist() == [lacking, lacking, [True] * 6]


WHERE = {
    "where(p > 0, p)": ["measured", "not detected", "not available", "measured"],
    "where(p > 0, x)": ["measured", "not detected", "not available", "not detected"],
    "where(p > 0, o)": ["measured", "not detected", "not available", "not available"],
    "where(p > 0, 1, o)": ["measured", "not available", "not available", "measured"],
    "where(p > 0 or x > 0, 1, 0)": ["measured", "measured", "measured", "measured"],
    "where(observed(o), 1, 0)": ["measured", "not available", "not available", "not available"],
    "where(observed(x), 1, 0)": ["measured", "measured", "measured", "measured"],
}


@pytest.mark.parametrize("expression", WHERE)
def test_a_condition_that_is_unknown_makes_the_value_not_available(expression: str) -> None:
    """`p` and `x` have empty cells; so has `o`, which catalogues may lack."""
    table = Table({"p": [0.5, 0.0, NAN, 0.7], "x": [1.0, 2.0, 3.0, NAN]})
    table["o"] = MaskedColumn([4.0, 0, 0, 0], mask=[False, True, True, True])
    features, _ = build_features(table, configured(optional=["o"], f=expression))
    states = np.where(features.measured, "measured", "not detected")
    states = np.where(features.available, states, "not available")[:, 0]
    assert states.tolist() == WHERE[expression]


def test_what_is_available_depends_on_the_row_and_on_what_training_learned() -> None:
    table, config = two_releases(MIN_BLOCK, 30), configured("release", a="x")
    lacked_by = columns_lacking(table, config)
    assert lacked_by == {"x": ("old",)}
    for rows in (slice(None), slice(0, 1), slice(MIN_BLOCK - 1, MIN_BLOCK + 1), [40, 3, 21]):
        features, _ = build_features(table[rows], config, lacked_by)
        old = table["release"][rows] == "old"
        assert features.available[:, 0].tolist() == (~old).tolist()
    # A later catalogue of that release that has a value after all.
    table["x"][0] = 1.0
    assert build_features(table[:1], config, lacked_by)[0].measured.all()


def test_a_text_column_may_be_compared() -> None:
    table = Table({"kind": MaskedColumn(["gcat", "none", ""], mask=[False, False, True])})
    features, _ = build_features(table, configured(a="kind == 'gcat'"))
    assert features.value[:, 0].tolist() == [1, 0, 0]
    assert features.measured[:, 0].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("log10(x", "features.f.expression: character 6: not an expression"),
        (
            {"expression": "x", "error": "lg10(x)"},
            "features.f.error: character 1, lg10(x): unknown",
        ),
        ({"expression": "x", "measured": "x >"}, "features.f.measured: character 4: not an"),
        ("xx + 1", "features.f: unknown column 'xx' (did you mean 'x'?)"),
        ("name + 1", "text where numbers belong: column 'name' holds 'abc' (row 2)"),
    ],
)
def test_errors_name_the_feature_and_the_key(feature: dict | str, message: str) -> None:
    table = Table({"x": [1.0, 2.0], "name": MaskedColumn(["", "abc"], mask=[True, False])})
    with pytest.raises(InputError) as caught:
        build_features(table, configured(good="x", f=feature))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_errors_are_reported_at_once() -> None:
    config = configured(a="1 +", b={"expression": "lg(x)", "error": "a.b"}, c="x")
    with pytest.raises(InputError) as caught:
        needed_columns(config)
    starts = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert starts == ["features.a.expression", "features.b.expression", "features.b.error"]


def test_needed_columns_name_the_features_that_read_them() -> None:
    config = configured(
        a={"expression": "x + y", "error": "e", "measured": "observed(z)"}, b="log10(x)"
    )
    assert needed_columns(config) == {"e": ("a",), "x": ("a", "b"), "y": ("a",), "z": ("a",)}


def test_names_are_in_the_order_of_the_config() -> None:
    config = configured(
        a={"expression": "x", "category": "spectrum"},
        b={"expression": "x", "category": "location"},
        c={"expression": "x", "category": "spectrum"},
    )
    names = names_of(config)
    assert names.features == ("a", "b", "c")
    assert names.categories == ("spectrum", "location")
    assert names.category == (0, 1, 0)
    assert names.classes == ("A", "B")


@pytest.mark.parametrize(
    ("scale", "bounds", "expected"),
    [
        ("linear", None, (-np.inf, np.inf)),
        ("linear", [0, 90], (0, 90)),
        ("linear", [0, None], (0, np.inf)),
        ("log10", [0, 100], (-np.inf, 2)),
        ("log10", [10, None], (1, np.inf)),
        ("squash", [0, 1], (0, 0.5)),
        ("squash", [None, 1], (-np.inf, 0.5)),
    ],
)
def test_bounds_after_the_scale(scale: str, bounds: list | None, expected: tuple) -> None:
    feature = FeatureConfig(expression="x", category="c", scale=scale, bounds=bounds)
    assert scale_bounds(feature) == expected


def test_values_outside_their_bounds_are_counted() -> None:
    config = configured(b={"expression": "x", "bounds": [0, 90]})
    features, report = build_features(Table({"x": [45.0, 90.0, 91.0, NAN]}), config)
    assert report.counts[0].outside_bounds == 1 and features.measured.sum() == 3
    assert "1 values lie outside its bounds [0.0, 90.0]" in report.warnings[0]


def test_useless_features_are_named() -> None:
    value = np.array([[1.0, 5, 5, 0, 1], [2.0, 5, 0, 0, 9], [3.0, 5, 5, 0, 1]])
    measured = np.array([[1, 1, 1, 0, 1], [1, 1, 0, 0, 1], [1, 1, 1, 0, 1]], bool)
    features = Features(
        value=value,
        measured=measured,
        available=np.ones_like(measured),
        weight=np.ones_like(value),
        error=np.zeros_like(value),
    )
    rows, names = np.array([True, False, True]), list("abcde")
    useful, warnings = useful_features(features, rows, names)
    assert useful.tolist() == [True, False, False, False, False]
    assert warnings[0] == (
        "feature 'b' is 5 in every labelled row in which it is measured; it is left out"
    )
    assert "'d' is not measured in any labelled row" in warnings[2]
    evidence = np.ones(5, bool)
    useful, _ = useful_features(features, np.ones(3, bool), names, evidence)
    assert useful.tolist() == [True, False, True, False, True]
    not_available = features._replace(available=measured)
    useful, _ = useful_features(not_available, np.ones(3, bool), names, evidence)
    assert useful.tolist() == [True, False, False, False, True]


CONFIG = configured(
    "release",
    a={"expression": "x / y", "error": "abs(y)"},
    b={"expression": "x", "scale": "log10", "measured": "y > -1"},
    c={"expression": "galactic_b(10 * y, clip(x, -90, 90))"},
)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_other_rows_leave_a_row_bit_identical(data: st.DataObject) -> None:
    seed, n = data.draw(st.integers(0, 99)), data.draw(st.integers(2, 60))
    changed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    rng = np.random.default_rng(seed)
    table = Table({"x": rng.normal(0, 5, n), "y": rng.normal(0, 5, n), "release": ["r"] * n})
    table["x"][0] = table["y"][0] = 1.0  # so that no column is empty before or after
    changed[0] = False
    other = table.copy()
    wild = rng.choice([NAN, 0.0, -7.0, 1e300, np.inf], n)
    for name in ("x", "y"):
        other[name] = np.where(changed, wild, table[name])
    before, after = build_features(table, CONFIG)[0], build_features(other, CONFIG)[0]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a[~changed], b[~changed])
        assert np.isfinite(b).all()


def test_a_change_of_units_only_shifts_a_log_feature() -> None:
    table = Table({"x": np.array([1e-14, 3e-13, 2e-15])})
    both = configured(
        a={"expression": "x", "scale": "log10"}, b={"expression": "1e3 * x", "scale": "log10"}
    )
    value = build_features(table, both)[0].value
    np.testing.assert_allclose(value[:, 1] - value[:, 0], 3, rtol=1e-13)
