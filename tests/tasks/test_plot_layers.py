"""What the map of the sky and the scatter plot show, against numpy."""

import numpy as np
import pytest
from astropy.table import Table

from tests.classified import opened
from xbayes.catalog.selection import Selection
from xbayes.errors import InputError
from xbayes.figures.projection import from_mollweide, mollweide
from xbayes.tasks.scatter_plot import BINS, Axis, default_axes, few_on_axes, scatter_layers
from xbayes.tasks.sky_index import sky_index
from xbayes.tasks.sky_map import MOST_CELLS, MOST_SOURCES, Window, graticule, sky_layers

N = 6000
CLASSES = ("AGN", "XRB")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, N), np.degrees(np.arcsin(rng.uniform(-1, 1, N)))
    ra[:3500], dec[:3500] = 266.4 + rng.normal(0, 0.001, 3500), -29 + rng.normal(0, 0.001, 3500)
    table = Table({"name": [f"S{i}" for i in range(N)], "ra": ra, "dec": dec})
    table["flux"] = 10 ** rng.normal(-14, 0.8, N)
    table["gamma"] = np.where(rng.random(N) < 0.2, np.nan, rng.normal(2, 0.5, N))
    table["prediction"] = np.where(rng.random(N) < 0.3, "XRB", "AGN")
    for name in CLASSES:
        table[f"p_{name}"] = np.where(table["prediction"] == name, 0.8, 0.2)
    table.meta["CLASSES"] = ",".join(CLASSES)
    return table


@pytest.fixture(scope="module")
def catalogue(table, tmp_path_factory):
    return opened(table, tmp_path_factory.mktemp("layers"))


def in_window(table, window):
    sky = sky_index(np.asarray(table["ra"]), np.asarray(table["dec"]))
    x, y = (sky[f"{axis}{window.frame[0]}"].to_numpy() for axis in "xy")
    (x0, x1), (y0, y1) = window.x, window.y
    return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)


def test_cells_count_each_class(table, catalogue):
    layers = sky_layers(Selection(), catalogue, Window())
    assert layers.order is not None and not layers.sources.num_rows
    assert 0 < layers.cells.num_rows <= MOST_CELLS
    for c, name in enumerate(CLASSES):
        n = int(np.sum(table["prediction"] == name))
        assert sum(layers.cells[f"n_{c}"].to_pylist()) == n == layers.counts[name]
    # The mean place of the sources of a cell is in the cell.
    lon, lat = from_mollweide(layers.cells["x"].to_numpy(), layers.cells["y"].to_numpy())
    assert np.isfinite(lon).all() and np.isfinite(lat).all()


@pytest.mark.parametrize("frame", ["galactic", "equatorial"])
def test_few_sources_are_listed(table, catalogue, frame):
    window = Window(frame, x=(0.2, 1.1), y=(-0.3, 0.4))
    layers = sky_layers(Selection(), catalogue, window)
    inside = in_window(table, window)
    assert layers.order is None and not layers.is_sample
    assert sum(layers.counts.values()) == inside.sum()
    assert set(table["name"][inside]) <= set(layers.sources["id"].to_pylist())


def test_a_sample_stands_for_sources_closer_than_cells(table, catalogue):
    x, y = sky_index(np.array([266.4]), np.array([-29.0])).select(["xg", "yg"]).columns
    x, y = x[0].as_py(), y[0].as_py()
    window = Window("galactic", x=(x - 1e-4, x + 1e-4), y=(y - 1e-4, y + 1e-4))
    layers = sky_layers(Selection(), catalogue, window)
    assert layers.is_sample and layers.sources.num_rows == MOST_SOURCES
    assert sum(layers.counts.values()) > MOST_SOURCES


def test_the_map_can_be_read_back():
    lon, lat = np.array([-170.0, 0, 33, 120]), np.array([-60.0, 0, 45, 89])
    back = from_mollweide(*mollweide(lon, lat))
    np.testing.assert_allclose(back, [lon, lat], atol=1e-6)
    assert np.isnan(from_mollweide(np.array([1.9]), np.array([0.9]))[0])


def test_graticule_has_round_labels():
    labels = {line.label for line in graticule(Window())}
    assert {"0°", "90°", "270°", "+30°", "-60°", ""} <= labels
    fine = {line.label for line in graticule(Window(x=(-0.02, 0.02), y=(-0.01, 0.01)))}
    assert "359.5°" in fine and "+0.25°" in fine
    with pytest.raises(InputError, match="x0 below x1"):
        graticule(Window(x=(1, 1)))


def test_bins_count_what_numpy_counts(table, catalogue):
    window = {"log": False, "window": (0.5, 3.5)}
    layers = scatter_layers(
        Selection(), catalogue, Axis("flux", True, (1e-16, 1e-12)), Axis("gamma", **window)
    )
    gamma, flux = np.asarray(table["gamma"]), np.asarray(table["flux"])
    assert layers.n_without == np.isnan(gamma).sum()
    nx, ny = BINS
    for name in CLASSES:
        kept = (table["prediction"] == name) & np.isfinite(gamma)
        edges = [np.linspace(-16, -12, nx + 1), np.linspace(0.5, 3.5, ny + 1)]
        expected, *_ = np.histogram2d(np.log10(flux[kept]), gamma[kept], edges)
        made = np.zeros((nx, ny))
        bins = layers.bins.to_pandas().query("`class` == @name")
        made[bins["i"], bins["j"]] = bins["n"]
        # A value on an edge may fall to either side.
        assert np.abs(made - expected).sum() <= 4
        assert layers.counts[name] == made.sum()


def test_axes_find_their_scale_and_range(table, catalogue):
    layers = scatter_layers(Selection(), catalogue, Axis("flux"), Axis("gamma"), colour="p_AGN")
    assert layers.x.log and not layers.y.log
    assert layers.x.window[0] < np.quantile(table["flux"], 0.01)
    assert layers.x.window[1] > np.quantile(table["flux"], 0.99)
    assert set(np.round(layers.bins["colour"].to_numpy(), 6)) <= {0.2, 0.8}


def test_few_sources_are_listed_on_the_scatter_plot(table, catalogue):
    selection = Selection(ids=("S1", "S2", "S3"))
    layers = scatter_layers(selection, catalogue, Axis("ra"), Axis("dec"), colour="flux")
    assert sorted(layers.sources["id"].to_pylist()) == ["S1", "S2", "S3"]
    assert not layers.bins.num_rows
    again = few_on_axes(selection, catalogue, (Axis("ra"), Axis("dec")), colour="flux")
    assert again.sources.sort_by("id") == layers.sources.sort_by("id")
    assert (again.x, again.y, again.counts) == (layers.x, layers.y, layers.counts)
    nothing = scatter_layers(Selection(search="nobody"), catalogue, Axis("ra"), Axis("dec"))
    assert nothing.x.window == (0.0, 1.0) and not nothing.sources.num_rows


def test_the_first_axes_are_columns_that_features_read(catalogue):
    assert default_axes(catalogue, ("ra", "flux", "other", "gamma")) == ("flux", "gamma")
    assert default_axes(catalogue, ()) == ("p_predicted", "p_predicted")
