"""The simulated sky against the real one: shapes of the classes, and what a forest confuses.

A check returns what is wrong, so that a sky that is wrong can be shown to fail it.
"""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from xbayes.simulate.catalog import CLASSES, simulate_catalog

AGN, STAR, XRB, CV = range(4)
COLOURS = ("g-j", "g-w1", "j-h", "h-k", "j-k", "k-w1", "w1-w2", "w2-w3")
# The same forest on the real table (XBAYES_DATA; test_the_forest_on_the_real_sky measures it).
REAL_F1 = 0.71
REAL_RATES = np.array(
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.12, 0.15, 0.66, 0.07], [0.09, 0.12, 0.40, 0.39]]
)  # fmt: skip
REAL_NAMES = {
    "flux_soft": "Fcsc_s",
    "flux_medium": "Fcsc_m",
    "flux_hard": "Fcsc_h",
    "gamma": "powlaw_gamma_mean",
    "parallax_snr": "RPlx",
    "distance": "rgeo",
} | {f"{band}_mag": f"{band.upper()}mag" for band in ("g", "j", "h", "k", "w1", "w2", "w3")}
REAL_CLASSES = {
    "AGN": "AGN",
    "LM-STAR": "Star",
    "HM-STAR": "Star",
    "YSO": "Star",
    "LMXB": "XRB",
    "HMXB": "XRB",
    "CV": "CV",
}


def log10(values):
    return np.log10(np.where(values > 0, values, np.nan))


def properties(column):
    """Those of configs/chandra_sources.yaml that the simulation has, as an array each."""
    place = SkyCoord(column["ra"] * u.deg, column["dec"] * u.deg).galactic
    longitude = place.l.deg
    soft, medium, hard = (column[f"flux_{band}"] for band in ("soft", "medium", "hard"))
    log_flux = log10(soft + medium + hard)
    found = {
        "abs_b": np.abs(place.b.deg),
        "abs_l": np.minimum(longitude, 360 - longitude),
        "hr_ms": (medium - soft) / (medium + soft),
        "hr_hm": (hard - medium) / (hard + medium),
        "hr_hs": (hard - soft) / (hard + soft),
        "gamma": column["gamma"],
        "flux": log_flux,
        "significance": log10(column["significance"]),
        "bp_rp": column["bp_rp"],
        "g": column["g_mag"],
        "w1": column["w1_mag"],
        "abs_g": column["g_mag"] - 5 * log10(column["distance"]) + 5,
        "luminosity": log_flux + 2 * log10(column["distance"]),
        "distance": log10(column["distance"]),
        "parallax_snr": log10(column["parallax_snr"]),
        "proper_motion": log10(column["pm"]),
        "p_any": np.where(column["p_any"] > 0, column["p_any"], np.nan),
        "var_intra": column["var_intra_prob"],
        "var_inter": column["var_inter_prob"],
    }
    for band in ("g", "j", "w1"):
        found[f"fx_{band}"] = log_flux + column[f"{band}_mag"] / 2.5
    for colour in COLOURS:
        blue, red = colour.split("-")
        found[colour] = column[f"{blue}_mag"] - column[f"{red}_mag"]
    return found


def simulated(**settings):
    table = simulate_catalog(**settings)
    numbers = [name for name in table.colnames if table[name].dtype.kind == "f"]
    column = {name: np.asarray(table[name].filled(np.nan)) for name in numbers}
    label = np.array([CLASSES.index(name) for name in table["Class"]])
    return properties(column), label


@pytest.fixture(scope="module")
def skies():
    return [simulated(preset="csc", seed=seed) for seed in (1, 2, 3)]


@pytest.fixture
def real(data_folder):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(data_folder / "chandra_sources.csv")
    table = table[table["Class"].isin(list(REAL_CLASSES))]
    column = {name: table[REAL_NAMES.get(name, name)] for name in REAL_NAMES}
    for name in ("ra", "dec", "significance", "p_any", "var_intra_prob", "var_inter_prob"):
        column[name] = table[name]
    column["bp_rp"] = table["BPmag"] - table["RPmag"]
    column["pm"] = 1000 * table["PM"]
    column = {name: values.to_numpy(float) for name, values in column.items()}
    label = [CLASSES.index(REAL_CLASSES[name]) for name in table["Class"]]
    return properties(column), np.array(label)


