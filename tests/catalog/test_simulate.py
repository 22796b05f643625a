import numpy as np
import pytest

from xbayes.catalog.read import read_catalog
from xbayes.catalog.simulate import CLASSES, simulate_catalog, simulate_detections
from xbayes.catalog.write import write_catalog
from xbayes.types import InputError


def numbers(table, name):
    return np.asarray(table[name].filled(np.nan))


def test_proportions_and_missing_values():
    table = simulate_catalog(20_000, 1)
    share = [np.mean(np.asarray(table["Class"]) == name) for name in CLASSES]
    np.testing.assert_allclose(share, [0.62, 0.28, 0.07, 0.03], atol=0.01)
    assert len(np.unique(table["name"])) == 20_000 and table["name"][0] == "SIM 000001"
    first = np.asarray(table["release"]) == 1
    missing = table["var_inter_prob"].mask
    assert missing[first].all() and 0.3 < missing[~first].mean() < 0.5
    np.testing.assert_array_equal(table["parallax_snr"].mask, table["g_mag"].mask)
    of = {name: np.asarray(table["Class"]) == name for name in CLASSES}
    assert table["w1_mag"].mask[of["XRB"]].mean() > table["w1_mag"].mask[of["AGN"]].mean() + 0.2


def test_every_value_is_possible():
    table = simulate_catalog(5_000, 2)
    for name in table.colnames:
        column = table[name]
        assert column.description and column.meta["ucd"]
        if column.dtype.kind == "f":
            assert np.isfinite(column.compressed()).all()
    for name in ("flux_soft", "flux_medium", "flux_hard", "e_flux_soft"):
        assert np.all(table[name] > 0) and str(table[name].unit) == "erg / (s cm2)"
    for name in ("var_intra_prob", "var_inter_prob"):
        values = table[name].compressed()
        assert np.all((values >= 0) & (values <= 1))
    assert np.all(np.abs(table["dec"]) <= 90) and np.all((table["ra"] >= 0) & (table["ra"] < 360))


def test_the_galactic_plane_holds_the_stars():
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    table = simulate_catalog(5_000, 3)
    place = SkyCoord(numbers(table, "ra") * u.deg, numbers(table, "dec") * u.deg)
    latitude = np.abs(place.galactic.b.deg)
    label = np.asarray(table["Class"])
    assert np.median(latitude[label == "AGN"]) == pytest.approx(30, abs=2)
    for name in ("Star", "XRB", "CV"):
        assert np.median(latitude[label == name]) < 15


def test_the_seed_decides():
    one, same, other = (simulate_catalog(200, seed) for seed in (1, 1, 2))
    assert one["gamma"].tolist() == same["gamma"].tolist() != other["gamma"].tolist()


@pytest.mark.parametrize("n", [0, -5, 100_000_001])
def test_impossible_numbers(n):
    with pytest.raises(InputError, match=f"from 1 to 100000000; found {n}"):
        simulate_catalog(n, 1)


def test_one_source():
    assert len(simulate_catalog(1, 1)) == 1


def test_it_survives_a_file(tmp_path):
    table = simulate_catalog(50, 1)
    write_catalog(table, tmp_path / "sim.fits")
    found = read_catalog(tmp_path / "sim.fits")
    assert found.meta == table.meta
    for name in table.colnames:
        assert found[name].tolist() == table[name].tolist()
        assert found[name].unit == table[name].unit
        assert found[name].meta == table[name].meta


def test_detections():
    catalog = simulate_catalog(3_000, 1)
    table = simulate_detections(catalog, 1)
    names, counts = np.unique(table["name"], return_counts=True)
    assert len(names) == 3_000 and counts.min() == 1
    assert counts.mean() == pytest.approx(2.5, abs=0.15)
    label = dict(zip(catalog["name"].tolist(), catalog["Class"].tolist(), strict=True))
    assert table["Class"].tolist() == [label[name] for name in table["name"].tolist()]
    assert np.all(np.abs(table["hard_hs"]) <= 1)
    assert table["flux"].tolist() == simulate_detections(catalog, 1)["flux"].tolist()


@pytest.mark.parametrize("colours", [False, True])
def test_the_classes_overlap_about_as_real_ones(colours):
    """A random forest finds XRB neither always nor never, on the columns and on ratios of them."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import f1_score
    from sklearn.model_selection import cross_val_predict

    table = simulate_catalog(3_000, 4)
    skipped = ("name", "Class", "release", "ra", "dec")
    column = {name: numbers(table, name) for name in table.colnames if name not in skipped}
    flux = column["flux_soft"] + column["flux_medium"] + column["flux_hard"]
    if colours:
        column["fx_fo"] = np.log10(flux) + column["g_mag"] / 2.5
        column["fx_fw"] = np.log10(flux) + column["w1_mag"] / 2.5
        column["hardness"] = (column["flux_hard"] - column["flux_soft"]) / flux
        column["g_j"] = column["g_mag"] - column["j_mag"]
        column["k_w1"] = column["k_mag"] - column["w1_mag"]
        column["w1_w2"] = column["w1_mag"] - column["w2_mag"]
    values = np.stack(list(column.values()), axis=1)
    label = np.asarray(table["Class"])
    forest = RandomForestClassifier(100, random_state=1)
    predicted = cross_val_predict(forest, values, label, cv=5)
    f1 = f1_score(label, predicted, labels=["XRB"], average="macro")
    assert 0.5 < f1 < 0.87
