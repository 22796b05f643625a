"""Damaged files of every format: each is read, or refused with an InputError, within seconds.

Not collected by pytest; run by hand:

    python -m tests.catalog.fuzz_readers --minutes 15 --keep /tmp/finds

A find is a file for which a reader raised another error, took longer than LIMIT, warned by another
class than the readers use, gave other values on a second read or in a stream, or gave something
that cannot be written and classified: names that repeat, or a mask of another shape. Finds become
tests in `test_fuzz_finds.py`.
"""

import argparse
import gzip
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from xbayes.catalog.read import open_chunks, read_catalog
from xbayes.catalog.write import write_catalog
from xbayes.errors import InputError, XbayesWarning
from xbayes.simulate.catalog import simulate_catalog

ENDINGS = (".fits", ".fits.gz", ".vot", ".ecsv", ".csv", ".parquet")
LIMIT = 20  # seconds
REFUSED = "refused"  # as it should be
LARGE = b"99999999999 -1 2147483648 NaN 1e400 0 '' ? * 9223372036854775808 0x1 \xff \xc3".split()
WORDS = {
    ".fits": b"NAXIS1 NAXIS2 TFORM1 TFORM2 TTYPE1 TDIM2 TNULL1 TZERO2 TSCAL1 PCOUNT THEAP 1PJ 0A "
    b"3X BITPIX TFIELDS EXTNAME END 1QD A 7D TUNIT1 NAN".split(),
    ".vot": b'<TD> </TD> <TR> <FIELD datatype="bit" arraysize="*" arraysize="1" null="-1" '
    b'&amp; &x; <![CDATA[ <BINARY2> </TABLE> <TABLE> name="a" ID="a" xmlns ref="a"'.split(),
    ".ecsv": b"# %ECSV 1.0 datatype: subtype: - {name: float64 int64 string object delimiter: ',' "
    b'__serialized_columns__ !!python/object "" -'.split(),
    ".csv": b'# , " "" \n \r\n ; -- NaN inf 007 1e5 \t \xef\xbb\xbf true null'.split(b" "),
    ".parquet": [b"PAR1", b"\x15\x04", b"\0\0", b"\xff\xff\xff\xff", b"xbayes", b"ARROW:schema"],
}


def real_files(folder: Path) -> dict[str, list[bytes]]:
    """Valid files of each format, from simulated sources and with columns of every kind."""
    sky = simulate_catalog(40, seed=1)
    sky["gaia"] = MaskedColumn(np.arange(40) + 5853498713190525697, mask=np.arange(40) % 3 == 0)
    sky["big"] = np.full(40, 2**64 - 1, "u8")
    sky["vector"] = np.ones((40, 3))
    sky["flag"] = np.arange(40) % 2 == 0
    files: dict[str, list[bytes]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for ending in ENDINGS:
            write_catalog(sky, folder / f"real{ending}")
            files[ending] = [(folder / f"real{ending}").read_bytes()]
        files[".fits"].append(_other_fits(folder))
        for form, ending in (("votable", ".vot"), ("ascii.ecsv", ".ecsv"), ("parquet", ".parquet")):
            plain = sky["name", "ra", "gaia", "flag"][:9]
            plain.write(folder / f"astropy{ending}", format=form)
            files[ending].append((folder / f"astropy{ending}").read_bytes())
    return files


def _other_fits(folder: Path) -> bytes:
    ragged = np.empty(5, object)
    ragged[:] = [np.arange(n) for n in range(5)]
    columns = [
        fits.Column("id", "K", array=np.arange(5), null=3),
        fits.Column("x", "E", array=np.arange(5.0)),
        fits.Column("bits", "9X", array=np.ones((5, 9), bool)),
        fits.Column("ragged", "PJ()", array=ragged),
        fits.Column("z", "2M", array=np.ones((5, 2), complex)),
        fits.Column("text", "4A", array=["a", "b", "", "d", "e"]),
    ]
    text = fits.TableHDU.from_columns([fits.Column("n", "I5", ascii=True, array=np.arange(3))])
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns), text]
    fits.HDUList(hdus).writeto(folder / "other.fits")
    return (folder / "other.fits").read_bytes()


def damaged(rng: random.Random, data: bytes, ending: str) -> bytes:
    """The file after a few random changes."""
    zipped = ending.endswith(".gz") and rng.random() < 0.7
    data = gzip.decompress(data) if zipped else data
    for _ in range(rng.choice((1, 1, 2, 5))):
        data = rng.choice((_cut, _flip, _word, _double, _leave_out, _noise))(rng, data, ending)
    return gzip.compress(data, 1) if zipped else data


def _cut(rng: random.Random, data: bytes, _: str) -> bytes:
    return data[: _place(rng, data)]


def _flip(rng: random.Random, data: bytes, _: str) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 20))):
        if changed:
            changed[_place(rng, data) % len(changed)] = rng.randrange(256)
    return bytes(changed)


