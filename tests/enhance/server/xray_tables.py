"""Invented X-ray catalogues, under the names that VizieR and the Chandra archive give them."""

import numpy as np
from astropy.table import MaskedColumn, Table

N_SOURCES, N_NOWHERE = 300, 3


def positions(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions all over the sky, a third of them near M31, some at a pole and at 0 h."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    ra[: n // 3] = 10.68 + rng.normal(0, 0.4, n // 3)
    dec[: n // 3] = 41.27 + rng.normal(0, 0.3, n // 3)
    ra[-10:], dec[-10:] = rng.uniform(0, 360, 10), rng.uniform(89.5, 90, 10)
    ra[-20:-10], dec[-20:-10] = rng.uniform(-0.2, 0.2, 10) % 360, rng.uniform(-0.2, 0.2, 10)
    return ra, dec


def _column(table: Table, name: str, values, unit: str | None = None, ucd: str = "") -> None:
    table[name] = MaskedColumn(values, unit=unit, meta={"ucd": ucd} if ucd else {})


def xray_catalogue(
    name: str, ra: str, dec: str, fluxes: dict[str, str], error: str, seed: int
) -> Table:
    """A catalogue with a name, a position, its error and fluxes; three rows have no position."""
    rng = np.random.default_rng(seed)
    where = positions(N_SOURCES, seed)
    table = Table(masked=True)
    texts = [f"X J{number:05d}" for number in range(N_SOURCES)]
    _column(table, name, texts, ucd="meta.id;meta.main")
    _column(table, ra, where[0], "deg", "pos.eq.ra;meta.main")
    _column(table, dec, where[1], "deg", "pos.eq.dec;meta.main")
    _column(table, error, rng.uniform(0.5, 2, N_SOURCES), "arcsec", "stat.error;pos")
    for flux, unit in fluxes.items():
        _column(table, flux, 10 ** rng.normal(-14, 0.5, N_SOURCES), unit, "phot.flux;em.X-ray")
        table[flux].mask = rng.random(N_SOURCES) < 0.1
    for axis in (ra, dec):
        table[axis].mask[30 : 30 + N_NOWHERE] = True
    table["recno"] = np.arange(1, N_SOURCES + 1)
    return table


def xray_tables() -> dict[str, Table]:
    """The catalogues that xbayes fetches from VizieR."""
    watts = "mW / m2"  # as VizieR writes erg/s/cm2
    return {
        "IX/69/xmm4d13s": xray_catalogue(
            "4XMM", "RA_ICRS", "DE_ICRS", {"Flux8": watts, "Flux1": watts}, "ePos", 1
        ),
        "IX/58/2sxps": xray_catalogue(
            "IAUName", "RAJ2000", "DEJ2000", {"FPCO0": watts}, "Err90", 2
        ),
        "J/A+A/682/A34/erass1-m": xray_catalogue(
            "IAUName", "RA_ICRS", "DE_ICRS", {"MLFlux1": watts}, "posErr", 3
        ),
        "J/A+A/657/A138/table7": xray_catalogue(
            "Name", "RAJ2000", "DEJ2000", {"Flux": watts}, "ePos", 4
        ),
    }


def chandra_tables(n: int = 60) -> dict[str, Table]:
    """Sources, each with two detections, in the five tables of the Chandra Source Catalog."""
    rng = np.random.default_rng(5)
    ra, dec = positions(n, 5)
    names = np.array([f"2CXO J{number:06d}" for number in range(n)])
    source = Table(masked=True)
    source["name"] = names
    for name, values in (("ra", ra), ("dec", dec)):
        _column(source, name, values, "deg", f"pos.eq.{name};meta.main")
    for name in ("err_ellipse_r0", "err_ellipse_r1"):
        _column(source, name, rng.uniform(0.3, 1, n), "arcsec")
    for name in ("err_ellipse_ang", "extent_flag", "conf_flag", "var_inter_prob_b",
                 "var_inter_sigma_b"):  # fmt: skip
        source[name] = rng.random(n)
    stack = np.array([f"acisfJ{number // 10:03d}" for number in range(n)])
    region = np.arange(n)
    joined = {"detect_stack_id": stack, "region_id": region}
    detection = _detections(region, rng)
    observed = Table({name: detection[name] for name in ("obsid", "obi", "region_id")})
    observed["detect_stack_id"] = np.repeat(stack, 2)
    return {
        "csc21.master_source": source,
        "csc21.master_stack_assoc": Table({"name": names, "match_type": ["u"] * n, **joined}),
        "csc21.stack_source": Table(joined),
        "csc21.stack_observation_assoc": observed,
        "csc21.observation_source": detection,
    }


def _detections(region: np.ndarray, rng: np.random.Generator) -> Table:
    """Two detections of each source; some are faint, and some lack a spectral fit."""
    n = 2 * len(region)
    table = Table(masked=True)
    table["obsid"] = np.tile([101, 202], len(region))
    table["obi"] = 0
    table["region_id"] = np.repeat(region, 2)
    table["instrument"] = ["ACIS"] * n
    ends = ("", "_lolim", "_hilim")
    columns = [
        *("theta", "gti_mjd_obs", "flux_significance_b", "powlaw_nh", "powlaw_stat", "bb_nh"),
        *("bb_stat", "flux_aper_b", "flux_aper_lolim_b", "flux_aper_hilim_b", "flux_aper_s"),
        *("flux_aper_m", "flux_aper_h", "var_min_b", "var_max_b"),
        *(f"{name}{end}" for name in ("hard_hm", "hard_hs", "hard_ms", "powlaw_gamma", "bb_kt")
          for end in ends),
        *(f"var_{name}_{band}" for name in ("prob", "mean", "sigma") for band in "bhs"),
    ]  # fmt: skip
    for name in columns:
        table[name] = MaskedColumn(rng.uniform(0.1, 1, n))
    table["flux_significance_b"] = rng.uniform(3, 12, n)
    table["var_mean_b"][::11] = 0.0
    table["powlaw_gamma"].mask = rng.random(n) < 0.1
    table["bb_kt"].mask = rng.random(n) < 0.1
    return table
