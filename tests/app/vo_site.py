"""A small site for tests of the Virtual Observatory services: 200 invented sources, two runs."""

from types import SimpleNamespace

import numpy as np
from astropy.table import Table
from fastapi import FastAPI

from xbayes.app import vo_scs_routes, vo_tap_routes, vo_uws_routes
from xbayes.app.site import Site, SiteOptions
from xbayes.catalog.query import ParquetCatalogue, Roles
from xbayes.catalog.write import write_catalog

N = 200
ODD = 'odd "name"'


def small_table(n=N):
    """Sources all over the sky; a third has no flux, and one name is not ASCII."""
    rng = np.random.default_rng(5)
    p = rng.uniform(size=n)
    flux = rng.lognormal(size=n)
    flux[::3] = np.nan
    table = Table(
        {
            "name": [f"S {i:03d}" if i else "S é" for i in range(n)],
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
            "flux": flux,
            "n_missing": rng.integers(0, 9, n),
            "set_flag": rng.uniform(size=n) < 0.1,
            "prediction": np.where(p > 0.5, "AGN", "XRB"),
            "p_AGN": p,
            "p_XRB": 1 - p,
            "margin": np.abs(2 * p - 1),
            "size": rng.integers(0, 4, n).astype(np.int16),
            ODD: rng.uniform(size=n).astype(np.float32),
        }
    )
    table["ra"].unit = table["dec"].unit = "deg"
    table["flux"].unit = "erg / (s cm2)"
    table["p_AGN"].description = "posterior probability of AGN & <others>"
    table.meta["CLASSES"] = "AGN,XRB"
    return table


def small_catalogue(folder, n=N):
    path = folder / "catalog.parquet"
    write_catalog(small_table(n), path)
    return ParquetCatalogue(path, Roles(id="name", ra="ra", dec="dec"))


def small_app(catalogue, options=None):
    app = FastAPI()
    run = SimpleNamespace(catalogue=catalogue)
    app.state.site = Site(runs={"demo": run, "other-run": run}, options=options or SiteOptions())
    for routes in (vo_scs_routes, vo_tap_routes, vo_uws_routes):
        app.include_router(routes.router)
    return app
