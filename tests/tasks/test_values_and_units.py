"""Stand-ins and units in `run` and `classify`: told or refused, converted to the same numbers."""

import re

import numpy as np
import pytest
from astropy.coordinates import Angle
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xbayes
from xbayes.catalog.columns import masked_column, parse_unit
from xbayes.catalog.match import column_options
from xbayes.catalog.read import table_chunks
from xbayes.catalog.units import factor_between
from xbayes.classifier.fitted_model import load_fitted_model
from xbayes.config.reader import config_of
from xbayes.errors import InputError
from xbayes.features.build import build_features
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.classify import classify_chunks
from xbayes.tasks.explain import explain_source
from xbayes.tasks.survey import in_units_of_run
from xbayes.tasks.training import load_training

CLASSES = ("AGN", "Star", "XRB", "CV")
FLUXES = ("flux_soft", "flux_medium", "flux_hard")
EQUIVALENT = {
    "ra": ("deg", "rad", "hourangle", "h", "arcmin", "mas"),
    "dec": ("deg", "rad", "arcmin", "arcsec"),
    **dict.fromkeys(FLUXES, ("erg/s/cm2", "W/m2", "keV/s/cm2", "1e-15 erg/s/cm2")),
    **dict.fromkeys(("g_mag", "w1_mag", "k_mag"), ("mag", "mmag", "dex")),
}


@pytest.fixture(scope="module")
def model(demo):
    return load_fitted_model(demo.folder)


@pytest.fixture(scope="module")
def sky():
    """100 sources."""
    return Table(simulate_catalog(100, 4), masked=True, copy=True)


def classified(model, table, size=None, **options):
    """The posteriors, and the warnings."""
    messages = []
    chunks = table_chunks(table, size or len(table))
    columns = column_options(**options)
    parts = list(classify_chunks(model, chunks, columns=columns, warn=messages.append))
    posterior = [np.stack([part[f"p_{name}"] for name in CLASSES], axis=1) for part in parts]
    return np.concatenate(posterior), messages


def with_values(table, column, rows, value, dtype=float):
    """The table with a value in some rows of a column, and with these rows masked."""
    shown, right = table.copy(), table.copy()
    values = np.ma.array(table[column], dtype=dtype, copy=True)
    unit = masked_column(table, column).unit
    masked = values.copy()
    values[rows], masked[rows] = value, np.ma.masked
    shown[column] = MaskedColumn(values, unit=unit)
    right[column] = MaskedColumn(masked, unit=unit)
    return shown, right


def test_a_few_stand_ins_are_told_with_column_value_and_count(model, sky):
    shown, _ = with_values(sky, "g_mag", [3, 60], -99)
    _, messages = classified(model, shown)
    (message,) = [message for message in messages if "-99" in message]
    assert "column 'g_mag' holds -99 in 2 of" in message
    assert "--missing-values g_mag=-99" in message and "--measured-values g_mag=-99" in message


@pytest.mark.parametrize(("value", "dtype"), [(-99, float), (-99.99, np.float32), (1e20, "f4")])
def test_many_are_refused_and_with_missing_values_they_are_missing(model, sky, value, dtype):
    shown, right = with_values(sky, "g_mag", slice(20, 40), value, dtype)
    with pytest.raises(InputError, match=r"column 'g_mag' holds .* in 20 of"):
        classified(model, shown)
    posterior, _ = classified(model, shown, missing_values={"g_mag": [value]})
    expected, _ = classified(model, right)
    np.testing.assert_allclose(posterior, expected, atol=1e-12)


def test_what_is_measured_is_neither_told_nor_refused(model, sky):
    shown, _ = with_values(sky, "g_mag", slice(20, 40), 99)
    _, messages = classified(model, shown, measured_values={"g_mag": 99})
    assert not any("99" in message for message in messages)


def test_stand_ins_are_counted_over_the_file_before_the_first_row(model, sky):
    shown, _ = with_values(sky, "w1_mag", slice(None, None, 12), 999)  # few in each chunk
    chunks = table_chunks(shown, 12)
    with pytest.raises(InputError, match="holds 999 in 9 of"):
        next(classify_chunks(model, chunks))


def test_one_row_is_told_too(demo):
    fit = xbayes.load(demo.folder)
    row = {"ra": 83.6, "dec": 22.0, "flux_soft": 1e-14, "g_mag": -99.0, "w1_mag": 99.99}
    with pytest.warns(xbayes.XbayesWarning, match="'g_mag' holds -99 in 1 of 1 rows.*'w1_mag'"):
        fit.classify(row)


def test_explain_checks_the_same(model, sky):
    shown, _ = with_values(sky, "g_mag", slice(20, 40), -99)
    with pytest.raises(InputError, match="'g_mag' holds -99"):
        explain_source(model, shown, str(sky["name"][0]))


