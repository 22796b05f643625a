"""Plain words for classes, answers and features. Each function is given the translation `_`."""

import re
from collections.abc import Callable
from typing import NamedTuple

from xbayes.app.volunteers.voting import OTHER, UNKNOWN

Translate = Callable[[str], str]


class FeatureWords(NamedTuple):
    """What a feature is called, and what its value says."""

    name: str
    help: str


def class_name(_: Translate, name: str) -> str:
    """The plain name of a class; its own name if it has none here."""
    return {
        "AGN": _("AGN (active galaxy)"),
        "Star": _("Star"),
        "XRB": _("X-ray binary"),
        "CV": _("Cataclysmic variable"),
        "Galaxy": _("Galaxy"),
        "Cluster": _("Cluster of galaxies"),
        "HMXB": _("High-mass X-ray binary"),
        "LMXB": _("Low-mass X-ray binary"),
        "NS": _("Neutron star"),
        "YSO": _("Young star"),
        "ULX": _("Ultraluminous X-ray source"),
        "TDE": _("Tidal disruption event"),
    }.get(name, name)


def answer_name(_: Translate, answer: str) -> str:
    """The plain name of an answer."""
    others = {OTHER: _("Something else"), UNKNOWN: _("Don't know")}
    return others.get(answer) or class_name(_, answer)


def class_text(_: Translate, name: str) -> str:
    """What a source of a class is; empty for a class without a text here."""
    return {
        "AGN": _(
            "An active galactic nucleus is the centre of a distant galaxy, where gas falls onto a "
            "black hole of millions of solar masses. Most X-ray sources are AGN. They lie all over "
            "the sky, are about as bright in X-rays as in visible light, and their spectrum is "
            "close to a straight line."
        ),
        "Star": _(
            "Many stars have a hot corona, as the Sun has. Their X-rays are weak beside their "
            "visible light, and soft. Short flares are common. The stars that we see in X-rays "
            "are near: often their parallax or motion on the sky is measured."
        ),
        "XRB": _(
            "In an X-ray binary a neutron star or a black hole takes gas from a star beside it. It "
            "is much brighter in X-rays than in visible light, and often varies strongly. Most "
            "lie near the plane of the Milky Way or in other galaxies."
        ),
        "CV": _(
            "In a cataclysmic variable a white dwarf takes gas from a star beside it. Its X-rays "
            "are often hard, it varies, and its ratio of X-rays to visible light lies between "
            "those of stars and X-ray binaries."
        ),
    }.get(name, "")


def feature_words(_: Translate, name: str, description: str) -> FeatureWords:
    """The words for a feature. An unknown one keeps its description and has no help."""
    text = f"{name} {description}"
    for pattern, words in _FEATURES:
        if re.search(pattern, text, re.IGNORECASE):
            found = words(_)
            return found if found.name else found._replace(name=description or name)
    return FeatureWords(name=description or name, help="")


def _latitude(_: Translate) -> FeatureWords:
    return FeatureWords(
        name=_("Galactic latitude (without its sign)"),
        help=_(
            "The angle from the plane of the Milky Way. Below about 20° there are many stars and "
            "X-ray binaries of our Galaxy; far from the plane most sources are AGN."
        ),
    )


def _ratio(_: Translate) -> FeatureWords:
    return FeatureWords(
        name="",
        help=_(
            "How bright it is in X-rays beside visible or infrared light. Stars have a very low "
            "ratio (below 0.01), AGN about 0.1 to 10, and X-ray binaries of our Galaxy often more. "
            "'dex' are powers of ten: -2 dex is 0.01."
        ),
    )


def _hardness(_: Translate) -> FeatureWords:
    return FeatureWords(
        name="",
        help=_(
            "It compares X-rays of higher and lower energy: -1 is very soft, +1 very hard. Stars "
            "are soft. AGN lie in between. Gas in front of a source makes it harder."
        ),
    )


def _gamma(_: Translate) -> FeatureWords:
    return FeatureWords(
        name=_("Photon index"),
        help=_(
            "How steeply the spectrum falls to high energies. AGN have about 1.8. Values above 3 "
            "are soft, as of stars; values near 1 are hard, as of some X-ray binaries."
        ),
    )


def _within(_: Translate) -> FeatureWords:
    return FeatureWords(
        name=_("Probability that it varies within an observation"),
        help=_(
            "Near 1 it varied within hours: flares of stars do this, and X-ray binaries. AGN "
            "rarely change so fast."
        ),
    )


def _between(_: Translate) -> FeatureWords:
    return FeatureWords(
        name=_("Probability that it varies between observations"),
        help=_(
            "Near 1 it varied over months or years. X-ray binaries may change by a factor of a "
            "hundred or more, AGN by less, quiet stars little."
        ),
    )


def _motion(_: Translate) -> FeatureWords:
    return FeatureWords(
        name="",
        help=_(
            "Only objects in our Galaxy show a parallax or move on the sky. If it is well "
            "measured (over its error: 5 or more), it is no AGN."
        ),
    )


def _colour(_: Translate) -> FeatureWords:
    return FeatureWords(
        name="",
        help=_(
            "A difference of two magnitudes of the counterpart. Stars follow a narrow track of "
            "colours. A W1 - W2 above about 0.8 is typical of AGN."
        ),
    )


def _flux(_: Translate) -> FeatureWords:
    return FeatureWords(
        name="",
        help=_("How bright it is in X-rays. By itself the flux says little about the class."),
    )


def _extent(_: Translate) -> FeatureWords:
    return FeatureWords(
        name="",
        help=_("AGN, stars and binaries are points. A cluster of galaxies is extended."),
    )


_FEATURES = (
    (r"latitude|\babs_b\b", _latitude),
    (r"X-ray[ -]to|flux ratio|\b(log_)?fx_", _ratio),
    (r"hardness|\bhr_?\w*", _hardness),
    (r"photon index", _gamma),
    (r"within an? observation|\bvar_intra", _within),
    (r"between observations|\bvar_inter", _between),
    (r"parallax|proper motion", _motion),
    (r"colour|color", _colour),
    (r"extent|extended", _extent),
    (r"flux", _flux),
)
