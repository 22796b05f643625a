"""Types in SIMBAD, classes in reference catalogues, and the label that follows."""

import numpy as np
import pytest
from astropy.table import Table

from xbayes.config.enhance import EnhanceCatalogConfig, IdentificationsConfig
from xbayes.enhance.identifications import Identify, agreed_class
from xbayes.enhance.provenance import Watched
from xbayes.errors import InputError

ARCSEC = 1 / 3600
# Sources 0 to 7, ten arcmin apart on the equator.
RA, DEC = 10 + np.arange(8) / 6, np.zeros(8)
ERROR = np.array([0.1, 0.1, 2.0, 0.1, 0.1, np.nan, 0.1, 0.1])  # per axis


def objects(*places, **columns):
    """Objects at (source, offset north in arcsec)."""
    rows, north = np.array(places).T
    return Table({
        "ra": RA[rows.astype(int)], "dec": DEC[rows.astype(int)] + north * ARCSEC, **columns
    })  # fmt: skip


def catalogue():
    return Table({"ra": RA, "dec": DEC, "err": ERROR}, masked=True)


def identified(settings, services=None, table=None):
    step = Identify(
        IdentificationsConfig.model_validate(settings),
        EnhanceCatalogConfig.model_validate({"error": "err"}),
    )
    made = step.run(catalogue() if table is None else table, services)
    assert list(made.columns) == [added.name for added in step.columns()]
    return made


@pytest.fixture
def simbad(archive):
    found = objects(
        (0, 0.5), (0, 0.8), (1, 1.5), (2, 5.0), (2, 7.0), (3, 0.2), (5, 0.9),
        main_id=["NGC 1", "NGC 1a", "far", "wide", "too far", "X-1", "QSO B"],
        otype=["Sy2", "*", "CV*", "LXB", "*", "X", "QSO"],
    )  # fmt: skip
    archive.services["simbad"]["basic"] = found
    return archive


def test_the_nearest_object_of_simbad_within_the_radius(simbad, services):
    columns = identified({}, services()).columns
    # At least 1 arcsec, or 3 times the position error; at most 20.
    np.testing.assert_allclose(columns["search_radius"], [1, 1, 6, 1, 1, 1, 1, 1])
    right = ["NGC 1", "", "wide", "X-1", "", "QSO B", "", ""]
    assert columns["simbad_id"].filled("").tolist() == right
    types = ["Sy2", "", "LXB", "X", "", "QSO", "", ""]
    assert columns["simbad_type"].filled("").tolist() == types
    classes = ["AGN", "", "LMXB", "", "", "AGN", "", ""]
    assert columns["simbad_class"].filled("").tolist() == classes
    assert columns["simbad_n"].tolist() == [2, 0, 1, 1, 0, 1, 0, 0]
    separation = columns["simbad_separation"]
    np.testing.assert_allclose(separation.filled(-1), [0.5, -1, 5, 0.2, -1, 0.9, -1, -1], atol=1e-6)
    assert str(separation.unit) == "arcsec"
    assert columns["simbad_date"][0].startswith("20")
    assert columns["identified_class"].mask.all()  # SIMBAD alone makes no label


def test_simbad_labels_only_if_asked(simbad, services):
    columns = identified({"simbad": {"role": "label"}}, services()).columns
    classes = ["AGN", "", "LMXB", "", "", "AGN", "", ""]
    assert columns["identified_class"].filled("").tolist() == classes


def test_the_answer_is_kept_and_noted(simbad, services):
    watched = Watched(services())
    first = identified({}, watched).columns
    assert {asked.service for asked in watched.asked} == {"simbad"}
    assert sum(asked.rows for asked in watched.asked) == 5
    simbad.services["simbad"]["basic"]["otype"] = "G"  # SIMBAD changes
    again = identified({}, services(offline=True)).columns
    assert again["simbad_type"].filled("").tolist() == first["simbad_type"].filled("").tolist()
    assert again["simbad_date"].filled("").tolist() == first["simbad_date"].filled("").tolist()


def local(tmp_path, **references):
    given = {}
    for name, (label, table) in references.items():
        path = tmp_path / f"{name}.csv"
        table.write(path, format="ascii.csv")
        given[name] = {"label": label, "file": str(path)}
    return given


