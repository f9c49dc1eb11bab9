"""`make bench`: speed, as ratios within one run. Absolute seconds differ between machines; the ratios are what to compare."""

import time
from collections.abc import Callable


def seconds(action: Callable[[], object], repeats: int = 5) -> float:
    """The fastest of a few runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times[1:])
