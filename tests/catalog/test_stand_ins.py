import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from xbayes.catalog.ranges import range_of
from xbayes.catalog.read import table_chunks
from xbayes.catalog.stand_in_messages import shown_number, stand_in_messages
from xbayes.catalog.stand_ins import REFUSED_SHARE, StandInCheck, Suspect
from xbayes.errors import InputError

RNG = np.random.default_rng(3)
MAGNITUDES = RNG.normal(17, 2.5, 400)
FLUXES = 10 ** RNG.normal(-14, 1, 400)
PROBABILITIES = RNG.uniform(0, 1, 400)
COLOURS = RNG.normal(0.3, 0.5, 400)
COUNTS = RNG.poisson(4, 400).astype(float)
FLOAT32_MAX = float(np.finfo(np.float32).max)
USED = [-99, -999, -9999, 99, 999, 9999, 99.99, -99.99, 1e20, 1e30, -1e30, 3.4e38, FLOAT32_MAX]
USED += [-32768, 2147483647, 9.223372036854775807e18]


def table(values, dtype=float, name="x"):
    return Table({name: MaskedColumn(np.asarray(values, dtype))}, masked=True)


def planted(values, number, n=8):
    values = np.array(values, float)
    values[:n] = number
    return values


def found(values, trained=None, dtype=float, name="x", measured=()):
    check = StandInCheck([name], {name: measured})
    rows = table(values, dtype, name)
    check.add(rows)
    ranges = None if trained is None else {name: range_of(np.asarray(trained, float))}
    return {suspect.value: suspect.count for suspect in check.suspects(rows, ranges)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("number", USED)
@pytest.mark.parametrize("values", [MAGNITUDES, FLUXES, PROBABILITIES, COLOURS])
def test_numbers_that_catalogues_use_are_suspect_in_any_column(values, number, dtype):
    expected = {float(dtype(number)): 8}
    assert found(planted(values, number), dtype=dtype) == expected
    assert found(planted(values, number), values, dtype=dtype) == expected


@pytest.mark.parametrize("number", USED)
def test_one_such_number_is_suspect_if_the_training_sample_never_had_it(number):
    assert found([number], MAGNITUDES) == {float(number): 1}


@pytest.mark.parametrize("number", [-77.0, 40.4, 77.7, 12345.6, 3e15])
def test_a_repeated_number_far_from_the_others_is_suspect_whatever_it_is(number):
    values = np.clip(MAGNITUDES, 12, 22)
    assert found(planted(values, number)) == {number: 8}
    assert found(planted(values, number, n=1)) == {}


def test_several_stand_ins_in_one_column_are_all_found():
    values = MAGNITUDES.copy()
    values[:30] = np.repeat([-999, -99, 99.99, 999, -1, 0], 5)
    assert found(values) == dict.fromkeys([-999, -99, 99.99, 999, -1, 0], 5)
    values[:10] = np.repeat([-77, -66], 5)
    assert set(found(values)) == {-77, -66, 99.99, 999, -1, 0}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("g_mag", MAGNITUDES),
        ("e_flux", 10 ** RNG.normal(-15, 0.5, 400)),
        ("parallax_error", RNG.uniform(0.01, 0.9, 400)),
    ],
)
def test_zero_is_suspect_as_a_magnitude_and_as_an_error(name, values):
    assert found(planted(values, 0), name=name) == {0: 8}


@pytest.mark.parametrize("values", [PROBABILITIES, COUNTS, COLOURS, COUNTS + 1])
def test_zero_is_no_stand_in_where_it_may_be_measured(values):
    assert found(planted(values, 0)) == {}
    assert found(planted(values, 0), values) == {}


def test_zero_fluxes_are_told_if_the_training_sample_has_none_but_never_refused():
    assert found(planted(FLUXES, 0)) == {}
    check = StandInCheck(["x"], {})
    rows = table(planted(FLUXES, 0, n=200))
    check.add(rows)
    (suspect,) = check.suspects(rows, {"x": range_of(FLUXES)})
    assert suspect.value == 0 and not suspect.is_refused


def test_minus_one_is_suspect_only_as_the_only_negative_number():
    for values in (MAGNITUDES, FLUXES, PROBABILITIES, COUNTS):
        assert found(planted(values, -1)) == {-1: 8}
        assert found([-1.0], values) == {-1: 1}
    assert found(planted(COLOURS, -1)) == {}
    assert found(planted(np.abs(COLOURS), -1), COLOURS) == {}  # the training sample has negatives


