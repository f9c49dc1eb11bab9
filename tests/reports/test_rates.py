"""Which rates the control allows, and which one an objective takes: evaluations written by hand."""

import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.evaluation import runner
from lib.reports import rates, results
from lib.storage import digests, folders
from lib.storage.errors import UsageError


def evaluation(folder, correct: float, reference: float, policy: float, **about) -> dict:
    """A row of `results.evaluations`: 50 questions × 4 samples with these means, and its files."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"problem_id": np.repeat(np.arange(50), 4).astype(str)})
    rows["correct"] = rng.permutation(np.arange(200) < round(200 * correct))
    noise = rng.normal(0, 0.1, 200)
    rows["reference_logprob"], rows["policy_logprob"], rows["length"] = reference + noise - noise.mean(), policy, 10
    stem = folder / about["run"] / "evaluations" / "arithmetic-validation"
    stem.parent.mkdir(parents=True)
    for kind in ("sampled", "greedy"):
        rows.to_parquet(f"{stem}-{kind}.parquet")
    tables = {path.name: digests.of(path) for path in runner._tables(stem)}
    marks = {f"fingerprint_{part}": "same" for part in ("prompts", "sampler", "grader", "precision")}
    digests.write_sealed(stem.with_suffix(".json"), {"tables": tables, **marks})
    numbers = {"alpha": 1.0, "beta_inv": 0.0, "normalization": "sum", "length_exponent": 1.0, "checkpoint": "last"}
    return {**numbers, "model": "m", "accuracy_sampled": correct, **about, "path": stem.with_suffix(".json")}


@pytest.fixture
def summary(tmp_path):
    """At 1e-4 the control stays, at 1e-3 it falls by 5 points on average; `sharpen` is best at 1e-3, and of the others at 3e-4."""
    rows = [evaluation(tmp_path, 0.5, -5, -5, run="base-m", objective="base", seed=None, learning_rate=None)]
    moved = {1e-4: (0.5, 0.52, 0.48), 3e-4: (0.52, 0.56, 0.5), 1e-3: (0.4, 0.5, 0.45)}
    for rate, found in moved.items():
        for seed, correct in enumerate(found):
            rows.append(
                evaluation(tmp_path, correct, -5, -5, run=f"r{rate}-{seed}", objective="random", seed=seed, learning_rate=rate)
            )
    for rate, reference, correct in ((1e-4, -4, 0.6), (3e-4, -3, 0.3), (1e-3, -1, 0.9)):
        about = {"run": f"s{rate}", "objective": "sharpen", "seed": 3, "learning_rate": rate}
        rows.append(evaluation(tmp_path, correct, reference, -2, **about))
    return pd.DataFrame(rows)


def test_a_rate_is_allowed_where_the_mean_of_three_controls_stays(summary):
    found = rates.control(summary).set_index("learning_rate")
    assert found["moved"].tolist() == pytest.approx([0.0, 0.08 / 3, -0.05])
    assert found["allowed"].tolist() == [True, True, False] and found["seeds"].eq(3).all()
    assert (found["low"] <= found["moved"]).all() and (found["moved"] <= found["high"]).all()
    two = summary[summary["seed"] != 2]
    assert rates.control(two)["allowed"].isna().all()  # two seeds do not judge


def test_the_control_of_each_round_is_judged_by_itself(summary):
    """Three rounds of one rate; only the last one moved."""
    control = summary[summary["objective"].isin(["base", "random"])]
    found = rates.control(
        control.assign(round=control["learning_rate"].map({1e-4: 1, 3e-4: 2, 1e-3: 3}).fillna(1), learning_rate=1e-4)
    )
    assert found["round"].tolist() == [1, 2, 3] and found["allowed"].tolist() == [True, True, False]


def test_an_objective_takes_the_allowed_rate_that_is_best_for_its_own_reward(summary):
    """Not 1e-3, which the control forbids, and not 1e-4, which has the higher accuracy."""
    table = rates.choice(summary, rates.control(summary)).set_index("learning_rate")
    assert table["reward"].tolist() == pytest.approx([-4, -3, -1], abs=1e-6)
    assert table["chosen"].tolist() == [False, True, False] and table["objective"].eq("sharpen").all()


def test_a_rate_is_judged_by_the_mean_of_its_seeds(summary, tmp_path):
    """At 3e-4 one seed is the best of all and another the worst; 1e-4 has the better mean."""
    about = {"objective": "sharpen", "learning_rate": 3e-4, "seed": 4}
    worst = evaluation(tmp_path, 0.5, -9, -2, run="worst", **about)
    both = pd.concat([summary[summary["learning_rate"] != 1e-3], pd.DataFrame([worst])])
    table = rates.choice(both, rates.control(both)).set_index("learning_rate")
    assert table["reward"].tolist() == pytest.approx([-4, -6], abs=1e-6) and table["seeds"].tolist() == [1, 2]
    assert table["chosen"].tolist() == [True, False]


def test_a_control_of_one_seed_allows_nothing_and_forbids_nothing(summary):
    """As in the profile `quick`."""
    one = summary[~summary["seed"].isin([1, 2])]
    table = rates.choice(one, rates.control(one))
    assert len(table) and table["allowed"].isna().all() and not table["chosen"].any()


@pytest.mark.parametrize(
    "lines, together", [([True, True], True), ([True, None], None), ([None, False], False), ([None], None), ([False, True], False)]
)
def test_every_line_of_a_control_must_allow_a_rate(lines, together):
    assert rates._together(lines) is together


def test_a_control_alone_leaves_nothing_to_choose(summary):
    alone = summary[summary["objective"].isin(["base", "random"])]
    assert rates.choice(alone, rates.control(alone)).empty


@pytest.mark.parametrize(
    ("objective", "numbers", "expected"),
    [
        ("task", {}, 0.6),
        ("sharpen", {}, -4),
        ("tempered", {"alpha": 4.0}, -14),
        ("tilted", {"alpha": 2.0, "beta_inv": 100.0}, 0.54),
    ],
)
def test_the_own_reward_is_the_objectives(objective, numbers, expected, tmp_path):
    """tempered: 3·(−4) − 4 + 2 = −14; tilted: 0.6 + (−4 − 4 + 2)/100 = 0.54."""
    row = evaluation(tmp_path, 0.6, -4, -2, run="x", objective=objective, learning_rate=1e-4, seed=0, **numbers)
    assert rates.own_reward(row).mean() == pytest.approx(expected, abs=1e-6) and len(rates.own_reward(row)) == 50


def test_a_profile_whose_control_moved_too_far_fails_its_own_check(summary, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    monkeypatch.setattr(results, "evaluations", lambda profile: summary)
    profile = profiles.load("quick")
    rates.check(profile)
    assert "No control with 3 seeds judges the runs on many_wordings at 0.0001, one_wording" in capsys.readouterr().out
    rates.collect(profile)
    assert len(rates.load("quick")) == 3 and len(rates.load("quick", "rates")) == 3
    summary["model"] = "one_wording"
    rates.collect(profile)
    rates.check(profile)  # 1e-4 stays, and nothing else is trained at another rate
    fast = profile.changed(train=profile.train | {"learning_rate": 1e-3})
    with pytest.raises(UsageError, match=r"one_wording at 0.001 by -5.0 points\), .* lower learning_rate"):
        rates.check(fast)
    rates.check(fast.changed(compares_rates=True))
    monkeypatch.setattr(results, "evaluations", lambda profile: summary[summary["objective"] != "random"][:2])
    rates.collect(profile)  # a profile without a control, and with one rate, has neither table
    assert rates.load("quick") is None and rates.load("quick", "rates") is None


def test_a_control_that_moved_in_a_later_round_is_named_with_its_round(summary, tmp_path, monkeypatch, capsys):
    """The control of 3e-4 stands for round 2 here, that of 1e-3 for round 3; round 2 stays, round 3 falls by 5 points."""
    monkeypatch.setattr(folders, "HOME", tmp_path)
    profile = profiles.load("rounds")
    control = summary[summary["objective"].isin(["base", "random"])].assign(model="many_wordings")
    rounds = control["learning_rate"].map({1e-4: 1, 3e-4: 2, 1e-3: 3}).fillna(1).astype(int)
    rate = profile.train["learning_rate"]
    monkeypatch.setattr(results, "evaluations", lambda _: control.assign(round=rounds, learning_rate=rate))
    rates.collect(profile)
    with pytest.raises(UsageError, match=rf"3 points \(many_wordings at {rate:g} round 3 by -5.0 points\), "):
        rates.check(profile)
    assert f"judges the runs on one_wording at {rate:g}, one_wording at {rate:g} round 2" in capsys.readouterr().out


def test_the_profile_cpu_trains_at_the_rates_that_were_chosen():
    """`profiles/cpu.yaml` against data/results/rates/control.csv, and its own control at every one of them."""
    control = pd.read_csv(folders.ROOT / "data/results/rates/control.csv")
    allowed = control[control["allowed"]].set_index("model")["learning_rate"]
    assert allowed.index.is_unique  # one rate per base: nothing to choose from
    rows = [row for row in profiles.load("cpu").rows.values() if row["objective"] != "random"]
    assert all(row["learning_rate"] == allowed[row["model"]] for row in rows)
    chosen = {(row["model"], row["objective"]): row["learning_rate"] for row in rows}
    controls = {(r["model"], r["learning_rate"]) for r in profiles.load("cpu").rows.values() if r["objective"] == "random"}
    assert controls == {(model, rate) for (model, _), rate in chosen.items()}
    assert {row["seed"] for row in rows} == {0, 1, 2}
