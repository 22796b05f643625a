"""The step `counterparts`: archives and files, proper motion, columns, hypotheses, bad input."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from tests.enhance.invented_sky import invented
from tests.enhance.server.archive import Archive, serving
from xbayes.catalog.write import write_catalog
from xbayes.config.counterparts import CounterpartsConfig
from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.known_counterparts import KNOWN_COUNTERPARTS
from xbayes.enhance.averaging import average_over_counterparts, candidate_rows
from xbayes.enhance.counterparts import HYPOTHESES, FindCounterparts
from xbayes.enhance.pairs import moved
from xbayes.enhance.services import Services
from xbayes.enhance.steps import run_steps
from xbayes.errors import InputError

YEARS = 15.0  # before the epoch of Gaia
GAIA, WISE, DISTANCES = "I/355/gaiadr3", "II/328/allwise", "I/352/gedr3dis"


def small_sky(seed=1, n_sources=120):
    """X-ray sources, and the tables of the archives; row 0 has a counterpart with large motion."""
    sky = invented(
        seed, n_sources=n_sources, side=0.3, densities=(0.004, 0.003), listed=(0.8, 0.7), sigma=0.7
    )
    gaia, wise = sky.catalogues
    size = len(gaia.place.ra)
    rng = np.random.default_rng(seed)
    pm = rng.normal(0, 5, (size, 2))
    if sky.truth[0, 0] >= 0:
        pm[sky.truth[0, 0]] = (600.0, -400.0)
    listed = moved(gaia.place, pm * 1e-3 * YEARS)
    tables = {
        GAIA: Table(
            {
                "Source": np.arange(size) + 3_000_000_000_000_000_000,
                "RA_ICRS": listed.ra, "DE_ICRS": listed.dec,
                "e_RA_ICRS": np.full(size, 200.0), "e_DE_ICRS": np.full(size, 200.0),
                "pmRA": pm[:, 0], "pmDE": pm[:, 1], "Gmag": gaia.features["mag"],
                "BPmag": gaia.features["mag"] + 0.5, "RPmag": gaia.features["mag"] - 0.5,
            },
            units={"e_RA_ICRS": "mas", "e_DE_ICRS": "mas", "pmRA": "mas/yr", "pmDE": "mas/yr"},
        ),
        WISE: Table(
            {
                "AllWISE": [f"J{n:05d}" for n in range(len(wise.place.ra))],
                "RAJ2000": wise.place.ra, "DEJ2000": wise.place.dec,
                **{n: np.full(len(wise.place.ra), 0.3) for n in ("eeMaj", "eeMin")},
                "eePA": np.zeros(len(wise.place.ra)),
                "W1mag": wise.features["mag"], "W2mag": wise.features["mag"],
            }
        ),
        DISTANCES: Table(
            {
                "Source": np.arange(size)[::2] + 3_000_000_000_000_000_000,
                "RA_ICRS": listed.ra[::2], "DE_ICRS": listed.dec[::2],
                "rgeo": np.full(len(listed.ra[::2]), 100.0),
                "b_rgeo": np.full(len(listed.ra[::2]), 90.0),
                "B_rgeo": np.full(len(listed.ra[::2]), 120.0),
            }
        ),
    }  # fmt: skip
    catalog = Table(
        {
            "name": [f"s{n}" for n in range(n_sources)],
            "ra": sky.sources.place.ra, "dec": sky.sources.place.dec,
            "e_pos": sky.sources.errors.major, "flux": np.full(n_sources, 1e-13),
            "year": np.full(n_sources, 2016.0 - YEARS),
        },
        masked=True,
    )  # fmt: skip
    catalog["ra"].unit = catalog["dec"].unit = "deg"
    return sky, catalog, tables


CATALOG = EnhanceCatalogConfig(error="e_pos", epoch="year")
SETTINGS = {
    "catalogues": ["gaia", "allwise"], "radius_arcsec": 5.0, "motion_arcsec": 12.0,
    "flux": "flux", "shift_arcsec": 60.0, "shifted": 300,
}  # fmt: skip


def step_of(catalog=CATALOG, **settings):
    return FindCounterparts(CounterpartsConfig(**{**SETTINGS, **settings}), catalog)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The sky, the catalogue and what the step makes of it; read only."""
    sky, catalog, tables = small_sky()
    with serving(Archive(services={"vizier": tables})) as archive:
        cache = tmp_path_factory.mktemp("answers")
        asked = Services(cache=cache, endpoints=archive.endpoints, timeout=10.0)
        yield sky, catalog, run_steps(catalog, [step_of()], asked)


