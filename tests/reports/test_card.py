"""The statistics of a model card, on a table that can be summed by hand."""

import re

import pandas as pd
import pytest

from lib.models import tiny
from lib.reports import card
from lib.storage import files

ANSWERS = pd.DataFrame(
    [
        # problem, text, direct, correct, S_p
        ("a", "direct wrong", True, False, -1.0),
        ("a", "worked right", False, True, -3.0),
        ("a", "worked right too", False, True, -2.0),
        ("b", "direct right", True, True, -4.0),
        ("b", "worked wrong", False, False, -6.0),
        ("b", "worked wrong", False, False, -5.0),
    ],
    columns=["problem_id", "completion", "direct", "correct", "reference_logprob"],
)


def test_the_likeliest_completion_of_each_problem():
    assert card.likeliest(ANSWERS)["completion"].tolist() == ["direct wrong", "direct right"]


def test_the_best_of_each_kind():
    best = card.best_of_each_kind(ANSWERS)
    assert best.loc["a"].to_dict() == {"worked": -2.0, "direct": -1.0}
    assert best.loc["b"].to_dict() == {"worked": -5.0, "direct": -4.0}


def test_the_covariance_is_the_mean_of_the_unbiased_ones_within_problems():
    """a: r = 0, 1, 1 and S_p = −1, −3, −2, covariance −0.5; b: r = 1, 0, 0 and S_p = −4, −6, −5, covariance +0.5."""
    assert card.covariance(ANSWERS) == pytest.approx(0.0)
    assert card.covariance(ANSWERS[:3]) == pytest.approx(-0.5)
    assert card.covariance(ANSWERS[:3]) == pytest.approx(ANSWERS[:3]["correct"].astype(float).cov(ANSWERS[:3]["reference_logprob"]))


@pytest.mark.parametrize("name", tiny.BASES)
def test_the_committed_cards_say_what_was_measured(name):
    """Every number in a committed card is that of its `card.json`, or of the base's recipe."""
    folder = tiny.BASES[name]
    committed = (folder / "README.md").read_text(encoding="utf-8")
    found = re.search(r"For `(.*)` it is `(.*)` with\nS_p = (.*)\.\n", committed).groups()
    example = {"problem_id": found[0], "completion": found[1], "reference_logprob": float(found[2])}
    recipe, numbers = (files.read_json(folder / f"{part}.json") for part in ("recipe", "card"))
    assert card.text(name, recipe, numbers, example) == committed


def test_a_card_is_written_from_a_measurement(base, tmp_path):
    """The words for the two kinds of answers changed once, and the card asked for numbers that were not there any more."""
    measured = card.measure(*base, 3, 2)
    assert measured.answers["how"].value_counts().to_dict() == {"sampled": 6, "greedy": 3, "direct": 3, "worked": 3}
    assert measured.answers.groupby("how")["direct"].mean()[["direct", "worked"]].tolist() == [1, 0]
    card.write(tmp_path, "mine", measured, base[0], tiny.BASES["one_wording"])
    written = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "# mine: a tiny base" in written and "## Measured on 3 held-out sums" in written
    assert files.read_json(tmp_path / "card.json")["accuracy_sampled"] == measured.numbers["accuracy_sampled"]
