"""Colours, text and image files of the figures."""

import base64
import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from xbayes.figures.labels import shortened
from xbayes.figures.style import (
    BAND,
    UNSEEN,
    category_colours,
    class_colours,
    class_lines,
    class_markers,
    data_uri,
    png_bytes,
    readable_on,
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
def test_letters_contrast_with_their_background(colour, letters):
    assert readable_on(colour) == letters


@pytest.mark.parametrize(
    ("text", "short"),
    [("abc", "abc"), ("abcdef", "abc…"), ("abc def", "abc…"), ("a$b$", r"a\$b\$")],
)
def test_shortened_text_fits(text, short):
    assert shortened(text, 4) == short


def test_a_png_is_reproducible_and_smaller_at_a_lower_resolution():
    figure = Figure((2, 1))
    figure.text(0.5, 0.5, "x")
    content = png_bytes(figure)
    assert content == png_bytes(figure)
    assert content.startswith(b"\x89PNG")
    assert len(png_bytes(figure, 50)) < len(content)
    assert base64.b64decode(data_uri(content).partition(",")[2]) == content


def test_ten_classes_have_ten_markers():
    assert len(set(class_markers(TEN).values())) == 10


@pytest.mark.parametrize("many", [False, True])
def test_no_colour_changes_visibly(many):
    figure = Figure((2, 2))
    figure.add_artist(Rectangle((0.5, 0), 0.5, 0.5, color=BAND))
    figure.text(0.1, 0.7, "x", color="#E69F00")
    if many:
        figure.figimage(np.random.default_rng(1).random((90, 90, 3)))
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(60)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    picture = Image.open(io.BytesIO(png_bytes(figure, 60)))
    assert picture.mode == ("RGB" if many else "P")
    assert np.abs(np.asarray(picture.convert("RGB")) - drawn).max() <= UNSEEN