def in_other_units(table, units):
    other = table.copy()
    for name, text in units.items():
        column, unit = masked_column(table, name), parse_unit(text)
        factor = factor_between(column.unit, unit)
        other[name] = MaskedColumn(np.ma.array(column) * factor, unit=unit)
    return other


@pytest.mark.slow
@given(st.fixed_dictionaries({name: st.sampled_from(units) for name, units in EQUIVALENT.items()}))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_features_are_the_same_in_all_equivalent_units(model, sky, units):
    """To 1e-10: a conversion rounds a value by 1e-16, and angles lose digits near the plane."""
    made, expected = (
        build_features(in_units_of_run(model, table), model.config)[0]
        for table in (in_other_units(sky, units), sky)
    )
    for array, other in zip(made, expected, strict=True):
        np.testing.assert_allclose(array, other, atol=1e-10)


@pytest.mark.parametrize("pick", [1, -1])
def test_the_posterior_is_the_same_in_other_units(model, sky, pick):
    other = in_other_units(sky, {name: units[pick] for name, units in EQUIVALENT.items()})
    posterior, messages = classified(model, other)
    expected, expected_messages = classified(model, sky)
    np.testing.assert_allclose(posterior, expected, atol=1e-10)
    assert messages == expected_messages


def test_sexagesimal_coordinates_with_a_stated_form(model, sky):
    other = sky.copy()
    for name, unit, shown in (("ra", "deg", "hourangle"), ("dec", "deg", "deg")):
        texts = Angle(sky[name], unit=unit).to_string(unit=shown, sep=":", precision=12)
        other[name] = MaskedColumn(texts)
    with pytest.raises(InputError, match="--units ra=h:m:s"):
        classified(model, other)
    posterior, _ = classified(model, other, units={"ra": "h:m:s", "dec": "d:m:s"})
    np.testing.assert_allclose(posterior, classified(model, sky)[0], atol=1e-9)


def test_a_catalogue_without_the_units_of_the_run_is_told_once(model, sky):
    plain = Table({name: sky[name].data for name in sky.colnames}, masked=True)
    posterior, messages = classified(model, plain)
    (message,) = [message for message in messages if "names no unit" in message]
    assert "'g_mag' [mag]" in message and "'ra'" not in message
    np.testing.assert_array_equal(posterior, classified(model, sky)[0])
    stated = {name: str(sky[name].unit) for name in sky.colnames if sky[name].unit is not None}
    assert not any("no unit" in text for text in classified(model, plain, units=stated)[1])


def test_a_column_that_the_catalogue_lacks_needs_no_unit(model, sky):
    without = sky.copy()
    without.remove_column("w2_mag")
    messages = classified(model, without, optional="w2_mag")[1]
    assert messages and not any("no unit" in message for message in messages)


def test_a_run_without_units_tells_of_those_of_a_catalogue(model, sky):
    bare = model._replace(trained_on=model.trained_on._replace(units={}))
    posterior, messages = classified(bare, sky)
    assert any("trained without units for" in m and "'g_mag' [mag]" in m for m in messages)
    np.testing.assert_allclose(posterior, classified(model, sky)[0], atol=1e-12)
    radians = sky.copy()
    for name in ("ra", "dec"):  # an angle is converted all the same: the functions need degrees
        radians[name] = MaskedColumn(np.deg2rad(sky[name]), unit="rad")
    np.testing.assert_allclose(classified(bare, radians)[0], posterior, atol=1e-10)


@pytest.mark.parametrize(
    ("factor", "columns", "cause"),
    [
        (1e15, FLUXES, "about 1e15 times .* as in units of 1e-15 erg"),
        (1e-3, FLUXES, "about 0.001 times .* as W/m2 is to erg"),
        (4.1e5, FLUXES, "as Jy at 1 keV is to erg"),
        (1000, ("g_mag", "j_mag", "k_mag", "w1_mag", "w2_mag"), "about 1000 times .* as mmag is"),
    ],
)
def test_a_constant_factor_is_named_as_the_likeliest_cause(model, sky, factor, columns, cause):
    other = sky.copy()
    for name in columns:
        other[name] = MaskedColumn(np.ma.array(sky[name]) * factor)
    (message,) = [m for m in classified(model, other)[1] if "likeliest cause" in m]
    assert "outside the central 90 % of the training sample" in message
    assert re.search(cause, message), message
    assert not any("likeliest cause" in text for text in classified(model, sky)[1])


def test_the_advised_unit_mends_it(model, sky):
    other = sky.copy()
    for name in FLUXES:
        other[name] = MaskedColumn(np.ma.array(sky[name]) * 1e15)
    units = dict.fromkeys(FLUXES, "1e-15 erg / (s cm2)")
    posterior, messages = classified(model, other, units=units)
    np.testing.assert_allclose(posterior, classified(model, sky)[0], atol=1e-10)
    assert not any("likeliest" in message for message in messages)


