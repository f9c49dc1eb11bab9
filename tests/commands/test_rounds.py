"""Rounds, as a user runs them: two rounds of two seeds through Snakemake, and notebook 11."""

import pandas as pd
import pytest

from lib.storage import files
from tests.commands.test_pipeline import BIN, SMOKE, call, reproduced


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in which the smoke profile with two rounds was reproduced, but for its audit."""
    home = tmp_path_factory.mktemp("home")
    return reproduced(
        "smoke_rounds", home, *(home / "runs" / "smoke_rounds" / f"{name}.ipynb" for name in ("07_compare", "11_drift"))
    )


def test_rounds_follow_one_another_and_their_seeds_are_compared(home):
    """Through Snakemake: the second round starts when the first is trained; best checkpoints are evaluated; notebook 11 is last."""
    table = pd.read_csv(home / "data" / "results" / "smoke_rounds" / "between.csv")
    assert table[["round", "seed", "other_seed"]].to_numpy().tolist() == [[1, 0, 1], [2, 0, 1]]
    assert table["label"].tolist() == ["tempered α=2", "tempered α=2 round 2"] and table["log_odds_spread"].gt(0).all()
    second = home / "runs" / "smoke_rounds" / "many_wordings-tempered-a2-s1-round2"
    assert (second / "evaluations" / "arithmetic-test-best.json").exists()
    assert files.read_json(second / "config.json")["settings"]["start"] == "many_wordings-tempered-a2-s1"
    differences = pd.read_csv(home / "data" / "results" / "smoke_rounds" / "differences.csv")
    assert differences["after"].tolist() == ["last", "best"] * 2


def test_notebook_11_runs_through_papermill(home, tmp_path):
    flags = [part for key, value in SMOKE["11_drift"].items() for part in ("-p", key, str(value))]
    result = call(BIN / "papermill", "notebooks/11_drift.ipynb", tmp_path / "out.ipynb", *flags, home=home)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (home / "figures" / "smoke_rounds_many_wordings_apart.png").exists()
