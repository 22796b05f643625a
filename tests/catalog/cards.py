"""Files as other programs write them, made by hand, because astropy refuses to write them."""

import gzip

import numpy as np
from astropy.io import fits
from astropy.table import Table

from xbayes.catalog.write import write_catalog


def table_with_cards(path, cards, columns):
    """A FITS table of doubles 0, 1, 2 with other header cards; zero width takes no bytes."""
    width = {name: 8 for name in columns}
    for index, name in enumerate(columns, start=1):
        if cards.get(f"TFORM{index}", "D").startswith("0"):
            width[name] = 0
    header = fits.Header(
        [("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", sum(width.values()))]
    )
    header["NAXIS2"], header["PCOUNT"], header["GCOUNT"] = 3, 0, 1
    header["TFIELDS"] = len(columns)
    for index, name in enumerate(columns, start=1):
        header[f"TTYPE{index}"] = cards.get(f"TTYPE{index}", name)
        header[f"TFORM{index}"] = cards.get(f"TFORM{index}", "D")
    rows = np.repeat(np.arange(3.0), sum(width.values()) // 8).astype(">f8").tobytes()
    primary = fits.PrimaryHDU().header.tostring(padding=True).encode()
    padding = b"\0" * (-len(rows) % 2880)
    path.write_bytes(primary + header.tostring(padding=True).encode() + rows + padding)


def votable(fields, rows, name="T"):
    """The bytes of a VOTable of one table; fields are XML attributes, cells are text."""
    return votables({name: (fields, rows)})


def votables(tables):
    """The bytes of a VOTable of several tables by name."""
    text = "".join(_table(name, *table) for name, table in tables.items())
    start = '<?xml version="1.0" encoding="UTF-8"?><VOTABLE version="1.3" '
    start += 'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
    return f"{start}{text}</RESOURCE></VOTABLE>".encode()


def _table(name, fields, rows):
    heads = "".join(f"<FIELD {field}/>" for field in fields)
    cells = ("".join(f"<TD>{cell}</TD>" for cell in row) for row in rows)
    body = "".join(f"<TR>{row}</TR>" for row in cells)
    return f'<TABLE name="{name}">{heads}<DATA><TABLEDATA>{body}</TABLEDATA></DATA></TABLE>'


def renamed(folder):
    """The same table in every format, under all endings that are in use."""
    usual = {
        ".fits": [".fit", ".fts", ".FITS"],
        ".vot": [".votable", ".xml"],
        ".ecsv": [],
        ".csv": [".CSV"],
        ".parquet": [".pq"],
    }
    for ending, others in usual.items():
        write_catalog(Table({"x": [1.0, 2.0]}), folder / f"a{ending}")
        data = (folder / f"a{ending}").read_bytes()
        for index, other in enumerate(others):
            (folder / f"b{index}{other}").write_bytes(data)
        if ending != ".parquet":
            for other in [ending, *others]:
                (folder / f"c{other}.gz").write_bytes(gzip.compress(data))