def test_from_the_archives(made):
    """Most counterparts are found, and few wrong ones."""
    sky, _, enhanced = made
    table = enhanced.table
    truth = np.where(
        sky.truth[:, 0] >= 0, (sky.truth[:, 0] + 3_000_000_000_000_000_000).astype(str), ""
    )
    named = np.ma.filled(table["gaia_id"], "").astype(str)
    listed = truth != ""
    assert (named == truth)[listed].mean() > 0.9
    assert (named != "")[(sky.truth < 0).all(1)].mean() < 0.4
    accepted = np.asarray(table["has_counterpart"], bool)
    np.testing.assert_array_equal(
        accepted, np.asarray(table["p_any"]) >= np.asarray(table["p_any_cut"])
    )
    assert not np.ma.getmaskarray(table["counterpart_separation"])[accepted].any()
    assert np.ma.getmaskarray(table["counterpart_separation"])[~accepted].all()
    assert any("have p_any of at least" in note for note in enhanced.notes)


def test_columns_are_described(made):
    _, catalog, enhanced = made
    added = [c for c in enhanced.table.colnames if c not in catalog.colnames]
    assert {"p_any", "p_i", "gaia_g_mag", "allwise_w1_mag", "log_fx_fopt", "log_fx_fir"} < {*added}
    for name in added:
        column = enhanced.table[name]
        assert column.description and column.meta["ucd"], name
    assert str(enhanced.table["counterpart_separation"].unit) == "arcsec"
    assert str(enhanced.table["gaia_g_mag"].unit) == "mag"
    assert str(enhanced.table["distance"].unit) == "pc"


def test_flux_ratios_distance_and_luminosity(made):
    """log10(1e-13) + 0.4 G + 4.994, and 4 pi (100 pc)^2 1e-13 = 1.196e29 erg/s."""
    table = made[2].table
    rows = np.flatnonzero(~np.ma.getmaskarray(table["gaia_g_mag"]))
    np.testing.assert_allclose(
        table["log_fx_fopt"][rows], -13 + 0.4 * table["gaia_g_mag"][rows] + 4.994, rtol=1e-6
    )
    far = ~np.ma.getmaskarray(table["distance"])
    assert 0.2 < far.sum() / len(rows) < 0.8  # every second entry has a distance
    np.testing.assert_allclose(np.asarray(table["log_luminosity"])[far], 29.0779, atol=1e-3)
    number = np.ma.filled(table["gaia_id"], "0").astype(str).astype(np.int64)
    assert np.all(number[far] % 2 == 0)
    assert table["distance_lo"][far][0] == 90 and table["distance_hi"][far][0] == 120


def test_proper_motion_is_applied_to_the_xray_epoch(archive, services):
    """In 15 years the counterpart of row 0 moves by 10.8 arcsec, out of the search radius."""
    for seed in range(1, 20):
        sky, catalog, tables = small_sky(seed)
        if sky.truth[0, 0] >= 0:
            break
    archive.services["vizier"] = tables
    wanted = str(sky.truth[0, 0] + 3_000_000_000_000_000_000)
    table = run_steps(catalog, [step_of()], services()).table
    assert str(table["gaia_id"][0]) == wanted
    assert table["counterpart_separation"][0] < 3 and abs(table["pm"][0] - 721.1) < 0.1
    still = step_of(EnhanceCatalogConfig(error="e_pos"))
    table = run_steps(catalog, [still], services()).table
    assert np.ma.getmaskarray(table["gaia_id"])[0] or str(table["gaia_id"][0]) != wanted


def test_local_files_give_the_same_without_network(made, tmp_path):
    _, catalog, enhanced = made
    _, _, tables = small_sky()
    records = []
    for name, table in (("gaia", GAIA), ("allwise", WISE)):
        path = tmp_path / f"{name}.fits"
        write_catalog(tables[table], path)
        records.append({"name": name, "file": str(path)})
    again = run_steps(catalog, [step_of(catalogues=records)], None).table
    np.testing.assert_allclose(again["p_any"], enhanced.table["p_any"], atol=1e-3)
    assert "distance" not in again.colnames
    assert list(again["gaia_id"]) == list(enhanced.table["gaia_id"])


def test_hypotheses_have_weights_and_give_averages(made):
    _, catalog, enhanced = made
    hypotheses = enhanced.tables[HYPOTHESES]
    source = np.asarray(hypotheses["counterpart_row"])
    weight = np.asarray(hypotheses["counterpart_weight"])
    np.testing.assert_allclose(np.bincount(source, weight), 1)
    none = ~np.asarray(hypotheses["has_counterpart"], bool)
    assert none.sum() == len(catalog)
    np.testing.assert_allclose(
        weight[none], 1 - np.asarray(enhanced.table["p_any"])[source[none]], atol=0.02
    )
    rows = candidate_rows(enhanced.table, hypotheses)
    assert len(rows) == len(hypotheses)
    assert list(rows["name"]) == [f"s{n}" for n in source]
    classified = Table({"p_A": np.where(none, 0.0, 1.0), "p_B": np.where(none, 1.0, 0.0)})
    classified.meta["CLASSES"] = "A,B"
    averaged = average_over_counterparts(classified, hypotheses)
    np.testing.assert_allclose(averaged["p_A"], enhanced.table["p_any"], atol=0.02)
    np.testing.assert_allclose(np.asarray(averaged["p_A"]) + np.asarray(averaged["p_B"]), 1)
    right = np.where(np.asarray(averaged["p_A"]) >= 0.5, "A", "B")
    assert list(averaged["prediction"]) == list(right)


