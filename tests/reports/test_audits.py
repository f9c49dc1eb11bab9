"""The audits of a profile as a table and a figure: they say what is in `audit.csv`, refusals included."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.evaluation.statistics import Interval
from lib.reports import audit_words, audits, diagnoses, results
from lib.storage import files, folders
from lib.storage.errors import UsageError


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """Three audits: sharpened, flattened with a part beyond reach, refused."""
    monkeypatch.setattr(folders, "HOME", tmp_path)
    told = {
        "model": "m",
        "seed": 0,
        "normalization": "sum",
        "length_exponent": 1,
        "alpha": 0.0,
        "beta_inv": 0.0,
        "kl": 0.5,
        "ess": 20.0,
        "refusal": None,
    }
    share = {"share_sharpening": 0.7, "share_selection": 0.2, "share_beyond_reach": 0.05, "share_length": -0.02, "share_rest": 0.12}
    accuracy = {"accuracy_base": 0.5, "accuracy_sharpened": 0.3, "accuracy_trained": 0.9}
    nothing = dict.fromkeys([*share, "share_flattening"], None)
    rows = [
        told | nothing | share | accuracy | {"objective": "tempered", "alpha": 4.0},
        told | nothing | share | accuracy | {"objective": "task", "share_sharpening": None, "share_flattening": 0.7},
        told | nothing | accuracy | {"objective": "random", "accuracy_sharpened": None, "refusal": "sharpening: too few"},
    ]
    table = pd.DataFrame(rows)
    table["alpha_star"], table["lambda_star"], table["gamma_star"] = [3.0, 0.5, None], [1.0, 2.0, 0.25], 0.125
    for name in [c for c in table if c.startswith(("share", "accuracy", "kl"))]:
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.01, table[name] + 0.01
    with files.atomic(results.folders.results_folder("mine") / "audit.csv") as path:
        table.to_csv(path, index=False)
    return audits.load("mine")


def test_fits_are_means_with_the_ends_over_seeds_and_a_dash_where_all_is_refused(audited):
    second = audited.assign(seed=1, alpha_star=audited["alpha_star"] + 1, kl=0.75)
    rows = pd.concat([audited, second[second["objective"] != "task"]])
    found = audits.fits(rows).set_index("label")
    assert found.loc["tempered α=4"].tolist() == ["m", "0.62", "3.50 (3.00 to 4.00)", "1.00", "0.12"]
    assert found["α*"].tolist() == ["3.50 (3.00 to 4.00)", "0.50", "–"] and found["λ*"].tolist() == ["1.00", "2.00", "0.25"]


def test_the_first_run_here_is_looked_for_in_one_profile_after_the_other(tmp_path, monkeypatch):
    both = [profiles.load(name) for name in ("cpu", "quick")]
    trained = {"one_wording-sharpen-r0.0001-s0", "many_wordings-task-s0"}
    monkeypatch.setattr(audits.train, "finished", lambda folder: folder.name in trained)
    assert audits.first_here(both) == (both[1], "many_wordings-task-s0")
    assert audits.first_here(both[:1], "sharpen") == (both[0], "one_wording-sharpen-r0.0001-s0")
    assert audits.first_here(both[:1]) is None


def test_the_verdict_says_what_is_left_last():
    """It once said "the rest, which none of these explains 60%"."""
    shares = {name: Interval(value, 0, 1) for name, value in (("rest", 0.6), ("sharpening", 0.1), ("length", 0.3))}
    shares = {name: shares[name] for name in ("sharpening", "length", "rest")}
    found = SimpleNamespace(shares=shares, flattened=False)
    assert audit_words.verdict(found) == "What RL did: length 30%, sharpening 10%, and 60% is explained by none of these."


def test_bars_are_as_long_as_shares_and_negative_ones_go_left(audited):
    _, ax = plt.subplots()
    diagnoses.shares(ax, audited)
    bars = {c.get_label(): [(bar.get_x(), bar.get_width()) for bar in c] for c in ax.containers}
    assert np.array(bars["sharpening (α* > 1)"]) == pytest.approx(np.array([(0, 70), (0, 0), (0, 0)]))
    assert bars["flattening (α* < 1)"][1] == pytest.approx((0, 70))
    assert bars["selection beyond reach"][0] == pytest.approx((85, 5)) and bars["length"][0] == pytest.approx((0, -2))
    said = [text.get_text() for text in ax.texts]
    assert said == ["0.50 nats", "0.50 nats", "0.50 nats; refused: sharpening"]
    plt.close()


def test_arrows_lead_over_what_sharpening_explains(audited):
    _, ax = plt.subplots()
    diagnoses.arrows(ax, audited)
    ways = [(note.xyann[0], note.xy[0]) for note in ax.texts]
    assert np.array(ways) == pytest.approx(np.array([(50, 30), (30, 90), (50, 30), (30, 90), (50, 90)]))
    plt.close()


def test_the_titles_are_about_the_task_reward_on_every_model(audited):
    figure = diagnoses.audited(audits.over_seeds(audited))
    left, right = figure.axes
    assert left.get_title("left").endswith("after task, the rest is\n12% on m")
    assert right.get_title("left") == "Sharpened alone, and after task:\nm 30% and 90%"
    plt.close(figure)
    later = audited[audited["objective"] == "task"].assign(label="task round 2", share_rest=0.3)
    figure = diagnoses.audited(audits.over_seeds(pd.concat([audited, later])))
    assert figure.axes[0].get_title("left").endswith("after task round 2, the rest is\n30% on m")
    plt.close(figure)
    figure = diagnoses.audited(audits.over_seeds(audited[audited["objective"] == "tempered"]))
    assert figure.axes[1].get_title("left") == "Sharpened alone, and after tempered α=4:\nm 30% and 90%"
    plt.close(figure)


def test_without_audits_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    with pytest.raises(UsageError, match="There are no audits of the profile 'mine'"):
        audits.load("mine")


def test_committed_audits_are_whole():
    """Shares that are told add up to 1, and a base that was flattened is not called sharpened."""
    found = 0
    for path in sorted((folders.ROOT / "data" / "results").glob("*/audit.csv")):
        table = pd.read_csv(path)
        first = table["share_sharpening"].fillna(table["share_flattening"])
        whole = first + table["share_selection"] + table["share_length"] + table["share_rest"]
        assert whole.dropna().to_numpy() == pytest.approx(np.ones(whole.notna().sum()), abs=1e-4), path
        assert (table["share_flattening"].notna() <= (table["alpha_star"] < 1)).all()
        found += len(table)
    assert found >= 13  # quick and forecast


def test_over_seeds_a_share_that_one_seed_lacks_counts_as_nothing_unless_all_of_it_is_refused():
    rows = pd.DataFrame({"model": "m", "label": "random", "objective": "random", "kl": [1.0, 2.0, 3.0], "accuracy_base": 0.5})
    rows["share_sharpening"], rows["share_flattening"] = [0.2, np.nan, np.nan], [np.nan, 0.4, np.nan]
    rows = rows.assign(share_rest=[0.8, 0.6, np.nan], refusal=["", "", "all shares: why"])
    (found,) = audits.over_seeds(rows).to_dict("records")
    assert (found["share_sharpening"], found["share_flattening"], found["share_rest"]) == pytest.approx((0.1, 0.2, 0.7))
    assert (found["kl"], found["name"], found["refusal"]) == (2.0, "m, random", "all shares: why")
