"""Tables and figures from result files."""

import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.evaluation import metrics, statistics
from lib.profiles import Profile
from lib.reports import figures, pages, results
from lib.rewards import objectives
from lib.storage import digests, files, folders
from lib.storage.errors import UsageError


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A profile `mine` with a base and two runs, as files."""
    monkeypatch.setattr(folders, "HOME", tmp_path)
    folder = tmp_path / "data" / "results" / "mine"
    folder.mkdir(parents=True)
    shared = {
        "model": "b",
        "data_set": "x/test",
        "checkpoint": "last",
        "normalization": "sum",
        "problems": 10,
        "samples": 2,
        "length_mean": 8.0,
        "direct_share": 0.5,
    }
    shared |= {"accuracy_sampled_low": 0.2, "accuracy_sampled_high": 0.9, "accuracy_greedy": 0.25, "kl": 0.0}
    shared |= {"pass_at_1": 0.5, "pass_at_2": 0.75, "maj_at_1": 0.5, "maj_at_2": 0.6}
    shared |= {f"pass_at_{k}_{end}": value for k in (1, 2) for end, value in (("low", 0.1), ("high", 0.9))}
    rows = [
        {"run": "base-b", "objective": "base", "alpha": None, "beta_inv": None, "seed": None, "accuracy_sampled": 0.5},
        {"run": "r1", "objective": "tilted", "alpha": 2, "beta_inv": 100, "seed": 0, "accuracy_sampled": 0.8},
        {"run": "r2", "objective": "task", "alpha": 0, "beta_inv": 1, "seed": 0, "accuracy_sampled": 0.9},
    ]
    summary = pd.DataFrame([shared | row for row in rows])
    summary.to_csv(folder / "summary.csv", index=False)
    results.labelled(summary).assign(seeds=1).to_csv(folder / "labels.csv", index=False)
    steps = [{"run": run, "step": s, "task_accuracy": s / 10} for run in ("r1", "r2") for s in range(10)]
    pd.DataFrame(steps).to_csv(folder / "steps.csv", index=False)
    return results.load("mine")


def test_labels_carry_the_numbers_that_an_objective_uses(table):
    assert table[0]["label"].tolist() == ["base", "tilted α=2 β⁻¹=100", "task"]


def test_the_markdown_table_has_a_row_per_objective(table):
    lines = results.markdown("mine").splitlines()
    assert lines[2] == "| b | base | 50.0% (20.0% to 90.0%) | 25.0% | 75.0% | 60.0% | 8.0 | 50.0% | 0.00 |"
    assert len(lines) == 7 and "10 problems, 2 samples per problem at temperature 1, one training seed" in lines[-1]


def test_a_label_has_its_learning_rate_where_there_are_several():
    rows = pd.DataFrame({"model": ["b"] * 3, "objective": ["random", "random", "task"], "alpha": 0, "beta_inv": 1})
    rows = rows.assign(normalization="sum", learning_rate=[1e-4, 3e-4, 3e-4])
    assert results.labelled(rows)["label"].tolist() == ["random at 0.0001", "random at 0.0003", "task"]


def test_the_readme_shows_the_committed_table(tmp_path, monkeypatch):
    """`make table` was run before the results were committed; results of your own, not yet committed, do not matter."""
    folder = tmp_path / "data" / "results" / pages.README
    folder.mkdir(parents=True)
    shown = subprocess.run(["git", "show", f"HEAD:data/results/{pages.README}/labels.csv"], cwd=folders.ROOT, capture_output=True)
    assert shown.returncode == 0, shown.stderr
    (folder / "labels.csv").write_bytes(shown.stdout)
    monkeypatch.setattr(folders, "HOME", tmp_path)
    readme = subprocess.run(["git", "show", "HEAD:README.md"], cwd=folders.ROOT, capture_output=True, text=True).stdout
    assert results.markdown(pages.README) in readme


def test_missing_results_say_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    with pytest.raises(UsageError, match="make reproduce PROFILE=quick"):
        results.load("quick")


def _evaluated(home, data=("x",), runs_and_seeds=((0, 0.5), (1, 0.75)), grader="g", best=None, sharpen=()):
    """A profile with a base, a run of `task` per seed, runs of `sharpen` if asked for, and their folders: four questions each,
    whose accuracy is as given."""
    profile = Profile(
        name="mine",
        title="",
        seeds=[seed for seed, _ in runs_and_seeds],
        train={},
        evaluate={"data": list(data)},
        runs=[{"model": "./b", "objective": objective} for objective in (["task", "sharpen"] if sharpen else ["task"])],
    )
    rows = [("base-b", "base", None, "base", "x-test", 0.25)]
    rows += [(f"b-task-s{seed}", "task", seed, "last", "x-test", accuracy) for seed, accuracy in runs_and_seeds]
    rows += [(f"b-sharpen-s{seed}", "sharpen", seed, "last", "x-test", accuracy) for seed, accuracy in sharpen]
    rows += [("b-task-s0", "task", 0, "best", "x-test-best", best)] if best is not None else []
    for run, objective, seed, checkpoint, stem, accuracy in rows:
        folder = home / "runs" / "mine" / run
        row = {"model": "b", "objective": objective, "seed": seed, "checkpoint": checkpoint, "accuracy_sampled": accuracy}
        row |= {"problems": 4, "samples": 4, "data_set": "x/test", "config": {}, "alpha": 0, "beta_inv": 1, "normalization": "sum"}
        row |= {"fingerprint_sampler": "s", "fingerprint_grader": grader if seed == 1 else "g", "validation": {}}
        right = [i < round(4 * accuracy) for i in range(4)]
        samples = folder / "evaluations" / f"{stem}-sampled.parquet"
        samples.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"problem_id": list("abcd"), "correct": right}).to_parquet(samples)
        row |= {"fingerprint_prompts": "p", "tables": {samples.name: digests.of(samples)}}
        digests.write_sealed(folder / "evaluations" / f"{stem}.json", row)
        files.write_lines(folder / "metrics.jsonl", [dict.fromkeys(results.STEP_COLUMNS, 0)])
        files.write_json(folder / "environment.json", [{"first_step": 0, "python": "3"}])
        known = {name: digests.of(folder / name) for name in ("metrics.jsonl", "environment.json")}
        digests.write_sealed(folder / digests.NAME, {"files": known})
    return profile


def _collect(tmp_path, monkeypatch, **options):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    return results.collect(_evaluated(tmp_path, **options))


def test_differences_are_paired_over_questions_and_seeds(tmp_path, monkeypatch):
    """The base is right on a; seed 0 on a and b; seed 1 on a, b and c: +1/4 and +2/4."""
    assert _collect(tmp_path, monkeypatch)
    row = results.load_differences("mine").iloc[0]
    assert row[["model", "data_set", "label", "before", "after"]].tolist() == ["b", "x/test", "task", "base", "last"]
    assert row["mean"] == pytest.approx(0.375) and row["questions"] == 4 and row["seeds"] == 2
    assert row["noise"] == "evaluation and training noise" and row["low"] < 0.375 < row["high"]


def test_the_task_reward_is_set_against_each_other_objective(tmp_path, monkeypatch):
    """Of four questions `sharpen` has one and two right, `task` of the same seeds two and three."""
    assert _collect(tmp_path, monkeypatch, sharpen=((0, 0.25), (1, 0.5)))
    rows = results.load_differences("mine")
    assert rows["label"].tolist() == ["task", "sharpen α=0", "sharpen α=0"] and rows["after"].tolist() == ["last", "last", "task"]
    assert rows["mean"].tolist() == pytest.approx([0.375, 0.125, 0.25]) and rows["seeds"].tolist() == [2, 2, 2]


def test_task_is_set_against_the_same_round(monkeypatch):
    rows = [("base", "base", 1, "base", "b"), ("task", "task", 1, "last", "t1"), ("task", "task round 2", 2, "last", "t2")]
    rows += [("random", "random", 1, "last", "r1"), ("random", "random round 2", 2, "last", "r2")]
    summary = pd.DataFrame(rows, columns=["objective", "label", "round", "checkpoint", "path"]).assign(
        model="m", data_set="x", seed=0
    )
    blank = [0] * (len(statistics.Difference._fields) - 1)
    monkeypatch.setattr(results, "difference", lambda before, after: [[*before, *after], *blank])
    found = results._differences(summary)
    assert found.loc[found["after"] == "task", "mean"].tolist() == [["r1", "t1"], ["r2", "t2"]]


def test_an_objective_has_a_row_with_all_of_its_seeds(tmp_path, monkeypatch):
    """Seeds with 1/2 and 3/4 right: 62.5%, with an interval that knows about seeds, and each end of them."""
    assert _collect(tmp_path, monkeypatch)
    base, task = results.load_labels("mine").to_dict("records")
    assert (base["label"], base["seeds"], base["accuracy_sampled"]) == ("base", 1, 0.25)
    assert (task["label"], task["seeds"], task["accuracy_sampled"]) == ("task", 2, 0.625)
    assert (task["lowest_seed"], task["highest_seed"]) == (0.5, 0.75)
    found = statistics.two_level(np.array([[1, 1, 0, 0], [1, 1, 1, 0]]))[0]
    assert found.low < 0 and found.high > 1  # two seeds and four questions say nothing; a rate is not outside of 0 to 1
    assert [task["accuracy_sampled_low"], task["accuracy_sampled_high"]] == [0, 1]


def test_where_every_seed_is_always_right_the_interval_is_the_binomial_bound(tmp_path, monkeypatch):
    assert _collect(tmp_path, monkeypatch, runs_and_seeds=((0, 1.0), (1, 1.0)))
    task = results.load_labels("mine").iloc[1]
    assert task["accuracy_sampled"] == 1 and task["accuracy_sampled_low"] == pytest.approx(0.025 ** (1 / 4), abs=1e-5)


def test_each_data_set_is_compared_by_itself_and_the_first_is_the_headline(tmp_path, monkeypatch):
    profile = _evaluated(tmp_path, data=("x", "y"))
    for path in list((tmp_path / "runs").rglob("x-test.json")):
        changed = {"data_set": "y/test", "fingerprint_prompts": "others", "accuracy_sampled": 1.0}
        digests.write_sealed(path.with_name("y-test.json"), digests.read_sealed(path) | changed)
        shutil.copy(path.with_name("x-test-sampled.parquet"), path.with_name("y-test-sampled.parquet"))
    monkeypatch.setattr(folders, "HOME", tmp_path)
    assert results.collect(profile) and results.data_sets("mine") == ["x/test", "y/test"]
    assert results.load_differences("mine")["data_set"].tolist() == ["x/test", "y/test"]
    assert results.load("mine")[0]["accuracy_sampled"].tolist() == [0.25, 0.5, 0.75]
    summary, steps = results.load("mine", "y/test")
    assert summary["accuracy_sampled"].eq(1).all() and len(summary) == 3 and len(steps) == 2
    with pytest.raises(UsageError, match="has no results on 'z/test': choose one of x/test, y/test"):
        results.load("mine", "z/test")


def test_one_seed_says_evaluation_noise_only(tmp_path, monkeypatch):
    _collect(tmp_path, monkeypatch, runs_and_seeds=((0, 0.5),))
    row = results.load_differences("mine").iloc[0]
    assert row["noise"] == "evaluation noise only" and row["mean"] == pytest.approx(0.25)


def test_the_best_checkpoint_is_in_the_table_but_never_the_headline(tmp_path, monkeypatch):
    _collect(tmp_path, monkeypatch, best=1.0)
    written = pd.read_csv(tmp_path / "data/results/mine/summary.csv")
    assert written["checkpoint"].tolist() == ["base", "last", "last", "best"]
    assert results.load("mine")[0]["run"].tolist() == ["base-b", "b-task-s0", "b-task-s1"]
    gap = results.load_differences("mine").iloc[1]
    assert (gap["before"], gap["after"], gap["seeds"]) == ("last", "best", 1) and gap["mean"] == pytest.approx(0.5)


def test_unlike_results_are_neither_collected_nor_shown(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="base-b and b-task-s1 cannot be compared, because their grader differ"):
        _collect(tmp_path, monkeypatch, grader="another")
    assert not (tmp_path / "data").exists()
    assert _collect(tmp_path, monkeypatch)
    path = tmp_path / "data/results/mine/summary.csv"
    pd.read_csv(path).assign(fingerprint_sampler=["s", "s", "t"]).to_csv(path, index=False)
    with pytest.raises(UsageError, match="base-b and b-task-s1 cannot be compared, because their sampler differ"):
        results.load("mine")


@pytest.mark.parametrize("name", ["evaluations/x-test.json", "evaluations/x-test-sampled.parquet", "metrics.jsonl"])
def test_damaged_results_are_not_collected(name, tmp_path, monkeypatch):
    """One byte of a run's files is another: a sentence names it, and no table is written."""
    profile = _evaluated(tmp_path)
    monkeypatch.setattr(folders, "HOME", tmp_path)
    path = tmp_path / "runs" / "mine" / "b-task-s1" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UsageError, match=r"b-task-s1/.* damaged: (run the evaluation|train the run) once more"):
        results.collect(profile)
    assert not (tmp_path / "data").exists()


