"""Counterparts in HATS catalogues (`engine: lsdb`): the candidates are those in memory."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude, SkyCoord

pytest.importorskip("lsdb")

from tests.enhance.test_counterparts import CATALOG, GAIA, SETTINGS, WISE, small_sky
from xbayes.catalog.columns import from_table
from xbayes.catalog.format_arrow import to_arrow
from xbayes.catalog.hats_names import SPATIAL_INDEX
from xbayes.catalog.write import write_catalog
from xbayes.config.counterparts import CounterpartsConfig
from xbayes.enhance.counterparts import HYPOTHESES, FindCounterparts
from xbayes.enhance.hats_objects import rows_near
from xbayes.enhance.steps import run_steps
from xbayes.errors import InputError
from xbayes.hats.create import Layout, write_hats

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def step_of(files, engine, **settings):
    given = [{"name": name, "file": str(file)} for name, file in files.items()]
    config = {**SETTINGS, "catalogues": given, "engine": engine, **settings}
    return FindCounterparts(CounterpartsConfig(**config), CATALOG)


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """The X-ray catalogue, and two catalogues as Parquet files and in HATS; read only."""
    _, catalog, tables = small_sky()
    folder, files, hats = tmp_path_factory.mktemp("sky"), {}, {}
    places = {"gaia": (GAIA, "RA_ICRS", "DE_ICRS"), "allwise": (WISE, "RAJ2000", "DEJ2000")}
    for name, (table, ra, dec) in places.items():
        files[name], hats[name] = folder / f"{name}.parquet", folder / f"{name}.hats"
        write_catalog(tables[table], files[name])
        # Cells of 7 arcmin: many sources are near the edge of one.
        layout = Layout(order=9, margin_arcsec=20.0, ra=ra, dec=dec)
        write_hats([to_arrow(from_table(tables[table]))], hats[name], layout, name=name)
    return catalog, files, hats


def test_the_result_is_that_of_a_table_in_memory(sky):
    catalog, files, hats = sky
    assert len([*hats["gaia"].rglob("Npix=*.parquet")]) > 10
    here = run_steps(catalog, [step_of(files, "memory")], None)
    there = run_steps(catalog, [step_of(hats, "lsdb")], None)
    assert there.table.colnames == here.table.colnames
    for name in here.table.colnames:
        one, other = here.table[name], there.table[name]
        assert np.array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other)), name
        if one.dtype.kind == "f":
            np.testing.assert_allclose(np.ma.filled(other, 0), np.ma.filled(one, 0), rtol=1e-9)
        else:
            assert other.tolist() == one.tolist()
        assert one.unit == other.unit
    assert len(there.tables[HYPOTHESES]) == len(here.tables[HYPOTHESES]) > len(catalog)


@pytest.mark.parametrize("dec", [0.0, 41.8, -89.99, 89.999])
@pytest.mark.parametrize("radius", [0.001, 2.0, 200.0, 7200.0])
def test_no_row_within_the_radius_is_left_out(dec, radius):
    rng, n = np.random.default_rng(1), 100
    place = SkyCoord(rng.uniform(44, 46, n), np.full(n, dec), unit="deg")
    far = rng.uniform(0.5, 1.0, n) * radius * u.arcsec
    moved = place.directional_offset_by(rng.uniform(0, 360, n) * u.deg, far)
    here, there = (pd.Index(cells_of(each), name=SPATIAL_INDEX) for each in (place, moved))
    near = [rows_near(here[row : row + 1], there[row : row + 1], radius) for row in range(n)]
    assert all(rows.tolist() == [0] for rows in near)
    opposite = pd.Index(cells_of(SkyCoord(place.ra + 180 * u.deg, -place.dec)), name=here.name)
    assert len(rows_near(here, opposite, radius)) == 0
    assert len(rows_near(here, opposite.rename("other"), radius)) == n
    assert len(rows_near(here[:0], there, radius)) == len(rows_near(here, there[:0], radius)) == 0


def cells_of(place):
    import cdshealpix

    found = cdshealpix.lonlat_to_healpix(Longitude(place.ra), Latitude(place.dec), 29)
    return found.astype(np.int64)


def test_a_margin_too_small_and_no_catalogue_are_refused(sky, tmp_path):
    catalog, _, hats = sky
    wide = step_of(hats, "lsdb", motion_arcsec=30.0)
    with pytest.raises(InputError, match=r"has a margin of 20 arcsec, but candidates .* 35 arcsec"):
        run_steps(catalog, [wide], None)
    for missing in (tmp_path / "none.hats", "http://127.0.0.1:9/gaia.hats"):
        lost = step_of({**hats, "gaia": missing}, "lsdb")
        with pytest.raises(InputError, match="cannot be opened as a HATS catalogue"):
            run_steps(catalog, [lost], None)
