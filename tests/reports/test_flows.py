"""Figures of notebooks 02 and 14: flows, distances, runs and noise, as they were computed."""

import numpy as np
import pandas as pd
import pytest

from lib.reports import figures, flows
from lib.rewards import objectives
from lib.theory import distributions
from lib.theory.distributions import Distribution


def test_a_flow_starts_at_its_base_and_ends_at_its_star(ax):
    dist, other = Distribution.of([0.5, 0.3, 0.2], [0, 1, 1]), np.log([0.2, 0.2, 0.6])
    flows.flow(ax, dist, objectives.named("tempered", 2), [other])
    first, second, ring, star = ax.lines
    squares = np.array([0.25, 0.09, 0.04]) / 0.38
    end = figures.to_plane(squares)
    assert ring.get_xydata()[0] == pytest.approx(figures.to_plane([0.5, 0.3, 0.2])) and ring.get_marker() == "o"
    assert star.get_xydata()[0] == pytest.approx(end) and star.get_marker() == "*"
    assert first.get_xydata()[-1] == pytest.approx(end) and second.get_xydata()[-1] == pytest.approx(end)
    assert first.get_xydata()[0] == pytest.approx(figures.to_plane([0.5, 0.3, 0.2]), abs=1e-2)
    assert ax.get_title("left") == f"tempered: ends {100 * squares[1:].sum():.0f}% right"


def test_the_edge_of_right_completions_is_bold_only_where_asked(ax):
    dist = Distribution.of([0.5, 0.3, 0.2], [0, 1, 1])
    flows.flow(ax, dist, objectives.named("task"), [], edge=True)
    assert ax.lines[-1].get_linewidth() == 3 and ax.lines[-1].get_xydata() == pytest.approx(figures.to_plane(np.eye(3)[1:]))
    assert ax.get_title("left") == "task: ends 100% right"


def test_distances_are_labelled_where_they_end(ax):
    flows.distances(ax, [0, 1, 2], {"task": [1, 1, 1], "rounds": [1, 40, 1600]})
    assert {(text.get_text(), text.xy) for text in ax.texts} == {("task", (2.0, 1)), ("rounds", (2.0, 1600))}
    assert ax.get_title("left") == "rounds: 1,600 times as far apart\nafter 2 rounds" and ax.get_legend() is None
    ax.clear()
    flows.distances(ax, [0, 10], {"task": [1, 1], "rounds": [1, 1024], "tempered": [1, 1.5]})  # two names would overlap
    assert {text.get_text(): text.xyann[1] for text in ax.texts} == {"task": -4, "tempered": 4, "rounds": 0}
    ax.clear()
    flows.total_variations(ax, {"same": [0.1, 0.2, 0], "tie": np.array([0, 0.5, 1])})
    assert ax.get_title("left").endswith("same: 0%, tie: 100%") and ax.lines[1].get_ydata() == pytest.approx([0, 50, 100])


def test_odds_are_drawn_from_log_odds_beside_the_square_root(ax):
    flows.odds(ax, [1, 100, 10_000], {"plain gradient": np.log([1.5, 6, 50]), "a tie": [0, 0, 0]})
    assert ax.lines[0].get_ydata() == pytest.approx([1.5, 6, 50]) and list(ax.lines[1].get_ydata()) == [1, 1, 1]
    assert ax.lines[2].get_ydata() == pytest.approx([0.5, 5, 50]) and ax.get_title("left").endswith("to 50 at t = 10,000")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["plain gradient", "a tie", "½·√t"]


def test_runs_are_thin_and_the_exact_path_is_thick(ax):
    flows.runs(ax, [[1, 2], [1, 3], [1, 0]], [1, 1.5])
    assert [line.get_linewidth() for line in ax.lines] == [0.8] * 3 + [2.5] and list(ax.lines[-1].get_ydata()) == [1, 1.5]
    assert ax.get_legend_handles_labels()[1] == ["3 sampled runs", "exact gradient"]


def test_growth_with_length_is_fitted(ax):
    sizes = np.array([4, 8, 16, 32, 64])
    flows.by_length(ax, sizes, {"task": 3 * sizes, "sharpen": sizes**2.0, "flat": np.ones(5)}, "noise")
    assert ax.get_title("left") == "noise:\ntask like $T^{1.0}$, sharpen like $T^{2.0}$, flat like $T^{0.0}$"
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_ylabel() == "noise"


def test_landing_tells_the_control_from_the_rest(ax):
    rows = {"task": [0.5, 0.0, 0.004], "random": [0.0, 0.0, 0.3], "tilted": [0.4, 0.0, 0.0124]}
    flows.landing(ax, pd.DataFrame(rows, index=["start", "exact", "sampled"]).T)
    assert "within 1.3% of its optimum" in ax.get_title("left") and ax.get_title("left").endswith("random has moved 30% away")
    assert [line.get_label() for line in ax.lines] == ["start", "exact", "sampled"]
    assert ax.lines[2].get_xdata() == pytest.approx([0.4, 30, 1.24])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(rows)


def test_a_policy_needs_no_probability_everywhere(ax):
    dist = Distribution.of([0.5, 0.3, 0.2], [0, 1, 1])
    flows.flow(ax, dist, objectives.named("sharpen"), [distributions.log_of([0.4, 0.6, 0.0])])
    assert ax.lines[1].get_xydata()[-1] == pytest.approx([0, 0], abs=1e-6)
