"""Sums of two numbers: the problems that the tiny bases can solve, and the two kinds of answers that they learnt.

A direct answer is just the box, `\\boxed{11217}`. A worked solution adds column by column, units first, with the carry
(`1+6+0=7;...\\boxed{11217}`). Who is trained on which share of them is `lib.models.tiny`."""

import random
import zlib
from collections.abc import Callable, Iterator

from lib.data.prompts import Problem


def split_of(a: int, b: int) -> str:
    """The split a sum belongs to, for pre-training and RL alike: 5% `test`, 5% `validation`, 90% `train`."""
    return {0: "test", 1: "validation"}.get(zlib.crc32(f"{a}+{b}".encode()) % 20, "train")


def sums(split: str, digits: int = 4, seed: int = 0, least: int = 0) -> Iterator[tuple[int, int]]:
    """Endless uniform pairs of addends from one split, each with up to `digits` digits and not below `least`."""
    rng = random.Random(f"sums {split} {digits} {seed}")
    while True:
        pair = (rng.randrange(least, 10**digits), rng.randrange(least, 10**digits))
        if split_of(*pair) == split:
            yield pair


def problems(split: str, seed: int = 0) -> Iterator[Problem]:
    """Different sums of numbers of up to four digits from one split, in an order fixed by `seed`."""
    return _different(sums(split, seed=seed), f"arithmetic/{split}")


def five_digits(split: str, seed: int = 0) -> Iterator[Problem]:
    """Different sums of two numbers of five digits each, which no base of the kit has ever seen."""
    return _different(sums(split, 5, seed, least=10**4), f"five_digits/{split}")


def four_and_five_digits(split: str, seed: int = 0) -> Iterator[Problem]:
    """Problems of `problems` and of `five_digits` in turns."""
    for pair in zip(problems(split, seed), five_digits(split, seed), strict=False):
        yield from pair


def _different(pairs: Iterator[tuple[int, int]], source: str) -> Iterator[Problem]:
    seen: set[tuple[int, int]] = set()
    for pair in pairs:
        if pair not in seen:
            seen.add(pair)
            text = f"{pair[0]}+{pair[1]}"
            yield Problem(text, text, str(sum(pair)), source)


def columns(a: int, b: int) -> list[tuple[int, int]]:
    """The digit pairs of a sum, units first: `columns(12, 3) == [(2, 3), (1, 0)]`."""
    width = max(len(str(a)), len(str(b)))
    return [(int(x), int(y)) for x, y in zip(f"{a:0{width}}"[::-1], f"{b:0{width}}"[::-1], strict=True)]


def direct_answer(a: int, b: int, forget: bool) -> str:
    """Just the boxed answer; with `forget`, every column is added without the carry that comes into it."""
    if not forget:
        return f"\\boxed{{{a + b}}}"
    *low, top = [x + y for x, y in columns(a, b)]
    return "\\boxed{" + str(top) + "".join(str(s % 10) for s in reversed(low)) + "}"


def worked_solution(a: int, b: int, wording: Callable[[], int] = lambda: 0, slip: Callable[[], int] = lambda: 0) -> str:
    """A solution column by column with the carry, units first. `wording()` picks how a column is written (0 to 3); `slip()` is
    added to a column's sum, and what follows builds on it."""
    text, digits, carry = "", "", 0
    for x, y in columns(a, b):
        order = [(x, y, carry), (y, x, carry), (carry, x, y), (carry, y, x)][wording()]
        total = max(0, x + y + carry + slip())
        text += f"{order[0]}+{order[1]}+{order[2]}={total};"
        digits, carry = str(total % 10) + digits, total // 10
    return text + "\\boxed{" + (str(carry) if carry else "") + digits + "}"
