"""Is a completion's final answer right? The last balanced `\\boxed{…}` against the gold answer.

Equal text, plain numbers and structure are decided at once (`equality`). The rest goes to Math-Verify (`mathverify`) in worker
processes that can be killed (`workers`), and is remembered. No text is executed or raises, and every failure has a status.

Two variants. Strict, for rewards: all boxes of a completion say the same, and a gold that is a plain number wants a number.
Lenient, for evaluation: the last box counts, unless several stand side by side, and any expression of the right value will do.
In both a list of candidates earns nothing, because it is not what the gold says."""

import functools
import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lib.rewards.verifier import answers, equality
from lib.rewards.verifier.boxes import Box, boxes
from lib.rewards.verifier.notation import MAX_LENGTH

STATUSES = ("ok", "wrong", "undecided", "no_box", "unparsable", "timeout", "crash")
VARIANTS = {True: "strict", False: "lenient"}
SIDE_BY_SIDE = re.compile(r"(?i)(?:[\s$.,;:/|&*()\[\]{}\\-]|\b(?:or|and|either|maybe|perhaps|possibly|alternatively|quad|text)\b)*")
MOST_BOXES = 16  # different boxes in one completion; more is hedging without a look
MEMORY = 100_000  # verdicts that are remembered
PACKAGES = ("math-verify", "latex2sympy2-extended", "sympy")  # what grades, beside the kit's own code
memory: dict[tuple, object] = {}  # what workers found, by question and item; a crash is not kept
_lock = threading.Lock()


@dataclass(frozen=True)
class Verdict:
    """`status` is one of `STATUSES`, of which only ok is right; `answer` is the text in the last box, or None."""

    correct: bool
    status: str
    answer: str | None


def check(completion: str, gold: str, strict: bool = False) -> Verdict:
    """Whether the last balanced box of `completion` equals `gold`; never raises, whatever the text."""
    return check_all([completion], [gold], strict)[0]


def check_all(completions: Sequence[str], golds: Sequence[str], strict: bool = False) -> list[Verdict]:
    """A verdict for each completion against its gold; what is not decided at once is shared among the worker processes."""
    found = [boxes(completion) for completion in completions]
    statuses = [
        "no_box" if not f else "wrong" if _hedges(f, completion, strict) else _compare(gold, f[-1].text, strict)
        for f, completion, gold in zip(found, completions, golds, strict=True)
    ]
    items = [(gold.strip(), f[-1].text.strip(), strict) for f, gold, s in zip(found, golds, statuses, strict=True) if s is None]
    asked = iter(_ask_workers("judge", items))
    final = [str(next(asked)) if status is None else status for status in statuses]
    return [Verdict(status == "ok", status, f[-1].text if f else None) for status, f in zip(final, found, strict=True)]


def description(strict: bool) -> dict[str, object]:
    """Which variant judged, how patiently, with which libraries: for a run's and an evaluation's records."""
    from lib.rewards.verifier import workers

    versions = {name: metadata.version(name) for name in PACKAGES}
    return {"variant": VARIANTS[strict], "deadline_seconds": workers.DEADLINE, "fingerprint": fingerprint(), **versions}


@functools.cache
def fingerprint(folder: Path = Path(__file__).parent) -> str:
    """A hash of the verifier's source and of the versions of the packages that it grades with, of 16 hexadecimal digits."""
    parts = [path.name.encode() + path.read_bytes() for path in sorted(folder.glob("*.py"))]
    parts += [metadata.version(name).encode() for name in PACKAGES]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def have_one_boxed_answer(completions: Sequence[str]) -> list[bool]:
    """The `format` control's reward: exactly one box in a completion, and it parses as an answer, right or wrong."""
    found = [boxes(completion) for completion in completions]
    readable = iter(are_readable([f[0].text for f in found if len(f) == 1]))
    return [len(f) == 1 and next(readable) for f in found]


def are_readable(texts: Sequence[str]) -> list[bool]:
    """Whether each answer or gold can be compared with another at all; one that cannot is never right."""
    known = [len(text) <= MAX_LENGTH and _readable_at_once(text.strip()) for text in texts]
    asked = iter(_ask_workers("readable", [(t.strip(),) for t, k in zip(texts, known, strict=True) if k is None]))
    return [(next(asked) if readable is None else readable) is True for readable in known]


def _ask_workers(question: str, items: Sequence[tuple]) -> list[object]:
    """What `judge` or `readable` says about each item; equal items go to a worker once, and the oldest is forgotten first."""
    with _lock:
        found = {item: memory.get((question, *item)) for item in items}
    if new := [item for item, known in found.items() if known is None]:
        from lib.rewards.verifier import mathverify, workers  # slow, and plain numbers do without

        found |= zip(new, workers.run(getattr(mathverify, question), new), strict=True)
        with _lock:
            memory.update({(question, *item): found[item] for item in new if found[item] != "crash"})
            while len(memory) > MEMORY:
                del memory[next(iter(memory))]
    return [found[item] for item in items]


def _hedges(found: list[Box], completion: str, strict: bool) -> bool:
    """Whether the boxes are several bets. Strict: any two that differ; lenient: the last two, if only `or` or so parts them.
    Boxes differ unless it can be told at once that they say the same."""
    different = {box.text.strip() for box in found}
    if len(different) == 1:
        return False
    last = found[-1]
    if strict:
        return len(different) > MOST_BOXES or any(_compare(text, last.text, False) != "ok" for text in different)
    between = completion[found[-2].end : last.start]
    return _compare(found[-2].text, last.text, False) != "ok" and bool(SIDE_BY_SIDE.fullmatch(between[:200]))


def _compare(gold: str, answer: str, strict: bool) -> str | None:
    """The status of one answer against one gold; None if it takes Math-Verify."""
    answer = answer.strip()
    return "unparsable" if len(answer) > MAX_LENGTH else _remembered(gold.strip(), answer, strict)


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
    return True if isinstance(node, answers.Leaf) and (node.number is not None or node.words) else None
