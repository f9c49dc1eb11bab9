"""The verifier against TRL's `accuracy_reward` called directly in one process, on the same completions; and what a bomb costs.

The completions are a page of reasoning each and end in a box. Every timed run has other numbers, so that
nothing is remembered from the one before.
"""

import logging
import random
import time
from collections.abc import Callable
from functools import partial

from lib.rewards import verifier
from lib.rewards.verifier import mathverify, workers
from tests.bench import seconds

KINDS = {  # (right answer, the same in other words, a wrong one), of a number n
    "integer": ("{n}", "{n}.0", "{m}"),
    "fraction": ("\\frac{{{n}}}{{{p}}}", "{n}/{p}", "\\frac{{{m}}}{{{p}}}"),
    "root": ("{n}\\sqrt{{3}}", "\\sqrt{{{t}}}", "{m}\\sqrt{{3}}"),
    "polynomial": ("x^2+{n}x", "x(x+{n})", "x^2+{m}x"),
    "point": ("({n}, \\frac{{\\pi}}{{{p}}})", "({n},\\pi/{p})", "({m}, \\frac{{\\pi}}{{{p}}})"),
    "interval": ("(-\\infty, {n}]", "(-\\infty,{n}.0]", "(-\\infty, {n})"),
    "angle": ("{n}^\\circ", "{n}", "{m}^\\circ"),
    "inequality": ("x \\le {n}", "x-1 \\le {n}-1", "x < {n}"),
    "complex": ("{n}+{p}i", "{p}i+{n}", "{n}-{p}i"),
    "words": ("\\text{{team {n}}}", "\\text{{Team {n}}}", "\\text{{team {m}}}"),
}
# How often each kind occurs, roughly as in MATH: two thirds are plain numbers and fractions
SHARES = {"integer": 22, "fraction": 8, "root": 4, "polynomial": 4, "point": 2, "interval": 2}
SHARES |= {"angle": 2, "inequality": 1, "complex": 1, "words": 2}
PAGE = "Let us write $x_{k+1} = 3x_k + {n}$ and look at the first terms. Since $x_0 = {n}$, we get $x_1 = 4 \\cdot {n}$. " * 6
BOMB = "e^{e^{e^{99}}}"


def answers(count: int, shares: dict[str, int], start: int) -> list[tuple[str, str, str]]:
    """(right, the same in other words, wrong) for `count` different problems, others for another `start`."""
    chance = random.Random(0)
    kinds = chance.choices(list(shares), list(shares.values()), k=count)
    numbers = [{"n": n, "m": n + 1, "p": 7 * count, "t": 3 * n * n} for n in range(start, start + count)]
    return [tuple(form.format(**n) for form in KINDS[kind]) for kind, n in zip(kinds, numbers, strict=True)]


def page(answer: str, n: int) -> str:
    """A completion that ends in an answer."""
    return PAGE.replace("{n}", str(n)) + f"So the answer is $\\boxed{{{answer}}}$."


def distinct(count: int, shares: dict[str, int], start: int) -> tuple[list[str], list[str]]:
    """(completions, golds): every answer occurs once; a third are the gold, a third the gold in other words, a third wrong."""
    rows = [(forms[0], forms[n % 3]) for n, forms in enumerate(answers(count, shares, start))]
    return [page(answer, n) for n, (_, answer) in enumerate(rows)], [gold for gold, _ in rows]


def grpo(prompts: int, group: int, start: int) -> tuple[list[str], list[str]]:
    """(completions, golds) of a step: the completions of a group differ, their answers are at most three."""
    chance, completions, golds = random.Random(1), [], []
    for n, forms in enumerate(answers(prompts, SHARES, start)):
        picks = chance.choices([forms[0], forms[2], forms[1]], [5, 2, 1], k=group)
        completions += [page(answer, 100 * n + i) for i, answer in enumerate(picks)]
        golds += [forms[0]] * group
    return completions, golds


def ours(completions: list[str], golds: list[str]) -> list[bool]:
    """The kit's verdicts."""
    return [verdict.correct for verdict in verifier.check_all(completions, golds, strict=True)]


def theirs(completions: list[str], golds: list[str]) -> list[float | None]:
    """TRL's rewards; a gold has to stand in a box to be read."""
    from trl.rewards import accuracy_reward

    return accuracy_reward([[{"content": text}] for text in completions], [f"\\boxed{{{gold}}}" for gold in golds])


def compare(name: str, make: Callable[[int], tuple[list[str], list[str]]], floor: float | None = None) -> None:
    """Prints how many times faster the kit is on batches of one kind, and how often the two agree."""
    batches = [make(2 + 1000 * n) for n in range(4)]
    mine, other = (seconds(partial(next, map(judge, *zip(*batches))), 3) for judge in (ours, theirs))
    found = [(a, bool(b)) for batch in batches for a, b in zip(ours(*batch), theirs(*batch), strict=True)]
    size, wanted = len(batches[0][0]), f" (at least {floor})" if floor else ""
    print(f"{name:22} {other / mine:6.1f} times{wanted}: {size / mine:.0f} a second, TRL {size / other:.0f}; ", end="")
    print(f"{sum(a == b for a, b in found)} of {len(found)} verdicts agree")


def main() -> None:
    """Throughput on distinct answers and on a GRPO-like batch, and the latency that a bomb adds."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    print(f"{workers.cores()} worker processes; the ratios are times of TRL / times of the kit")
    compare("240 distinct answers", partial(distinct, 240, SHARES), floor=10.0)
    compare("  inequalities alone", partial(distinct, 90, {"inequality": 1}))  # Math-Verify decides every one
    compare("64 × 8 as in GRPO", partial(grpo, 64, 8), floor=10.0)
    items = [("x \\le 3", f"x-{n} \\le {3 - n}", True) for n in range(40)]
    calm = seconds(lambda: workers.run(mathverify.judge, items), 3)
    started = time.perf_counter()
    statuses = workers.run(mathverify.judge, [*items[:20], ("\\sqrt{x}", BOMB, True), *items[20:]])
    added = time.perf_counter() - started - calm
    others = statuses[:20] + statuses[21:]
    print(f"one bomb among 40      adds {added:.2f} s (deadline {workers.DEADLINE:.0f} s): ", end="")
    print(f"it is a {statuses[20]}, {others.count('ok')} of the 40 others are ok")