@pytest.mark.parametrize("unit", ["1e-15 erg/s/cm2", "1e-18 W/m2"])
def test_the_advised_unit_replaces_a_wrong_one_of_the_file(model, sky, unit):
    other = sky.copy()
    for name in FLUXES:
        other[name] = MaskedColumn(np.ma.array(sky[name]), unit=parse_unit(unit))
    (message,) = [m for m in classified(model, other)[1] if "likeliest cause" in m]
    assert "about 1e-15 times" in message
    advised = dict(re.findall(r"--units '(\w+)=([^']+)'", message))
    assert advised == dict.fromkeys(FLUXES, "erg / (s cm2)")
    posterior, messages = classified(model, other, units=advised)
    np.testing.assert_allclose(posterior, classified(model, sky)[0], atol=1e-10)
    assert not any("likeliest" in message for message in messages)


def small_config(**catalog):
    features = {
        "abs_b": {"expression": "abs(galactic_b(ra, dec))", "category": "location"},
        "hr": {"expression": "hardness(flux_soft, flux_hard)", "category": "spectrum"},
        "flux": {
            "expression": "flux_soft + flux_hard",
            "category": "spectrum",
            "scale": "log10",
            "unit": "erg/s/cm2",
        },
        "w1_w2": {"expression": "w1_mag - w2_mag", "category": "counterparts"},
    }
    roles = {"id": "name", "ra": "ra", "dec": "dec", "label": "Class", **catalog}
    taxonomy = {"classes": {name: [name] for name in CLASSES}}
    validation = {"folds": 2, "inner_folds": 2}
    record = {"name": "u", "catalog": roles, "taxonomy": taxonomy, "features": features}
    return config_of({**record, "validation": validation})


@pytest.fixture(scope="module")
def training_sky():
    return Table(simulate_catalog(600, 2), masked=True, copy=True)


def test_a_run_in_other_units_has_the_same_features(training_sky):
    expected = load_training(small_config(), training_sky).features
    other = training_sky.copy()
    for name, text in {"ra": "hourangle", "dec": "rad", "flux_soft": "W/m2"}.items():
        unit = parse_unit(text)
        values = np.ma.array(training_sky[name]) * factor_between(training_sky[name].unit, unit)
        other[name] = MaskedColumn(values, unit=unit)
    made = load_training(small_config(), other)
    np.testing.assert_allclose(made.features.value, expected.value, atol=1e-10)
    # The table of the run has degrees, which its report and its catalogue need.
    np.testing.assert_allclose(made.table["ra"], training_sky["ra"], atol=1e-10)
    assert str(made.table["ra"].unit) == "deg"


def test_the_config_states_units_for_a_file_that_has_none(training_sky):
    expected = load_training(small_config(), training_sky).features
    plain = Table({name: training_sky[name].data for name in training_sky.colnames}, masked=True)
    for name in ("flux_soft", "flux_hard"):
        plain[name] = plain[name] / 1000
    units = {"flux_soft": "W/m2", "flux_hard": "W/m2"}
    made = load_training(small_config(units=units), plain)
    np.testing.assert_allclose(made.features.value, expected.value, atol=1e-10)


def test_columns_of_units_that_do_not_convert_are_refused(training_sky):
    other = training_sky.copy()
    other["flux_hard"] = MaskedColumn(other["flux_hard"], unit="ct/s")
    with pytest.raises(InputError, match=r"features.hr.expression: .*'flux_hard' is in ct / s"):
        load_training(small_config(), other)


def test_stand_ins_of_a_training_catalogue_are_told_or_refused(training_sky):
    few, _ = with_values(training_sky, "w1_mag", slice(0, 6), -99)
    made = load_training(small_config(), few)
    assert any("missing_values: {w1_mag: [-99]}" in message for message in made.warnings)
    many, right = with_values(training_sky, "w1_mag", slice(0, 90), -99)
    with pytest.raises(InputError, match=r"holds -99 in 90 of"):
        load_training(small_config(), many)
    load_training(small_config(measured_values={"w1_mag": [-99]}), many)
    made = load_training(small_config(missing_values={"w1_mag": [-99]}), many)
    expected = load_training(small_config(), right)
    np.testing.assert_array_equal(made.features.value, expected.features.value)


def test_the_row_of_a_mapping_has_no_units_to_tell(demo, recwarn):
    fit = xbayes.load(demo.folder)
    fit.classify({"ra": 83.6, "dec": 22.0, "flux_soft": 1e-14, "flux_medium": 2e-14})
    assert not [w for w in recwarn if "unit" in str(w.message)]
