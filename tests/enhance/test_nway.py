"""p_any and p_i against NWAY 4.8.0, an independent program, on the same small input.

The outputs of NWAY are recorded (nway/make_fixture.py makes them). Two definitions differ, and the
tests translate them: NWAY's prior odds of a listed counterpart are c, ours c / (1 - c); NWAY counts
n + 1 entries for the density of n. The differences that then remain are below 1e-3.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from xbayes.enhance.matching import Learned, apply
from xbayes.enhance.nearby import ARCSEC2_PER_DEG2, Sky, near, source_covariances
from xbayes.enhance.pairs import circles, positions
from xbayes.enhance.prior_ratios import PriorRatio

NWAY = json.loads((Path(__file__).parent / "nway" / "nway.json").read_text())
LN_10 = np.log(10)


def sky(name):
    table = {column: np.array(values) for column, values in NWAY["tables"][name].items()}
    return Sky(
        name=name,
        place=positions(table["ra"], table["dec"]),
        errors=circles(table["err"]),
        features={"mag": table["mag"]} if "mag" in table else {},
    )


def ours(names, ratio=None, objects_per_entry=None):
    """The same input matched by us, with NWAY's definitions of its two numbers."""
    sources = sky("X")
    nearby = [near(sources, sky(name), NWAY["radius_arcsec"]) for name in names]
    area = NWAY["area_deg2"] * ARCSEC2_PER_DEG2
    odds = np.array(NWAY["completeness"][: len(names)])
    learned = Learned(
        completeness=odds / (1 + odds),
        density=np.stack(
            [np.full(len(sources.place.ra), (NWAY["rows"][name] + 1) / area) for name in names]
        ),
        objects_per_entry=objects_per_entry,
        ratios=tuple({"mag": ratio} if ratio and name == "A" else {} for name in names),
    )
    own = source_covariances(sources.place, sources.errors)
    return nearby, apply(own, nearby, learned)


def rows_of(case, names):
    """NWAY's rows by (source, entry per catalogue), -1: not listed, and its p_any by source."""
    table, ids = NWAY["cases"][case], {}
    for name in names:
        own = NWAY["tables"][name]["ID"]
        ids[name] = dict(zip(own, range(len(own)), strict=True)) | {-99: -1}
    found, p_any = {}, {}
    for row, source in enumerate(table["source"]):
        members = tuple(ids[name][table[name][row]] for name in names)
        p_any[source] = table["p_any"][row]
        if any(m >= 0 for m in members):
            found[(source, *members)] = (table["p_i"][row], table["dist_bayesfactor"][row])
    return found, p_any


def compared(case, names, ratio=None):
    """The largest differences in p_any, p_i, and in log10 of the Bayes factors of likely rows."""
    wanted, p_any = rows_of(case, names)
    nearby, found = ours(names, ratio)
    largest = [max(abs(found.p_any[s] - p) for s, p in p_any.items()), 0.0, 0.0]
    seen = set()
    for h, source in enumerate(found.source):
        members = tuple(
            int(nearby[k].entries.entry[m]) if m >= 0 else -1
            for k, m in enumerate(found.members[h])
        )
        # NWAY drops combinations with a pair of entries farther apart than the radius.
        p_i, factor = wanted.get((int(source), *members), (0.0, None))
        seen.add((int(source), *members))
        largest[1] = max(largest[1], abs(found.p_i[h] - p_i))
        if factor is not None and p_i > 1e-3:
            largest[2] = max(largest[2], abs(found.log_bayes_factor[h] / LN_10 - factor))
    largest[1] = max([largest[1], *[p for key, (p, _) in wanted.items() if key not in seen]])
    return largest


@pytest.mark.parametrize(("case", "names"), [("one", "A"), ("two", "AB")])
def test_probabilities_and_bayes_factors_are_those_of_nway(case, names):
    p_any, p_i, factor = compared(case, names)
    assert p_any < 1e-3 and p_i < 1e-3 and factor < 1e-3


def test_with_the_magnitude_histogram_of_nway():
    low, _, target, field = np.array(NWAY["histogram"]).T
    ratio = PriorRatio(
        edges=low[1:], log_ratio=np.log(np.maximum(target, 1e-9) / field), log_ratio_missing=0.0
    )
    p_any, p_i, _ = compared("magnitude", "AB", ratio)
    assert p_any < 1e-3 and p_i < 1e-3


def test_a_wrong_completeness_is_seen_by_that_test(monkeypatch):
    monkeypatch.setitem(NWAY, "completeness", [0.7, 0.8])
    assert compared("two", "AB")[0] > 1e-3


def test_where_the_correction_of_nway_differs_from_the_sum():
    """Two entries 6 arcsec from source 106 are one field object; its counterpart is at 0.5 arcsec.

    NWAY multiplies the weight of "none", but not that of the counterpart, with the odds that the
    two are one object: p_any falls from 0.989 to 0.168. Our sum has that factor in both weights.
    """
    plain, corrected = rows_of("two", "AB")[1], rows_of("corrected", "AB")[1]
    assert plain[106] > 0.98 and corrected[106] < 0.2
    assert joint()[106] > 0.98


def test_mostly_the_correction_of_nway_is_close_to_the_sum():
    corrected, found = rows_of("corrected", "AB")[1], joint()
    difference = [abs(found[source] - p) for source, p in corrected.items()]
    assert np.median(difference) < 0.02


def joint():
    """p_any if nearly every field object of A is in B, which NWAY's correction assumes."""
    return ours("AB", objects_per_entry=1.05)[1].p_any
