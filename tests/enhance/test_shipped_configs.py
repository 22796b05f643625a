"""The configs that ship with xbayes, on small tables of every service that they name."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

import xbayes
from xbayes.config.enhance import step_names
from xbayes.config.enhance_reader import enhance_config_of

N = 6
RA, DEC = 150 + 0.01 * np.arange(N), 2 + 0.01 * np.arange(N)
OWN = {
    "xmm": {"4XMM": "id", "RA_ICRS": "ra", "DE_ICRS": "dec", "ePos": 0.7, "Flux8": 1e-13,
            "e_Flux8": 1e-14, "MJD0": 55000.0, "MJD1": 56000.0},
    "chandra": {"detection_id": "id", "name": "id", "ra": "ra", "dec": "dec", "flux_aper_b": 1e-13,
                "err_ellipse_r0": 0.7, "flux_aper_lolim_b": 8e-14, "flux_aper_hilim_b": 1.2e-13,
                "gti_mjd_obs": 55000.0},
}  # fmt: skip


def made_of(columns, rows=slice(None)):
    """A table with positions of the sources and constant other columns."""
    values = {"id": np.array([f"S{i}" for i in range(N)]), "ra": RA, "dec": DEC}
    table = Table()
    for name, given in columns.items():
        column = values[given] if isinstance(given, str) else np.full(N, given)
        table[name] = MaskedColumn(column[rows])
    return table


def served(config):
    """The tables of VizieR that a config names, with the first name of each column."""
    tables = {}
    references = config.identifications.references
    for number, reference in enumerate(references.values()):
        name = reference.catalogue
        table = made_of({"RAJ2000": "ra", "DEJ2000": "dec"}, slice(0, 1 if number else 2))
        table["RAJ2000"].meta["ucd"] = "pos.eq.ra;meta.main"
        tables[name if name.count("/") > 3 or name[0] in "BVI" else f"{name}/table1"] = table
    for given in config.variability.catalogues.values():
        columns = {
            given.ra[0]: "ra",
            given.dec[0]: "dec",
            given.error[0]: 1.0,
            given.flux[0]: 2e-13,
        }
        columns[given.id[0]] = "id"
        for names, value in (
            (given.flux_error, 1e-14), (given.flux_error_low, -1e-14), (given.flux_low, 1e-13),
            (given.flux_error_high, 1e-14), (given.flux_high, 3e-13), (given.start, 57000.0),
            (given.end, 57010.0),
        ):  # fmt: skip
            # The last name: the database of the tests takes e_X and E_X for one.
            columns |= {} if names is None else {names[-1]: value}
        tables[given.catalogue] = made_of(columns, slice(0, 3))
    hosts = config.hosts
    galaxy = {
        "name": "id", "ra": "ra", "dec": "dec", "semi_major": 0.5, "semi_minor": 0.4,
        "position_angle": 10.0, "distance": 20.0, "log_mass": 10.0, "log_sfr": 0.1,
    }  # fmt: skip
    columns = {getattr(hosts, field)[0]: value for field, value in galaxy.items()}
    tables[hosts.catalogue] = made_of(columns, slice(0, 2))
    return tables


@pytest.mark.parametrize("name", ["xmm", "chandra"])
def test_every_step_of_a_shipped_config(name, archive, services, monkeypatch):
    monkeypatch.delenv("XBAYES_NH_MAP", raising=False)
    config = enhance_config_of(name, ["counterparts=null"])
    archive.services["vizier"] |= served(config)
    archive.services["simbad"]["basic"] = made_of({"main_id": "id", "ra": "ra", "dec": "dec"})
    archive.services["simbad"]["basic"]["otype"] = "AGN"
    for survey in (*config.coverage.surveys.values(), *config.variability.limits.values()):
        archive.mocs[str(survey.moc)] = "0/0-11"
    made = xbayes.enhance(made_of(OWN[name]), config, services=services())
    assert made.ran == tuple(step for step in step_names() if step != "counterparts")
    table = made.table
    assert table["position_flag"].tolist() == [0] * N
    # Each reference has source 0, of several classes; the first has source 1, too.
    assert table["reference_bits"].tolist() == [2**11 - 1, 1, 0, 0, 0, 0]
    assert table["identified_class"].filled("").tolist() == ["", "AGN", "", "", "", ""]
    assert table["covered_panstarrs"].all() and table["depth_gaia"][0] == 20.7
    # Three missions beside the own: linked where they detect, a limit of eROSITA elsewhere.
    assert table["lt_n"].tolist() == [4] * 3 + [1] * 3
    assert table["lt_n_limits"].tolist() == [0] * 3 + [1] * 3
    assert table["host_n"].tolist() == [1, 1, 0, 0, 0, 0]
    assert table["host_log_mass"][0] == 10
    assert table["nh_galactic"].mask.all()
