"""The real services, with small requests: `pytest --remote-data tests/enhance/test_remote.py`."""

import numpy as np
import pytest
from astropy.table import Table

import xbayes
from tests.enhance.server.small_tables import M31
from xbayes.config.known_catalogs import fetchable, known_catalog
from xbayes.enhance.schema import as_served
from xbayes.enhance.services import Services

pytestmark = pytest.mark.remote_data
# Regions with a few rows of each catalogue. 3C 273 is in all of them.
CONE = "187.2779 2.0524 0.1deg"
AT = Table({"row": [0, 1], "ra": [187.2779, M31[0]], "dec": [2.0524, M31[1]]})


@pytest.fixture
def real(tmp_path):
    return Services(cache=tmp_path)


@pytest.mark.parametrize("name", [n for n in fetchable() if n not in ("erass1", "tranin2022")])
def test_each_catalogue_is_fetched(tmp_path, name):
    found = xbayes.fetch(name, cone=CONE, cache=tmp_path)
    section = known_catalog(name).catalog
    assert len(found) > 0
    assert {section[role] for role in ("id", "ra", "dec")} <= set(found.colnames)
    assert len(set(found[section["id"]].tolist())) == len(found)


@pytest.mark.parametrize("name", ["erass1", "tranin2022"])
def test_other_catalogues_are_there(tmp_path, name):
    cones = {"erass1": "83.82 -5.39 0.3deg", "tranin2022": "M31 0.2deg"}
    assert len(xbayes.fetch(name, cone=cones[name], cache=tmp_path)) > 0


@pytest.mark.parametrize("name", fetchable())
def test_tables_and_their_positions_have_the_names_that_we_know(real, name):
    given = known_catalog(name).fetch
    assert as_served(real, given.service, given) == given  # a renamed column warns, an error here


def test_simbad_knows_3c_273(real):
    found = real.simbad(AT, 3.0)
    assert "3C 273" in [name.strip() for name in found["main_id"][found["row"] == 0]]
    assert np.all(found["separation"] <= 3.0)


def test_the_crossmatch_service_has_gaia(real):
    found = real.crossmatch(AT, "I/355/gaiadr3", 3.0)
    assert 0 in found["row"] and np.all(found["angDist"] <= 3.0)


def test_sesame_knows_m31(real):
    assert real.position("M31") == pytest.approx(M31, abs=0.01)
