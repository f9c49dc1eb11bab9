"""Drawings of the lessons: they say what their numbers say."""

import math

import numpy as np
import pytest

from lib.reports import lessons


def test_a_tie_is_where_the_log_odds_are_zero(ax):
    lessons.ties(ax, {"a": 0.5, "b": -4.8}, alpha=2)
    rings = [line for line in ax.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    assert [ring.get_xdata()[0] for ring in rings] == [9.6]
    one, other = ax.lines[:2]
    assert one.get_ydata()[0] == 1.0 and other.get_ydata()[0] == -9.6  # α times the gap, without a task reward
    assert (other.get_ydata() - one.get_ydata()).round(9).tolist() == [-10.6] * len(one.get_xdata())
    assert "a needs no task reward, b needs $β^{-1}$ > 9.6" in ax.get_title(loc="left")


@pytest.mark.parametrize(
    ("wordings", "one", "likelier"), [(1, 0.4 * 0.98**4, "a solution"), (4, 0.4 * 0.245**4, "the wrong direct")]
)
def test_the_leaves_of_the_corpus_tree_add_up(ax, wordings, one, likelier):
    lessons.corpus_tree(ax, 0.6, 0.6, 0.02, wordings)
    texts = {text.get_text().split("\n")[0]: text.get_text() for text in ax.texts}
    assert f"$S_p$ = {math.log(one):.2f}" in texts["one right solution"] and "36.0%" in texts["carries forgotten"]
    leaves = ("carries forgotten", "right", "one right solution", "all other worked ones")
    shares = [float(texts[name].split("\n")[1].split("%")[0]) for name in leaves]
    assert sum(shares) == pytest.approx(100, abs=0.1) and likelier in ax.get_title(loc="left")


def test_bars_of_powers_are_normalised_and_wrong_ones_hatched(ax):
    p, right = np.array([0.3, 0.35, 0.35]), np.array([False, True, True])
    lessons.powers(ax, p, right, (1, 3))
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(2, 3)
    np.testing.assert_allclose(heights, [[30, 35, 35], 100 * p**3 / (p**3).sum()])
    assert [bar.get_hatch() for bar in ax.patches] == ["///", "", ""] * 2
    assert ax.get_title(loc="left") == f"right in 70%, {heights[1, 1:].sum():.0f}% of the samples"
