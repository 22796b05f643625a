"""The finder chart of a source from its catalogue."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

import xbayes
from xbayes.catalog.query import ParquetCatalogue, Roles
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError
from xbayes.tasks.finder_chart import finder_chart, offsets

CLASSES = ("AGN", "Star")


@pytest.fixture
def catalogue(tmp_path):
    """Four sources near each other across 0h, one far away, of two classes."""
    table = Table({"name": list("abcde"), "ra": [0.0, 359.995, 0.005, 0.0, 10.0]})
    table["dec"] = [0.0, 0.0, 0.005, 0.01, 0.0]
    table["POSERR"] = [1.5, 1.0, 1.0, 1.0, 1.0] * u.arcsec
    table["counterpart_ra"], table["counterpart_dec"] = 0.0002, 0.0001
    table["prediction"] = ["AGN", "Star", "AGN", "XRB", "AGN"]
    table.meta["CLASSES"] = "AGN,Star"
    write_catalog(table, tmp_path / "a.parquet")
    return ParquetCatalogue(tmp_path / "a.parquet", Roles(id="name", ra="ra", dec="dec"))


def test_neighbours_errors_and_counterpart(catalogue):
    axes = finder_chart(catalogue, catalogue.row("a"), CLASSES)
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [
        "the source", "position error 1.5 arcsec", "AGN (1)", "Star (1)", "no class (1)",
        "counterpart: counterpart",
    ]  # fmt: skip
    assert axes.get_title(loc="left") == "a"


def test_what_has_no_chart(catalogue):
    row = catalogue.row("a")
    with pytest.raises(InputError, match="needs a position"):
        finder_chart(catalogue, row | {"ra": None}, CLASSES)
    with pytest.raises(InputError, match="3600"):
        finder_chart(catalogue, row, CLASSES, radius=float("inf"))


@pytest.mark.parametrize("dec", [-89.999, -30.0, 0.0, 60.0, 89.999])
def test_offsets_are_those_of_astropy(dec):
    rng = np.random.default_rng(2)
    centre = SkyCoord(359.99, dec, unit="deg")
    near = centre.directional_offset_by(
        rng.uniform(0, 360, 20) * u.deg, rng.uniform(0, 90, 20) * u.arcsec
    )
    east, north = offsets(near.ra.deg, near.dec.deg, 359.99, dec)
    d_east, d_north = centre.spherical_offsets_to(near)
    np.testing.assert_allclose(east, d_east.arcsec, atol=1e-4)
    np.testing.assert_allclose(north, d_north.arcsec, atol=1e-4)


def test_densities_are_those_of_the_report(demo):
    fit = xbayes.load(demo.folder)
    node, of_class = fit.model.recipe.density.curves(fit.model.classifier.density)
    made = fit.densities(points=300)
    assert [each.label.name for each in made] == list(fit.config.features)
    for f, each in enumerate(made):
        for c in range(4):
            expected = np.interp(each.x, node[f], np.asarray(of_class)[f, :, c])
            atol = 0.05 * expected.max()  # between nodes the curves are exponentials
            np.testing.assert_allclose(each.density[c], expected, rtol=0, atol=atol)
        assert np.trapezoid(each.density, each.x, axis=1) == pytest.approx(1, abs=0.02)
    (flux, fx_g) = fit.densities(["flux", "fx_g"], points=5)
    np.testing.assert_allclose(np.log10(flux.value), flux.x)
    assert flux.not_detected is None and flux.axis.startswith("log10 of X-ray flux")
    # As the log-likelihood of a source that has no counterpart.
    assert fx_g.not_detected.argmin() == list(fit.classes).index("Star")
    assert (fx_g.not_detected > 0).all() and (fx_g.not_detected < 1).all()
    with pytest.raises(InputError, match="no feature 'flx'"):
        fit.densities(["flx"])
    with pytest.raises(InputError, match="at least 2 points"):
        fit.densities(points=1)
