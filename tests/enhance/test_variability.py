"""Long-term variability: links over missions, fluxes in one band, limits, ratios, light curves."""

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_flux import VariabilityConfig
from xbayes.enhance.flux_bands import flux_factor
from xbayes.enhance.flux_ratios import flux_ratios
from xbayes.enhance.fluxes import Fluxes
from xbayes.enhance.variability import TABLE, LongTermVariability
from xbayes.errors import InputError, XbayesWarning

ARCSEC = 1 / 3600


def measurements(*entries):
    """Entries (source, flux, error, is a limit)."""
    source, flux, error, limit = (np.array(each) for each in zip(*entries, strict=True))
    error = np.where(limit, np.nan, error.astype(float))
    n = len(source)
    time = 50000 + 10.0 * np.arange(n)
    return Fluxes(
        source=source, mission=np.full(n, "m"), detection=np.full(n, "d"),
        flux=flux.astype(float), error_low=error, error_high=error, limit=limit.astype(bool),
        start=time, end=time + 2, separation=np.zeros(n),
    )  # fmt: skip


def test_ratios_by_hand():
    nan = np.nan
    found = flux_ratios(
        measurements(
            (0, 8.0, 1.0, 0), (0, 2.0, 0.5, 0), (0, 4.0, nan, 0),  # 8/2; (8-1)/(2+0.5)
            (1, 5.0, 1.0, 0),  # a single flux has no ratio
            (2, 6.0, 1.0, 0), (2, 2.0, nan, 1),  # a limit below: at least 3
            (3, 6.0, 1.0, 0), (3, 9.0, nan, 1),  # a limit above tells nothing
            (4, 3.0, nan, 1), (4, 2.0, nan, 1),  # only limits
            (5, 4.0, 1.0, 0), (5, 3.0, 1.0, 0), (5, 2.5, nan, 1),
        ),
        7,
    )  # fmt: skip
    np.testing.assert_array_equal(found.n, [3, 1, 1, 1, 0, 2, 0])
    np.testing.assert_array_equal(found.n_limits, [0, 0, 1, 1, 2, 1, 0])
    np.testing.assert_allclose(found.ratio, [4, nan, nan, nan, nan, 4 / 3, nan])
    np.testing.assert_allclose(found.least, [4, nan, 3, 1, nan, 1.6, nan])
    np.testing.assert_array_equal(found.is_limit, [0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_allclose(
        found.between_errors, [7 / 2.5, nan, 5 / 2, 5 / 7, nan, 3 / 2.5, nan]
    )
    np.testing.assert_allclose(found.largest, [8, 5, 6, 6, nan, 4, nan])
    np.testing.assert_allclose(found.at_largest, [50001, 50031, 50041, 50061, nan, 50101, nan])
    np.testing.assert_allclose(found.first, [50000, 50030, 50040, 50060, 50080, 50100, nan])
    np.testing.assert_allclose(found.last, [50022, 50032, 50052, 50072, 50092, 50122, nan])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.floats(0.1, 10), st.one_of(st.none(), st.floats(0, 1)),
            st.booleans(),
        ),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_ratios_agree_with_brute_force(entries):
    entries = [(s, f, np.nan if e is None else e, b) for s, f, e, b in entries]
    found = flux_ratios(measurements(*entries), 3)
    for source in range(3):
        measured = [(f, e) for s, f, e, b in entries if s == source and not b]
        limits = [f for s, f, _, b in entries if s == source and b]
        fluxes = [f for f, _ in measured]
        sure = [(f, e) for f, e in measured if e == e]
        right = max(fluxes) / min(fluxes) if len(fluxes) > 1 else np.nan
        assert found.ratio[source] == pytest.approx(right, nan_ok=True)
        both = len(measured) + len(limits) > 1 and measured
        right = max(1, max(fluxes) / min(fluxes + limits)) if both else np.nan
        assert found.least[source] == pytest.approx(right, nan_ok=True)
        right = np.nan
        if sure and len(sure) + len(limits) > 1:
            right = max(f - e for f, e in sure) / min([f + e for f, e in sure] + limits)
        assert found.between_errors[source] == pytest.approx(right, nan_ok=True)


def catalogue():
    """Four sources a degree apart; the last has no position."""
    return Table(
        {
            "name": ["A", "B", "C", "D"],
            "ra": np.ma.masked_array([10.0, 11.0, 12.0, 13.0], [False] * 3 + [True]),
            "dec": [0.0] * 4,
            "err": [1.0] * 4,
            "flux": [4e-14, 1e-13, 2e-14, 3e-14],
            "flux_err": [1e-14, 1e-14, 5e-15, 1e-14],
            "mjd": [55000.0, 55100.0, 55200.0, 55300.0],
        },
        masked=True,
    )


OWN = {
    **{"mission": "XMM", "flux": "flux", "flux_error": "flux_err", "band": [0.2, 12.0]},
    "start": "mjd",
}
CATALOG = {"id": "name", "error": "err"}


def swift(tmp_path, *rows):
    """Detections (right ascension, offset in arcsec, flux, its upper limit)."""
    ra, north, flux, limit = (np.array(each) for each in zip(*rows, strict=True))
    path = tmp_path / "swift.ecsv"
    table = Table({"RA": ra, "DE": north * ARCSEC, "F": flux, "e_F": 0.1 * flux, "UL": limit})
    table["F"].unit = table["UL"].unit = "mW / m2"  # as VizieR writes erg/s/cm2
    table["obs"] = 2020.0 + np.arange(len(ra))
    table["Err90"] = 2.146  # 90 %: 1 arcsec per axis
    table["id"] = [f"S{i}" for i in range(len(ra))]
    table.write(path, overwrite=True)
    return {
        **{"file": str(path), "ra": "RA", "dec": "DE", "error": "Err90", "error_kind": "90"},
        **{"flux": "F", "flux_error": "e_F", "upper_limit": "UL", "band": [0.3, 10.0]},
        **{"mission": "Swift", "start": "obs", "id": "id"},
    }


def run(settings, table=None, services=None, **catalog):
    step = LongTermVariability(
        VariabilityConfig.model_validate(settings),
        EnhanceCatalogConfig.model_validate({**CATALOG, **catalog}),
    )
    made = step.run(catalogue() if table is None else table, services)
    assert list(made.columns) == [added.name for added in step.columns()]
    return made


def test_links_fluxes_limits_and_light_curves(tmp_path):
    given = swift(
        tmp_path,
        (10.0, 2.0, 1e-13, np.nan),  # of A
        (11.0, 3.0, np.nan, 2e-14),  # of B: an upper limit
        (12.0, 1.0, 5e-14, np.nan), (12.0, 4.0, 6e-14, np.nan),  # two near C: ambiguous
        (12.5, 0.0, 9e-13, np.nan),  # of nothing
    )  # fmt: skip
    made = run({"own": OWN, "catalogues": {"swift": given}})
    factor = flux_factor((0.3, 10.0), True, (0.2, 12.0), True, VariabilityConfig(
        own=OWN).spectrum)  # fmt: skip
    columns = made.columns
    assert columns["lt_n"].tolist() == [2, 1, 1, 1]
    assert columns["lt_n_limits"].tolist() == [0, 1, 0, 0]
    assert columns["lt_missions"].tolist() == ["Swift XMM", "XMM", "XMM", "XMM"]
    assert columns["lt_ambiguous"].tolist() == [False, False, True, False]
    ratio = columns["lt_ratio"]
    assert ratio[0] == pytest.approx(factor * 1e-13 / 4e-14) and ratio.mask.tolist()[1:] == [1] * 3
    assert columns["lt_ratio_errors"][0] == pytest.approx(factor * 0.9e-13 / 5e-14)
    assert columns["lt_ratio_least"][1] == pytest.approx(1e-13 / (factor * 2e-14))
    assert columns["lt_ratio_is_limit"].tolist() == [False, True, False, False]
    assert columns["lt_mjd_min"][0] == 55000 and columns["lt_mjd_max"][0] == pytest.approx(58849.5)
    assert str(columns["lt_flux_max"].unit) == "erg / (s cm2)"
    curves = made.tables[TABLE]
    assert curves["source"].tolist() == ["A", "A", "B", "B", "C", "D"]
    assert curves["mission"].tolist() == ["XMM", "Swift", "XMM", "Swift", "XMM", "XMM"]
    assert curves["detection"].tolist() == ["A", "S0", "B", "S1", "C", "D"]
    assert curves["upper_limit"].tolist() == [False, False, False, True, False, False]
    np.testing.assert_allclose(curves["separation"][[0, 1, 3]], [0, 2, 3], atol=1e-6)
    assert curves["flux"][3] == pytest.approx(factor * 2e-14)
    assert "photon index 1.7 and column density 3e+20" in curves["flux"].description
    assert made.notes == ("swift: 2 sources linked, 1 ambiguous links dropped",)


def test_links_end_at_three_errors(tmp_path):
    # Both errors are 1 arcsec per axis: 3 sigma are 4.243 arcsec.
    for north, linked in ((4.2, 2), (4.3, 1)):
        given = swift(tmp_path, (10.0, north, 1e-13, np.nan))
        assert run({"own": OWN, "catalogues": {"swift": given}}).columns["lt_n"][0] == linked


def test_a_detection_between_two_sources_is_dropped(tmp_path):
    table = catalogue()
    table["ra"][1], table["dec"][1] = 10.0, 5 * ARCSEC
    made = run({"own": OWN, "catalogues": {"swift": swift(tmp_path, (10.0, 2.0, 1e-13, np.nan))}},
               table)  # fmt: skip
    assert made.columns["lt_n"].tolist() == [1] * 4
    assert made.columns["lt_ambiguous"].tolist() == [True, True, False, False]


def test_detections_of_one_other_source_are_linked_together(tmp_path):
    given = swift(tmp_path, (10.0, 2.0, 1e-13, np.nan), (10.0, 3.0, 2e-13, np.nan))
    assert run({"own": OWN, "catalogues": {"swift": given}}).columns["lt_ambiguous"][0]
    named = Table.read(given["file"])
    named["src"] = [7, 7]
    named.write(given["file"], overwrite=True)
    made = run({"own": OWN, "catalogues": {"swift": {**given, "source": "src"}}})
    assert made.columns["lt_n"].tolist() == [3, 1, 1, 1]


def test_rows_of_one_source_share_their_light_curve(tmp_path):
    table = catalogue()
    table["src"] = ["one", "two", "one", ""]
    table["ra"][2], table["dec"][2] = 10.0, 1 * ARCSEC
    given = swift(tmp_path, (10.0, 0.5, 1e-13, np.nan))
    made = run({"own": OWN, "catalogues": {"swift": given}}, table, source="src")
    assert made.columns["lt_n"].tolist() == [3, 1, 3, 1]
    assert made.columns["lt_ratio"][0] == made.columns["lt_ratio"][2]
    curves = made.tables[TABLE]
    assert curves["source"].tolist()[:3] == ["one"] * 3
    assert sorted(curves["detection"].tolist()) == ["A", "B", "C", "D", "S0"]
    # The detection is 0.5 arcsec north of A and 0.5 south of C: at their mean.
    assert curves["separation"][curves["detection"] == "S0"][0] == pytest.approx(0, abs=1e-6)


def test_what_a_survey_covers_and_does_not_detect_is_a_limit(tmp_path):
    moc = tmp_path / "moc.txt"
    moc.write_text(MOC.from_string("0/0-11").to_string("ascii"))
    given = swift(
        tmp_path, (10.0, 0.0, 1e-13, np.nan), (11.0, 0.0, 1e-13, 0), (11.0, 2.0, 1e-13, 0)
    )
    limits = {"file": str(moc), "limit": 5e-15, "mjd": 58000.0}
    made = run({"own": OWN, "catalogues": {"swift": given}, "limits": {"swift": limits}})
    # A is detected, B ambiguous, C not detected, D without a position.
    assert made.columns["lt_n_limits"].tolist() == [0, 0, 1, 0]
    curves = made.tables[TABLE]
    (row,) = np.flatnonzero(curves["upper_limit"])
    assert curves["source"][row] == "C" and curves["mjd_start"][row] == 58000
    assert curves["mission"][row] == "Swift" and curves["separation"].mask[row]


def test_the_upper_end_of_the_interval_is_a_limit_where_the_flux_is_zero():
    table = catalogue()
    table["low"], table["high"] = [3e-14, 8e-14, 0.0, 2e-14], [6e-14, 2e-13, 7e-15, 4e-14]
    table["flux"][2] = 0.0
    own = {**OWN, "flux_low": "low", "flux_high": "high", "band": [0.5, 7.0]}
    del own["flux_error"]
    made = run({"own": own, "band": [0.5, 7.0]}, table)
    assert made.columns["lt_n_limits"].tolist() == [0, 0, 1, 0]
    curves = made.tables[TABLE]
    np.testing.assert_allclose(curves["flux"], [4e-14, 1e-13, 7e-15, 3e-14])
    np.testing.assert_allclose(
        curves["flux_error_low"].filled(-1), [1e-14, 2e-14, -1, 1e-14], rtol=1e-9
    )
    np.testing.assert_allclose(
        curves["flux_error_high"].filled(-1), [2e-14, 1e-13, -1, 1e-14], rtol=1e-9
    )


def test_systematic_errors_add_in_quadrature():
    made = run({"own": {**OWN, "calibration": 0.3}})
    right = np.hypot(1e-14, 0.3 * 4e-14)
    assert made.tables[TABLE]["flux_error_low"][0] == pytest.approx(right)


def test_asymmetric_errors_of_either_sign():
    table = catalogue()
    table["down"], table["up"] = [-1e-14] * 4, [2e-14] * 4
    own = {**OWN, "flux_error_low": "down", "flux_error_high": "up"}
    del own["flux_error"]
    curves = run({"own": own}, table).tables[TABLE]
    assert (curves["flux_error_low"][0], curves["flux_error_high"][0]) == (1e-14, 2e-14)


def test_unknown_times_are_told_and_not_available():
    with pytest.warns(XbayesWarning, match=r"variability.own.start: no column T1 or T2"):
        made = run({"own": {**OWN, "start": ["T1", "T2"]}})
    assert made.columns["lt_mjd_first"].mask.all()


def test_a_flux_in_another_unit_is_refused():
    table = catalogue()
    table["flux"].unit = "ct / s"
    with pytest.raises(InputError, match="which does not convert to"):
        run({"own": OWN}, table)


def test_detections_from_vizier(archive, services, tmp_path):
    given = swift(tmp_path, (10.0, 2.0, 1e-13, np.nan), (11.0, 3.0, np.nan, 2e-14))
    table = Table.read(given.pop("file"))
    table.rename_columns(["RA", "DE"], ["RA_ICRS", "DE_ICRS"])
    archive.services["vizier"]["IX/58/2sxps"] = table
    served = {**given, "catalogue": "IX/58/2sxps", "ra": ["RA", "RA_ICRS"], "dec": "DE_ICRS"}
    made = run({"own": OWN, "catalogues": {"swift": served}}, services=services())
    assert made.columns["lt_n"].tolist() == [2, 1, 1, 1]
    assert made.columns["lt_n_limits"].tolist() == [0, 1, 0, 0]
