"""A pool of worker processes that can be killed: each item has its own deadline, and its failure is its alone.

Pebble does the work; here are the choices. Workers are spawned, never forked, because the parent may hold CUDA or threads; they do
not import the parent's main module, so that a script without a main guard and a notebook are not run again; they start when
they are first needed. A deadline runs from the moment in which a worker takes the item, and a worker that misses it is killed.
"""

import atexit
import contextlib
import multiprocessing
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as Late
from multiprocessing.context import SpawnContext, SpawnProcess

from pebble import ProcessPool

from lib import equivalence

DEADLINE = 3.0  # seconds an item
START, RESTART = 60.0, 5.0  # seconds that the first workers, and one in place of a killed one, may take to start
ATTEMPTS = 2  # how often an item is given to a new pool when the pool itself broke

_lock = threading.Lock()
_pool: ProcessPool | None = None
_main_lock = threading.Lock()


class _Process(SpawnProcess):
    """A spawned process that does not import the parent's main module."""

    @staticmethod
    def _Popen(process):
        with _main_lock:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process)
            finally:
                sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Process


def cores() -> int:
    """The cores that this process may use, at most 8: the number of workers."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else multiprocessing.cpu_count())


def run(function: Callable[..., object], items: Sequence[tuple], deadline: float = DEADLINE) -> list[object]:
    """What `function(*item)` returns for each item, or `timeout` or `crash`; the function is one of `lib.equivalence`.

    Can be called from any thread. An item whose worker dies is a crash; if the pool broke, what was left is tried once more.
    """
    results: list[object] = [None] * len(items)
    left = list(range(len(items)))
    for _ in range(ATTEMPTS):
        if not left:
            return results
        pool = _started()
        try:
            futures = {i: pool.schedule(function, args=items[i], timeout=deadline) for i in left}
        except RuntimeError:  # another thread closed it, or it broke
            close(pool)
            continue
        left = _gather(futures, results, START + (deadline + RESTART) * len(left))
        if left:
            close(pool)
    for i in left:
        results[i] = "crash"
    return results


def _gather(futures: dict, results: list, patience: float) -> list[int]:
    """Fills in the results; returns the items that the pool itself failed."""
    failed, end = [], time.monotonic() + patience
    try:
        for i, future in futures.items():
            outcome = _outcome(future, max(0.0, end - time.monotonic()))
            if outcome is None:
                failed.append(i)
            else:
                results[i] = outcome
    finally:  # also when the user interrupts
        for future in futures.values():
            future.cancel()
    return failed


def _outcome(future, patience: float) -> object:
    """The result of one item; None if the pool broke before it was its turn."""
    from concurrent.futures import CancelledError
    from concurrent.futures.process import BrokenProcessPool

    try:
        return future.result(timeout=patience)
    except Late:
        return "timeout" if future.done() else None
    except (BrokenProcessPool, CancelledError):
        return None
    except Exception:  # the worker died, ran out of memory, or raised what it should not
        return "crash"


def _started() -> ProcessPool:
    """The shared pool, started if there is none that works."""
    global _pool
    with _lock:
        if _pool is None or not _pool.active:
            _pool = ProcessPool(cores(), initializer=equivalence.start, context=_Context())
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
    """In a forked child: the pool's threads are not there, so neither is the pool."""
    global _pool, _lock, _main_lock
    _pool, _lock, _main_lock = None, threading.Lock(), threading.Lock()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
