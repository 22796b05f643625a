"""Makes the fixture of test_nway.py with NWAY, an optional program that is no dependency of xbayes.

    python3.11 -m venv /tmp/nway && /tmp/nway/bin/pip install nway==4.8.0
    /tmp/nway/bin/python tests/enhance/nway/make_fixture.py /tmp/nway/bin

Draws 300 sources and two catalogues at random (no real position), runs `nway.py` on them and keeps
those of the first 120 sources: nway.json. The cases: one catalogue; two; two with the prior of
NWAY's own histogram of a magnitude (`--mag auto`); two with NWAY's correction for unrelated
associations.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

SIDE = 0.35  # degrees
RADIUS = 6.0  # arcsec
KEPT = 120  # sources
COMPLETENESS = "0.9:0.8"


def main() -> None:
    """Write nway.json beside this file."""
    rng = np.random.default_rng(20)
    tables = draw(rng)
    here = Path(tempfile.mkdtemp())
    for name, table in tables.items():
        hdu = fits.BinTableHDU(table, name=name)
        hdu.header["SKYAREA"] = SIDE**2
        hdu.writeto(here / f"{name}.fits")
    one, two = ["A.fits", ":err"], ["A.fits", ":err", "B.fits", ":err"]
    apart = "--ignore-unrelated-associations"
    cases = {
        "one": run(here, [*one], "0.9"),
        "two": run(here, [apart, *two], COMPLETENESS),
        "magnitude": run(here, [apart, "--mag", "A:mag", "auto", *two], COMPLETENESS),
        "corrected": run(here, [*two], COMPLETENESS),
    }
    made = {
        "provenance": {
            "program": "nway 4.8.0 (https://github.com/JohannesBuchner/nway), AGPL",
            "made by": "tests/enhance/nway/make_fixture.py",
        },
        "area_deg2": SIDE**2,
        "radius_arcsec": RADIUS,
        "completeness": [0.9, 0.8],
        "rows": {name: len(table) for name, table in tables.items()},
        "tables": {name: near(table, tables["X"]) for name, table in tables.items()},
        "histogram": np.loadtxt(here / "A_mag_fit.txt").tolist(),
        "cases": cases,
    }
    text = json.dumps(made, separators=(",", ":")).replace("},", "},\n")
    Path(__file__).with_name("nway.json").write_text(text + "\n")


def draw(rng: np.random.Generator) -> dict[str, Table]:
    """Sources X, of which many have counterparts in A and B, which share field objects."""
    number = 300

    def places(size: int) -> np.ndarray:
        return np.stack([150 + rng.uniform(0, SIDE, size), rng.uniform(0, SIDE, size)], 1)

    def table(at: np.ndarray, error: np.ndarray) -> Table:
        moved = at + rng.normal(0, 1, at.shape) * error[:, None] / 3600
        columns = {"ra": moved[:, 0].round(7), "dec": moved[:, 1].round(7), "err": error.round(4)}
        return Table({"ID": np.arange(len(at)), **columns})

    truth, field = places(number), places(3000)
    tables = {"X": table(truth, rng.uniform(0.5, 1.5, number))}
    for name, listed, error in (("A", 0.85, 0.1), ("B", 0.7, 0.3)):
        own = truth[rng.random(number) < listed]
        others = field if name == "A" else np.concatenate([field[:1000], places(1500)])
        at = np.concatenate([own, others])
        tables[name] = table(at, rng.uniform(0.5, 1.5, len(at)) * error)
        # Counterparts are brighter than the field.
        faintest = np.where(np.arange(len(at)) < len(own), 20.0, 24.0)
        tables[name]["mag"] = rng.uniform(14, faintest).round(3)
    return tables


def near(table: Table, sources: Table) -> dict[str, list]:
    """The rows around the sources that are kept, with their numbers."""
    first = sources[:KEPT]
    apart = np.hypot(
        table["ra"][:, None] - first["ra"][None], table["dec"][:, None] - first["dec"][None]
    )
    kept = (apart < 1.2 * RADIUS / 3600).any(1)
    if table is sources:
        kept[KEPT:] = False
    rows = np.flatnonzero(kept)
    return {name: table[name][rows].tolist() for name in table.colnames}


def run(folder: Path, options: list[str], completeness: str) -> dict[str, list]:
    """The rows of NWAY's output: the hypotheses on each source, 'none' without members."""
    out = folder / "out.fits"
    out.unlink(missing_ok=True)
    command = [str(Path(sys.argv[1]) / "nway.py"), "--radius", str(RADIUS), "--out", str(out)]
    command += ["--prior-completeness", completeness, *options[: _first_file(options)], "X.fits"]
    subprocess.run(
        [sys.argv[1] + "/python", *command, ":err", *options[_first_file(options) :]],
        cwd=folder, check=True,
    )  # fmt: skip
    found = Table.read(out)
    found = found[found["X_ID"] < KEPT]
    kept = {"source": np.asarray(found["X_ID"])}
    for name in "AB":
        if f"{name}_ID" in found.colnames:
            kept[name] = np.asarray(np.ma.filled(found[f"{name}_ID"], -99))
    for name in ("dist_bayesfactor", "p_any", "p_i"):
        kept[name] = np.round(np.asarray(found[name], float), 6)
    return {name: values.tolist() for name, values in kept.items()}


def _first_file(options: list[str]) -> int:
    return next(i for i, text in enumerate(options) if text.endswith(".fits"))


if __name__ == "__main__":
    main()
