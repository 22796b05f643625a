"""`xbayes fetch`, as typed, against the local server."""

from pathlib import Path

import numpy as np
import pytest
from mocpy import MOC

import xbayes
from tests.enhance.server.xray_tables import N_SOURCES, xray_tables
from xbayes.catalog.read import read_catalog
from xbayes.config.known_catalogs import catalog_names, fetchable, known_catalog
from xbayes.config.reader import load_config
from xbayes.config.schema import Config
from xbayes.enhance.services import ENDPOINTS
from xbayes.features.expression import parse

MINIMAL = {
    "name": "x",
    "taxonomy": {"classes": {"A": ["a"], "B": ["b"]}},
    "features": {"f": {"expression": "f", "category": "c"}},
}


@pytest.fixture
def here(archive, tmp_path, monkeypatch):
    """The usual services are the local ones, and answers are kept in the folder of the test."""
    for name, address in archive.endpoints.items():
        monkeypatch.setitem(ENDPOINTS, name, address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return archive


@pytest.mark.parametrize("name", fetchable())
def test_every_known_catalogue_is_fetched_with_the_columns_of_its_roles(here, name):
    known = known_catalog(name)
    found = xbayes.fetch(name)
    section = Config.model_validate({**MINIMAL, "catalog": name}).catalog
    for role in ("id", "ra", "dec", "source"):
        column = getattr(section, role)
        assert column is None or column in found.colnames, role
    assert len(set(found[section.id].tolist())) == len(found)
    assert found.meta["REFERENC"] == known.reference and found.meta["REGION"] == "whole sky"
    error = known.position_error
    for names in () if error is None else (error.major, error.minor):
        assert names is None or {*names} & {*found.colnames}


def test_chandra_detections_are_those_of_perez_diaz(here):
    found = xbayes.fetch("csc21")
    detections = here.services["csc21"]["csc21.observation_source"]
    chosen = (
        (detections["flux_significance_b"] > 5)
        & ~detections["powlaw_gamma"].mask
        & ~detections["bb_kt"].mask
    )
    right = detections[np.asarray(chosen)]
    assert len(found) == len(right) and 0 < len(right) < len(detections)
    assert found["detection_id"][0].startswith("2CXO J")
    assert len(set(found["detection_id"])) == len(found) > len(set(found["name"]))
    flat = found["var_mean_b"] == 0
    assert np.all(found["var_ratio_b"].mask == flat)
    np.testing.assert_allclose(
        found["var_ratio_h"], found["var_sigma_h"] / found["var_mean_h"], rtol=1e-12
    )
    middle = (found["var_max_b"] + found["var_min_b"]) / 2 / found["var_mean_b"]
    np.testing.assert_allclose(found["var_newq_b"][~flat], middle[~flat], rtol=1e-12)


def test_fetched_detections_have_what_the_shipped_config_reads(here):
    config = load_config(Path(xbayes.__file__).parents[1] / "configs" / "chandra_detections.yaml")
    expressions = [feature.expression for feature in config.features.values()]
    needed = {column for text in expressions for column in parse(text).columns}
    assert needed | {config.catalog.id} <= set(xbayes.fetch("csc21").colnames)


def test_the_command_writes_a_catalogue_and_goes_on_without_the_network(here, done, refused):
    told = done("fetch", "4xmm", "--cone", "M31 0.5deg", "--out", "field.fits")
    assert "rows of 4XMM-DR13" in told and "please cite Webb et al. 2020" in told
    field = read_catalog("field.fits")
    assert 0 < len(field) < N_SOURCES
    assert field["Flux8"].description is None or field["Flux8"].unit is not None
    assert field["RA_ICRS"].meta["ucd"] == "pos.eq.ra;meta.main"
    here.requests.clear()
    done("fetch", "4xmm", "--cone", "M31 0.5deg", "--out", "again.csv", "--offline")
    assert here.requests == []
    assert len(read_catalog("again.csv")) == len(field)
    refused(
        "fetch", "4xmm", "--cone", "M31 0.4deg", "--out", "b.fits", "--offline",
        says=("--offline", "is not in the cache", "run the same command once without --offline"),
    )  # fmt: skip
    refused("fetch", "4xmm", "--out", "field.fits", says=("field.fits exists", "--overwrite"))


def test_a_moc_and_a_query_as_typed(here, done, tmp_path, monkeypatch):
    monkeypatch.setattr("xbayes.enhance.regions.CELLS", 12)
    moc = MOC.from_string("1/0-15")
    moc.save(tmp_path / "area.fits", format="fits")
    done("fetch", "2sxps", "--moc", "area.fits", "--out", "area.parquet")
    assert 0 < len(read_catalog("area.parquet")) < N_SOURCES
    (tmp_path / "q.adql").write_text('SELECT TOP 9 "4XMM" FROM "IX/69/xmm4d13s"')
    done("fetch", "q.adql", "--service", "vizier", "--out", "nine.ecsv")
    assert len(read_catalog("nine.ecsv")) == 9
    done("fetch", "q.adql", "--service", here.endpoints["vizier"], "--out", "n.ecsv", "--refresh")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("4xm",), ("no catalogue of that name", "did you mean '4xmm'")),
        (("nothing.adql",), ("there is no such file",)),
        (("counterparts",), ("no catalogue of that name",)),
        (("q.adql",), ("a query needs a service", "--service")),
        (("q.adql", "--service", "vizir"), ("no service 'vizir'", "vizier")),
        (("4xmm", "--cone", "M31"), ("a name or a position, and a radius",)),
        (("4xmm", "--cone", "M99x 1"), ("sesame", "M99x")),
        (("4xmm", "--cone", "80 -77 1arcsec"), ("has no row in this region",)),
        (("4xmm", "--moc", "none.fits"), ("no such file",)),
        (("4xmm", "--moc", "q.adql"), ("is no MOC",)),
        (("4xmm", "--cone", "M31 1", "--moc", "q.adql"), ("keep one",)),
        (("4xmm", "--service", "simbad"), ("simbad has no table 'IX/69/xmm4d13s'",)),
    ],
)
def test_wrong_use_is_one_message(here, refused, tmp_path, arguments, says):
    (tmp_path / "q.adql").write_text("SELECT TOP 9 * FROM x")
    refused("fetch", *arguments, "--out", "x.fits", says=says)
    assert not (tmp_path / "x.fits").exists()


