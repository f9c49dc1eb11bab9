"""The pool: deadlines, crashes, memory, threads, forks, scripts; one item's failure is its alone."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from lib.rewards import verifier
from lib.rewards.verifier import mathverify, verdicts, workers

BOMB = "e^{e^{e^{99}}}"  # passes every guard, and evaluating it takes for ever
PROGRAM = """
import os, sys, threading
from lib.rewards import verifier
from lib.rewards.verifier import workers
print("main", flush=True)
assert verifier.check("\\\\boxed{x-1 \\\\le 2}", "x \\\\le 3").correct
"""


def run(program: str, **keywords) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, **keywords)


def children() -> list[int]:
    """The ids of this process's pool workers."""
    import psutil

    return [c.pid for c in psutil.Process().children() if "spawn_main" in " ".join(c.cmdline())]


def test_a_bomb_costs_its_deadline_and_nothing_else():
    verdicts.memory.clear()
    workers.run(mathverify.readable, [("x+1",)])
    pairs = [(f"x+{n}", f"{n}+x") for n in range(20)]
    started = time.perf_counter()
    results = workers.run(mathverify.judge, [("\\sqrt{x}", BOMB, False), *((g, a, False) for a, g in pairs)], deadline=1.0)
    assert results == ["timeout"] + ["ok"] * 20
    assert 1.0 <= time.perf_counter() - started < 4


def test_a_bomb_is_remembered(monkeypatch):
    verdicts.memory.clear()
    monkeypatch.setattr(workers, "DEADLINE", 0.5)
    monkeypatch.setattr(workers.run, "__defaults__", (0.5,))
    batch = [f"\\boxed{{{BOMB}}}"] * 8
    assert {v.status for v in verifier.check_all(batch, ["\\sqrt{x}"] * 8)} == {"timeout"}
    started = time.perf_counter()
    assert {v.status for v in verifier.check_all(batch, ["\\sqrt{x}"] * 8)} == {"timeout"}
    assert time.perf_counter() - started < 0.1
    verdicts.memory.clear()


def test_a_worker_that_dies_is_a_crash_of_its_item_alone():
    results = workers.run(_die_if, [(n == 3, n) for n in range(8)])
    assert results == [0, 1, 2, "crash", 4, 5, 6, 7]


def _die_if(die: bool, value: int) -> int:
    if die:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return value


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_workers_killed_while_idle_are_replaced(pause):
    """Without a pause the pool breaks over them; with one it has seen that they are dead."""
    workers.run(_die_if, [(False, 1)])
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    time.sleep(pause)
    assert workers.run(_die_if, [(False, n) for n in range(4)]) == [0, 1, 2, 3]


def test_memory_is_bounded():
    assert workers.run(_allocate, [(2 * mathverify.MEMORY,), (1000,)]) == ["crash", 1000]


def _allocate(count: int) -> int:
    return len(bytearray(count))


def test_workers_import_no_torch():
    assert workers.run(_modules, [()]) == [[]]


def _modules() -> list[str]:
    return sorted({"torch", "transformers", "numpy"} & set(sys.modules))


def test_many_threads_at_once():
    results: dict[int, list[str]] = {}

    def work(thread: int) -> None:
        batch = [f"\\boxed{{x-{thread + 1} \\le {n}}}" for n in range(10)]
        results[thread] = [v.status for v in verifier.check_all(batch, [f"x \\le {thread + 1 + n}" for n in range(10)])]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {n: ["ok"] * 10 for n in range(6)}


FORK = """
pid = os.fork()
if pid == 0:
    assert verifier.check("\\\\boxed{y-1 \\\\le 2}", "y \\\\le 3").correct
    workers.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert verifier.check("\\\\boxed{z-1 \\\\le 2}", "z \\\\le 3").correct
"""
THREAD = """
thread = threading.Thread(target=lambda: print(verifier.check("\\\\boxed{y-1 \\\\le 2}", "y \\\\le 3").status))
thread.start()
thread.join(30)
"""


@pytest.mark.parametrize("more", [FORK, THREAD, "import torch\n"], ids=["fork", "thread", "torch"])
def test_a_program_ends_by_itself(more):
    result = run(PROGRAM + more)
    assert result.returncode == 0 and result.stdout.startswith("main\n") and result.stderr == ""


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, env=with_path())
    assert (result.returncode, result.stdout, result.stderr) == (0, "main\n", "")


def test_it_works_in_a_notebook(tmp_path):
    """Under papermill, whose kernel's main module is neither the notebook nor a script."""
    import nbformat
    import papermill

    cells = [nbformat.v4.new_code_cell(PROGRAM), nbformat.v4.new_code_cell("workers.close()")]
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    nbformat.write(notebook, tmp_path / "in.ipynb")
    done = papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False, cwd=os.getcwd())
    assert [output["text"] for output in done.cells[0]["outputs"]] == ["main\n"]


def with_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.getcwd()}


def test_workers_end_with_a_parent_that_is_killed():
    import psutil

    program = PROGRAM + "print(*[c.pid for c in __import__('psutil').Process().children()], flush=True)\n"
    program += "import time\nthreading.Thread(target=workers.run, args=(time.sleep, [(60,), (60,)], 90)).start()\n"
    program += "time.sleep(0.5)\nos.kill(os.getpid(), 9)"
    result = run(program)
    pids = [int(pid) for pid in result.stdout.split()[1:]]
    assert result.returncode == -9 and len(pids) >= 2
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_plain_numbers_start_no_worker():
    program = "import sys\nfrom lib.rewards import verifier\nassert verifier.check('\\\\boxed{7}', '7').correct\n"
    program += "assert not verifier.check('\\\\boxed{1,2}', '7', strict=True).correct\n"
    program += "assert not {'pebble', 'sympy', 'math_verify', 'multiprocessing'} & set(sys.modules)"
    result = run(program)
    assert result.returncode == 0, result.stderr
