"""Figures: their titles, and names next to lines only where they fit."""

from itertools import pairwise

import pytest
from PIL import Image

from experiments.reports.line_labels import labels_at_ends, spread
from experiments.reports.plots import COLOURS, Curve, Panel, extremes, panels_figure


def test_places_move_apart_as_little_as_possible_and_keep_their_order():
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5], 0.2) == pytest.approx([0.4, 0.6])
    moved = spread([0.1, 0.11, 0.12, 0.8], 0.05)
    assert moved == pytest.approx([0.06, 0.11, 0.16, 0.8])
    crowded = spread([0.1, 0.19, 0.2, 0.28], 0.1)
    assert all(b - a >= 0.1 - 1e-9 for a, b in pairwise(crowded))


def axes_of(*curves):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    for label, x, y in curves:
        axes.errorbar(x, y, label=label)
    labels = labels_at_ends(axes)
    pyplot.close(figure)
    return [own.text for own in labels]


def test_lines_are_labelled_at_their_ends_only_where_the_labels_fit():
    assert axes_of(("low", [0, 1], [0, 1]), ("high", [0, 1], [0, 3])) == ["low", "high"]
    assert axes_of(("low", [0, 1], [0, 1]), ("short", [0, 0.5], [0, 3])) == []
    assert axes_of(("one", [0, 1], [5, 0]), ("two", [0, 1], [9, 0])) == []  # at one place
    assert axes_of(("none", [], []), ("high", [0, 1], [0, 3])) == []
    assert axes_of(("x" * 60, [0, 1], [0, 1]), ("high", [0, 1], [0, 3])) == []


def test_a_title_says_what_is_least_and_most():
    assert extremes({"a": 2.0, "b": 10.0, "c": 3.0}) == "from 2 (a) to 10 (b)"
    assert extremes({"a": 1.0}) == "1 (a)"
    assert extremes({"a": 0.0, "b": 0.0}) == "0 (all)"


def test_the_title_is_in_the_file_and_colours_are_those_of_the_palette(tmp_path):
    curves = [Curve(name, [0, 1], [0, n], plain=True) for n, name in enumerate("abc", 1)]
    path = panels_figure(tmp_path, "loss", [Panel(curves, "x", "y")], [], finding="c is highest",
                         plan="pretrain")  # fmt: skip
    with Image.open(path) as image:
        assert image.info["Title"] == "c is highest"
        colours = {"#{:02x}{:02x}{:02x}".format(*rgb).upper()
                   for _, rgb in image.convert("RGB").getcolors(1 << 20)}  # fmt: skip
    assert set(COLOURS[:3]) <= colours
    assert len(set(COLOURS)) == len(COLOURS) == 7