def test_averages_refuse_tables_that_do_not_belong_together(made):
    _, catalog, enhanced = made
    hypotheses = enhanced.tables[HYPOTHESES]
    with pytest.raises(InputError, match="same order"):
        candidate_rows(catalog[:10], hypotheses)
    with pytest.raises(InputError, match="hypotheses"):
        average_over_counterparts(Table({"p_A": [1.0]}), hypotheses)
    with pytest.raises(InputError, match="names no classes"):
        average_over_counterparts(Table({"p_A": np.ones(len(hypotheses))}), hypotheses)
    with pytest.raises(InputError, match="no column 'counterpart_row'"):
        candidate_rows(catalog, catalog)


def test_a_second_run_asks_nothing_and_gives_the_same(archive, services):
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    first = run_steps(catalog, [step_of()], services()).table
    asked = len(archive.requests)
    again = run_steps(catalog, [step_of()], services(offline=True)).table
    assert len(archive.requests) == asked
    for name in first.colnames:
        assert list(np.ma.filled(first[name])) == list(np.ma.filled(again[name])) or np.allclose(
            np.ma.filled(first[name], 0), np.ma.filled(again[name], 0)
        )


def test_a_stricter_rate_accepts_fewer(made, services, archive):
    _, catalog, enhanced = made
    archive.services["vizier"] = small_sky()[2]
    usual = np.asarray(enhanced.table["has_counterpart"], bool)
    strict, loose = (
        np.asarray(
            run_steps(catalog, [step_of(false_match_rate=rate)], services()).table[
                "has_counterpart"
            ],
            bool,
        )
        for rate in (0.02, 0.5)
    )
    assert strict.sum() < usual.sum() <= loose.sum()
    assert not np.any(strict & ~loose)


def test_sources_without_position_or_error(services, archive):
    """No position: nothing is known. No error: the default, which a note names."""
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    catalog["ra"][3] = np.nan
    catalog["dec"].mask[4] = True
    catalog["e_pos"] = MaskedColumn(catalog["e_pos"], mask=np.arange(120) == 5)
    enhanced = run_steps(catalog, [step_of()], services())
    for name in ("p_any", "has_counterpart", "n_candidates", "p_i", "gaia_id"):
        assert np.ma.getmaskarray(enhanced.table[name])[[3, 4]].all(), name
    assert not np.ma.getmaskarray(enhanced.table["p_any"])[5]
    assert any("1 rows have no position error; 1.5 arcsec" in n for n in enhanced.notes)
    assert 3 not in np.asarray(enhanced.tables[HYPOTHESES]["counterpart_row"])


def test_swapped_coordinates_are_refused(services, archive):
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    catalog["ra"], catalog["dec"] = catalog["dec"].copy(), catalog["ra"].copy()
    with pytest.raises(InputError, match="swapped"):
        run_steps(catalog, [step_of()], services())


def test_duplicate_positions_get_the_same_answer(services, archive):
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    for name in ("ra", "dec", "e_pos"):
        catalog[name][7] = catalog[name][6]
    table = run_steps(catalog, [step_of()], services()).table
    assert table["p_any"][6] == table["p_any"][7]
    assert table["gaia_id"][6] == table["gaia_id"][7] or np.ma.getmaskarray(table["gaia_id"])[6]


def test_a_field_without_entries(services, archive):
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    catalog["ra"] += 30.0
    enhanced = run_steps(catalog, [step_of()], services())
    assert np.all(np.asarray(enhanced.table["p_any"]) == 0)
    assert not np.any(np.asarray(enhanced.table["has_counterpart"]))
    assert any("no entry at all in gaia, allwise" in note for note in enhanced.notes)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_very_few_sources(size, services, archive):
    """Nothing can be learned from them; shifted positions around each still give a cut."""
    sky, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    rows = np.flatnonzero((sky.truth >= 0).all(1))[:size]
    enhanced = run_steps(catalog[rows], [step_of()], services())
    assert len(enhanced.table) == size
    assert np.all(np.asarray(enhanced.table["p_any"]) > 0.3)


