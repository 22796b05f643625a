"""`xbayes learning-curve` and `xbayes suggest` as a user types them, on the small sky."""

import numpy as np
import pytest

from tests.small_sky import CLASSES, small_sky
from xbayes.catalog.read import read_catalog
from xbayes.catalog.write import write_catalog


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config):
    folder = tmp_path_factory.mktemp("planning")
    (folder / "small.yaml").write_text(small_config)
    write_catalog(small_sky(240, 0, (0.5, 0.3, 0.2)), folder / "sky.parquet")
    return folder


def test_a_learning_curve_is_printed_drawn_and_written(folder, xbayes):
    outs = ("--out", folder / "curve.png", "--out", folder / "curve.csv")
    catalog = ("--catalog", folder / "sky.parquet", "--sizes", "1,0.2")
    code, out, err = xbayes("learning-curve", folder / "small.yaml", *catalog, *outs)
    assert code == 0, err
    assert "members" in out and "all" in out
    table = read_catalog(folder / "curve.csv")
    assert list(table["class"]) == [*CLASSES, "all"] * 2
    np.testing.assert_allclose(table["fraction"], np.repeat([0.2, 1.0], 4))
    small, large = table["members"][:3], table["members"][4:7]
    assert np.all(np.abs(small - 0.2 * large) <= 1)
    assert table["log_loss"][7] < table["log_loss"][3]
    assert (folder / "curve.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ("0.5,x", "0.5,x"),
        ("0,1", "above 0"),
        ("2", "at most 1"),
        ("0.01,1", "leaves class"),
        ("1", "one point is no curve; found 1; give --sizes 0.3,0.6,1"),
        ("0.5,0.5", "found 0.5"),
    ],
)
def test_wrong_sizes_are_refused(folder, refused, sizes, says):
    catalog = ("--catalog", folder / "sky.parquet", "--sizes", sizes)
    refused("learning-curve", folder / "small.yaml", *catalog, says=[says])


def test_a_sample_too_small_for_a_second_size_is_refused(folder, refused):
    """Five XRB: two folds leave two of them to learn from, as many as there are inner folds."""
    sky = read_catalog(folder / "sky.parquet")
    xrb = np.flatnonzero(sky["Class"] == "XRB")
    sky.remove_rows(xrb[5:])
    write_catalog(sky, folder / "few.parquet", overwrite=True)
    says = ["a learning curve of one point", "class XRB has 5", "validation.inner_folds=2"]
    refused("learning-curve", folder / "small.yaml", "--catalog", folder / "few.parquet", says=says)


def test_suggestions_are_ranked_new_and_without_a_label(folder, bayes, xbayes):
    table = small_sky(120, 7)
    table["name"] = [*table["name"][:20], *(f"n{i}" for i in range(100))]  # 20 training sources
    table["Class"][:50] = ""
    write_catalog(table, folder / "pool.parquet")
    out = folder / "next.fits"
    code, shown, err = xbayes(
        "suggest", bayes.folder, folder / "pool.parquet", "-n", 30, "--out", out
    )
    assert code == 0, err
    assert "gain, nat" in shown and "30 labels together hold" in shown
    suggested = read_catalog(out)
    assert list(suggested["rank"]) == list(range(1, 31))
    assert set(suggested["name"]) == {f"n{i}" for i in range(30)}
    assert np.all(np.diff(suggested["gain"]) <= 1e-12) and np.all(suggested["gain"] > 0)
    assert np.all(suggested["gain"] <= suggested["gain_alone"] + 1e-12)
    assert suggested["gain"][-1] < 0.95 * suggested["gain_alone"][-1]
    assert set(suggested["why"]) <= {"a", "b", "c"}
    assert np.all(suggested["prediction"] != suggested["runner_up"])
    assert str(suggested["gain"].unit) == "nat"


def test_wrong_use_of_suggest_is_refused(folder, bayes, small, refused):
    table = read_catalog(bayes.catalog)["name", "a", "b", "c"]
    write_catalog(table, folder / "known.parquet")  # training sources only
    says = ["-n 100", "only 0 of the 150 sources", "smaller -n"]
    refused("suggest", bayes.folder, folder / "known.parquet", says=says)
    refused("suggest", bayes.folder, folder / "known.parquet", "-n", 0, says=["at least 1"])
    refused("suggest", small.folder, folder / "known.parquet", says=["--set variant=bayes"])
