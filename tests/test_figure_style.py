"""What a picture shows is in the picture, however long its words are."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from imb_det.figure_style import class_bars, colour_patch, save_figure

COUNTS = np.array([3.0, 2.0, 1.0])
GROUPS = dict(rare=np.array([2]), frequent=np.array([0, 1]))


def bars(names):
    return class_bars(COUNTS, names, GROUPS, np.arange(3), "images")


@pytest.mark.parametrize("words", [1, 4, 6])
def test_the_legend_fits(tmp_path, words):
    figure, axes = bars(("ant", "bee", "cat"))
    text = " ".join(["frequent"] * words)
    handles = [colour_patch("red", f"{text} {i}") for i in range(3)]
    save_figure(figure, tmp_path / "a.png", handles)
    renderer = FigureCanvasAgg(figure).get_renderer()
    (legend,) = figure.legends
    place = legend.get_window_extent(renderer)
    assert place.x0 >= 0
    assert place.x1 <= figure.bbox.width
    assert place.y0 >= axes.get_window_extent(renderer).y1  # above the bars
    assert len(legend.get_texts()) == 3


def test_long_names_take_no_room_from_the_bars(tmp_path):
    heights = []
    for names in (("ant", "bee", "cat"), ("a" * 200, "b" * 200, "c" * 200)):
        figure, axes = bars(names)
        save_figure(figure, tmp_path / "a.png")
        renderer = FigureCanvasAgg(figure).get_renderer()
        heights.append(axes.get_window_extent(renderer).height)
        for label in axes.get_xticklabels():
            assert label.get_window_extent(renderer).y0 >= 0
    assert heights[1] > 0.8 * heights[0]
