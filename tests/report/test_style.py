import base64

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from xbayes.report.style import (
    category_colours,
    class_colours,
    class_lines,
    class_markers,
    data_uri,
    png_bytes,
    readable_on,
    shortened,
)

TEN = [f"class {i}" for i in range(10)]


def test_a_class_keeps_its_colour_when_classes_are_added():
    assert class_colours(TEN)["class 2"] == class_colours(TEN[:3])["class 2"]


def test_ten_classes_have_ten_colours_and_ten_lines():
    assert len(set(class_colours(TEN).values())) == 10
    assert len({str(line) for line in class_lines(TEN).values()}) == 10


def test_no_category_has_the_colour_of_a_class():
    assert not set(class_colours(TEN).values()) & set(category_colours(TEN).values())


@pytest.mark.parametrize("classes", [2, 4])
def test_neighbouring_classes_differ_in_grey(classes):
    rgb = np.array([to_rgb(c) for c in class_colours(TEN[:classes]).values()])
    grey = rgb @ [0.299, 0.587, 0.114]
    assert np.abs(np.diff(grey)).min() > 0.1


@pytest.mark.parametrize(("colour", "letters"), [("black", "white"), ("white", "#1D232A")])
def test_letters_are_readable(colour, letters):
    assert readable_on(colour) == letters


@pytest.mark.parametrize(
    ("text", "short"),
    [("abc", "abc"), ("abcdef", "abc…"), ("abc def", "abc…"), ("a$b$", r"a\$b\$")],
)
def test_shortened_text_fits(text, short):
    assert shortened(text, 4) == short


def test_a_png_is_the_same_again_and_smaller_with_fewer_dots():
    figure = Figure((2, 1))
    figure.text(0.5, 0.5, "x")
    content = png_bytes(figure)
    assert content == png_bytes(figure)
    assert content.startswith(b"\x89PNG")
    assert len(png_bytes(figure, 50)) < len(content)
    assert base64.b64decode(data_uri(content).partition(",")[2]) == content


def test_ten_classes_have_ten_markers():
    assert len(set(class_markers(TEN).values())) == 10
