"""Files that appear whole, locks, profiles, names."""

import subprocess
import sys
import time

import pytest

from lib import evaluate, hub, models, runs, train
from lib.runs import UsageError

PROFILES = sorted(path.stem for path in (runs.ROOT / "profiles").glob("*.yaml"))


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "deep" / "x.json"
    runs.write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), runs.atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert runs.read_json(path) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_lines_round_trip_and_start_empty(tmp_path):
    assert runs.read_lines(tmp_path / "none.jsonl") == []
    runs.write_lines(tmp_path / "x.jsonl", [{"step": 0}, {"step": 1}])
    assert runs.read_lines(tmp_path / "x.jsonl") == [{"step": 0}, {"step": 1}]


def test_a_lock_is_waited_for_and_dies_with_its_process(tmp_path):
    """No stale locks: the holder is killed with SIGKILL, and the next one gets in."""
    code = (
        "import time; from pathlib import Path; from lib import runs\n"
        f"with runs.lock(Path({str(tmp_path)!r})): print('in', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"in\n"
    waiter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert f"Process {holder.pid} is at work" in waiter.stderr.readline()
    holder.kill()
    started = time.monotonic()
    assert waiter.stdout.readline() == "in\n"
    assert time.monotonic() - started < 30
    waiter.kill()


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_sound(name, monkeypatch):
    """Every run of every profile resolves to settings that would be trained, and the evaluation to plans; no hub is asked."""
    monkeypatch.setattr(models, "_resolve_on_hub", lambda model: models.Source(model, model, "a revision"))
    monkeypatch.setattr(train.problems, "load", _from_a_known_set)
    profile = runs.load_profile(name)
    for row in runs.profile_runs(profile).values():
        train.settings(name, **row).check()
    for model in runs.profile_models(profile):
        longest = evaluate.plans(name, model)[0].max_completion_tokens
        assert longest == train.settings(name, model=model, regime="task").max_completion_tokens
        for how in evaluate.plans(name, model):
            assert how.samples >= 2 and _from_a_known_set(how.data, how.split, how.problems) == []


def _from_a_known_set(data, split, count, revision=None):
    """Stands in for `problems.load`: no problems, but only of data sets that are there and have the split."""
    assert count >= 1 and (data == "arithmetic" or getattr(hub.KNOWN[data], split) is not None)
    return []


def test_there_are_the_profiles_of_the_readme():
    assert {"quick", "cpu", "smoke", "forecast", "gpu24", "gpu48", "gpu80", "paper"} == set(PROFILES)


def test_the_papers_sweep_is_whole():
    """Three models and three seeds; α and β⁻¹ as in the authors' sweep in both modes; the controls; the fixed length."""
    profile = runs.load_profile("paper")
    rows = list(runs.profile_runs(profile).values())
    assert len(runs.profile_models(profile)) == len({row["seed"] for row in rows}) == 3
    alphas, weights = {0.5, 1, 1.25, 2, 4}, {100, 10_000}
    for regime in ("tilted", "task+likelihood"):
        found = {(row["alpha"], row["beta_inv"]) for row in rows if row["regime"] == regime}
        assert found == {(alpha, weight) for alpha in alphas for weight in weights}
    free = [row for row in rows if not row.get("fixed_length")]
    assert {row["alpha"] for row in free if row["regime"] == "tempered"} == alphas
    assert {"task", "sharpen", "coin", "format"} <= {row["regime"] for row in free}
    assert {row["regime"] for row in rows if row.get("fixed_length")} == {"task", "sharpen", "tempered"}


def test_lists_multiply_out_and_one_model_may_have_its_own_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "profiles" / "mine.yaml"
    path.write_text(
        "title: x\nseeds: [0, 1]\ntrain: {steps: 7}\nevaluate: {data: [a/x, a/y], problems: 3}\n"
        "by_model: {o/b: {train: {steps: 9}, evaluate: {data: a/z}}}\n"
        "runs: [{model: [o/a, o/b], regime: tempered, alpha: [2, 4]}, {model: o/a, regime: task, fixed_length: true}]\n"
    )
    profile = runs.load_profile("mine")
    names = [f"{model}-tempered-a{alpha}-s{seed}" for model in "ab" for alpha in (2, 4) for seed in (0, 1)]
    assert list(runs.profile_runs(profile)) == [*names, "a-task-fixed-s0", "a-task-fixed-s1"]
    assert runs.needs_gpu(profile) and runs.profile_models(profile) == ["o/a", "o/b"]
    assert [train.settings("mine", model=m, regime="task").steps for m in ("o/a", "o/b")] == [7, 9]
    assert [(p.data, p.problems) for p in evaluate.plans("mine", "o/a")] == [("a/x", 3), ("a/y", 3)]
    assert [p.stem for p in evaluate.plans("mine", "o/b")] == ["z-test"]
    assert [p.data for p in evaluate.plans("mine", "o/a", "a/y")] == ["a/y"]
    with pytest.raises(UsageError, match="does not evaluate o/b on 'a/x': choose one of a/z"):
        evaluate.plans("mine", "o/b", "a/x")
    path.write_text(path.read_text().replace("o/b: {train", "o/c: {train"))
    with pytest.raises(UsageError, match="by_model has o/c, which no run has"):
        runs.load_profile("mine")


def test_unknown_profiles_and_keys_are_refused(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="There is no profile 'quik': choose one of .*quick"):
        runs.load_profile("quik")
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "profiles" / "mine.yaml"
    path.write_text("title: x\nseeds: [0]\ntrain: {}\nevaluate: {}\nruns: [{model: a, regime: task, alhpa: 2}]\n")
    with pytest.raises(UsageError, match="unknown keys \\['alhpa'\\]"):
        runs.load_profile("mine")
    path.write_text("title: x\nseeds: [0]\nnotebooks: [01_sharp]\ntrain: {}\nevaluate: {}\nruns: []\n")
    with pytest.raises(UsageError, match="lists notebooks that are not there: 01_sharp"):
        runs.load_profile("mine")
    path.write_text("title: x\n")
    with pytest.raises(UsageError, match="must have title, seeds, train, evaluate and runs"):
        runs.load_profile("mine")


def test_names_tell_runs_apart():
    assert runs.run_name("many_wordings", "task", 0) == "many_wordings-task-s0"
    assert runs.run_name("owner/model-3B/", "tilted", 2, 1.25, 100) == "model-3B-tilted-a1.25-b100-s2"
    assert runs.run_name("b", "sharpen", 0, 2, None, "weighted_mean", 0.5) == "b-sharpen-a2-weighted_mean-w0.5-s0"
    assert runs.run_name("b", "task", 1, fixed_length=True) == "b-task-fixed-s1"


@pytest.mark.parametrize("name", ["../../x", "a/b", "/x", "..", "."])
def test_a_run_cannot_leave_its_folder(name):
    with pytest.raises(UsageError, match="is no name for a run"):
        runs.run_folder("quick", name)


def test_a_misspelt_parameter_is_refused_with_the_right_one():
    good = {"PROFILE": "quick", "REGIME": "task", "In": [], "_": 1, "lower": 2}
    runs.check_parameters("05_train", good)
    runs.check_parameters("04_base_model", {"BASE": "one_wording", "OUT": "x", "In": [], "Out": {}})
    with pytest.raises(UsageError, match="Unknown parameter REGIMEN: did you mean REGIME"):
        runs.check_parameters("05_train", good | {"REGIMEN": "task"})
    with pytest.raises(UsageError, match="Unknown parameter alpha: did you mean ALPHA"):
        runs.check_parameters("05_train", good | {"alpha": 2})
    with pytest.raises(UsageError, match="Unknown parameter QQQ: this notebook has ALPHA"):
        runs.check_parameters("05_train", good | {"QQQ": 1})


def test_the_environment_says_what_is_installed():
    seen = runs.environment()
    assert set(runs.PACKAGES) == set(seen["packages"]) and seen["packages"]["torch"].startswith("2.13.0")
