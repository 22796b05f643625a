"""Record the answers of archives for the tutorial without network.

.venv/bin/python -m tests.enhance.record_answers

runs fetch and enhance against the local server, whose tables are simulated, and writes what the
server answered to docs/_static/recorded_answers.zip.
"""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

import xbayes
from tests.enhance.bare_list import skies, with_ucds
from tests.enhance.server.archive import Archive, serving
from tests.enhance.server.small_tables import M31
from xbayes.enhance.services import Services

OUT = Path(__file__).parents[2] / "docs/_static/recorded_answers.zip"
CONE = "M31 0.5deg"
N_SOURCES, N_FIELD = 80, 150
REFERENCES = (  # of configs/enhance/xmm.yaml
    *("J/ApJS/221/12/table2", "VII/258/vv10", "I/280B/ascc", "B/cb/lmxbdata", "B/cb/cbdata"),
    *("J/A+A/455/1165/table1", "J/A+A/469/807/table1", "J/A+A/671/A149/table1"),
    *("J/A+A/675/A199/table1", "J/A+A/677/A134/table1", "V/123A/cv"),
)
NOWHERE = {"RAJ2000": [200.0], "DEJ2000": [-60.0]}  # so that a table has a row


def archive_of_m31() -> Archive:
    """A server of all tables and maps that the config xmm names, around M 31."""
    truth, tables = skies(M31, N_SOURCES, N_FIELD)
    sources = tables["IX/69/xmm4d13s"]
    kind = np.asarray(truth["Class"])
    tables |= counterpart_tables(tables["I/355/gaiadr3"], tables["II/328/allwise"])
    tables |= {name: with_ucds(Table(NOWHERE)) for name in REFERENCES}
    agn, stars = np.flatnonzero(kind == "AGN"), np.flatnonzero(kind == "Star")
    for name, rows in (("J/ApJS/221/12/table2", agn[::3]), ("I/280B/ascc", stars[::3])):
        tables[name] = with_ucds(at(sources, rows))
    tables |= detections(sources)
    tables["J/MNRAS/506/1896/hecate"] = Table(
        {"OBJNAME": ["NGC 0224"], "RA": [M31[0]], "DEC": [M31[1]], "R1": [88.9], "R2": [34.6],
         "PA": [35.0], "D": [0.77], "logM_HEC": [10.8], "logSFR_HEC": [-0.4]}
    )  # fmt: skip
    everywhere, south = "0/0-11", "0/8-11"
    mocs = {"CDS/II/349/ps1": everywhere, "CDS/II/371/des_dr2": south}
    return Archive(
        services={"vizier": tables, "simbad": {"basic": simbad(sources, kind)}},
        names={"M31": M31},
        mocs=mocs | {"CDS/J/A+A/682/A34/erass1-m": south},
    )


def at(sources: Table, rows: np.ndarray, names: tuple[str, str] = ("RAJ2000", "DEJ2000")) -> Table:
    """Positions a third of an arcsec from those of the sources."""
    made = Table(masked=True)
    made[names[0]] = np.asarray(sources["RA_ICRS"])[rows]
    made[names[1]] = np.asarray(sources["DE_ICRS"])[rows] + 0.3 / 3600
    return made


def counterpart_tables(gaia: Table, allwise: Table) -> dict[str, Table]:
    """Pan-STARRS, USNO-B1.0 and unWISE list what Gaia and AllWISE list; DES is elsewhere."""
    colour = gaia["BPmag"] - gaia["RPmag"]
    listed = Table(
        {"RAJ2000": gaia["RA_ICRS"], "DEJ2000": gaia["DE_ICRS"], "objID": np.arange(len(gaia)),
         "gmag": gaia["Gmag"] + 0.4 * colour, "rmag": gaia["Gmag"],
         "imag": gaia["Gmag"] - 0.3 * colour}
    )  # fmt: skip
    plates = Table(
        {"RAJ2000": gaia["RA_ICRS"], "DEJ2000": gaia["DE_ICRS"], "R1mag": gaia["Gmag"],
         "B1mag": gaia["Gmag"] + colour}
    )[np.asarray(gaia["Gmag"]) < 19]  # fmt: skip
    unwise = Table({"RAJ2000": allwise["RAJ2000"], "DEJ2000": allwise["DEJ2000"]})
    for n in (1, 2):
        unwise[f"FW{n}"] = 10 ** ((22.5 - allwise[f"W{n}mag"]) / 2.5)
    des = Table({"RA_ICRS": [200.0], "DE_ICRS": [-60.0], "CoadID": [1], "rmag": [20.0]})
    made = {"II/349/ps1": listed, "I/284/out": plates, "II/363/unwise": unwise}
    return {name: with_ucds(table) for name, table in {**made, "II/371/des_dr2": des}.items()}