def test_fewer_rows_than_counted_is_exit_code_2_unless_allowed(here, refused, xbayes):
    here.fail("lossy", match='RUN SELECT * FROM "IX/69')
    refused("fetch", "4xmm", "--out", "x.fits", says=("gave 150 rows, and has more",))
    here.fail("lossy", match='RUN SELECT * FROM "IX/69')
    code, _, err = xbayes("fetch", "4xmm", "--out", "x.fits", "--allow-partial")
    assert "warning: vizier gave 150 rows, and has more" in err
    assert code == 0 and len(read_catalog("x.fits")) == 150


def test_another_service_down_is_one_message(here, refused, monkeypatch):
    monkeypatch.setitem(ENDPOINTS, "vizier", "http://127.0.0.1:9/tap")
    monkeypatch.setattr("xbayes.enhance.retries.FIRST_WAIT_S", 0.0)
    refused("fetch", "4xmm", "--out", "x.fits", says=("no usable answer in 5 attempts", "later"))


def test_the_service_has_renamed_a_column(here):
    tables = here.services["vizier"]
    tables["IX/58/2sxps"].rename_column("RAJ2000", "RA-new")
    with pytest.warns(UserWarning, match="calls the column 'RAJ2000' of IX/58/2sxps 'RA-new'"):
        found = xbayes.fetch("2sxps", cone="10.68 41.27 0.5")
    assert 0 < len(found) < N_SOURCES
    del tables["J/A+A/657/A138/table7"]
    tables["J/A+A/657/A138/table8"] = xray_tables()["J/A+A/657/A138/table7"]
    with pytest.raises(xbayes.InputError, match=r"it has J/A\+A/657/A138/table8"):
        xbayes.fetch("tranin2022")


def test_a_stop_by_ctrl_c_is_told(here, xbayes, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("xbayes.enhance.clients.query_tap", stop)
    code, _, err = xbayes("fetch", "4xmm", "--out", "x.fits")
    assert code == 130 and "stopped; nothing was written" in err


def test_names_of_catalogues_are_files():
    assert set(fetchable()) < set(catalog_names())
    assert set(fetchable()) == {"csc21", "4xmm", "2sxps", "erass1", "tranin2022"}