def test_distances_from_a_wrong_table_are_refused(services, archive):
    _, catalog, tables = small_sky()
    tables[DISTANCES].rename_column("rgeo", "r")
    archive.services["vizier"] = tables
    with pytest.raises(InputError, match="I/352/gedr3dis has no column rgeo"):
        run_steps(catalog, [step_of()], services())


def test_an_ellipse_of_the_xray_position_counts(made, services, archive):
    """With large errors in declination alone, other entries become probable."""
    _, catalog, enhanced = made
    catalog, archive.services["vizier"] = catalog.copy(), small_sky()[2]
    catalog["e_minor"], catalog["angle"] = catalog["e_pos"] / 5, np.zeros(len(catalog))
    narrow = step_of(error_minor="e_minor", error_angle="angle")
    table = run_steps(catalog, [narrow], services()).table
    change = np.abs(np.asarray(table["p_any"]) - np.asarray(enhanced.table["p_any"]))
    assert change.max() > 0.05
    without = step_of(error_minor="e_none", error_angle="a_none")
    enhanced = run_steps(catalog, [without], services())
    assert sum("count as circles" in note for note in enhanced.notes) == 2
    catalog["angle"] += 180.0
    again = run_steps(catalog, [narrow], services()).table
    np.testing.assert_allclose(again["p_any"], table["p_any"], rtol=1e-9)


def test_wide_errors_and_collisions_are_told(services, archive):
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    catalog["e_pos"][:] = 3.0
    enhanced = run_steps(catalog, [step_of()], services())
    assert any("above a quarter of the search radius" in note for note in enhanced.notes)
    catalog["p_any"] = 0.5
    with pytest.raises(InputError, match="p_any"):
        run_steps(catalog, [step_of()], services())
    prefixed = run_steps(catalog, [step_of(prefix="new_")], services()).table
    assert "new_p_any" in prefixed.colnames and np.all(prefixed["p_any"] == 0.5)


def test_positions_alone_and_no_cut(services, archive):
    _, catalog, tables = small_sky()
    archive.services["vizier"] = tables
    step = step_of(magnitude_priors=False, shifted=0, completeness=0.7, secure=0.9)
    enhanced = run_steps(catalog, [step], services())
    p_any = np.asarray(enhanced.table["p_any"])
    np.testing.assert_array_equal(np.asarray(enhanced.table["has_counterpart"]), p_any > 0)
    assert not any("have p_any of at least" in note for note in enhanced.notes)


@pytest.mark.parametrize("name", [*KNOWN_COUNTERPARTS])
def test_every_known_catalogue_is_read(name, archive, services):
    """Under the names of columns that VizieR and the cross-match service give."""
    catalogue = CounterpartsConfig(catalogues=[name]).catalogues[0]
    assert catalogue.catalogue and catalogue.flux_band in {*catalogue.magnitudes, *catalogue.fluxes}
    ra, dec = 150 + np.arange(40) * 0.01, np.full(40, 2.0)
    table = Table({catalogue.ra[0]: ra, catalogue.dec[0]: dec + 0.5 / 3600})
    table[catalogue.id[0]] = np.arange(40)
    for names in (catalogue.error, catalogue.error_minor):
        if names is not None:
            table[names[0]] = 0.1 if catalogue.error_unit == "arcsec" else 100.0
    for names in (catalogue.error_angle, catalogue.pm_ra, catalogue.pm_dec):
        if names is not None:
            table[names[0]] = 0.0
    for names in catalogue.magnitudes.values():
        table[names[0]] = 15.0
    for names in catalogue.fluxes.values():
        table[names[0]] = 1000.0  # nanomaggies: 15 mag
    if "RAdeg" in table.colnames:
        table.rename_columns(["RAdeg", "DEdeg"], ["ra", "dec"])  # of the test server
        changed = {"name": name, "ra": "ra", "dec": "dec"}
    else:
        changed = name
    archive.services["vizier"] = {catalogue.catalogue: table, "I/352/gedr3dis": table[:0]}
    catalog = Table({"ra": ra, "dec": dec, "e_pos": np.full(40, 0.5), "flux": np.full(40, 1e-13)})
    settings = {"catalogues": [changed], "shifted": 0, "flux": "flux", "radius_arcsec": 5.0}
    step = FindCounterparts(CounterpartsConfig(**settings), EnhanceCatalogConfig(error="e_pos"))
    made = run_steps(Table(catalog, masked=True), [step], services()).table
    assert np.all(np.asarray(made["p_any"]) > 0.9)
    np.testing.assert_allclose(made[f"{name}_{catalogue.flux_band}_mag"], 15.0)
    ratio = "log_fx_fopt" if catalogue.band == "optical" else "log_fx_fir"
    np.testing.assert_allclose(made[ratio], -13 + 6 - catalogue.log_flux)
    np.testing.assert_allclose(made["counterpart_separation"], 0.5, rtol=1e-3)