def detections(sources: Table) -> dict[str, Table]:
    """Some of the sources as Swift and Chandra saw them; eROSITA's half of the sky is the other."""
    rng = np.random.default_rng(2)
    swift = at(sources, np.arange(0, N_SOURCES, 4))
    swift["IAUName"] = [f"2SXPS J{n}" for n in range(len(swift))]
    swift["Err90"], swift["FPCO0"] = 3.0, factor(rng, sources["Flux8"][::4])
    swift["e_FPCO0"] = -0.2 * swift["FPCO0"]
    swift["FixedPowFlux_pos"] = -swift["e_FPCO0"]
    swift["FirstObsDate"], swift["LastObsDate"] = "2008-06-01", "2011-03-01"
    chandra = at(sources, np.arange(1, N_SOURCES, 4), ("RAICRS", "DEICRS"))
    chandra["2CXO"] = [f"2CXO J{n}" for n in range(len(chandra))]
    chandra["r0"], chandra["Fluxb"] = 0.7, factor(rng, sources["Flux8"][1::4])
    chandra["b_Fluxb"] = 0.9 * chandra["Fluxb"]
    chandra["flux_aper_avg_hilim_b"] = 1.1 * chandra["Fluxb"]
    erosita = Table({"RA_ICRS": [200.0], "DE_ICRS": [-60.0], "posErr": [3.0], "MLFlux1": [1e-13],
                     "e_MLFlux1": [1e-14], "IAUName": ["1eRASS J"]})  # fmt: skip
    made = {"IX/58/2sxps": swift, "IX/70/csc21mas": chandra, "J/A+A/682/A34/erass1-m": erosita}
    return {name: with_ucds(table) for name, table in made.items()}


def factor(rng: np.random.Generator, flux: np.ndarray) -> np.ndarray:
    """Fluxes years later."""
    return np.asarray(flux) * 10 ** rng.normal(0, 0.3, len(flux))


def simbad(sources: Table, kind: np.ndarray) -> Table:
    """SIMBAD knows every second source, and one object that does not fit its reference."""
    rows = np.arange(0, len(kind), 2)
    table = at(sources, rows, ("ra", "dec"))
    table["main_id"] = [f"simulated {n}" for n in rows]
    table["otype"] = np.where(kind[rows] == "AGN", "QSO", "*")
    other = at(sources, np.flatnonzero(kind == "AGN")[3:4], ("ra", "dec"))
    other["main_id"], other["otype"] = ["simulated star"], ["*"]
    return vstack([table, other])


def main() -> None:
    """Write the zip file."""
    with tempfile.TemporaryDirectory() as name, serving(archive_of_m31()) as archive:
        folder = Path(name) / "answers"
        field = xbayes.fetch("4xmm", cone=CONE, cache=folder, endpoints=archive.endpoints)
        services = Services(cache=folder, endpoints=archive.endpoints)
        xbayes.enhance(field, "xmm", cache=Path(name) / "steps", services=services)
        with zipfile.ZipFile(OUT, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*.*")):
                packed.write(path, path.relative_to(folder))
        print(f"{len(list(folder.rglob('*.json')))} answers, {OUT.stat().st_size:,} bytes: {OUT}")


if __name__ == "__main__":
    main()
