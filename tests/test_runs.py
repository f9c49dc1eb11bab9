"""Files that appear whole, locks, profiles, names."""

import subprocess
import sys
import time

import pytest

from lib import evaluate, runs, train
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
def test_profiles_are_sound(name):
    """Every run of every profile resolves to settings that would be trained, and the evaluation to a plan."""
    profile = runs.load_profile(name)
    described = runs.profile_runs(profile)
    assert len(described) == len(profile["runs"]) * len(profile["seeds"])
    for row in described.values():
        train.settings(name, **row).check()
    assert evaluate.plan(name).samples >= 1


def test_there_are_the_profiles_of_the_readme():
    assert {"quick", "cpu", "smoke"} <= set(PROFILES)


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
