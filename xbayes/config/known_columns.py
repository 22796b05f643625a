"""Columns of common catalogues, by quantity: the names that archives and VizieR give them.

The names and units of each catalogue are in configs/catalogs. They are from column documentation
only: 4XMM user guides and VizieR IX/69 (Webb et al. 2020), the column pages of the Chandra Source
Catalog 2.1 (Evans et al. 2024), the table descriptions of 2SXPS (Evans et al. 2020), the data model
of eRASS1 (Merloni et al. 2024), the data model of Gaia DR3 and VizieR I/355, 2MASS (IRSA fp_psc,
VizieR II/246) and AllWISE (IRSA allwise_p3as_psd, VizieR II/328).
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from xbayes.config.known_catalogs import KnownColumn, known_catalogs

# Names that differ by case only from others: Pan-STARRS has gmag, Gaia has Gmag; VizieR calls the
# upper and lower errors of Swift E_HR1 and e_HR1.
CASE_MATTERS = frozenset({"Gmag", "e_Gmag", "e_HR1", "E_HR1", "e_HR2", "E_HR2"})

POSITION = {
    "ra": (
        *("ra", "raj2000", "ra_icrs", "raicrs", "_raj2000", "radeg", "ra_deg", "sc_ra", "alpha"),
        *("alpha_j2000", "right_ascension", "rajd", "ra_x", "ra_corr"),
    ),
    "dec": (
        *("dec", "decl", "dej2000", "decj2000", "de_icrs", "deicrs", "_dej2000", "dedeg"),
        *("dec_deg", "sc_dec", "delta", "delta_j2000", "declination", "dejd", "dec_x", "dec_corr"),
    ),
    "l": ("lii", "gal_l", "glon", "l", "gal_lon"),
    "b": ("bii", "gal_b", "glat", "b", "gal_lat"),
}


@cache
def quantities() -> dict[str, tuple[str, ...]]:
    """The names of the column of each quantity, the first preferred (configs/catalogs)."""
    return {quantity: column.names for quantity, column in _columns().items()}


@cache
def known_units() -> dict[str, str]:
    """The usual unit of each quantity that has one, for catalogues that name none, such as CSV."""
    return {quantity: column.unit for quantity, column in _columns().items() if column.unit}


def _columns() -> dict[str, KnownColumn]:
    known = known_catalogs().values()
    return {name: column for catalog in known for name, column in catalog.columns.items()}


# A cross-match adds the name of a table in front of a column, or a number or a letter after it.
_PREFIX = re.compile(
    r"^(gaia|gaia_?e?dr[23]|gdr3|2mass|tmass|allwise|unwise|catwise|wise|4?xmm|csc2?|erass1?|"
    r"2?sxps|swift|xray)_+",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"_(\d|x|y|gaia|2mass|tmass|allwise|wise|xmm|csc|erass|swift)$", re.IGNORECASE)


def find_column(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The first wanted name that a table has: as written, in other case, or with an added part."""
    names = list(names)
    for name in wanted:
        if name in names:
            return name
    for change in (str, _without_table):
        spelled = {change(name).lower(): name for name in reversed(names)}
        for name in wanted:
            found = spelled.get(name.lower())
            if found is not None and not (name in CASE_MATTERS and change(found) != name):
                return found
    return None


def _without_table(name: str) -> str:
    return _SUFFIX.sub("", _PREFIX.sub("", name))


def known_quantities(names: Iterable[str]) -> dict[str, str]:
    """The column of each quantity that the table has."""
    names = list(names)
    found = {quantity: find_column(names, wanted) for quantity, wanted in quantities().items()}
    return {quantity: name for quantity, name in found.items() if name is not None}
