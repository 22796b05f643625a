"""Small tables of invented sources, under the names that the archives give them."""

import numpy as np
from astropy.table import Table

from tests.enhance.server.xray_tables import chandra_tables, xray_tables

M31 = (10.6847083, 41.26875)


def small_archive() -> dict:
    """The tables of each service, and the names that Sesame knows."""
    return {
        "services": {
            "vizier": {"I/355/gaiadr3": stars(), **xray_tables()},
            "simbad": {"basic": simbad()},
            "csc21": chandra_tables(),
        },
        "names": {"M31": M31},
    }


def stars(n: int = 60, seed: int = 3) -> Table:
    """Stars near M31; those with an even number have an object of SIMBAD within 0.5 arcsec."""
    rng = np.random.default_rng(seed)
    table = Table(masked=True)
    table["Source"] = np.arange(n, dtype=np.int64) + 3_000_000_000_000_000_000
    table["RA_ICRS"] = M31[0] + rng.uniform(-0.4, 0.4, n)
    table["DE_ICRS"] = M31[1] + rng.uniform(-0.4, 0.4, n)
    table["Gmag"] = rng.uniform(12, 20, n).astype(np.float32)
    table["RA_ICRS"].unit = table["DE_ICRS"].unit = "deg"
    table["RA_ICRS"].meta["ucd"] = "pos.eq.ra;meta.main"
    table["DE_ICRS"].meta["ucd"] = "pos.eq.dec;meta.main"
    table["Gmag"].unit = "mag"
    table["Gmag"].mask = np.arange(n) % 7 == 0
    return table


def simbad() -> Table:
    """Objects of SIMBAD at the stars with even numbers, and one without a position."""
    at = stars()[::2]
    table = Table(masked=True)
    table["main_id"] = [f"Gaia DR3 {name}" for name in at["Source"]] + ["nowhere"]
    table["otype"] = ["*", "AGN", "HXB"] * (len(at) // 3) + ["X"]
    table["ra"] = np.append(at["RA_ICRS"], 0.0)
    table["dec"] = np.append(at["DE_ICRS"] + 0.5 / 3600, 0.0)
    for name in ("ra", "dec"):
        table[name].mask[-1] = True
        table[name].unit = "deg"
    return table
