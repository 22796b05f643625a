"""Products of a detection: found by a template, never outside of its folder."""

import os

import numpy as np
import pytest

from tests.catalog.ogip_samples import light_curve, spectrum
from xbayes.errors import InputError
from xbayes.tasks.products import find_products, light_curve_of, spectrum_of

OBSERVATION = "0123456789"
VALUES = {"OBS_ID": OBSERVATION, "SRC_NUM": 10, "name": "4XMM J1"}


@pytest.fixture
def folder(tmp_path):
    """Two products of source 10 (00A) of an observation, one of source 11, and others."""
    data = tmp_path / "data"
    inside = data / OBSERVATION / "pps"
    inside.mkdir(parents=True)
    start = f"P{OBSERVATION}PNS003"
    spectrum(inside / f"{start}SRSPEC000A.fits", [100, 50])
    (inside / f"{start}SRSPEC000A.fits").rename(inside / f"{start}SRSPEC000A.FTZ")
    spectrum(inside / f"{start}BGSPEC000A.fits", [10, 10], None, BACKSCAL=1000.0)
    (inside / f"{start}BGSPEC000A.fits").rename(inside / f"{start}BGSPEC000A.FTZ")
    light_curve(inside / "x.fits", {"RATE": np.ones(3), "ERROR": np.ones(3)})
    (inside / "x.fits").rename(inside / f"{start}SRCTSR800A.FTZ")
    for name in (f"{start}SRSPEC000B.FTZ", f"{start}SRCARF000A.FTZ", f"{start}SRCPLT000A.PDF"):
        (inside / name).write_bytes(b"")
    (tmp_path / "secret.pha").write_bytes(b"")
    return data


def kinds(products):
    return [(made.kind, made.name[17:27]) for made in products]


EXPECTED = [("spectrum", "SRSPEC000A"), ("background", "BGSPEC000A"), ("light curve", "SRCTSR800A")]


@pytest.mark.parametrize(
    "template", ["{}", "{}/{{obsid}}/pps/P*{{srcnum:03X}}.FTZ", "{}/*/pps/P{{OBS_ID}}*00A.*"]
)
def test_products_of_the_pipeline_of_xmm(folder, template):
    found = find_products(template.format(folder), VALUES)
    assert kinds(found) == EXPECTED
    assert (found[0].instrument, found[0].exposure) == ("EPIC pn", "S003")
    assert found[0].observation == OBSERVATION
    made = spectrum_of(found[0])
    assert made.has_background and made.background.tolist() == [1, 1]
    assert light_curve_of(found[2]).rate.tolist() == [1, 1, 1]


def test_other_names(tmp_path):
    for name in ("acis_7_src.pi", "acis_7_bkg.pi", "acis_7.lc.gz", "acis_7.rmf", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = find_products(f"{tmp_path}/acis_{{region}}*", {"region": 7.0})
    assert [(made.kind, made.name) for made in found] == [
        ("spectrum", "acis_7_src.pi"),
        ("background", "acis_7_bkg.pi"),
        ("light curve", "acis_7.lc.gz"),
        ("response", "acis_7.rmf"),
    ]


@pytest.mark.parametrize(
    "value", ["../secret", "..", ".", "/etc/passwd", "a/../../b", "a\\b", "a\0b", "x" * 300]
)
def test_values_that_are_no_part_of_a_path_are_refused(folder, value):
    with pytest.raises(InputError, match="in a path"):
        find_products(f"{folder}/{{name}}*", {"name": value})


@pytest.mark.parametrize("value", ["*", "[a-z]*", "?ecret", "{obsid}", "~", "$HOME", "%2e%2e"])
def test_values_are_no_patterns(folder, value):
    (folder / "secret.pha").write_bytes(b"")
    assert find_products(f"{folder}/{{name}}.pha", {"name": value}) == []


def test_a_link_out_of_the_folder_is_not_followed(folder):
    os.symlink(folder.parent / "secret.pha", folder / "linked.pha")
    assert find_products(f"{folder}/linked*", {}) == []
    os.symlink(folder.parent, folder / "up")
    assert find_products(f"{folder}/*/secret.pha", {}) == []


def test_addresses(folder):
    address = "https://example.org/{obsid}/{name}.pha"
    (made,) = find_products(address, VALUES | {"name": "a b/../?c#d"} | {"name": "a b?c#d"})
    assert made.path == f"https://example.org/{OBSERVATION}/a%20b%3Fc%23d.pha" and made.is_remote
    with pytest.raises(InputError, match="not on this machine"):
        spectrum_of(made)


def test_no_value_no_column_and_no_number(folder):
    assert find_products(str(folder), {"OBS_ID": None, "SRC_NUM": 1}) == []
    assert find_products(f"{folder}/{{obsid}}*", {"OBS_ID": None}) == []
    assert find_products(str(folder / "absent"), VALUES) == []
    with pytest.raises(InputError, match="no such column"):
        find_products(f"{folder}/{{detid}}*", VALUES)
    with pytest.raises(InputError, match="cannot be written as '04X'"):
        find_products(f"{folder}/{{name:04X}}*", VALUES)


def test_a_background_named_by_a_header_lies_in_the_same_folder(folder):
    inside = folder / "b"
    inside.mkdir()
    spectrum(inside / "own.pha", [100, 50], None, BACKFILE="../../secret.pha", RESPFILE="no.rmf")
    (made,) = find_products(f"{inside}/own.pha", {})
    assert not spectrum_of(made).has_background
    spectrum(inside / "secret.pha", [10, 10])
    assert spectrum_of(made).has_background
