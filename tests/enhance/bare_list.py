"""A simulated field of X-ray sources, and the tables that archives have of it.

The three commands fetch, enhance and classify run on it, and so does the tutorial without network.
"""

import numpy as np
from astropy.table import MaskedColumn, Table

import xbayes

BANDS = ("Jmag", "Hmag", "Kmag")
SIDE = 0.3  # half of the side of the field, degrees


def skies(
    place: tuple[float, float], n_sources: int = 150, n_field: int = 400
) -> tuple[Table, dict[str, Table]]:
    """The simulated sources in a field around the place, and the tables of the archives."""
    truth = xbayes.simulate(n=4000, seed=7)
    truth = truth[np.isin(truth["Class"], ["AGN", "Star"])][:n_sources]
    rng = np.random.default_rng(1)
    ra = place[0] + rng.uniform(-SIDE, SIDE, n_sources)
    dec = place[1] + rng.uniform(-SIDE, SIDE, n_sources)
    soft, medium, hard = (np.asarray(truth[f"flux_{b}"]) for b in ("soft", "medium", "hard"))
    flux = {"Flux2": soft * 0.9, "Flux3": medium + soft * 0.1, "Flux4": hard * 0.6}
    flux["Flux5"] = hard * 0.4 / 0.414
    flux["Flux8"] = soft + medium + hard
    xmm = Table({"4XMM": [f"J{n:04d}" for n in range(n_sources)]}, masked=True)
    xmm["RA_ICRS"] = ra + rng.normal(0, 0.4, n_sources) / 3600
    xmm["DE_ICRS"] = dec + rng.normal(0, 0.4, n_sources) / 3600
    xmm["ePos"] = MaskedColumn(np.full(n_sources, 0.8), unit="arcsec")
    for name, values in flux.items():
        xmm[name] = MaskedColumn(values, unit="mW / m2")
    xmm["e_Flux8"] = MaskedColumn(0.1 * flux["Flux8"], unit="mW / m2")
    xmm["MJD0"], xmm["MJD1"] = 55000.0, 56000.0
    tables = {"IX/69/xmm4d13s": with_ucds(xmm)}
    names = {
        "I/355/gaiadr3": ("RA_ICRS", "DE_ICRS", {"Gmag": "g_mag"}),
        "II/246/out": ("RAJ2000", "DEJ2000", {b: f"{b[0].lower()}_mag" for b in BANDS}),
        "II/328/allwise": ("RAJ2000", "DEJ2000", {f"W{n}mag": f"w{n}_mag" for n in (1, 2, 3)}),
    }
    for name, (ra_name, dec_name, bands) in names.items():
        first = next(iter(bands.values()))
        listed = np.flatnonzero(~np.ma.getmaskarray(truth[first]))
        field = [place[k] + rng.uniform(-SIDE, SIDE, n_field) for k in (0, 1)]
        table = Table(masked=True)
        table[ra_name] = np.concatenate([ra[listed], field[0]])
        table[dec_name] = np.concatenate([dec[listed], field[1]])
        for column, band in bands.items():
            values = np.ma.asarray(truth[band])[listed]
            table[column] = np.ma.concatenate([values, np.ma.array(rng.uniform(18, 20, n_field))])
        if name == "I/355/gaiadr3":
            n = len(table)
            table["Source"] = np.arange(n) + 3_000_000_000_000_000_000
            colour = np.ma.concatenate([np.ma.asarray(truth["bp_rp"])[listed], np.ones(n_field)])
            table["BPmag"], table["RPmag"] = table["Gmag"] + colour / 2, table["Gmag"] - colour / 2
            snr = np.ma.asarray(truth["parallax_snr"])[listed]
            table["RPlx"] = np.ma.concatenate([snr, np.ones(n_field)])
            motion = np.ma.asarray(truth["pm"])[listed].filled(0.0)
            table["pmRA"] = np.concatenate([motion, np.zeros(n_field)])
            table["pmDE"] = np.zeros(n)
            distance = np.ma.asarray(truth["distance"])[listed].filled(1000.0)
            distances = table["Source", ra_name, dec_name]
            for column in ("rgeo", "b_rgeo", "B_rgeo"):
                distances[column] = np.concatenate([distance, np.full(n_field, 1000.0)])
            tables["I/352/gedr3dis"] = distances
        tables[name] = with_ucds(table)
    return truth, tables


def with_ucds(table: Table) -> Table:
    """The table, whose columns of positions say what they are."""
    for ra, dec in (("RA_ICRS", "DE_ICRS"), ("RAJ2000", "DEJ2000"), ("RAICRS", "DEICRS")):
        if ra in table.colnames:
            for name, axis in ((ra, "ra"), (dec, "dec")):
                table[name].unit = "deg"
                table[name].meta["ucd"] = f"pos.eq.{axis};meta.main"
    return table
