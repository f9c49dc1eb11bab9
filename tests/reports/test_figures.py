"""Looks that tell lines apart, and the plane of three completions."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from lib.reports import figures
from lib.rewards.objectives import OBJECTIVES


def test_lines_differ_in_more_than_colour():
    looks = [figures.style(objective) for objective in ("base", *OBJECTIVES)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == len(looks)
    ranks = [figures.plain(rank) for rank in range(7)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in ranks}) == 7


def test_the_plane_of_three_completions_keeps_distances():
    corners = figures.to_plane(np.eye(3))
    sides = [np.hypot(*(corners[i] - corners[j])) for i, j in ((0, 1), (1, 2), (2, 0))]
    assert sides == pytest.approx([1, 1, 1])
    assert figures.to_plane([[1 / 3] * 3])[0] == pytest.approx(corners.mean(axis=0))
    many = np.random.default_rng(0).dirichlet(np.ones(3), (2, 5))
    assert figures.to_plane(many).shape == (2, 5, 2)


def test_the_simplex_shows_a_flow_also_where_nothing_moves():
    figure, ax = plt.subplots()
    figures.simplex(ax, ("a", "b", "c"), lambda policy: np.array([1, -1, 0]) * policy[0], side=6)
    arrows = ax.collections[0]
    assert arrows.N == 10  # inner points of a grid of side 6
    assert np.allclose(np.hypot(arrows.U, arrows.V), 1) and np.allclose(arrows.V, 0) and (arrows.U < 0).all()
    figures.simplex(ax, ("a", "b", "c"), lambda policy: np.zeros(3))
    assert {text.get_text() for text in ax.texts} == {"a", "b", "c"}
    assert [text.get_ha() for text in ax.texts[:2]] == ["left", "right"]  # they stay below their own triangle
    plt.close(figure)


def test_a_legend_is_no_wider_than_its_figure():
    for width, least, most in ((14, 6, 6), (4, 1, 5)):
        figure, ax = plt.subplots(figsize=(width, 3), layout="constrained")
        for number in range(6):
            ax.plot([0, 1], label=f"a long label, line {number}")
        figures.legend(figure, [ax])
        (made,) = figure.legends
        assert made.get_window_extent().width <= figure.bbox.width and least <= made._ncols <= most
        plt.close(figure)


def test_a_title_is_broken_before_it_runs_into_the_next_panel(tmp_path):
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2), layout="constrained")
    said = "one_wording: base 53.9%, after tempered α=1.25 57.4%, tempered α=2 64.3%"
    left.set_title(said)
    right.set_title("short")
    figures.save(figure, "drawn", tmp_path)
    figure.draw_without_rendering()
    shown = left.get_title(loc="left")
    (title,) = left.findobj(lambda one: isinstance(one, Text) and one.get_text() == shown)
    assert shown.replace("\n", " ") == said and right.get_title(loc="left") == "short"
    assert title.get_window_extent().x1 < right.get_window_extent().x0
    right.set_title("a_name_that_nobody_can_break_and_that_is_wider_than_its_panel")
    figures.save(figure, "drawn", tmp_path)  # it ends
    plt.close(figure)
