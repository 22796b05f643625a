"""Coverage by MOC, and what the classifier makes of it."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy_healpix import HEALPix
from mocpy import MOC

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.config.enhance import CoverageConfig, EnhanceCatalogConfig
from xbayes.config.reader import config_of
from xbayes.enhance.coverage import Cover
from xbayes.enhance.moc import covered, read_moc
from xbayes.enhance.pairs import Positions
from xbayes.enhance.steps import run_steps
from xbayes.errors import InputError
from xbayes.features.build import build_features

CONE = {"lon": 10 * u.deg, "lat": 20 * u.deg, "radius": 1 * u.deg}
AT = Positions(ra=np.array([10.0, 10.9, 12.0, np.nan]), dec=np.array([20.0, 20.0, 20.0, np.nan]))


def saved(tmp_path, kind="fits"):
    path = tmp_path / f"cone.{ {'fits': 'fits', 'json': 'json', 'ascii': 'txt'}[kind] }"
    MOC.from_cone(**CONE, max_depth=11).save(path, format=kind)
    return path


def step_of(**surveys):
    return Cover(CoverageConfig.model_validate({"surveys": surveys}), EnhanceCatalogConfig())


@pytest.mark.parametrize("kind", ["fits", "json", "ascii"])
def test_files_of_every_kind(tmp_path, kind):
    inside = covered(AT, moc=None, file=str(saved(tmp_path, kind)), key="k", services=None)
    np.testing.assert_array_equal(inside, [True, True, False, False])


def test_coverage_agrees_with_the_cone(tmp_path):
    rng = np.random.default_rng(1)
    at = Positions(ra=rng.uniform(8, 12, 2000), dec=rng.uniform(18, 22, 2000))
    inside = covered(at, moc=None, file=str(saved(tmp_path)), key="k", services=None)
    half = [np.sin(np.deg2rad(d) / 2) ** 2 for d in (at.dec - 20, at.ra - 10)]
    both = half[0] + np.cos(np.deg2rad(at.dec)) * np.cos(np.deg2rad(20)) * half[1]
    distance = np.rad2deg(2 * np.arcsin(np.sqrt(both)))
    sure = np.abs(distance - 1) > 0.05  # a pixel of order 11 is 0.03 deg
    np.testing.assert_array_equal(inside[sure], distance[sure] < 1)


def test_a_moc_of_the_server(archive, services):
    archive.mocs["CDS/X/ps1"] = MOC.from_cone(**CONE, max_depth=11).to_string("ascii")
    options = {"file": None, "key": "k", "services": services()}
    inside = covered(AT, moc="CDS/X/ps1", **options)
    np.testing.assert_array_equal(inside, [True, True, False, False])
    n_requests = len(archive.requests)
    offline = {**options, "services": services(offline=True)}
    np.testing.assert_array_equal(covered(AT, moc="CDS/X/ps1", **offline), inside)
    assert len(archive.requests) == n_requests
    with pytest.raises(InputError, match="has no MOC 'CDS/Y'"):
        covered(AT, moc="CDS/Y", **options)


def test_the_whole_sky_needs_neither_file_nor_network():
    inside = covered(AT, moc="allsky", file=None, key="k", services=None)
    np.testing.assert_array_equal(inside, [True, True, True, False])


@pytest.mark.parametrize(("name", "text"), [("a.fits", "SIMPLE"), ("a.txt", "hello"), ("a.x", "")])
def test_no_moc_is_refused(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match="is no MOC"):
        read_moc(path)


def test_columns_and_depths(tmp_path):
    step = step_of(
        ps1={"file": str(saved(tmp_path)), "depth": 21.8}, gaia={"moc": "allsky", "depth": 20.7}
    )
    table = Table({"ra": AT.ra, "dec": AT.dec}, masked=True)
    made = step.run(table, None)
    assert list(made.columns) == ["covered_ps1", "depth_ps1", "covered_gaia", "depth_gaia"]
    inside = made.columns["covered_ps1"]
    assert inside.dtype == bool
    np.testing.assert_array_equal(inside.mask, [False, False, False, True])
    np.testing.assert_array_equal(inside[:3], [True, True, False])
    np.testing.assert_array_equal(made.columns["depth_ps1"].mask, [False, False, True, True])
    assert made.columns["depth_ps1"][0] == 21.8 and made.columns["depth_ps1"].unit == u.mag


def test_a_depth_map_gives_the_depth_where_it_looked(tmp_path):
    pixels = HEALPix(nside=16, order="nested")
    depth = np.full(pixels.npix, np.nan)
    there = pixels.lonlat_to_healpix(10 * u.deg, 20 * u.deg)
    depth[there] = 24.5
    path = tmp_path / "depth.fits"
    hdu = fits.BinTableHDU(Table({"DEPTH": depth}))
    hdu.header["ORDERING"], hdu.header["COORDSYS"] = "NESTED", "C"
    hdu.writeto(path)
    step = step_of(des={"moc": "allsky", "depth_map": str(path)})
    made = step.run(Table({"ra": AT.ra, "dec": AT.dec + 0 * AT.ra}, masked=True), None)
    inside, depth = made.columns["covered_des"], made.columns["depth_des"]
    assert inside[0] and depth[0] == 24.5
    assert not inside[2] and depth.mask[2]


CONFIG = {
    "name": "c",
    "catalog": {"id": "name", "label": "class"},
    "taxonomy": {"classes": {"A": ["A"], "B": ["B"]}},
    "features": {
        "fx_over_fg": {
            "expression": "log_fx + 0.4 * Gmag",
            "category": "counterparts",
            "missing": "evidence",
            "measured": "covered_ps1",
        }
    },
}


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "parquet", "csv"])
def test_an_empty_counterpart_is_not_detected_or_not_available(tmp_path, ending):
    """From enhance to features: measured, not detected where the survey looked, not available."""
    table = Table(
        {
            "name": ["measured", "looked", "outside", "nowhere"],
            "class": ["A", "B", "A", "B"],
            "ra": AT.ra,
            "dec": AT.dec,
            "log_fx": [-13.0] * 4,
            "Gmag": np.ma.masked_array([18.0, 0.0, 0.0, 0.0], [False, True, True, True]),
        },
        masked=True,
    )
    rich = run_steps(table, [step_of(ps1={"file": str(saved(tmp_path))})], None).table
    path = tmp_path / f"rich.{ending}"
    write_catalog(rich, path)
    features, report = build_features(read_catalog(path), config_of(CONFIG))
    np.testing.assert_array_equal(features.measured[:, 0], [True, False, False, False])
    np.testing.assert_array_equal(features.available[:, 0], [True, True, False, False])
    assert (report.counts[0].not_detected, report.counts[0].not_available) == (1, 2)