def _word(rng: random.Random, data: bytes, ending: str) -> bytes:
    """A word of the format over or between the bytes; in FITS over them, for cards have a place."""
    word = rng.choice((*WORDS[ending.removesuffix(".gz")], *LARGE))
    at = _place(rng, data)
    over = ending.startswith(".fits") or rng.random() < 0.5
    return data[:at] + word + data[at + (len(word) if over else 0) :]


def _double(rng: random.Random, data: bytes, _: str) -> bytes:
    start, length = _place(rng, data), rng.choice((1, 8, 80, 2880))
    return data[: start + length] + data[start:]


def _leave_out(rng: random.Random, data: bytes, _: str) -> bytes:
    start = _place(rng, data)
    return data[:start] + data[start + rng.choice((1, 8, 80, 2880)) :]


def _noise(rng: random.Random, data: bytes, _: str) -> bytes:
    if rng.random() < 0.9:
        start = _place(rng, data)
        return data[:start] + rng.randbytes(50) + data[start + 50 :]
    return data[:9] + rng.randbytes(rng.randrange(3000))


def _place(rng: random.Random, data: bytes) -> int:
    """A place in the file, mostly in the header, and in Parquet also in the footer."""
    part = rng.random()
    if part < 0.5:
        return rng.randrange(min(len(data), 9000) + 1)
    return rng.randrange(max(len(data) - 4000, 0) if part < 0.7 else 0, len(data) + 1)


def fault_of(path: Path) -> str | None:
    """What is wrong with the way the file is read; None or REFUSED if nothing is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table = read_catalog(path, numbers=["ra"] if path.stem.endswith("known") else None)
            again = read_catalog(path, numbers=["ra"] if path.stem.endswith("known") else None)
            streamed = [] if path.suffix != ".parquet" else list(open_chunks(path, 7).read(None))
        except InputError as error:
            # A message is one line for the user, not the whole file.
            long = len(str(error)) > 3000
            return "a message of many lines or letters" if long else REFUSED
        except _TooLong:
            return f"took more than {LIMIT} s"
        except Exception:
            return traceback.format_exc()
    other = [
        w for w in caught if w.category is not XbayesWarning and "has no end" not in str(w.message)
    ]
    if other:
        return f"warned by {other[0].category.__name__}: {other[0].message}"
    if len(set(table.colnames)) < len(table.colnames) or not all(map(str.strip, table.colnames)):
        return f"names {table.colnames}"
    if any(chunk.colnames != table.colnames for chunk in streamed):
        return f"a stream has the columns {streamed[0].colnames}, one piece {table.colnames}"
    for name in table.colnames:
        if np.ma.getmaskarray(table[name]).shape != table[name].shape:
            return f"mask of {name!r} has another shape"
        if _cells(table, name) != _cells(again, name):
            return f"{name!r} was read differently a second time"
        if streamed and table[name].dtype.kind != "O":
            kinds = {chunk[name].dtype.kind for chunk in streamed}
            if kinds != {table[name].dtype.kind}:
                return f"{name!r} has types {kinds} in a stream, {table[name].dtype} in one piece"
    return None


def _cells(table: Table, name: str) -> str:
    return repr(table[name].tolist())


class _TooLong(BaseException):
    """Raised where a reader takes too long; not an Exception, which a reader would catch."""


def _stop(*_: object) -> None:
    raise _TooLong


def main() -> None:
    """Damage files until the time is over, and keep those that make a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "xbayes-finds")
    given = parser.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**9)
    print(f"seed {seed}; finds go to {given.keep}", flush=True)
    rng, tried, refused, faults = random.Random(seed), Counter(), Counter(), Counter()
    signal.signal(signal.SIGALRM, _stop)
    with tempfile.TemporaryDirectory() as folder:
        files = real_files(Path(folder))
        end = time.monotonic() + 60 * given.minutes
        while time.monotonic() < end:
            ending = rng.choice(ENDINGS)
            known = rng.choice(("", "known"))
            path = Path(folder) / f"damaged{known}{ending}"
            path.write_bytes(damaged(rng, rng.choice(files[ending]), ending))
            signal.alarm(LIMIT)
            fault = fault_of(path)
            signal.alarm(0)
            tried[ending] += 1
            refused[ending] += fault == REFUSED
            if fault not in (None, REFUSED):
                last = fault.strip().splitlines()[-1][:150]
                faults[f"{ending}: {last}"] += 1
                if faults[f"{ending}: {last}"] <= 3:
                    kept = given.keep / f"{seed}-{sum(tried.values())}{ending}"
                    kept.write_bytes(path.read_bytes())
                    print(f"{kept}\n{fault}", flush=True)
    print(
        f"tried {dict(tried)}; refused {dict(refused)}; faults: {dict(faults) or 'none'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
