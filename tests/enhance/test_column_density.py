"""Column density and reddening: HEALPix maps, dustmaps, served maps, and no map at all."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy_healpix import HEALPix

from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_flux import ColumnDensityConfig
from xbayes.enhance.column_density import ReadColumnDensity
from xbayes.enhance.healpix_map import UNSEEN, read_healpix
from xbayes.enhance.pairs import Positions
from xbayes.errors import InputError

RNG = np.random.default_rng(8)
RA = np.append(RNG.uniform(0, 360, 40), np.nan)
DEC = np.append(np.rad2deg(np.arcsin(RNG.uniform(-1, 1, 40))), np.nan)
AT = Positions(ra=RA, dec=DEC)
KNOWN = slice(0, 40)


def map_file(tmp_path, values, order="RING", frame="G", rows=None, name="NHI"):
    data = values if rows is None else values.reshape(-1, rows)
    hdu = fits.BinTableHDU(Table({name: data}))
    if order:
        hdu.header["ORDERING"] = order
    if frame:
        hdu.header["COORDSYS"] = frame
    path = tmp_path / "map.fits"
    hdu.writeto(path, overwrite=True)
    return path


@pytest.mark.parametrize("order", ["RING", "NESTED"])
@pytest.mark.parametrize("frame", ["G", "C"])
@pytest.mark.parametrize("rows", [None, 16])
def test_the_value_of_the_pixel(tmp_path, order, frame, rows):
    pixels = HEALPix(nside=16, order=order.lower())
    values = RNG.random(pixels.npix)
    found = read_healpix(map_file(tmp_path, values, order, frame, rows), None)
    there = SkyCoord(RA[KNOWN] * u.deg, DEC[KNOWN] * u.deg)
    lon, lat = (there.galactic.l, there.galactic.b) if frame == "G" else (there.ra, there.dec)
    right = values[pixels.lonlat_to_healpix(lon, lat)]
    at = found.at(AT, interpolate=False)
    np.testing.assert_array_equal(at[KNOWN], right)
    assert np.isnan(at[40])


def test_interpolation_is_exact_at_centres_and_close_between(tmp_path):
    pixels = HEALPix(nside=64, order="ring")
    lon, lat = pixels.healpix_to_lonlat(np.arange(pixels.npix))
    values = 2 + np.sin(lat.to_value("rad")) + np.cos(lat.rad) * np.cos(lon.rad)  # smooth
    found = read_healpix(map_file(tmp_path, values, frame="C"), "NHI")
    right = 2 + np.sin(np.deg2rad(DEC)) + np.cos(np.deg2rad(DEC)) * np.cos(np.deg2rad(RA))
    at = found.at(AT, interpolate=True)
    np.testing.assert_allclose(at[KNOWN], right[KNOWN], atol=5e-3)
    centre = Positions(ra=lon.deg[[500, 20_000]], dec=lat.deg[[500, 20_000]])
    np.testing.assert_allclose(found.at(centre, interpolate=True), values[[500, 20_000]])


def test_unseen_pixels_are_empty_and_do_not_count(tmp_path):
    pixels = HEALPix(nside=4, order="ring")
    values = np.full(pixels.npix, 7.0)
    lon, lat = pixels.healpix_to_lonlat(50)
    values[50] = UNSEEN
    found = read_healpix(map_file(tmp_path, values, frame="C"), None)
    at = Positions(ra=np.array([lon.deg, lon.deg + 4]), dec=np.array([lat.deg, lat.deg]))
    assert np.isnan(found.at(at, interpolate=False)[0])
    between = found.at(at, interpolate=True)
    assert np.isnan(between[0]) and between[1] == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones(100)}, "has 100 values"),
        ({"order": None}, "does not say the order"),
        ({"column": "EBV"}, "has no column 'EBV'"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, change, message):
    values = change.get("values", np.ones(192))
    path = map_file(tmp_path, values, order=change.get("order", "RING"))
    with pytest.raises(InputError, match=message):
        read_healpix(path, change.get("column"))


def test_no_fits_file_is_refused(tmp_path):
    path = tmp_path / "map.fits"
    path.write_text("hello")
    with pytest.raises(InputError, match="cannot read"):
        read_healpix(path, None)


def run(settings, services=None):
    step = ReadColumnDensity(ColumnDensityConfig.model_validate(settings), EnhanceCatalogConfig())
    made = step.run(Table({"ra": RA, "dec": DEC}, masked=True), services)
    assert list(made.columns) == [added.name for added in step.columns()]
    return made


def test_columns_with_units(tmp_path):
    path = map_file(tmp_path, np.full(192, 3e20))
    made = run({"nh": {"file": str(path), "factor": 2.0}})
    nh = made.columns["nh_galactic"]
    np.testing.assert_allclose(nh[KNOWN], 6e20)
    assert nh.mask[40] and str(nh.unit) == "1 / cm2" and nh.meta["ucd"] == "phys.columnDensity"


def test_without_a_map_it_is_not_available(monkeypatch):
    monkeypatch.delenv("XBAYES_NH_MAP", raising=False)
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", None)  # not installed
    made = run({"nh": {"file": "${XBAYES_NH_MAP}"}, "ebv": {"dustmaps": "sfd"}})
    assert made.columns["nh_galactic"].mask.all() and made.columns["ebv_galactic"].mask.all()
    assert "XBAYES_NH_MAP}, which is not set: not available" in made.notes[0]
    assert "the map sfd of dustmaps is not installed" in made.notes[1]


def test_a_variable_names_the_map(tmp_path, monkeypatch):
    monkeypatch.setenv("XBAYES_NH_MAP", str(map_file(tmp_path, np.full(192, 3e20))))
    found = run({"nh": {"file": "${XBAYES_NH_MAP}"}}).columns["nh_galactic"][0]
    assert found == pytest.approx(3e20)
    monkeypatch.setenv("XBAYES_NH_MAP", str(tmp_path / "mup.fits"))
    with pytest.raises(InputError, match=r"no file .*did you mean 'map.fits'"):
        run({"nh": {"file": "${XBAYES_NH_MAP}"}})


def test_a_map_of_dustmaps(monkeypatch):
    class Query:
        def __call__(self, coordinates):
            return np.abs(coordinates.galactic.b.deg) / 100

    monkeypatch.setitem(sys.modules, "dustmaps.sfd", SimpleNamespace(SFDQuery=Query))
    monkeypatch.setitem(sys.modules, "dustmaps", SimpleNamespace())
    ebv = run({"ebv": {"dustmaps": "sfd"}}).columns["ebv_galactic"]
    there = SkyCoord(RA[KNOWN] * u.deg, DEC[KNOWN] * u.deg).galactic
    np.testing.assert_allclose(ebv[KNOWN], np.abs(there.b.deg) / 100)
    with pytest.raises(InputError, match="no map 'sdf'; maps are sfd"):
        run({"ebv": {"dustmaps": "sdf"}})


def test_a_served_map_gives_the_nearest_pixel(archive, services):
    archive.services["vizier"]["J/X/nhi"] = Table(
        {"ra": [RA[0], RA[0] + 0.02, RA[1]], "dec": [DEC[0], DEC[0], DEC[1]],
         "NHI": [2e20, 9e20, 4e20]}
    )  # fmt: skip
    made = run({"nh": {"catalogue": "J/X/nhi", "column": "NHI"}}, services())
    assert made.columns["nh_galactic"].filled(-1).tolist()[:3] == [2e20, 4e20, -1]
