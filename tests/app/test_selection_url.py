"""Selections in addresses."""

import pytest
from starlette.datastructures import QueryParams

from xbayes.app.selection_url import canonical, listed, radius_of, selection_of
from xbayes.catalog.query import ColumnInfo, ParquetCatalogue
from xbayes.catalog.selection import ConeSearch, Filter, SkyBox
from xbayes.errors import InputError

KINDS = {"flux": "number", "n": "integer", "Class": "text"}


class Known(ParquetCatalogue):
    """Columns without a file."""

    def __init__(self):
        self.columns = {
            name: ColumnInfo(name=name, kind=kind, unit="", description="", ucd="")
            for name, kind in KINDS.items()
        }


CATALOGUE = Known()


def read(text, **options):
    return selection_of(QueryParams(text), CATALOGUE, **options)


def test_everything_in_one_address():
    one = read(
        "class=XRB&class=CV&p_min=0.5&set=CV&f.flux=1e-14..&f.n=1|2&f.Class=a|b&f.p_predicted=..0.9"
        "&ids=A|B&ids=C&box=galactic,1,-1,0,0.5&sort=-flux&limit=20&offset=40&ra=-350&dec=1&radius=2"
    )
    assert one.classes == ("XRB", "CV")
    assert one.filters == (
        Filter("flux", low=1e-14),
        Filter("n", values=("1", "2")),
        Filter("Class", values=("a", "b")),
        Filter("p_predicted", high=0.9),
    )
    assert one.ids == ("A", "B", "C")
    assert one.sky_box == SkyBox("galactic", x=(1, -1), y=(0, 0.5))
    assert (one.sort, one.descending, one.limit, one.offset) == ("flux", True, 20, 40)
    assert one.cone == ConeSearch(10, 1, 2)


def test_a_text_is_a_place_or_a_part_of_a_name():
    assert read("q=M31", locate=lambda text: (10, 41)).cone == ConeSearch(10, 41, 30 / 3600)
    assert read("q=M31").search == "M31"


@pytest.mark.parametrize(
    ("text", "degrees"), [("0.5", 0.5), ("30arcsec", 1 / 120), ("6'", 0.1), ("", 1 / 120)]
)
def test_radius(text, degrees):
    assert radius_of(QueryParams({"radius": text})) == pytest.approx(degrees)


@pytest.mark.parametrize("text", ["radius=0&ra=1&dec=1", "radius=200&ra=1&dec=1", "f.Class=1..2",
                                  "f.n=many", "limit=many", "box=galactic,nan,1,1,1"])  # fmt: skip
def test_wrong_values(text):
    with pytest.raises(InputError):
        read(text)


def test_too_many_names():
    with pytest.raises(InputError, match="names 3000 sources"):
        listed(QueryParams({"ids": "|".join(map(str, range(3000)))}), "ids")


def test_the_usual_address_stays_as_it_is():
    items = canonical(QueryParams("class=A&lo.n=1&hi.n=2&f.n=0..9&column=flux&low=&high=3&x="))
    assert items == [("class", "A"), ("f.n", "1..2"), ("f.flux", "..3")]
    again = QueryParams(items)
    assert canonical(again) == items
