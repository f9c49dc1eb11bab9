"""The figures of a family of bases say what its table says."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib.reports import family


@pytest.fixture
def table():
    rows = {"model": ["a", "b", "c"], "direct_share": [0.5, 0.6, 0.65], "wordings": [1, 1, 4], "base": [0.5, 0.5, 0.5]}
    rows |= {"optimum": [0.9, 0.7, 0.2], "forecast": [0.8, None, 0.3], "trained": [0.8, 0.45, 0.25]}
    return pd.DataFrame(rows | {"lowest_seed": [0.75, 0.4, 0.2], "highest_seed": [0.85, 0.5, 0.3]})


def test_the_phases_are_the_laws_and_the_points_what_was_trained(table):
    _, ax = plt.subplots()
    family.phases(ax, table, shares=(0.5, 0.6))
    assert ax.get_title(loc="left") == "sharpening helps 1 of 3 bases"
    law = [100 * (family.by_law(share, 4, family.ALPHA) - family.by_law(share, 4, 1)) for share in (0.5, 0.6)]
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines["law, α = 8, 4 wording(s)"] == pytest.approx(law)
    family.phases(ax, table.assign(trained=[0.8, 0.6, 0.25]), shares=(0.5, 0.6))
    assert ax.get_title(loc="left") == "sharpening helps 2 of 3 bases: those with 1 wording(s)"
    plt.close("all")


def test_a_direction_that_was_not_foretold_counts_against_it(table):
    _, ax = plt.subplots()
    family.foretold(ax, table)
    assert "2 of 3 trained bases" in ax.get_title(loc="left")
    (point,) = [line for line in ax.lines if line.get_label() == "exact optimum, 4 wording(s)"]
    assert point.get_xdata() == pytest.approx([-30]) and point.get_ydata() == pytest.approx([-25])
    plt.close("all")


def test_the_law_alone_says_up_to_where_sharpening_helps():
    _, ax = plt.subplots()
    family.by_the_law(ax, wordings=(1, 4), shares=(0.5, 0.7))
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    change = [100 * (family.by_law(share, 1, family.ALPHA) - family.by_law(share, 1, 1)) for share in (0.5, 0.7)]
    assert lines["law, α = 8, 1 wording(s)"] == pytest.approx(change) and change[1] < 0 < change[0]
    zero = 0.5 + 0.2 * change[0] / (change[0] - change[1])
    assert ax.get_title(loc="left") == f"by the law, sharpening to α = 8 helps one wording\nup to {100 * zero:.0f}% direct answers"
    plt.close("all")
