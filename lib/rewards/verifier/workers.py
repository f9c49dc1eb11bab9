"""A pool of worker processes that can be killed: each item has its own deadline, and its failure is its alone. Workers are spawned,
never forked, because the parent may hold CUDA or threads. They do not import the parent's main module, so that a script without a
main guard and a notebook are not run again. A deadline runs from the moment in which a worker takes the item."""

import atexit
import contextlib
import multiprocessing
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.popen_spawn_posix import Popen
from multiprocessing.process import BaseProcess

from pebble import ProcessFuture, ProcessPool

from lib.rewards.verifier import mathverify

DEADLINE = 3.0  # seconds per item
START, RESTART = 60.0, 5.0  # seconds that the first workers, and one in place of a killed one, may take to start
ATTEMPTS = 2  # how often an item is given to a pool: the first may break, as when idle workers are killed

_lock = threading.RLock()
_pool: ProcessPool | None = None


class _Process(SpawnProcess):
    """A spawned process that does not import the parent's main module."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Popen:
        with _lock:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process_obj)
            finally:
                sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Process


def cores() -> int:
    """The number of workers: the cores that this process may use, at most 8."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else multiprocessing.cpu_count())


def run(function: Callable[..., object], items: Sequence[tuple], deadline: float = DEADLINE) -> list[object]:
    """What `function(*item)` returns for each item, or `timeout` or `crash`; the function is importable by name.
    Can be called from any thread. An item whose worker dies is a crash; what a broken pool left undone is tried once more."""
    results: dict[int, object] = {}
    for _ in range(ATTEMPTS):
        left = [i for i in range(len(items)) if i not in results]
        if not left:
            break
        pool = _started()
        with contextlib.suppress(RuntimeError):  # another thread closed it, or it broke
            futures = {i: pool.schedule(function, args=items[i], timeout=deadline) for i in left}
            results |= _gather(futures, START + (deadline + RESTART) * len(left))
        if not results.keys() >= set(left):
            close(pool)
    return [results.get(i, "crash") for i in range(len(items))]


def _gather(futures: Mapping[int, ProcessFuture], patience: float) -> dict[int, object]:
    """The results that came within so many seconds; an item is missing if the pool broke before it was its turn."""
    found: dict[int, object] = {}
    end = time.monotonic() + patience
    try:
        for i, future in futures.items():
            try:
                found[i] = future.result(timeout=max(0.0, end - time.monotonic()))
            except (BrokenProcessPool, CancelledError):
                continue
            except TimeoutError:
                if future.done():  # its own deadline, not our patience
                    found[i] = "timeout"
            except Exception:  # the worker died, ran out of memory, or raised what it should not
                found[i] = "crash"
    finally:  # also when the user interrupts
        for future in futures.values():
            future.cancel()
    return found


def _started() -> ProcessPool:
    """The shared pool, a new one if there is none that works."""
    global _pool
    with _lock:
        if _pool is None or not _pool.active:
            _pool = ProcessPool(cores(), initializer=mathverify.start, context=_Context())
        return _pool


def close(pool: ProcessPool | None = None) -> None:
    """Stops the pool's workers; a later call starts new ones. With an argument, only if it is that pool."""
    global _pool
    with _lock:
        if _pool is None or (pool is not None and pool is not _pool):
            return
        stopping, _pool = _pool, None
    with contextlib.suppress(Exception):
        stopping.stop()
        stopping.join(timeout=10)


def _forget() -> None:
    """In a forked child: the pool is the parent's, and a lock that another of its threads held would never be released."""
    global _pool, _lock
    _pool, _lock = None, threading.RLock()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
