"""Profiles: sound, checked when they are loaded, and every mistake in one sentence."""

import pytest

from lib import profiles
from lib.data import sets
from lib.storage import folders
from lib.storage.errors import UsageError

PROFILES = profiles.names()


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_sound(name):
    """Every run of every profile resolves to settings, and every evaluation; all data sets have the split that is asked for."""
    profile = profiles.load(name)
    for row in profile.rows.values():
        config = profile.train_config(**row)
        assert config.seed == row["seed"] and sets.named(config.data).stored_split("train")
    for model in profile.models:
        evaluations = profile.eval_configs(model)
        longest = profile.train_config(model=model, objective="task").max_completion_tokens
        assert evaluations[0].max_completion_tokens == longest
        for config in evaluations:
            assert config.samples >= 2 and sets.named(config.data).stored_split(config.split)


def test_there_are_the_profiles_of_the_readme():
    assert {
        "quick",
        "cpu",
        "fair",
        "rounds",
        "digits",
        "family",
        "rates",
        "smollm",
        "smoke",
        "smoke_rounds",
        "forecast",
        "gpu24",
        "gpu48",
        "gpu80",
        "paper",
    } == set(PROFILES)


def test_the_papers_sweep_is_whole():
    """Three models and three seeds; α and β⁻¹ as in the authors' sweep in both modes; the controls; the fixed length."""
    profile = profiles.load("paper")
    rows = list(profile.rows.values())
    assert len(profile.models) == len({row["seed"] for row in rows}) == 3
    alphas, weights = {0.5, 1, 1.25, 2, 4}, {100, 10_000}
    for objective in ("tilted", "task+likelihood"):
        found = {(row["alpha"], row["beta_inv"]) for row in rows if row["objective"] == objective}
        assert found == {(alpha, weight) for alpha in alphas for weight in weights}
    free = [row for row in rows if not row.get("fixed_length")]
    assert {row["alpha"] for row in free if row["objective"] == "tempered"} == alphas
    assert {"task", "sharpen", "random", "format"} <= {row["objective"] for row in free}
    assert {row["objective"] for row in rows if row.get("fixed_length")} == {"task", "sharpen", "tempered"}


def test_lists_multiply_out_and_one_model_may_have_its_own_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "profiles" / "mine.yaml"
    path.write_text(
        "title: x\nseeds: [0, 1]\ntrain: {steps: 7}\nevaluate: {data: [a/x, a/y], problems: 3}\n"
        "by_model: {o/b: {train: {steps: 9}, evaluate: {data: a/z}}}\n"
        "runs: [{model: [o/a, o/b], objective: tempered, alpha: [2, 4]}, {model: o/a, objective: task, fixed_length: true}]\n"
    )
    profile = profiles.load("mine")
    names = [f"{model}-tempered-a{alpha}-s{seed}" for model in "ab" for alpha in (2, 4) for seed in (0, 1)]
    assert list(profile.rows) == [*names, "a-task-fixed-s0", "a-task-fixed-s1"]
    assert profile.needs_gpu and profile.models == ["o/a", "o/b"]
    assert [profile.train_config(model=m, objective="task").steps for m in ("o/a", "o/b")] == [7, 9]
    assert [(c.data, c.problems) for c in profile.eval_configs("o/a")] == [("a/x", 3), ("a/y", 3)]
    assert [c.stem for c in profile.eval_configs("o/b")] == ["z-abbbf6-test"]
    assert [c.data for c in profile.eval_configs("o/a", "a/y")] == ["a/y"]
    with pytest.raises(UsageError, match="does not evaluate o/b on 'a/x': choose one of a/z"):
        profile.eval_configs("o/b", "a/x")
    path.write_text(path.read_text().replace("o/b: {train", "o/c: {train"))
    with pytest.raises(UsageError, match="mine.yaml: by_model has o/c, which no run has"):
        profiles.load("mine")


