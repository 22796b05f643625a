"""Catalogues that a config, `xbayes fetch` and `xbayes init` know by name."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

import xbayes
from xbayes.catalog.columns import parse_unit
from xbayes.config.enhance_reader import enhance_config_of
from xbayes.config.known_catalogs import catalog_names, known_catalog, known_catalogs
from xbayes.config.known_columns import known_quantities, known_units, quantities
from xbayes.config.known_features import CANDIDATES, fields
from xbayes.config.reader import dump_config, load_config, parse_config
from xbayes.errors import InputError
from xbayes.features.expression import parse

REST = """
taxonomy: {classes: {A: [a], B: [b]}}
features: {f: {expression: log10(Flux8), category: spectrum}}
"""
ROOT = Path(__file__).parents[2]


def config(catalog, **given):
    return parse_config(f"name: x\ncatalog: {catalog}\n{REST}", **given)


def test_a_name_gives_roles_and_units():
    catalog = config("4xmm").catalog
    assert (catalog.id, catalog.ra, catalog.dec) == ("4XMM", "RA_ICRS", "DE_ICRS")
    assert catalog.units["Flux8"] == "erg/s/cm2" and catalog.file is None
    detections = config("csc21").catalog
    assert (detections.id, detections.source) == ("detection_id", "name")


def test_what_the_config_gives_itself_stays():
    catalog = config("{name: 4xmm, id: mine, label: Class, units: {Flux8: W/m2, x: mag}}").catalog
    assert (catalog.id, catalog.ra, catalog.label) == ("mine", "RA_ICRS", "Class")
    assert catalog.units["Flux8"] == "W/m2" and catalog.units["x"] == "mag"
    assert catalog.units["Flux1"] == "erg/s/cm2"


def test_a_stored_config_is_the_same():
    one = config("{name: csc21, label: otype}")
    assert parse_config(dump_config(one)) == one


def test_a_config_that_extends_another_names_another_catalogue(tmp_path):
    (tmp_path / "base.yaml").write_text(f"name: x\ncatalog: {{id: i, ra: a, dec: b}}\n{REST}")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\ncatalog: 4xmm\n")
    catalog = load_config(tmp_path / "mine.yaml").catalog
    assert (catalog.name, catalog.id, catalog.ra) == ("4xmm", "4XMM", "RA_ICRS")
    (tmp_path / "next.yaml").write_text("extends: mine.yaml\ncatalog: {file: field.fits}\n")
    catalog = load_config(tmp_path / "next.yaml").catalog
    assert catalog.id == "4XMM" and Path(catalog.file) == tmp_path / "field.fits"


def test_set_names_a_catalogue():
    catalog = config("{id: i}", overrides=["catalog=2sxps"]).catalog
    assert (catalog.id, catalog.ra) == ("IAUName", "RAJ2000")


@pytest.mark.parametrize(
    ("catalog", "says"),
    [
        ("4xm", r"config:2:1: catalog.name: no catalogue '4xm' is known \(did you mean '4xmm'"),
        ("{name: quux}", "no catalogue 'quux' is known; known are 2sxps, 4xmm, csc21"),
        ("counterparts", "no catalogue 'counterparts' is known"),
        ("{name: 4xmm, idd: x}", "idd"),
    ],
)
def test_an_unknown_name_is_told(catalog, says):
    with pytest.raises(InputError, match=says):
        config(catalog)


def test_the_files_are_in_the_package():
    shipped = files("xbayes").joinpath("catalog_configs")
    names = {file.name for file in shipped.iterdir()}
    assert names == {file.name for file in (ROOT / "configs" / "catalogs").iterdir()}
    assert {f"{name}.yaml" for name in catalog_names()} == names
    package_data = (ROOT / "pyproject.toml").read_text()
    assert '"catalog_configs/*.yaml"' in package_data


def test_each_quantity_is_described_once():
    seen: list[str] = []
    for name, known in known_catalogs().items():
        for quantity, column in known.columns.items():
            assert column.names and column.description, (name, quantity)
            assert not column.unit or parse_unit(column.unit) is not None, (name, quantity)
            seen.append(quantity)
        if known.fetch is not None:
            for made in known.fetch.made.values():
                parse(made.expression)
    assert sorted(seen) == sorted(set(seen)) == sorted(quantities())


def test_every_candidate_feature_has_its_columns():
    for candidate in CANDIDATES:
        needed = {*fields(candidate.expression), *fields(candidate.error), *candidate.needs}
        assert needed <= {*quantities(), "ra", "dec", "b", "fx"}, candidate.name
    assert known_units()["xmm_8"] == "erg/s/cm2" and "gamma" not in known_units()


def test_the_columns_of_vizier_are_recognised():
    found = known_quantities(["4XMM", "RA_ICRS", "Flux8", "e_Flux8", "HR1", "e_HR1"])
    assert found["xmm_8"] == "Flux8" and found["e_xmm_8"] == "e_Flux8"
    assert found["hr1"] == "HR1" and found["e_hr1"] == "e_HR1"
    assert "sxps_hr1_pos" not in found
    swift = known_quantities(["HR1", "e_HR1", "E_HR1", "FPCO0"])
    assert (swift["sxps_hr1_pos"], swift["sxps_hr1_neg"]) == ("E_HR1", "e_HR1")


def test_init_and_a_config_take_a_fetched_table(tmp_path):
    rng = np.random.default_rng(0)
    table = Table(
        {
            "4XMM": [f"4XMM J{n}" for n in range(60)],
            "RA_ICRS": rng.uniform(0, 360, 60) * u.deg,
            "DE_ICRS": rng.uniform(-90, 90, 60) * u.deg,
            "Flux8": 10 ** rng.normal(-14, 1, 60),
            "Class": ["a", "b"] * 30,
        }
    )
    starter = xbayes.init(table)
    assert {"abs_b", "flux"} <= set(starter.features)
    assert "Flux8: erg/s/cm2" in starter.text
    planned = xbayes.plan(config("{name: 4xmm, label: Class}"), catalog=table)
    assert "60" in str(planned)


def test_enhance_takes_the_position_errors_of_known_catalogues():
    for name, kind in (("csc21", "95"), ("4xmm", "rms"), ("2sxps", "90"), ("erass1", "sigma")):
        error = known_catalog(name).position_error
        made = enhance_config_of(
            {"name": "a", "catalog": {"name": name}, "counterparts": {"epoch": 2012}}
        )
        assert (made.catalog.error, made.catalog.error_kind) == (error.major, kind)
        assert made.counterparts.error_minor == error.minor
        assert made.counterparts.error_angle == error.angle
    own = {"name": "csc21", "error": "mine"}
    made = enhance_config_of({"name": "a", "catalog": own, "counterparts": {"error_minor": "b"}})
    assert (made.catalog.error, made.catalog.error_kind) == (("mine",), "sigma")
    assert made.counterparts.error_angle is None
    with pytest.raises(InputError, match="no catalogue 'tranin2022' with position errors is known"):
        enhance_config_of({"name": "a", "catalog": {"name": "tranin2022"}, "positions": {}})


@pytest.mark.parametrize("name", ["xmm", "chandra"])
def test_shipped_configs_of_enhance_list_no_position_errors_of_their_own(name):
    made = enhance_config_of(name)
    sections = [made.catalog, *made.variability.catalogues.values()]
    for section in sections:
        error = known_catalog(section.name).position_error
        assert (section.error, section.error_kind) == (error.major, error.kind)
    again = enhance_config_of(made, ["catalog.error=null"])  # stored, read again and changed
    assert again.catalog.error is None and again.variability == made.variability
