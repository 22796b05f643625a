"""Small spectra and light curves in FITS, as OGIP defines them; the tests write them."""

import numpy as np
from astropy.io import fits

XMM = {"TELESCOP": "XMM", "INSTRUME": "EPN"}


def table(name, columns, header):
    """A table from arrays by name."""
    kinds = {"f": "D", "i": "J"}
    made = [
        fits.Column(name=key, format=kinds[np.asarray(values).dtype.kind], array=values)
        for key, values in columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header.update(header)
    return hdu


def write(path, *hdus):
    """A file of these tables; the ending .gz packs it."""
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def spectrum(path, counts, more=None, *others, **header):
    """A PHA spectrum of 1000 s with further columns and tables."""
    counts = np.asarray(counts)
    columns = {"CHANNEL": np.arange(len(counts)), "COUNTS": counts, **(more or {})}
    keys = XMM | {"EXPOSURE": 1000.0, "BACKSCAL": 100.0, "AREASCAL": 1.0} | header
    return write(path, table("SPECTRUM", columns, keys), *others)


def ebounds(n, width=0.5):
    """The energies of n channels of equal width in keV."""
    low = 0.5 + width * np.arange(n)
    return table("EBOUNDS", {"CHANNEL": np.arange(n), "E_MIN": low, "E_MAX": low + width}, {})


def light_curve(path, columns, *others, **header):
    """A light curve with a bin every 100 s, from 50 s on."""
    n = len(next(iter(columns.values())))
    keys = XMM | {"TIMEDEL": 100.0, "MJDREF": 50814.0, "TIMESYS": "TT"} | header
    table_ = table("RATE", {"TIME": 50.0 + 100.0 * np.arange(n), **columns}, keys)
    return write(path, table_, *others)
