"""Spectra and light curves read from FITS files that the test writes."""

import gzip

import numpy as np
import pytest

from tests.catalog.ogip_samples import ebounds, light_curve, spectrum, table, write
from xbayes.catalog import ogip_files
from xbayes.catalog.ogip import companions, read_light_curve, read_spectrum
from xbayes.errors import InputError


def test_counts_are_joined_to_the_least_number(tmp_path):
    counts = [0, 12, 9, 30, 5, 5, 5, 6, 3]
    made = read_spectrum(spectrum(tmp_path / "a.fits", counts, None, ebounds(9)))
    assert made.counts.tolist() == [21, 30, 24]
    np.testing.assert_allclose(made.low, [0.5, 2.0, 2.5])
    np.testing.assert_allclose(made.high, [2.0, 2.5, 5.0])  # the rest of the end is in the last bin
    np.testing.assert_allclose(made.rate, made.counts / 1000 / (made.high - made.low))
    np.testing.assert_allclose(made.error / made.rate, 1 / np.sqrt(made.counts))
    assert (made.unit, made.rate_unit, made.instrument) == ("keV", "counts/s/keV", "XMM EPN")
    assert not made.has_background and (made.background == 0).all()


def test_few_counts_have_the_errors_of_gehrels(tmp_path):
    made = read_spectrum(spectrum(tmp_path / "a.fits", [0, 3], None), least_counts=0)
    width = made.high - made.low
    np.testing.assert_allclose(made.error * 1000 * width, 1 + np.sqrt(np.array([0, 3]) + 0.75))


def test_the_background_is_scaled_and_subtracted(tmp_path):
    own = spectrum(tmp_path / "a.fits", [400, 100])
    behind = spectrum(tmp_path / "b.fits", [50, 50], None, BACKSCAL=200.0, EXPOSURE=500.0)
    made = read_spectrum(own, background=behind)
    np.testing.assert_allclose(made.background, [50, 50])  # twice the exposure, half the region
    scale = 1000 * (made.high - made.low)
    np.testing.assert_allclose(made.rate * scale, [350, 50])
    np.testing.assert_allclose(made.error * scale, np.sqrt([400 + 50, 100 + 50]))


def test_groups_bad_channels_and_a_number_of_bins(tmp_path):
    more = {
        "GROUPING": np.array([1, -1, 1, -1, 1, -1]),
        "QUALITY": np.array([0, 0, 0, 0, 5, 5]),
    }
    path = spectrum(tmp_path / "a.fits", [30, 1, 25, 1, 90, 90], more)
    assert read_spectrum(path, least_counts=1).counts.tolist() == [31, 26]
    flat = spectrum(tmp_path / "b.fits", np.full(100, 10))
    assert len(read_spectrum(flat, bins=10).counts) == 10
    split = spectrum(tmp_path / "c.fits", [9, 9, 9, 9], {"QUALITY": np.array([0, 1, 0, 0])})
    assert read_spectrum(split).counts.tolist() == [9, 18]  # no bin reaches over a bad channel


def test_energies_of_a_response_of_the_channels_or_none(tmp_path):
    path = spectrum(tmp_path / "a.fits", [50, 50], SPECDELT=15)
    np.testing.assert_allclose(read_spectrum(path).high, [0.015, 0.03])
    response = write(tmp_path / "r.rmf", ebounds(2))
    np.testing.assert_allclose(read_spectrum(path, response=response).high, [1.0, 1.5])
    with pytest.raises(InputError, match=r"short\.rmf has no energies"):
        read_spectrum(path, response=write(tmp_path / "short.rmf", ebounds(1)))
    other = spectrum(tmp_path / "o.fits", [50, 50], INSTRUME="NEW")
    made = read_spectrum(other)
    assert made.unit == "channel" and made.low.tolist() == [-0.5, 0.5]


