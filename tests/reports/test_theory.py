"""Figures of notebook 01: what is drawn is what was computed."""

import numpy as np
import pytest

from lib.reports import theory
from lib.theory import distributions, examples


def test_the_likeliest_completions_are_bars_and_wrong_ones_are_hatched(ax):
    dist = examples.one_wrong(30)
    theory.likeliest(ax, distributions.power(dist.log_p, 2), dist.reward, count=10)
    assert len(ax.patches) == 10 and [bar.get_hatch() for bar in ax.patches] == ["///"] + [""] * 9
    heights = [bar.get_height() for bar in ax.patches]
    assert heights[0] == pytest.approx(100 * 0.01 / (0.01 + 30 * 0.03**2)) and heights == sorted(heights, reverse=True)
    assert ax.get_title("left") == f"{100 * distributions.accuracy(dist, 2):.1f}% right"


def test_accuracies_are_in_percent(ax):
    theory.accuracy_over_alpha(ax, [0.5, 1, 2], {"a": [0.1, 0.5, 0.9], "b": np.ones(3)})
    assert [line.get_label() for line in ax.lines] == ["a", "b"] and ax.get_xscale() == "log"
    assert ax.lines[0].get_ydata() == pytest.approx([10, 50, 90]) and "%" in ax.get_ylabel()
    ax.clear()
    theory.over_weight(ax, [0, 1], {"r": [0.2, 0.4]})
    assert ax.lines[0].get_ydata() == pytest.approx([20, 40]) and "nats" in ax.get_xlabel()


def test_slopes_have_a_line_at_0(ax):
    theory.slopes(ax, [0.5, 1, 2], {"a": [0.1, 0, -0.1]})
    assert ax.lines[0].get_ydata() == pytest.approx([0.1, 0, -0.1])
    assert list(ax.lines[1].get_ydata()) == [0, 0] and "nats" in ax.get_ylabel()


def test_the_phase_diagram_says_where_it_ends_and_marks_the_base_and_0(ax):
    table = np.array([[0.5, 0.3, 0.04], [0.5, 0.5, 0.5], [0.5, 0.8, 0.97]])
    theory.phase_diagram(ax, [1, 2, 4], [-1, 0, 1], table)
    assert ax.get_title("left").endswith("at α = 4 from 4% at the bottom to 97% at the top")
    assert [list(line.get_ydata()) for line in ax.lines][0] == [0, 0] and list(ax.lines[1].get_xdata()) == [1, 1]
    assert len(ax.lines) == 2 and ax.get_xlim() == (1, 4)


def test_lengths_and_the_length_of_the_best(ax):
    theory.lengths(ax, {"α = 1": np.array([0.05, 0.5, 0.45]), "α = 2": np.array([0.7, 0.2, 0.1])})
    assert ax.get_title("left").endswith("5% at α = 1, 70% at α = 2")
    assert ax.lines[1].get_ydata() == pytest.approx([70, 20, 10]) and list(ax.lines[1].get_xdata()) == [1, 2, 3]
    ax.clear()
    theory.winners(ax, [0, 0.5, 1], {"hazard 0.05": [1, 2, 200], "hazard 0.4": [1, 1, 1]})
    assert ax.get_title("left") == "hazard 0.05: by log p the best has 1 token,\nby log p / T it has 200"
    assert ax.lines[0].get_drawstyle() == "steps-mid" and list(ax.lines[0].get_ydata()) == [1, 2, 200]
    assert list(ax.get_yticks()) == [1, 2, 5, 10, 20, 50, 100, 200]