def forest(skies):
    """F1 of XRB and the confusion matrix with rows (truth) that sum to 1, mean of the skies."""
    scores, counts = [], np.zeros((4, 4))
    for found, label in skies:
        values = np.stack(list(found.values()), axis=1)
        folds = StratifiedKFold(5, shuffle=True, random_state=1)
        trees = RandomForestClassifier(300, min_samples_leaf=2, random_state=1)
        predicted = cross_val_predict(trees, values, label, cv=folds)
        scores.append(f1_score(label == XRB, predicted == XRB))
        counts += confusion_matrix(label, predicted, labels=range(4))
    return np.mean(scores), counts / counts.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def confused(skies):
    """What the forest makes of the simulated skies."""
    return forest(skies)


def unlike(f1, rates, real_rates):
    """What of a forest's result is not as on the real sky: nothing, if the list is empty."""
    wrong = [] if 0.6 < f1 < 0.8 else [f"XRB F1 {f1:.2f}"]
    for truth in range(4):
        allowed = 0.25 if truth in (XRB, CV) else 0.15
        for predicted in set(range(4)) - {truth}:
            here, there = rates[truth, predicted], real_rates[truth, predicted]
            if abs(here - there) > allowed:
                wrong.append(f"{CLASSES[truth]} as {CLASSES[predicted]}: {here:.2f}, {there:.2f}")
    if rates[XRB, CV] > min(rates[XRB, AGN], rates[XRB, STAR]):
        wrong.append("XRB are taken for CV more often than for AGN or stars")
    if rates[CV, AGN] + rates[CV, XRB] < 1.5 * max(rates[CV, STAR], 0.05):
        wrong.append("CV are not mostly taken for AGN or XRB")
    return wrong


def misshapen(found, label, real_found, real_label):
    """Names whose median, spread or missing share differs from the real, per class."""
    wrong = []
    for index, name in enumerate(CLASSES):
        for key in real_found:
            if (name, key) in {("AGN", "abs_b"), ("AGN", "abs_l"), ("Star", "abs_l")}:
                continue  # where real surveys pointed: AGN off the plane, stars of Orion
            here, there = found[key][label == index], real_found[key][real_label == index]
            low, middle, high = np.nanquantile(there, [0.16, 0.5, 0.84])
            sim_low, sim_middle, sim_high = np.nanquantile(here, [0.16, 0.5, 0.84])
            spread, sim_spread = high - low, sim_high - sim_low
            if abs(sim_middle - middle) > 0.5 * spread + 0.05:
                wrong.append(f"median of {key} of {name}: {sim_middle:.2f}, {middle:.2f}")
            if not 0.4 * spread - 0.05 < sim_spread < 2.5 * spread + 0.2:
                wrong.append(f"spread of {key} of {name}: {sim_spread:.2f}, {spread:.2f}")
            missing, sim_missing = np.isnan(there).mean(), np.isnan(here).mean()
            # Half of the simulated rows are of a release without it.
            if key != "var_inter" and abs(missing - sim_missing) > 0.18:
                wrong.append(f"missing {key} of {name}: {sim_missing:.2f}, {missing:.2f}")
    return wrong


@pytest.mark.slow
def test_a_forest_confuses_what_it_confuses_in_the_real_sky(confused):
    assert unlike(*confused, REAL_RATES) == []


@pytest.mark.slow
def test_a_sky_of_separable_classes_fails(skies):
    found, label = skies[0]
    wrong = unlike(*forest([(found | {"gamma": label.astype(float)}, label)]), REAL_RATES)
    assert any(text.startswith("XRB F1") for text in wrong) and len(wrong) > 1


@pytest.mark.slow
def test_the_forest_on_the_real_sky(confused, real):
    f1, rates = forest([real])
    assert f1 == pytest.approx(REAL_F1, abs=0.04)
    np.testing.assert_allclose(rates, REAL_RATES, atol=0.06)
    assert unlike(f1, rates, rates) == []  # the real sky passes its own check
    assert unlike(*confused, rates) == []


def test_classes_have_the_shapes_of_the_real_ones(real):
    found, label = simulated(n=30_000, seed=1)
    wrong = misshapen(found, label, *real)
    assert not wrong, "; ".join(wrong)
    assert len(misshapen(found, (label + 1) % 4, *real)) > 30


def test_the_share_without_counterpart(real):
    """Nearly half of the LMXB, which are two thirds of the XRB, have none; hardly any star."""
    found, label = simulated(n=30_000, seed=2)
    for index in range(4):
        here = np.isnan(found["p_any"][label == index]).mean()
        there = np.isnan(real[0]["p_any"][real[1] == index]).mean()
        assert here == pytest.approx(there, abs=0.06), CLASSES[index]
