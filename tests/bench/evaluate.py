"""Exact pass@k and maj@k by counting, against enumerating every subset of the samples."""

import time
from collections import Counter
from itertools import combinations

import numpy as np

from lib.evaluation import statistics

PROBLEMS, SAMPLES, LIMIT = 5000, 16, 10.0  # LIMIT: seconds for enumeration


def main() -> None:
    """5,000 problems × 16 samples, k = 1 to 16, both metrics; enumeration on as many problems as fit in 10 seconds."""
    answers = _answers()
    times = []
    for _ in range(3):
        statistics.pass_curve.cache_clear()
        statistics.maj_curve.cache_clear()
        started = time.perf_counter()
        counted = [_count(row) for row in answers]
        times.append(time.perf_counter() - started)
    done, started = 0, time.perf_counter()
    worst = 0.0
    while time.perf_counter() - started < LIMIT:
        difference = np.abs(np.array(_enumerate(answers[done])) - np.array(counted[done]))
        worst, done = max(worst, float(difference.max())), done + 1
    ratio = (time.perf_counter() - started) / done / (max(times) / PROBLEMS)
    kinds = len({statistics.count_votes(row, "0") for row in answers})
    print(f"pass@k and maj@k of {PROBLEMS} × {SAMPLES}, k = 1 to {SAMPLES}: {max(times):.2f} s (the slowest of 3, cold)")
    print(f"different vote counts among the problems  {kinds}")
    print(f"enumeration / counting, a problem         {ratio:,.0f}  ({done} problems enumerated in {LIMIT:.0f} s)")
    print(f"largest difference between the two        {worst:.1e}")


def _answers() -> list[list[str | None]]:
    """Answers of models that are more or less sure, of two to twelve kinds, one of which is silence; "0" is right."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(PROBLEMS):
        kinds = int(rng.integers(2, 13))
        drawn = rng.choice(kinds, SAMPLES, p=rng.dirichlet(np.full(kinds, 0.7)))
        rows.append([None if kind == kinds - 1 else str(kind) for kind in drawn])
    return rows


def _count(answers: list[str | None]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    votes = statistics.count_votes(answers, "0")
    return statistics.pass_curve(len(answers), votes.right), statistics.maj_curve(votes)


def _enumerate(answers: list[str | None]) -> tuple[list[float], list[float]]:
    """pass@k and maj@k for every k, from each of the 65,535 subsets."""
    passed, won = [], []
    for k in range(1, len(answers) + 1):
        right = shared = subsets = 0
        for subset in combinations(answers, k):
            counts = Counter(subset)
            del counts[None]
            top = max(counts.values(), default=0)
            right += "0" in counts
            shared += counts["0"] == top > 0 and 1 / sum(count == top for count in counts.values())
            subsets += 1
        passed.append(right / subsets)
        won.append(shared / subsets)
    return passed, won
