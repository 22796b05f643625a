"""Class posteriors averaged over candidates, through a real run and through files."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.enhance.averaging import average_over_counterparts, candidate_rows
from xbayes.enhance.counterparts import SOURCE, WEIGHT

MAGNITUDES = ("g_mag", "j_mag", "k_mag", "w1_mag", "w2_mag", "parallax_snr")


@pytest.fixture
def candidates(demo):
    """Ten sources, of which each has its own counterpart, that of another source, and none."""
    catalog = read_catalog(demo.catalog)[:10]
    own, other = np.arange(10), (np.arange(10) + 1) % 10
    rows = np.concatenate([own, other])
    hypotheses = Table(
        {SOURCE: np.tile(np.arange(10), 3), WEIGHT: np.repeat([0.6, 0.3, 0.1], 10)}, masked=True
    )
    for name in MAGNITUDES:
        column = catalog[name][rows]
        values = np.append(np.ma.getdata(column), np.full(10, np.nan))
        mask = np.append(np.ma.getmaskarray(column), np.ones(10, bool))
        hypotheses[name] = MaskedColumn(values, mask=mask, unit=column.unit)
    order = np.random.default_rng(0).permutation(30)
    return catalog, hypotheses[order]


def posterior(table):
    classes = table.meta["CLASSES"].split(",")
    return np.stack([np.asarray(table[f"p_{c}"]) for c in classes], 1)


def test_the_average_is_the_weighted_mean_of_the_candidates(demo, candidates):
    catalog, hypotheses = candidates
    fit = xbayes.load(demo.folder)
    classified = fit.classify(candidate_rows(catalog, hypotheses), id="row")
    averaged = average_over_counterparts(classified, hypotheses)
    assert np.asarray(averaged[SOURCE]).tolist() == list(range(10))
    assert np.asarray(averaged["n_hypotheses"]).tolist() == [3] * 10
    own = posterior(fit.classify(catalog))
    swapped = catalog.copy()
    without = catalog.copy()
    for name in MAGNITUDES:
        swapped[name] = catalog[name][(np.arange(10) + 1) % 10]
        without[name].mask = True
    wanted = 0.6 * own + 0.3 * posterior(fit.classify(swapped))
    wanted += 0.1 * posterior(fit.classify(without))
    np.testing.assert_allclose(posterior(averaged), wanted, atol=1e-9)
    np.testing.assert_allclose(posterior(averaged).sum(1), 1)
    classes = np.array(averaged.meta["CLASSES"].split(","))
    assert list(averaged["prediction"]) == list(classes[wanted.argmax(1)])


def test_groups_of_classes_are_averaged_too():
    classified = Table({"p_A": [0.2, 0.6], "p_B": [0.3, 0.3], "p_C": [0.5, 0.1]})
    classified.meta = {"CLASSES": "A,B,C", "GROUPS": {"AC": ["A", "C"]}}
    hypotheses = Table({SOURCE: [0, 0], WEIGHT: [0.75, 0.25]})
    averaged = average_over_counterparts(classified, hypotheses)
    np.testing.assert_allclose(averaged["p_AC"], 0.7)


def test_the_tables_survive_files(demo, candidates, tmp_path):
    catalog, hypotheses = candidates
    fit = xbayes.load(demo.folder)
    rows = candidate_rows(catalog, hypotheses)
    write_catalog(rows, tmp_path / "rows.fits")
    write_catalog(hypotheses, tmp_path / "hypotheses.fits")
    fit.classify_file(tmp_path / "rows.fits", tmp_path / "classified.fits", id="row")
    averaged = average_over_counterparts(
        read_catalog(tmp_path / "classified.fits"), read_catalog(tmp_path / "hypotheses.fits")
    )
    direct = average_over_counterparts(fit.classify(rows, id="row"), hypotheses)
    np.testing.assert_allclose(posterior(averaged), posterior(direct), atol=1e-9)
