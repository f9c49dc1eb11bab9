"""Is a completion's final answer right? The last balanced `\\boxed{…}` against the gold answer.

Equal text, plain numbers and structure are decided at once (`lib.rewards.verifier.equality`). The rest goes to Math-Verify
(`lib.rewards.verifier.mathverify`) in worker processes that are killed when they take too long (`lib.rewards.verifier.workers`),
and is remembered. Nothing that a model wrote is executed, no text raises, and every failure has a status.

Two variants. Strict, for rewards: all boxes of a completion say the same, and a gold that is a plain number wants a number.
Lenient, for evaluation: the last box counts, unless several stand side by side, and any expression of the right value will do.
In both a list of candidates earns nothing, because it is not what the gold says.
"""

import functools
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

from lib.rewards.verifier import answers, equality
from lib.rewards.verifier.boxes import Box, boxes
from lib.rewards.verifier.notation import MAX_LENGTH

STATUSES = ("ok", "wrong", "no_box", "unparsable", "timeout", "crash")
VARIANTS = {True: "strict", False: "lenient"}
SIDE_BY_SIDE = re.compile(
    r"(?:[\s$.,;:/|&*()\[\]\\-]|\b(?:or|and|either|maybe|perhaps|possibly|alternatively|quad|text)\b|[{}])*", re.I
)
MOST_BOXES = 16  # different boxes in one completion; more is hedging without a look
MEMORY = 100_000  # verdicts that are remembered
PACKAGES = ("math-verify", "latex2sympy2-extended", "sympy")  # what grades, beside the kit's own code


@dataclass(frozen=True)
class Verdict:
    """`status` is ok, wrong, no_box, unparsable, timeout or crash; `answer` is the text in the last box, or None."""

    correct: bool
    status: str
    answer: str | None


class _Memory:
    """What workers found, by task; the oldest is forgotten first. A crash is not kept."""

    def __init__(self) -> None:
        self._known: dict[tuple, object] = {}
        self._lock = threading.Lock()

    def fill(self, function: Callable[..., object], items: Sequence[tuple]) -> list[object]:
        """What the function says about each item; equal items go to a worker once."""
        with self._lock:
            found = {item: self._known.get((function.__name__, *item)) for item in items}
        if new := [item for item, known in found.items() if known is None]:
            from lib.rewards.verifier import workers

            found |= zip(new, workers.run(function, new), strict=True)
            with self._lock:
                self._known |= {(function.__name__, *item): found[item] for item in new if found[item] != "crash"}
                while len(self._known) > MEMORY:
                    del self._known[next(iter(self._known))]
        return [found[item] for item in items]

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


memory = _Memory()


def check(completion: str, gold: str, strict: bool = False) -> Verdict:
    """Whether the last balanced box of `completion` equals `gold`; never raises, whatever the text."""
    return check_all([completion], [gold], strict)[0]


def check_all(completions: Sequence[str], golds: Sequence[str], strict: bool = False) -> list[Verdict]:
    """A verdict for each completion against its gold; what is not decided at once is shared among the worker processes."""
    found = [boxes(completion) for completion in completions]
    statuses = [_at_once(f, c, gold, strict) for f, c, gold in zip(found, completions, golds, strict=True)]
    open_ones = [i for i, status in enumerate(statuses) if status is None]
    if open_ones:
        from lib.rewards.verifier import mathverify

        items = [(golds[i].strip(), found[i][-1].text.strip(), strict) for i in open_ones]
        for i, status in zip(open_ones, memory.fill(mathverify.judge, items), strict=True):
            statuses[i] = str(status)
    return [Verdict(s == "ok", s, f[-1].text if f else None) for s, f in zip(map(str, statuses), found, strict=True)]


def description(strict: bool) -> dict[str, object]:
    """Which variant judged, how patiently, with which libraries: for a run's and an evaluation's records."""
    from lib.rewards.verifier import workers

    how = {"variant": VARIANTS[strict], "deadline_seconds": workers.DEADLINE}
    return how | {name: metadata.version(name) for name in PACKAGES}


def has_one_boxed_answer(completion: str) -> bool:
    """The `format` control's reward: exactly one box, and it parses as an answer, right or wrong."""
    return have_one_boxed_answer([completion])[0]


def have_one_boxed_answer(completions: Sequence[str]) -> list[bool]:
    """`has_one_boxed_answer` of each completion."""
    found = [boxes(completion) for completion in completions]
    one = [i for i, f in enumerate(found) if len(f) == 1]
    readable = dict(zip(one, are_readable([found[i][0].text for i in one]), strict=True))
    return [readable.get(i, False) for i in range(len(completions))]


def are_readable(texts: Sequence[str]) -> list[bool]:
    """Whether each answer or gold can be compared with another at all; one that cannot is never right."""
    known = [len(text) <= MAX_LENGTH and _readable_at_once(text.strip()) for text in texts]
    if open_ones := [i for i, readable in enumerate(known) if readable is None]:
        from lib.rewards.verifier import mathverify

        for i, readable in zip(open_ones, memory.fill(mathverify.readable, [(texts[i].strip(),) for i in open_ones])):
            known[i] = readable is True
    return [readable is True for readable in known]


def _at_once(found: list[Box], completion: str, gold: str, strict: bool) -> str | None:
    """The status of a completion where no worker is needed; None where one is."""
    if not found:
        return "no_box"
    if _hedges(found, completion, strict):
        return "wrong"
    return _compare(gold.strip(), found[-1].text.strip(), strict)


def _compare(gold: str, answer: str, strict: bool) -> str | None:
    """The status of one answer against one gold, both stripped; None if it takes Math-Verify."""
    return "unparsable" if len(answer) > MAX_LENGTH else _remembered(gold, answer, strict)


@functools.lru_cache(maxsize=MEMORY)
def _remembered(gold: str, answer: str, strict: bool) -> str | None:
    try:
        same = equality.equal(gold, answer, strict)
    except (answers.Unreadable, RecursionError):
        return "unparsable"
    except Exception:  # a mistake of the kit's own: counted, and no reason to stop a night's training
        return "crash"
    return None if same is None else "ok" if same else "wrong"


@functools.lru_cache(maxsize=MEMORY)
def _readable_at_once(text: str) -> bool | None:
    """Whether an answer is readable; None if it takes Math-Verify."""
    try:
        node = answers.read(text)
    except Exception:  # Unreadable, or a mistake of the kit's own
        return False
    plain = isinstance(node, answers.Leaf) and (node.number is not None or node.words is not None)
    return True if plain else None


def _hedges(found: list[Box], completion: str, strict: bool) -> bool:
    """Whether the boxes are several bets. Strict: any two that differ; lenient: the last two, if only `or` or so parts them."""
    different = {box.text.strip() for box in found}
    if len(different) == 1:
        return False
    if not strict:
        before, last = found[-2:]
        between = completion[before.end : last.start]
        return _differ(before.text, last.text) and bool(SIDE_BY_SIDE.fullmatch(between[:200]))
    return len(different) > MOST_BOXES or any(_differ(text, found[-1].text) for text in different)


def _differ(one: str, other: str) -> bool:
    """Whether two boxes do not say the same, as far as that can be told at once."""
    return _compare(one.strip(), other.strip(), False) != "ok"
