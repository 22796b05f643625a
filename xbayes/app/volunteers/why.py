"""Why a source is of its class, in words: the track, told to a volunteer."""

from collections.abc import Mapping

from xbayes.app.volunteers.words import Translate, class_name, feature_words
from xbayes.figures.track_record import Track
from xbayes.figures.track_words import Reason, out_of, reasons


def why(
    _: Translate, track: Track, descriptions: Mapping[str, str], name: str, against: str = ""
) -> list[str]:
    """Sentences on the features that speak most for a class against another.

    Parameters
    ----------
    _
        The translation of texts.
    track
        The probability track of the source.
    descriptions
        The description of each feature.
    name
        The class.
    against
        The class that it was taken for; the most probable other one by default.
    """
    other = other_class(track, name, against)
    return [
        _sentence(_, reason, descriptions.get(reason.feature, ""), name, other)
        for reason in reasons(track, name, other)
    ]


def other_class(track: Track, name: str, against: str = "") -> str:
    """The class that a source of class `name` is compared with."""
    if against in track.classes and against != name:
        return against
    ordered = sorted(zip(track.posterior, track.classes, strict=True), reverse=True)
    return next(other for _, other in ordered if other != name)


def _sentence(_: Translate, reason: Reason, description: str, name: str, other: str) -> str:
    feature = feature_words(_, reason.feature, description).name
    names = {
        "feature": feature,
        "value": reason.text if reason.measured else _(reason.text),
        "name": class_name(_, name),
        "other": class_name(_, other),
    }
    if not reason.measured:
        text = _("%(feature)s: %(value)s. This is more common for %(name)s than for %(other)s.")
        return text % names
    if reason.higher:
        text = _(
            "%(feature)s: %(value)s. A value as high as this is found in %(own)s sources of the "
            "class %(name)s and in %(others)s of the class %(other)s."
        )
    else:
        text = _(
            "%(feature)s: %(value)s. A value as low as this is found in %(own)s sources of the "
            "class %(name)s and in %(others)s of the class %(other)s."
        )
    return text % {
        **names,
        "own": _counted(_, reason.share),
        "others": _counted(_, reason.other_share),
    }


def _counted(_: Translate, share: float) -> str:
    number, whole = out_of(share)
    if number == 0:
        return _("fewer than 1 of %(whole)s") % {"whole": f"{whole:,}"}
    return _("%(number)s of %(whole)s") % {"number": f"{number:,}", "whole": f"{whole:,}"}