def test_older_results_have_no_differences(table):
    assert results.load_differences("mine").empty


def test_a_half_finished_profile_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folders, "HOME", tmp_path)
    assert results.collect(profiles.load("quick")) is False
    assert "10 of 10 evaluations of quick are not there yet" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_of_named_columns_those_that_say_the_same_in_every_row_are_left_out():
    rows = pd.DataFrame({"a": [1, 1], "b": ["x", "y"], "c": [np.nan, np.nan], "d": [2, 2]})
    assert list(results.without_constants(rows, ["a", "b", "c", "e"])) == ["b", "d"]


def test_lines_show_the_data(table):
    ax = figures.by_step(plt.figure().subplots(), results.lines(table[1], "b"), "task_accuracy", 100)
    by_label = {line.get_label(): line for line in ax.get_lines()}
    assert set(by_label) == {"tilted α=2 β⁻¹=100", "task"}
    np.testing.assert_allclose(by_label["task"].get_ydata()[2:8], np.arange(20, 80, 10))  # a straight line stays straight
    assert ax.get_xlabel().startswith("training step (updates")
    plt.close("all")


def test_accuracies_show_the_data(table):
    ax = figures.accuracies(plt.figure().subplots(), results.load_labels("mine"), table[0])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["base", "tilted α=2 β⁻¹=100", "task"]
    assert [c.lines[0].get_xdata()[0] for c in ax.containers] == [50.0, 90.0, 80.0]
    several = results.load_labels("mine").assign(seeds=[1, 1, 2])
    runs = pd.concat([table[0], table[0][2:].assign(accuracy_sampled=0.7)])
    ax = figures.accuracies(plt.figure().subplots(), several, runs)
    dots = next(line for line in ax.get_lines() if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    assert dots.get_xdata().tolist() == [90.0, 70.0] and np.all(dots.get_ydata() > 2)
    plt.close("all")


def test_side_by_side_panels_keep_their_own_row_labels(table):
    """Shared axes once labelled one base's rows with the other's objectives: panels of different rows must not share them."""
    import json

    cells = json.loads((folders.ROOT / "notebooks" / "07_compare.ipynb").read_text())["cells"]
    drawing = next("".join(c["source"]) for c in cells if "figures.accuracies(" in "".join(c["source"]))
    assert "sharey=False" in drawing
    _, axes = plt.subplots(1, 2, sharey=False)
    labels = results.load_labels("mine")
    figures.accuracies(axes[0], labels[labels["objective"] != "tilted"], table[0])
    figures.accuracies(axes[1], labels, table[0])
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["base", "task"]
    assert all(ax.yaxis.get_inverted() for ax in axes)
    plt.close("all")


def test_the_legend_names_every_label_of_every_panel_once():
    figure, axes = plt.subplots(1, 2)
    axes[0].plot([1], label="task")
    axes[1].plot([1], label="task")
    axes[1].plot([1], label="random")
    figures.legend(figure, axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["task", "random"]
    plt.close("all")


def test_labels_of_one_objective_look_different():
    looks = figures.styles([("tempered", "α=1.25"), ("tempered", "α=2"), ("tempered", "α=4"), ("task", "task")])
    assert len({(look["color"], str(look["markerfacecolor"])) for look in looks.values()}) == 4


def test_smoothing_by_hand():
    np.testing.assert_allclose(figures.smooth([0, 3, 6, 0], window=3), [1.5, 3, 3, 3])
    np.testing.assert_allclose(figures.smooth([5.0]), [5.0])


def test_objectives_can_be_told_apart_in_grey():
    """No two objectives share dash and marker, and every objective of the registry has a look."""
    looks = {name: figures.style(name) for name in ("base", *objectives.OBJECTIVES)}
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks.values()}) == len(looks) == 8


