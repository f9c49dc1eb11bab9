"""Files that appear whole, locks, and folders of runs."""

import subprocess
import sys
import time

import pytest

from lib.storage import files, folders
from lib.storage.errors import UsageError


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "deep" / "x.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert files.read_json(path) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_sweep_spares_the_folders_of_others(tmp_path):
    """Training removed the partial files of an evaluation at work in the same run."""
    mine, others = (folder / ".x.json.1.partial" for folder in (tmp_path, tmp_path / "evaluations"))
    for path in (mine, others):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    files.sweep(tmp_path)
    assert not mine.exists() and others.exists()


def test_lines_round_trip_and_start_empty(tmp_path):
    assert files.read_lines(tmp_path / "none.jsonl") == []
    files.write_lines(tmp_path / "x.jsonl", [{"step": 0}, {"step": 1}])
    assert files.read_lines(tmp_path / "x.jsonl") == [{"step": 0}, {"step": 1}]


def test_a_lock_is_waited_for_and_dies_with_its_process(tmp_path):
    """No stale locks: the holder is killed with SIGKILL, and the next one gets in."""
    code = (
        "import time; from pathlib import Path; from lib.storage import files\n"
        f"with files.lock(Path({str(tmp_path)!r})): print('in', flush=True); time.sleep(60)"
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


@pytest.mark.parametrize("name", ["../../x", "a/b", "/x", "..", "."])
def test_a_run_cannot_leave_its_folder(name):
    with pytest.raises(UsageError, match="is no name for a run"):
        folders.run_folder("quick", name)
