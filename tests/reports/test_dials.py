"""Sliders of the theory notebooks: each shows one figure for every state of its dials, and says the numbers."""

import matplotlib.pyplot as plt
import pytest

from lib.reports import dials


@pytest.fixture
def shown(monkeypatch):
    """The axes of the figure that a dial has shown."""
    monkeypatch.setattr(plt, "show", lambda: None)
    yield lambda: plt.gcf().axes[0]
    plt.close("all")


@pytest.mark.parametrize(
    ("dial", "numbers", "title"),
    [
        (dials.one_wrong, {"wordings": 9, "alpha": 3}, "9 wordings, α = 3: 90.0% right"),
        (dials.one_wrong, {"wordings": 1, "alpha": 0}, "1 wordings, α = 0: 50.0% right"),
        (dials.verifier, {"alpha": 2, "accepted_right": 20, "accepted_wrong": 2}, "Cov(r, v) = +0.000 at $β^{-1}$ = 0"),
        (dials.verifier, {"alpha": 0.5, "accepted_right": 0, "accepted_wrong": 5}, "Cov(r, v) = -0.183 at $β^{-1}$ = 0"),
        (dials.lengths, {"alpha": 1, "hazard": 0.5}, "α = 1: mean length 2.0"),
        (dials.garden, {"alpha": 1, "first": 0.6, "ways": 4}, "first token 60%, 4 continuations, α = 1"),
        (dials.flow, {"objective": "task", "alpha": 2, "beta_inv": 3, "wrong": 0.5}, "task: ends 100% right"),
        (
            dials.flow,
            {"objective": "tilted", "alpha": 1, "beta_inv": 0.5, "wrong": 0.5},
            "tilted: ends 62% right, alpha 1, beta_inv 0.5",
        ),
        (dials.rounds, {"alpha": 0.5, "difference": 0}, "α = 0.5: 0.000 points above and below a tie"),
        (dials.noise, {"objective": "random", "group": 2, "rate": 0.5}, "random, 2 completions per step, rate 0.5"),
    ],
)
def test_a_dial_shows_its_numbers(dial, numbers, title, shown):
    dial(**numbers)
    assert shown().get_title("left") == title


def test_neighbours_across_a_tie_are_drawn_apart(shown):
    dials.rounds(2, 0.01)
    above, below = (line.get_ydata()[-1] for line in shown().lines)
    assert above > 99 and below < 1


def test_low_temperature_is_not_sharpening(shown):
    dials.garden(8, 0.6, 4)
    base, sharp, local = (bar.get_width() for bar in shown().patches)
    assert base == pytest.approx(40) and sharp > 99 and local < 5