def test_a_metric_of_ones_own_is_drawn_and_in_the_table(table, tmp_path, monkeypatch):
    """An entry of the registry with a heading and values in a profile's summary is all it takes."""
    monkeypatch.setattr(metrics, "METRICS", dict(metrics.METRICS))
    metric = metrics.register(metrics.Metric("signs", "plus signs", lambda graded: graded.mean("length"), heading="signs"))
    for name in ("summary", "labels"):
        path = tmp_path / "data" / "results" / "mine" / f"{name}.csv"
        rows = pd.read_csv(path).assign(signs=[1.0, 2.0, 3.0], signs_low=[0.5, 1.5, 2.5], signs_high=[1.5, 2.5, 3.5])
        rows.to_csv(path, index=False)
    first, _, base = results.markdown("mine").splitlines()[:3]
    assert first.endswith("| signs |") and base.endswith("| 1.0 |")
    ax = figures.further(plt.figure().subplots(), results.load("mine")[0], metric)
    assert ax.get_title(loc="left") == "b:\nbase 1.0, task 3.0" and ax.get_xlabel() == "plus signs"
    assert [c.lines[0].get_xdata()[0] for c in ax.containers] == [1.0, 3.0, 2.0]
    plt.close("all")


def test_a_saved_figure_is_the_same_twice(tmp_path):
    for name in ("a", "b"):
        figure, ax = plt.subplots()
        ax.plot([1, 2])
        figures.save(figure, name, tmp_path)
        plt.close(figure)
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"a.svg", "a.png", "b.svg", "b.png"}