def test_rates_in_place_of_counts_and_names_of_companions(tmp_path):
    columns = {"CHANNEL": np.arange(2), "RATE": np.array([0.1, 0.2])}
    keys = {"EXPOSURE": 1000.0, "BACKFILE": "/etc/../b.fits", "RESPFILE": "NONE"}
    path = write(tmp_path / "a.pha", table("SPECTRUM", columns, keys))
    assert read_spectrum(path).counts.tolist() == [100, 200]
    assert companions(path) == ("b.fits", "")


def test_a_light_curve(tmp_path):
    columns = {"RATE": np.array([1.0, 2.0, np.nan, 4.0]), "ERROR": np.full(4, 0.1)}
    made = read_light_curve(light_curve(tmp_path / "a.lc", columns, TIMEZERO=86400.0))
    assert made.rate.tolist() == [1, 2, 4] and made.time.tolist() == [50, 150, 350]
    assert made.start == pytest.approx(50815.0) and made.time_system == "TT"
    assert (made.half_width == 50).all() and (made.exposure == 100).all()


def test_good_times_counts_and_bins(tmp_path):
    good = table(
        "SRC_GTIS", {"START": np.array([0.0, 350.0]), "STOP": np.array([200.0, 400.0])}, {}
    )
    counts = {"COUNTS": np.array([100, 0, 50, 100]), "FRACEXP": np.array([1.0, 0.5, 1.0, 1.0])}
    path = light_curve(tmp_path / "a.lc", counts, good)
    made = read_light_curve(path)
    assert made.rate.tolist() == [1, 0, 1]  # the third lies outside the good times
    np.testing.assert_allclose(made.error, [0.1, (1 + np.sqrt(0.75)) / 50, 0.1])
    assert made.exposure.tolist() == [100, 50, 50]
    plain = light_curve(tmp_path / "b.lc", {"RATE": np.arange(10.0), "ERROR": np.ones(10)})
    joined = read_light_curve(plain, bins=5)
    assert joined.rate.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    np.testing.assert_allclose(joined.error, np.sqrt(0.5))
    assert joined.time.tolist() == [100, 300, 500, 700, 900]


def test_packed_files_are_read_up_to_a_limit(tmp_path, monkeypatch):
    path = spectrum(tmp_path / "a.fits", [50, 50])
    packed = tmp_path / "a.FTZ"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_spectrum(packed).counts.tolist() == [50, 50]
    monkeypatch.setattr(ogip_files, "MOST_BYTES", 5000)
    for each in (path, packed):
        with pytest.raises(InputError, match="is larger than"):
            read_spectrum(each)


def test_files_that_are_no_spectrum(tmp_path):
    whole = spectrum(tmp_path / "a.fits", [50, 50]).read_bytes()
    (tmp_path / "text").write_text("SIMPLE, but no FITS")
    (tmp_path / "cut").write_bytes(whole[:4000])
    (tmp_path / "packed").write_bytes(gzip.compress(whole)[:100])
    (tmp_path / "empty").write_bytes(b"")
    for name in ("text", "cut", "packed", "empty", "absent"):
        with pytest.raises(InputError, match=name) as told:
            read_spectrum(tmp_path / name)
        assert str(tmp_path) not in str(told.value)
    with pytest.raises(InputError, match="needs a table with the columns TIME"):
        read_light_curve(tmp_path / "a.fits")
    wrong = {"b": {"EXPOSURE": 0.0}, "c": {"BACKSCAL": 0.0}}
    for name, header in wrong.items():
        path = spectrum(tmp_path / f"{name}.fits", [5, 5], None, **header)
        with pytest.raises(InputError, match=r"EXPOSURE|BACKSCAL"):
            read_spectrum(path, background=path)
    with pytest.raises(InputError, match="negative"):
        read_spectrum(spectrum(tmp_path / "d.fits", [-5, 5]))
    with pytest.raises(InputError, match="not of one instrument"):
        read_spectrum(tmp_path / "a.fits", background=spectrum(tmp_path / "e.fits", [1, 2, 3]))
