"""Searches of archives at a position, as addresses. Nothing is asked until somebody clicks."""

from urllib.parse import quote, urlencode

RADIUS = 10  # arcsec


def archive_links(ra: float, dec: float) -> dict[str, str]:
    """The address of the search around a position, by the name of the archive.

    Parameters
    ----------
    ra, dec
        The position in degrees (ICRS).
    """
    place = f"{ra:.6f} {dec:+.6f}"
    degrees = f"{ra:.6f}d {dec:+.6f}d"
    chosen: dict[str, tuple[str, dict[str, object]]] = {
        "SIMBAD": (
            "https://simbad.cds.unistra.fr/simbad/sim-coo",
            {"Coord": place, "Radius": RADIUS, "Radius.unit": "arcsec"},
        ),
        "NED": (
            "https://ned.ipac.caltech.edu/conesearch",
            {
                "search_type": "Near Position Search",
                "coordinates": degrees,
                "radius": f"{RADIUS / 60:.3f}",
                "in_csys": "Equatorial",
                "in_equinox": "J2000",
            },
        ),
        "ESASky": (
            "https://sky.esa.int/esasky/",
            {"target": place, "hips": "XMM-Newton EPIC color", "fov": 0.1, "cooframe": "J2000"},
        ),
        "XMM-Newton (4XMM)": (
            "https://vizier.cds.unistra.fr/viz-bin/VizieR-4",
            {"-source": "IX/69", "-c": place, "-c.rs": RADIUS},
        ),
        "XMM-Newton (XSA)": (
            "https://nxsa.esac.esa.int/nxsa-sl/servlet/observations-and-proposals",
            {"RA": f"{ra:.6f}", "DEC": f"{dec:.6f}", "RADIUS": 15, "FORMAT": "html"},
        ),
        "Chandra (CSC)": (
            "https://cda.cfa.harvard.edu/csc2scs/coneSearch",
            {"RA": f"{ra:.6f}", "DEC": f"{dec:.6f}", "SR": f"{RADIUS / 3600:.6f}", "VERB": 2},
        ),
        "Chandra (CDA)": (
            "https://cda.cfa.harvard.edu/srservices/ocatDetails.do",
            {"ra": f"{ra:.6f}", "dec": f"{dec:.6f}", "radius": 15, "format": "text"},
        ),
        "VizieR": (
            "https://vizier.cds.unistra.fr/viz-bin/VizieR-4",
            {"-c": place, "-c.rs": RADIUS},
        ),
    }
    return {
        name: f"{address}?{urlencode(query, quote_via=quote)}"
        for name, (address, query) in chosen.items()
    }