def test_unknown_profiles_and_keys_are_refused(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="There is no profile 'quik': choose one of .*quick"):
        profiles.load("quik")
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "profiles" / "mine.yaml"
    path.write_text("title: x\nseeds: [0]\ntrain: {}\nevaluate: {}\nruns: [{model: a, objective: task, alhpa: 2}]\n")
    with pytest.raises(UsageError, match="mine.yaml: Unknown setting alhpa .2.: did you mean alpha?"):
        profiles.load("mine")
    path.write_text("title: x\nseeds: [0]\nnotebooks: [01_sharp]\ntrain: {}\nevaluate: {}\nruns: [{model: ./a, objective: task}]\n")
    with pytest.raises(UsageError, match="mine.yaml: notebooks lists some that are not there: 01_sharp"):
        profiles.load("mine")
    path.write_text("title: x\n")
    with pytest.raises(UsageError, match="mine.yaml: Profile needs seeds: give it a value"):
        profiles.load("mine")


def test_names_tell_runs_apart():
    assert profiles.run_name("many_wordings", "task", 0) == "many_wordings-task-s0"
    assert profiles.run_name("owner/model-3B/", "tilted", 2, alpha=1.25, beta_inv=100) == "model-3B-tilted-a1.25-b100-s2"
    assert profiles.run_name("m", "tilted", 0, alpha=0.0, beta_inv=None, normalization="sum") == "m-tilted-a0-s0"
    powers = {"normalization": "weighted_mean", "length_exponent": 0.5}
    assert profiles.run_name("b", "sharpen", 0, alpha=2, **powers) == "b-sharpen-a2-weighted_mean-e0.5-s0"
    assert profiles.run_name("b", "task", 1, fixed_length=True) == "b-task-fixed-s1"
    assert profiles.run_name("b", "task", 1, fixed_length=False) == "b-task-s1"


def test_mistakes_in_a_profile_are_found_when_it_is_loaded(monkeypatch, tmp_path):
    """Each of its runs and evaluations is checked then, not when its turn comes."""
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    good = "title: x\nseeds: [0]\ntrain: {steps: 7}\nevaluate: {problems: 3}\nruns: [{model: ./m, objective: tempered}]\n"
    for change, message in {
        ("steps: 7", "steps: seven"): "mine.yaml: steps is 'seven': it must be a valid integer",
        ("steps: 7", "stps: 7"): "mine.yaml: Unknown setting stps .7.: did you mean steps?",
        ("problems: 3", "problems: 0"): "mine.yaml: problems is 0: it must be greater than or equal to 1",
        ("tempered}", "tempered, beta_inv: 3}"): "`tempered` does not weigh a task reward, but beta_inv is 3",
        ("seeds: [0]", "seeds: []"): "mine.yaml: seeds is \\[\\]: it must have at least 1 item",
        ("seeds: [0]", "seeds: [-1]"): "mine.yaml: seeds.0 is -1: it must be greater than or equal to 0",
        ("title: x", "title: {"): "mine.yaml is no YAML mapping",
        ("title: x", "title:"): "mine.yaml: title is None",
        ("title: x\n", ""): "mine.yaml: Profile needs title: give it a value",
        ("runs: [{model: ./m, objective: tempered}]", "runs: []"): "mine.yaml: runs is \\[\\]: it must have at least 1 item",
        ("./m", "many_wording"): "There is no model 'many_wording': give one_wording, many_wordings, a hub id",
        ("tempered}", "tempered, alpha: two}"): "mine.yaml: alpha is 'two': it must be a valid number",
        ("title: x", "titel: x"): "mine.yaml: Unknown setting titel .*did you mean title",
        ("model: ./m", "model: [a/m, b/m]"): "Two runs would be called m-tempered-s0",
        ("steps: 7}\nevaluate: {", "data: a.jsonl}\nevaluate: {data: a.jsonl, "): "a.jsonl is what ./m is trained on and tested on",
    }.items():
        (tmp_path / "profiles" / "mine.yaml").write_text(good.replace(*change))
        with pytest.raises(UsageError, match=message):
            profiles.load("mine")
    both = good.replace("steps: 7", "data: a.jsonl").replace("problems: 3", "data: a.jsonl, on_training_data: true")
    (tmp_path / "profiles" / "mine.yaml").write_text(both)
    assert profiles.load("mine").eval_configs("./m")[0].on_training_data
    (tmp_path / "profiles" / "mine.yaml").write_text(good.replace("steps: 7", "learning_rate: 3e-4"))
    assert profiles.load("mine").train_config(model="m", objective="task").learning_rate == 0.0003  # YAML has it as text
