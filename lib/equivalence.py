"""What runs inside a worker process: Math-Verify, with a memory limit, for what `lib.answers` leaves open.

Only text that `lib.answers.refuse` let through gets here, and only Math-Verify's LaTeX reader sees it: its reader for plain
expressions calls `eval`. There is no time limit here; the parent kills a worker that takes too long (`lib.workers`).
"""

import functools
import logging
import os
import re
import resource
import signal
import threading
import time

from lib import answers, comparison
from lib.answers import Group, Unreadable
from lib.probe import CLOSE

MEMORY = 2**30  # bytes of address space a worker
# A number or a closing bracket before an opening one, or a closing one before a fraction: Math-Verify reads (2)(3), 2(3) and
# (2)\frac{1}{2} as mixed numbers, that is as sums. Not the 2 of \log_2(8) and \sin^2(x).
SIDE_BY_SIDE = re.compile(r"(\)(?=\s*(?:\(|\\d?frac))|(?<![\^_\d.])\d+(?:\.\d+)?(?=\s*\())\s*")


def start() -> None:
    """Prepares a worker: the memory limit, and the slow imports, before any deadline runs."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # dies at once, also in the middle of a long multiplication
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    logging.disable(logging.CRITICAL)
    _parse("x+1")


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, which may have been killed in the middle of a long item."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def judge(gold: str, answer: str, strict: bool) -> str:
    """`ok`, `wrong` or `unparsable`: an answer against a gold, both as text."""
    try:
        return "ok" if comparison.equal(gold, answer, strict, _equal) else "wrong"
    except MemoryError:  # a crash, as the death of the worker would be
        raise
    except Exception:  # Unreadable, or whatever Math-Verify raises for what it cannot compare, such as 0/0
        return "unparsable"


def readable(text: str) -> bool:
    """Whether an answer can be compared at all: every value in it is a number, words, or something that Math-Verify reads."""
    try:
        return _readable(answers.read(text))
    except MemoryError:
        raise
    except Exception:
        return False


def _readable(node: answers.Node) -> bool:
    if isinstance(node, Group):
        return all(_readable(item) for item in node.items)
    if node.number is None and node.words is None:
        answers.refuse(node.latex)
        _parse(node.latex)
    return True


def _equal(gold: str, answer: str) -> bool:
    """Math-Verify's verdict on two expressions; numbers are compared to six digits where one is a decimal, else exactly."""
    from math_verify import verify

    left, right = _parse(gold), _parse(answer)
    numbers = _number(left), _number(right)
    if None not in numbers:
        has_decimal = "." in gold or "." in answer
        difference, size = abs(numbers[0] - numbers[1]), max(map(abs, numbers))
        if has_decimal or difference > 1e-9 * size:
            return has_decimal and bool(difference <= CLOSE * size)
    return verify(left, right, strict=True, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)


def _number(expression) -> complex | None:
    """The value of an expression without unknowns, to 15 digits; None if it has none."""
    from sympy import Expr

    if not isinstance(expression, Expr) or expression.free_symbols:
        return None
    try:
        value = complex(expression.evalf(15))
    except (TypeError, ValueError, OverflowError):
        return None
    return value if value == value and abs(value) != float("inf") else None


@functools.lru_cache(maxsize=1024)  # a group of completions shares its gold
def _parse(latex: str):
    """Math-Verify's expression for plain LaTeX; raises Unreadable if it finds none."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # units are taken off before, and only where they are units
    how = NormalizationConfig(basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="last")
    product = SIDE_BY_SIDE.sub(r"\1\\cdot ", latex)
    try:
        found = parse(
            f"\\boxed{{{product}}}",
            [
                LatexExtractionConfig(False, boxed_match_priority=0, normalization_config=how)
            ],  # the whole box or nothing
            fallback_mode="no_fallback",
            extraction_mode="first_match",
            parsing_timeout=None,
            raise_on_error=True,
        )
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # whatever the parser raises for text that is no mathematics
        raise Unreadable(str(error)[:80]) from None
    if len(found) != 1:
        raise Unreadable("no mathematics in it")
    return found[0]
