"""Distances between seeds, drawn by round."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib.reports import evidence, rounds

MEANS = {"tempered": [0.01, 0.03, 0.05], "random": [0.02, 0.03, 0.04]}


@pytest.mark.parametrize("power", [1, 2])
def test_drift_is_drawn_beside_what_rounds_that_arrive_would_do(power):
    """Means over pairs of seeds; the dotted line multiplies the first mean by α, or α² for a squared distance, per round."""
    means = [(name, number, mean) for name, values in MEANS.items() for number, mean in enumerate(values, 1)]
    pairs = [(name, number, 2.0, mean * factor) for name, number, mean in means for factor in (0.5, 1.5)]
    table = pd.DataFrame(pairs, columns=["objective", "round", "alpha", "kl"]).assign(model="one_wording")
    ax = rounds.apart(plt.figure().subplots(), table, "kl", power)
    drawn = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    assert all(drawn[name] == pytest.approx(values) for name, values in MEANS.items())
    assert drawn["tempered, if each round arrived"] == pytest.approx([0.01, 0.01 * 2**power, 0.01 * 4**power])
    assert "tempered × 5.0, random × 2.0" in ax.get_title("left")
    plt.close(ax.figure)


def test_growth_is_from_the_first_round_to_the_last_of_each_pair(monkeypatch):
    rows = [("m", "task", 0, 1, 3, 0.6), ("m", "task", 0, 1, 2, 9.0), ("m", "task", 0, 1, 1, 0.2), ("m", "task", 1, 2, 1, 0.1)]
    rows += [("m", "task", 1, 2, 3, 0.5), ("n", "task", 0, 1, 1, 0.4), ("n", "task", 0, 1, 3, 0.2)]
    table = pd.DataFrame(rows, columns=["model", "objective", "seed", "other_seed", "round", "log_odds_spread"])
    monkeypatch.setattr(evidence, "table", lambda *_: table)
    grown = rounds.growth()
    assert grown.loc["m", "task"].tolist() == pytest.approx([3, 5]) and grown.loc["n", "task"].iloc[0] == pytest.approx(0.5)
