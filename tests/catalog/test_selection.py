"""Selections against the same conditions in numpy and astropy."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.classified import opened
from xbayes.catalog.selection import (
    FEW,
    PROBABILITY,
    SEPARATION,
    WIDTH,
    ConeSearch,
    Filter,
    Selection,
    SkyBox,
    count,
    count_by_class,
    few_sources,
    select,
    shown_columns,
)
from xbayes.errors import InputError
from xbayes.tasks.sky_index import sky_index

N = 400
CLASSES = ("AGN", "O'Brien", "XRB")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1, 1, 1], N)
    best = p.argmax(1)
    # A third of the sources near a pole, a third around 0h.
    ra = np.r_[rng.uniform(0, 360, N // 2), rng.uniform(-2, 2, N // 2) % 360]
    dec = np.r_[90 - rng.uniform(0, 3, N // 4), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))]
    flux = 10 ** rng.normal(-14, 1, N)
    flux[:40] = np.nan
    number = MaskedColumn(rng.integers(0, 5, N), mask=rng.random(N) < 0.1)
    table = Table(
        {"name": [f"S {i:03d}" for i in range(N)], "ra": ra, "dec": dec, "flux": flux, "n": number}
    )
    table["flux"].unit = "erg / (s cm2)"
    table["prediction"] = np.array(CLASSES)[best]
    two = [f"{CLASSES[b]} or {CLASSES[(b + 1) % 3]}" for b in best]
    table["prediction_set"] = np.where(p.max(1) > 0.6, table["prediction"], two)
    for c, name in enumerate(CLASSES):
        table[f"p_{name}"] = p[:, c]
        table[f"p_{name}_lo"], table[f"p_{name}_hi"] = p[:, c] * 0.9, p[:, c] * 0.9 + 0.1 * c
    table.meta["CLASSES"] = ",".join(CLASSES)
    return table


@pytest.fixture(scope="module")
def catalogue(table, tmp_path_factory):
    return opened(table, tmp_path_factory.mktemp("selection"))


def names(selection, catalogue):
    found = select(selection._replace(limit=N), catalogue, ("name",))["name"].to_pylist()
    assert (
        len(found)
        == count(selection, catalogue)
        == sum(count_by_class(selection, catalogue).values())
    )
    return found


@settings(max_examples=40, deadline=None)
@given(
    ra=st.one_of(st.floats(0, 360), st.sampled_from([0.0, 359.999, 360.0])),
    dec=st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 89.0])),
    radius=st.sampled_from([0.1, 1.0, 5.0, 40.0, 180.0]),
)
def test_a_cone_is_that_of_astropy(table, catalogue, ra, dec, radius):
    centre = SkyCoord(ra * u.deg, dec * u.deg)
    distance = SkyCoord(table["ra"] * u.deg, table["dec"] * u.deg).separation(centre).deg
    sure = np.abs(distance - radius) > 1e-7
    found = np.isin(table["name"], names(Selection(cone=ConeSearch(ra, dec, radius)), catalogue))
    np.testing.assert_array_equal(found[sure], (distance <= radius)[sure])


def test_a_cone_sorts_by_distance_and_shows_it(catalogue):
    selection = Selection(cone=ConeSearch(0.0, 89.0, 5.0))
    found = select(selection, catalogue, (SEPARATION,))[SEPARATION].to_numpy()
    assert len(found) > 5
    assert (np.diff(found) >= 0).all() and found[-1] <= 5 * 3600
    assert SEPARATION in shown_columns(catalogue, selection.cone)
    assert SEPARATION not in shown_columns(catalogue)


def best_p(table):
    return np.max([table[f"p_{c}"] for c in CLASSES], axis=0)


CASES = {
    "class": (
        Selection(classes=("XRB", "O'Brien")),
        lambda t: np.isin(t["prediction"], ["XRB", "O'Brien"]),
    ),
    "name": (Selection(search="s 01"), lambda t: np.char.startswith(t["name"], "S 01")),
    "ids": (Selection(ids=("S 003", "S 399", "none")), lambda t: np.isin(
        t["name"], ["S 003", "S 399"])),
    "probability": (
        Selection(p_min=0.5, p_max=0.8),
        lambda t: (best_p(t) >= 0.5) & (best_p(t) <= 0.8),
    ),
    "width": (
        Selection(width_max=0.05),
        lambda t: np.asarray(t["prediction"]) == "AGN",
    ),
    "set": (
        Selection(in_set="XRB"),
        lambda t: ["XRB" in s.split(" or ") for s in t["prediction_set"]],
    ),
    "range": (
        Selection(filters=(Filter("flux", low=1e-15, high=1e-13),)),
        lambda t: (t["flux"] >= 1e-15) & (t["flux"] <= 1e-13),
    ),
    "from": (Selection(filters=(Filter("flux", low=1e-14),)), lambda t: t["flux"] >= 1e-14),
    "to": (Selection(filters=(Filter("flux", high=1e-14),)), lambda t: t["flux"] <= 1e-14),
    "null": (Selection(filters=(Filter("flux", is_null=True),)), lambda t: np.isnan(t["flux"])),
    "not null": (
        Selection(filters=(Filter("n", is_null=False),)),
        lambda t: ~np.ma.getmaskarray(t["n"]),
    ),
    "values": (
        Selection(filters=(Filter("n", values=("1", "3")),)),
        lambda t: np.ma.filled(np.isin(t["n"], [1, 3]) & ~np.ma.getmaskarray(t["n"]), False),
    ),
    "derived": (
        Selection(filters=(Filter(PROBABILITY, low=0.7),)), lambda t: best_p(t) >= 0.7
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_conditions(table, catalogue, case):
    selection, expected = CASES[case]
    chosen = np.asarray(expected(table), bool)
    assert 0 < chosen.sum() < N
    assert names(selection, catalogue) == list(table["name"][chosen])
    few = few_sources(selection, catalogue)
    assert (few is None) == (chosen.sum() > FEW)
    if few is not None:
        assert list(few.rows) == np.flatnonzero(chosen).tolist()
        assert names(Selection(rows=few.rows), catalogue) == list(table["name"][chosen])


def test_a_rectangle_of_the_map(table, catalogue):
    sky = sky_index(np.asarray(table["ra"]), np.asarray(table["dec"]))
    x, y = sky["xg"].to_numpy(), sky["yg"].to_numpy()
    box = SkyBox("galactic", x=(0.5, -0.5), y=(0.0, 0.8))
    expected = (np.abs(x) <= 0.5) & (y >= 0) & (y <= 0.8)
    assert names(Selection(sky_box=box), catalogue) == list(table["name"][expected])
    with pytest.raises(InputError, match="no frame 'ecliptic'"):
        count(Selection(sky_box=box._replace(frame="ecliptic")), catalogue)


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_puts_what_is_missing_last(table, catalogue, descending):
    selection = Selection(sort="flux", descending=descending, limit=N)
    flux = select(selection, catalogue, ("flux",))["flux"].to_numpy(zero_copy_only=False)
    known = flux[: N - 40].astype(float)
    assert (np.diff(known) * (-1 if descending else 1) >= 0).all()
    assert not np.isfinite(flux[N - 40 :].astype(float)).any()


def test_pages_follow_each_other(catalogue):
    whole = select(Selection(sort=WIDTH, limit=N), catalogue, ("name",))["name"].to_pylist()
    pages = [
        select(Selection(sort=WIDTH, limit=150, offset=at), catalogue, ("name",))[
            "name"
        ].to_pylist()
        for at in (0, 150, 300)
    ]
    assert [name for page in pages for name in page] == whole


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (Selection(classes=("QSO",)), "no class 'QSO'"),
        (Selection(filters=(Filter('x" OR 1=1 --', low=1.0),)), "no column"),
        (Selection(filters=(Filter("name", low=1.0),)), "must hold numbers"),
        (Selection(sort="nothing"), "no column 'nothing'"),
        (Selection(sort=SEPARATION), "search around a position"),
    ],
)
def test_what_does_not_exist_is_said(catalogue, selection, says):
    with pytest.raises(InputError, match=says):
        select(selection, catalogue, ("name",))


def test_text_of_users_is_no_sql(catalogue):
    assert names(Selection(search="' OR 1=1 --"), catalogue) == []
    assert names(Selection(ids=("x' OR '1'='1",)), catalogue) == []