def test_a_bit_for_each_reference_and_no_class_where_they_conflict(tmp_path):
    references = local(
        tmp_path,
        agn=("AGN", objects((0, 0.3), (1, 0.5), (4, 0.9))),
        more_agn=("AGN", objects((0, 0.2), (6, 1.2))),
        lmxb=("LMXB", objects((1, 0.1), (3, 0.0))),
        xrb=("XRB", objects((3, 0.5), (7, 0.5))),
    )
    made = identified({"simbad": None, "references": references})
    bits = made.columns["reference_bits"]
    assert bits.tolist() == [3, 5, 0, 12, 1, 0, 0, 8]
    assert "1 agn (AGN), 2 more_agn (AGN), 4 lmxb (LMXB), 8 xrb (XRB)" in bits.description
    # Source 1 is AGN and LMXB: none. LMXB is an XRB: no conflict, and the more special class.
    right = ["AGN", "", "", "LMXB", "AGN", "", "", "XRB"]
    assert made.columns["reference_class"].filled("").tolist() == right
    assert made.columns["identified_class"].filled("").tolist() == right
    nearest = made.columns["reference_separation"].filled(-1)
    np.testing.assert_allclose(nearest, [0.2, 0.1, -1, 0, 0.9, -1, -1, 0.5], atol=1e-6)
    assert "1 rows have references of different classes: no class" in made.notes


def test_a_reference_may_have_a_larger_radius(tmp_path):
    references = local(tmp_path, agn=("AGN", objects((6, 1.2))))
    references["agn"]["radius_arcsec"] = 2.0
    made = identified({"simbad": None, "references": references})
    assert made.columns["reference_bits"].tolist() == [0] * 6 + [1, 0]


@pytest.mark.parametrize(
    ("role", "right"),
    [
        ("ignore", ["Star", "", "LMXB", "Star", "", "", "", ""]),
        # SIMBAD says AGN of source 0, LMXB of source 2, and nothing of source 3.
        ("check", ["", "", "LMXB", "Star", "", "", "", ""]),
        ("label", ["", "", "LMXB", "Star", "", "AGN", "", ""]),
    ],
)
def test_the_role_of_simbad(simbad, services, tmp_path, role, right):
    references = local(
        tmp_path, stars=("Star", objects((0, 0.1), (3, 0.1))), lmxb=("LMXB", objects((2, 3.0)))
    )
    columns = identified({"simbad": {"role": role}, "references": references}, services()).columns
    assert columns["identified_class"].filled("").tolist() == right


def test_simbad_that_checks_makes_no_label_more_special(simbad, services, tmp_path):
    references = local(tmp_path, xrb=("XRB", objects((2, 3.0))))
    labels = {
        role: identified({"simbad": {"role": role}, "references": references}, services()).columns[
            "identified_class"
        ][2]
        for role in ("check", "label")
    }
    assert labels == {"check": "XRB", "label": "LMXB"}


def test_references_of_vizier_with_all_their_tables(archive, services):
    vizier = archive.services["vizier"]
    vizier["J/X/1/agn"] = objects((0, 0.3), number=[1])
    vizier["J/X/1/more"] = objects((4, 0.3), number=[2])
    vizier["J/X/12/other"] = objects((5, 0.3), number=[3])
    vizier["J/X/1/notes"] = Table({"note": ["none"]})
    for table in ("J/X/1/agn", "J/X/1/more", "J/X/12/other"):
        vizier[table]["ra"].meta["ucd"] = "pos.eq.ra;meta.main"
    references = {"agn": {"label": "AGN", "catalogue": "J/X/1"}}
    columns = identified({"simbad": None, "references": references}, services()).columns
    assert columns["reference_bits"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0]
    with pytest.raises(InputError, match="no table with positions in 'J/Z'"):
        references = {"agn": {"label": "AGN", "catalogue": "J/Z"}}
        identified({"simbad": None, "references": references}, services())


def test_rows_without_a_position_are_not_searched(simbad, services):
    table = catalogue()
    table["ra"].mask[0] = True
    columns = identified({}, services(), table).columns
    assert columns["simbad_n"].mask[0] and columns["search_radius"].mask[0]
    assert columns["simbad_date"].mask[0] and not columns["simbad_n"].mask[1:].any()


def test_no_position_errors_give_the_least_radius(simbad, services):
    step = Identify(IdentificationsConfig(), EnhanceCatalogConfig())
    assert set(step.run(catalogue(), services()).columns["search_radius"]) == {1.0}


def test_the_network_is_needed_for_simbad():
    with pytest.raises(InputError, match="needs the network"):
        identified({})


@pytest.mark.parametrize(
    ("classes", "right"),
    [
        (set(), ""),
        ({"AGN"}, "AGN"),
        ({"AGN", "Star"}, ""),
        ({"XRB", "LMXB"}, "LMXB"),
        ({"LMXB", "HMXB"}, ""),
        ({"XRB", "LMXB", "HMXB"}, ""),
        ({"XRB", "BeXRB", "HMXB"}, "BeXRB"),
        ({"XRB", "BeXRB"}, "BeXRB"),
        ({"XRB", "BeXRB", "LMXB"}, ""),
    ],
)
def test_classes_agree_if_each_is_part_of_the_next(classes, right):
    assert agreed_class(classes, {"XRB": ("LMXB", "HMXB"), "HMXB": ("BeXRB",)}) == right


def test_circles_of_classes_end():
    assert agreed_class({"A", "B"}, {"A": ("B",), "B": ("A",)}) == ""
