"""The three commands of the README against the local archives. Slow tier: they take seconds."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

import xbayes
from xbayes.catalog.read import read_catalog
from xbayes.enhance.services import ENDPOINTS

PLACE = (10.68, 41.27)
N_SOURCES, N_FIELD = 150, 400


def skies() -> tuple[Table, dict[str, Table]]:
    """Simulated sources in a field of half a degree, and the tables of the archives."""
    truth = xbayes.simulate(n=4000, seed=7)
    truth = truth[np.isin(truth["Class"], ["AGN", "Star"])][:N_SOURCES]
    rng = np.random.default_rng(1)
    ra = PLACE[0] + rng.uniform(-0.3, 0.3, N_SOURCES)
    dec = PLACE[1] + rng.uniform(-0.3, 0.3, N_SOURCES)
    error = np.full(N_SOURCES, 0.8)
    soft, medium, hard = (np.asarray(truth[f"flux_{b}"]) for b in ("soft", "medium", "hard"))
    flux = {"Flux2": soft * 0.9, "Flux3": medium + soft * 0.1, "Flux4": hard * 0.6}
    flux["Flux5"] = hard * 0.4 / 0.414
    flux["Flux8"] = soft + medium + hard
    xmm = Table({"4XMM": [f"J{n:04d}" for n in range(N_SOURCES)]}, masked=True)
    xmm["RA_ICRS"] = MaskedColumn(ra + rng.normal(0, 0.4, N_SOURCES) / 3600, unit="deg")
    xmm["DE_ICRS"] = MaskedColumn(dec + rng.normal(0, 0.4, N_SOURCES) / 3600, unit="deg")
    xmm["RA_ICRS"].meta["ucd"], xmm["DE_ICRS"].meta["ucd"] = (
        f"pos.eq.{axis};meta.main" for axis in ("ra", "dec")
    )
    xmm["ePos"] = MaskedColumn(error, unit="arcsec")
    for name, values in flux.items():
        xmm[name] = MaskedColumn(values, unit="mW / m2")
    tables = {"IX/69/xmm4d13s": xmm}
    names = {
        "I/355/gaiadr3": ("RA_ICRS", "DE_ICRS", {"Gmag": "g_mag"}),
        "II/246/out": ("RAJ2000", "DEJ2000", {b: f"{b[0].lower()}_mag" for b in BANDS}),
        "II/328/allwise": ("RAJ2000", "DEJ2000", {f"W{n}mag": f"w{n}_mag" for n in (1, 2, 3)}),
    }
    for name, (ra_name, dec_name, bands) in names.items():
        first = next(iter(bands.values()))
        listed = np.flatnonzero(~np.ma.getmaskarray(truth[first]))
        field = [PLACE[k] + rng.uniform(-0.3, 0.3, N_FIELD) for k in (0, 1)]
        table = Table(masked=True)
        table[ra_name] = MaskedColumn(np.concatenate([ra[listed], field[0]]), unit="deg")
        table[dec_name] = MaskedColumn(np.concatenate([dec[listed], field[1]]), unit="deg")
        for column, band in bands.items():
            values = np.ma.asarray(truth[band])[listed]
            table[column] = np.ma.concatenate([values, np.ma.array(rng.uniform(18, 20, N_FIELD))])
        if name == "I/355/gaiadr3":
            n = len(table)
            table["Source"] = np.arange(n) + 3_000_000_000_000_000_000
            colour = np.ma.concatenate([np.ma.asarray(truth["bp_rp"])[listed], np.ones(N_FIELD)])
            table["BPmag"], table["RPmag"] = table["Gmag"] + colour / 2, table["Gmag"] - colour / 2
            snr = np.ma.asarray(truth["parallax_snr"])[listed]
            table["RPlx"] = np.ma.concatenate([snr, np.ones(N_FIELD)])
            motion = np.ma.asarray(truth["pm"])[listed].filled(0.0)
            table["pmRA"] = np.concatenate([motion, np.zeros(N_FIELD)])
            table["pmDE"] = np.zeros(n)
            tables["I/352/gedr3dis"] = Table(
                {"Source": table["Source"], ra_name: table[ra_name], dec_name: table[dec_name],
                 "rgeo": np.concatenate([np.ma.asarray(truth["distance"])[listed].filled(1000.0),
                                         np.full(N_FIELD, 1000.0)])}
            )  # fmt: skip
        tables[name] = table
    return truth, tables


BANDS = ("Jmag", "Hmag", "Kmag")


@pytest.mark.slow
def test_fetch_enhance_classify(archive, tmp_path, monkeypatch, exit_code, capsys):
    truth, archive.services["vizier"] = skies()
    for name, address in archive.endpoints.items():
        monkeypatch.setitem(ENDPOINTS, name, address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    cone = f"{PLACE[0]} {PLACE[1]} 0.5"
    assert exit_code("fetch", "4xmm", "--cone", cone, "--out", "field.fits") == 0
    # The local TAP service knows no columns that differ by case only, the cross-match does.
    distances = archive.services["vizier"]["I/352/gedr3dis"]
    for name in ("b_rgeo", "B_rgeo"):
        distances[name] = distances["rgeo"]
    steps = ("identifications", "coverage", "variability", "hosts", "column_density")
    without = [word for step in steps for word in ("--set", f"{step}=null")]
    few = ("--set", "counterparts.catalogues=[gaia, twomass, allwise]")
    assert exit_code(
        "enhance", "field.fits", "--config", "xmm", "--out", "rich.fits", *without, *few
    ) == 0, capsys.readouterr().err  # fmt: skip
    capsys.readouterr()
    assert exit_code("classify", "xmm", "rich.fits", "--out", "classified.fits") == 0
    made = read_catalog(tmp_path / "classified.fits")
    order = np.array([int(name[1:]) for name in made["4XMM"]])
    right = np.asarray(made["prediction"]) == np.asarray(truth["Class"])[order]
    assert len(made) == N_SOURCES
    # The simulated population is not that of the training sources, so some are wrong.
    assert right.mean() > 0.75
    assert np.asarray(made["p_Star"])[np.asarray(truth["Class"])[order] == "Star"].mean() > 0.6
