"""`xbayes learning-curve` and `xbayes suggest` as a user would type them, on a small sky."""

import numpy as np
import pytest
from astropy.table import Table

from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog

CLASSES = np.array(["AGN", "Star", "XRB"])
CENTRE = np.array([[0, 0, 0], [1.8, 0, 1], [0, 1.8, -1]])


def sky(n, seed):
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    table = Table(dict(zip("abc", (CENTRE[kind] + rng.normal(size=(n, 3))).T, strict=True)))
    table["name"], table["Class"] = [f"s{i}" for i in range(n)], CLASSES[kind]
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-80, 80, n)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config):
    folder = tmp_path_factory.mktemp("planning")
    (folder / "small.yaml").write_text(small_config)
    write_catalog(sky(240, 0), folder / "sky.parquet")
    return folder


def test_a_learning_curve_is_printed_drawn_and_written(folder, xbayes):
    outs = ("--out", folder / "curve.png", "--out", folder / "curve.csv")
    catalog = ("--catalog", folder / "sky.parquet", "--sizes", "1,0.2")
    code, told, err = xbayes("learning-curve", folder / "small.yaml", *catalog, *outs)
    assert code == 0, err
    assert "members" in told and "all" in told
    table = read_catalog(folder / "curve.csv")
    assert list(table["class"]) == [*CLASSES, "all"] * 2
    np.testing.assert_allclose(table["fraction"], np.repeat([0.2, 1.0], 4))
    small, large = table["members"][:3], table["members"][4:7]
    assert np.all(np.abs(small - 0.2 * large) <= 1)
    assert table["log_loss"][7] < table["log_loss"][3]
    assert (folder / "curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("sizes", "says"),
    [("0.5,x", "0.5,x"), ("0,1", "above 0"), ("2", "at most 1"), ("0.01", "leaves class")],
)
def test_sizes_that_make_no_sense_are_refused(folder, refused, sizes, says):
    catalog = ("--catalog", folder / "sky.parquet", "--sizes", sizes)
    refused("learning-curve", folder / "small.yaml", *catalog, says=[says])


@pytest.fixture(scope="module")
def bayes(folder, numbers_only):
    """A run with draws."""
    settings = ["variant=bayes", "posterior.method=laplace", "posterior.densities=false"]
    options = [word for s in settings for word in ("--set", s)]
    catalog = ("--catalog", folder / "sky.parquet", "--out", folder / "bayes")
    assert numbers_only("run", folder / "small.yaml", *catalog, *options) == 0
    return folder / "bayes"


def test_suggestions_are_ranked_new_and_without_a_label(folder, bayes, xbayes):
    table = sky(120, 7)
    table["name"] = [*table["name"][:20], *(f"n{i}" for i in range(100))]  # 20 were learned from
    table["Class"][:50] = ""
    write_catalog(table, folder / "pool.parquet", overwrite=True)
    out = folder / "next.fits"
    code, told, err = xbayes("suggest", bayes, folder / "pool.parquet", "-n", 30, "--out", out)
    assert code == 0, err
    assert "gain, nat" in told and "30 labels tell" in told
    found = read_catalog(out)
    assert list(found["rank"]) == list(range(1, 31))
    assert set(found["name"]) == {f"n{i}" for i in range(30)}
    assert np.all(np.diff(found["gain"]) <= 1e-12) and np.all(found["gain"] > 0)
    assert np.all(found["gain"] <= found["gain_alone"] + 1e-12)
    assert found["gain"][-1] < 0.95 * found["gain_alone"][-1]
    assert set(found["why"]) <= {"a", "b", "c"}
    assert np.all(found["prediction"] != found["runner_up"])
    assert str(found["gain"].unit) == "nat"


def test_what_suggest_cannot_do_is_said(folder, bayes, refused, numbers_only):
    write_catalog(sky(30, 8)["name", "a", "b", "c"], folder / "few.parquet", overwrite=True)
    refused("suggest", bayes, folder / "few.parquet", says=["-n 100", "0 sources", "ask for fewer"])
    refused("suggest", bayes, folder / "few.parquet", "-n", 0, says=["at least 1"])
    catalog = ("--catalog", folder / "sky.parquet", "--out", folder / "point")
    assert numbers_only("run", folder / "small.yaml", *catalog) == 0
    refused("suggest", folder / "point", folder / "few.parquet", says=["--set variant=bayes"])