def test_a_flag_of_minus_one_is_never_refused():
    flag = np.repeat([-1.0, 0.0, 1.0], 100)
    check = StandInCheck(["x"], {})
    rows = table(flag)
    check.add(rows)
    assert not any(suspect.is_refused for suspect in check.suspects(rows))


@pytest.mark.parametrize(
    "values",
    [
        [-99, 14, 15],  # too few to know what is usual
        [99, 99, 99, 120],
        [-98.9] * 5 + [1.0],
        np.concatenate([10 ** RNG.normal(2, 1, 300), [99.0, 999.0]]),  # among the others
        np.repeat([0.0, 1.0], 50),
        np.round(RNG.uniform(0, 100, 3000)),  # 99 as often as 98
        np.minimum(MAGNITUDES, 18),  # a limit of the survey
        np.maximum(FLUXES, 8e-18),
    ],
)
def test_measured_values_are_not_suspect(values):
    assert found(values) == {}


def test_a_stand_in_among_the_values_is_found_by_its_number():
    distances = RNG.uniform(20, 8000, 400)
    assert found(planted(distances, 999)) == {999: 8}


def test_a_column_of_stand_ins_alone_is_found():
    assert found([-99.0] * 5) == {-99: 5}


def test_float32_forms_in_a_column_of_64_bits_are_recognised():
    stored = float(np.float32(-99.99))
    assert stored != -99.99
    assert found(planted(MAGNITUDES, stored)) == {stored: 8}
    assert shown_number(stored) == "-99.99"
    assert shown_number(FLOAT32_MAX) == "3.4028235e+38"
    assert found(planted(MAGNITUDES, stored), measured=["-99.99"]) == {}


def test_chunks_are_counted_together():
    values = planted(MAGNITUDES, -99, n=0)
    values[[5, 150, 399]] = -99  # one in each chunk
    values[[6, 151, 398]] = 55.5
    rows = table(values)
    check = StandInCheck(["x"], {})
    for chunk in table_chunks(rows, 150).read(None):
        check.add(chunk)
    assert {s.value: s.count for s in check.suspects(rows)} == {-99: 3}
    check_whole = StandInCheck(["x"], {})
    check_whole.add(rows)
    assert check.suspects(rows) == check_whole.suspects(rows)


def suspect(count, n, value=-99.0, column="g_mag"):
    return Suspect(column=column, value=value, count=count, n=n)


def test_a_share_above_the_limit_is_refused_and_one_below_is_told():
    (message,) = stand_in_messages([suspect(5, 100)], {})
    assert "column 'g_mag' holds -99 in 5 of 100 rows with a value" in message
    assert "missing_values: {g_mag: [-99]}" in message
    with pytest.raises(InputError, match=f"more than {REFUSED_SHARE:.0%}"):
        stand_in_messages([suspect(6, 100)], {})


def test_the_line_to_write_keeps_the_markers_that_hold():
    (message,) = stand_in_messages([suspect(1, 100, -999.0)], {"g_mag": [-99]})
    assert "missing_values: {g_mag: [-99, -999]}" in message


def test_the_advice_to_classify_can_be_followed_there():
    several = [suspect(1, 100), suspect(2, 100, 99.0), suspect(2, 100, column="w1")]
    ranges = {"g_mag": range_of(MAGNITUDES)}
    (message,) = stand_in_messages(several, {}, trained=ranges)
    options = "--missing-values g_mag=-99 --missing-values g_mag=99 --missing-values w1=-99"
    assert options in message
    assert "missing_values={'g_mag': [-99, 99], 'w1': [-99]}" in message
    assert "(training: 9" in message or "(training: 1" in message


def test_a_measured_value_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="must be a number; found 'much'"):
        StandInCheck(["x"], {"x": ["much"]})


# -- columns that are mostly empty, or mostly stand-ins


@pytest.mark.parametrize("n_values", [1, 2, 3, 30])
def test_stand_ins_that_outnumber_the_values_are_found(n_values):
    assert found([*[-99.0] * 300, *MAGNITUDES[:n_values]]) == {-99: 300}


def test_a_mostly_empty_column_is_judged_by_all_its_values_not_by_the_sampled_rows():
    """The sample of rows hardly holds any cell of a column that is mostly empty."""
    values = np.full(4000, np.nan)
    values[1::100] = MAGNITUDES[:40]
    values[51:1100:100] = -99
    rows = Table({"x": MaskedColumn(values, mask=np.isnan(values))}, masked=True)
    check = StandInCheck(["x"], {})
    for chunk in table_chunks(rows, 1000).read(None):
        check.add(chunk)
    (suspect,) = check.suspects(rows[::100])
    assert (suspect.value, suspect.count, suspect.n) == (-99, 11, 51)
