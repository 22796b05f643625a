"""The texts of the tutorial. The drawings are simple, made for it, and stand in the template."""

from typing import NamedTuple

from xbayes.app.volunteers.words import Translate

ANSWERS = ("AGN", "Star", "XRB")


class Step(NamedTuple):
    """A step: a text, what each class looks like, and a question."""

    key: str  # of the drawing
    title: str
    text: str
    says: dict[str, str]  # by class
    question: str
    right: str  # the class that is the answer
    because: str


def steps(_: Translate) -> list[Step]:
    """The steps in their order."""
    return [_images(_), _spectrum(_), _curve(_), _latitude(_), _ratio(_), _try(_)]


def check_answer(step: Step, answer: str) -> bool:
    """Whether the answer to the question of a step is right."""
    return answer == step.right


def _images(_: Translate) -> Step:
    return Step(
        key="image",
        title=_("The finder chart and images"),
        text=_(
            "The cross marks where the X-rays come from, and the circle how well the place is "
            "known. Look for what lies inside the circle. In images of the sky, a bright object "
            "in the circle is probably what emits the X-rays."
        ),
        says={
            "AGN": _("a faint point, or the very centre of a galaxy"),
            "Star": _("a bright point, often with rays around it"),
            "XRB": _("a faint point, often among many stars, or in a galaxy beside its centre"),
        },
        question=_("In the circle is one very bright point with rays. What is likely?"),
        right="Star",
        because=_("A bright point in visible light with weak X-rays is typical of a star nearby."),
    )


def _spectrum(_: Translate) -> Step:
    return Step(
        key="spectrum",
        title=_("The spectrum"),
        text=_(
            "The spectrum shows how many X-rays arrive at each energy. Low energies, on the left, "
            "are called soft, and high ones hard. Hardness ratios and the photon index say the "
            "same in one number."
        ),
        says={
            "AGN": _("close to a straight line that falls slowly; often cut off at the left"),
            "Star": _("a peak at low energy, and almost nothing above 3 keV"),
            "XRB": _("many forms: a straight line, or a broad hump, often hard"),
        },
        question=_("The spectrum has a peak near 1 keV and nothing above 3 keV. What is likely?"),
        right="Star",
        because=_("Hot gas in the corona of a star emits soft X-rays, in a peak near 1 keV."),
    )


def _curve(_: Translate) -> Step:
    return Step(
        key="curve",
        title=_("Light curves"),
        text=_(
            "A light curve shows how bright the source was in time. One kind covers the hours of "
            "an observation, the other the years between observations."
        ),
        says={
            "AGN": _("little change within hours; changes over years by less than 100"),
            "Star": _("often quiet, with flares: a fast rise and a slower fall"),
            "XRB": _("strong changes in seconds to years; some appear and vanish"),
        },
        question=_("It became 1,000 times brighter within a year, and vanished. What is likely?"),
        right="XRB",
        because=_("Such outbursts are typical of X-ray binaries: their disc fills and empties."),
    )


def _latitude(_: Translate) -> Step:
    return Step(
        key="latitude",
        title=_("Galactic latitude"),
        text=_(
            "The latitude is the angle from the plane of the Milky Way, the bright band on the "
            "sky. Our own Galaxy's stars crowd there, and its dust hides what lies behind."
        ),
        says={
            "AGN": _("everywhere; we see most of them above 20°"),
            "Star": _("everywhere, more of them near the plane"),
            "XRB": _("below 20°, near the plane; or within another galaxy"),
        },
        question=_("A faint source at latitude 75°, and no star is near. What is likely?"),
        right="AGN",
        because=_("Far from the plane of the Milky Way most X-ray sources are AGN."),
    )


def _ratio(_: Translate) -> Step:
    return Step(
        key="ratio",
        title=_("Flux ratios"),
        text=_(
            "The ratio of the X-ray flux to the flux in visible or infrared light is one of the "
            "best clues. It is often given in powers of ten, 'dex': -2 dex is 0.01."
        ),
        says={
            "AGN": _("about 0.1 to 10"),
            "Star": _("below 0.01"),
            "XRB": _("it depends: with a small star often far above 10, with a large one less"),
        },
        question=_("The ratio of X-rays to visible light is 2, at latitude 50°. What is likely?"),
        right="AGN",
        because=_("AGN have ratios near 1, and lie far from the plane too. A star is far below."),
    )


def _try(_: Translate) -> Step:
    return Step(
        key="all",
        title=_("A try with everything"),
        text=_(
            "A source lies at latitude 1.5°. Its spectrum is hard. It was 200 times brighter ten "
            "years ago, and flickers within minutes. Its ratio of X-rays to visible light is 300. "
            "Images show nothing in the circle."
        ),
        says={},
        question=_("What is it?"),
        right="XRB",
        because=_(
            "Near the plane, hard, very variable, and far brighter in X-rays than in visible "
            "light: an X-ray binary."
        ),
    )
