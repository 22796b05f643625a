"""The finder chart and the long-term light curve."""

import numpy as np
import pytest
from matplotlib.patches import Circle

from xbayes.figures.finder import Counterparts, Epochs, Neighbours, finder, long_term_light_curve
from xbayes.figures.style import figure_of, png_bytes

CLASSES = ("AGN", "Star")


def around(east, north, prediction) -> Neighbours:
    return Neighbours(
        east=np.array(east, float),
        north=np.array(north, float),
        prediction=np.array(prediction, int),
    )


def legend_of(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_east_is_to_the_left_and_north_up():
    counterparts = Counterparts(
        east=np.array([1.0, 500.0]), north=np.array([0.0, 0.0]), label=["Gaia", "2MASS"]
    )
    axes = finder(
        around([10, -20, 900], [5, 5, 0], [0, 1, 0]),
        CLASSES,
        radius=60.0,
        error_radius=2.5,
        counterparts=counterparts,
        title="a source",
    )
    assert axes.get_xlim() == (60, -60) and axes.get_ylim() == (-60, 60)
    (circle,) = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert circle.radius == 2.5
    # What lies outside of the chart is neither drawn nor counted.
    assert legend_of(axes) == [
        "the source", "position error 2.5 arcsec", "AGN (1)", "Star (1)", "counterpart: Gaia",
    ]  # fmt: skip
    texts = {text.get_text() for text in axes.texts}
    assert {"N", "E", "20 arcsec"} <= texts
    assert png_bytes(axes)[1:4] == b"PNG"


@pytest.mark.parametrize(("radius", "bar"), [(3.0, "1 arcsec"), (400.0, "2 arcmin")])
def test_alone_at_any_scale(radius, bar):
    axes = finder(around([], [], []), CLASSES, radius=radius)
    assert legend_of(axes) == ["the source"] and bar in {t.get_text() for t in axes.texts}
    with pytest.raises(ValueError, match="radius"):
        finder(around([], [], []), CLASSES, radius=0.0)


def epochs(flux, limit, start, mission) -> Epochs:
    flux = np.array(flux, float)
    return Epochs(
        start=np.array(start, float),
        end=np.array(start, float) + 1,
        flux=flux,
        error_low=0.1 * flux,
        error_high=np.full(len(flux), np.nan),
        is_limit=np.array(limit, bool),
        mission=list(mission),
    )


def test_fluxes_and_limits_by_mission():
    made = epochs([1e-14, 3e-13, 5e-14, 1e-14], [0, 0, 1, 0], [51544, 55000, 58000, np.nan], "XCXC")
    axes = long_term_light_curve(made, "erg/s/cm2", band="0.5-7 keV", title="a source")
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "flux 0.5-7 keV [erg/s/cm2]"
    assert legend_of(axes) == ["X", "C", "upper limit (hollow)"]
    low, high = axes.get_xlim()
    assert low < 2000 < 2017.7 < high
    assert len(axes.texts) == 1  # the arrow of the limit
    assert png_bytes(figure_of(axes))[1:4] == b"PNG"


def test_one_flux_a_negative_one_and_none():
    assert (
        long_term_light_curve(epochs([-1.0, 100.0], [0, 0], [5e4, 6e4], "XX"), "u").get_yscale()
        == "linear"
    )
    assert legend_of(long_term_light_curve(epochs([1.0], [0], [5e4], "X"), "u")) == ["X"]
    empty = long_term_light_curve(epochs([], [], [], ""), "u")
    assert [text.get_text() for text in empty.texts] == ["no flux with a time"]
