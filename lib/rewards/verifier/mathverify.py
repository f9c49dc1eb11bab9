"""What runs inside a worker process: Math-Verify and SymPy, for what `lib.rewards.verifier.equality` leaves open.
Only text that `answers.refuse` let through gets here, and only Math-Verify's LaTeX reader sees it: its reader for plain expressions
calls `eval`. SymPy compares what was read, exactly; Math-Verify compares sets. Memory is limited here; time is not, because the
parent kills a worker that takes too long (`workers`)."""

import cmath
import functools
import logging
import os
import re
import resource
import signal
import threading
import time
from fractions import Fraction

from latex2sympy2_extended import NormalizationConfig, latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import verify
from sympy import And, Basic, Eq, Expr, Float, I, Ne, Rational, Symbol, fraction, nan, simplify, together, zoo
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from lib.rewards.verifier import answers, equality
from lib.rewards.verifier.answers import Group, Unreadable
from lib.rewards.verifier.equality import CLOSE

MEMORY = 2**30  # bytes of address space per worker
EXACT = 1e-90  # relative: SymPy computes a difference to at most 100 digits; one that is zero stays below this
# Math-Verify reads (2)(3), 2(3) and (2)\frac{1}{2} as mixed numbers, that is as sums. Not the 2 of \log_2(8) and \sin^2(x).
SIDE_BY_SIDE = re.compile(r"(\)(?=\s*(?:\(|\\d?frac))|(?<![\^_\d.])\d+(?:\.\d+)?(?=\s*\())\s*")
# Math-Verify reads γ and Γ as Euler's constant or a function, I as the imaginary unit, and drops an exponent T. Here they are
# letters, except in Γ(…), and are given to it as letters that `refuse` lets through in no text.
LETTERS = {r"\gamma": r"\upsilon ", r"\Gamma": r"\Upsilon ", "I": r"\Xi ", "T": r"\Pi "}
LETTER = re.compile(r"\\(?!Gamma\s*\()[A-Za-z]+|[IT]")


def start() -> None:
    """Prepares a worker: the memory limit, and what is slow the first time, before any deadline runs."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # dies at once, also in the middle of a long multiplication
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    logging.disable(logging.CRITICAL)
    _equal("x(x+1)", "x^2+x")


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent, which may have been killed in the middle of a long item."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def judge(gold: str, answer: str, strict: bool) -> str:
    """`ok`, `wrong` or `unparsable`: an answer against a gold, both as text."""
    try:
        return "ok" if equality.equal(gold, answer, strict, _equal) else "wrong"
    except MemoryError:  # a crash, as the death of the worker would be
        raise
    except Exception:  # Unreadable, or whatever Math-Verify and SymPy raise for what they cannot compare
        return "unparsable"


def readable(text: str) -> bool:
    """Whether an answer can be compared at all: every value in it is a number, words, or something that Math-Verify reads."""
    try:
        nodes = [answers.read(text)]
        while nodes:
            node = nodes.pop()
            if isinstance(node, Group):
                nodes += node.items
            elif node.number is None and node.words is None:
                answers.refuse(node.latex)
                _parse(node.latex)
    except MemoryError:
        raise
    except Exception:
        return False
    return True


def _equal(gold: str, answer: str) -> bool:
    """Whether two expressions, equations, inequalities or sets are the same."""
    left, right = _parse(gold), _parse(answer)
    if isinstance(left, Expr) and isinstance(right, Expr):
        return _same_value(left, right, rough="." in gold or "." in answer)
    golds, rest = (list(found.args) if isinstance(found, And) else [found] for found in (left, right))  # 1 < x < 2 is two
    if not all(isinstance(p, Relational) and isinstance(p.lhs, Expr) and isinstance(p.rhs, Expr) for p in [*golds, *rest]):
        how = {"allow_set_relation_comp": True, "numeric_precision": 50, "timeout_seconds": None, "raise_on_error": True}
        return verify(left, right, strict=True, **how)
    for relation in golds:  # the same parts, in any order
        same = next((other for other in rest if _same_relation(relation, other)), None)
        if same is None:
            return False
        rest.remove(same)
    return not rest


def _same_value(left: Expr, right: Expr, rough: bool) -> bool:
    """Whether two expressions are equal: numbers if they agree to 90 digits, or six if rough, others if SymPy proves it."""
    left, right = left.doit(), right.doit()
    if left.has(nan, zoo) or right.has(nan, zoo):  # divided by zero
        return False
    if left == right:
        return True
    if isinstance(left, Rational) and isinstance(right, Rational):
        return rough and equality.close(Fraction(left.p, left.q), Fraction(right.p, right.q))
    one, other, difference = _number(left), _number(right), _number(left - right)
    if one is None or other is None or difference is None:
        return simplify(left - right) == 0
    size = max(abs(one), abs(other))
    if rough:  # a decimal in one of them
        return abs(difference) <= CLOSE * size
    return abs(difference) <= EXACT * size or (abs(difference) <= EXACT and simplify(left - right) == 0)


def _number(expression: Expr) -> complex | None:
    """The value of an expression without unknowns, to 15 digits; None if it has none."""
    if expression.free_symbols:
        return None
    try:
        value = complex(expression.evalf(15))
    except (TypeError, ValueError, OverflowError):
        return None
    return value if cmath.isfinite(value) else None


def _same_relation(gold: Relational, answer: Relational) -> bool:
    """Whether one is the other times a constant, which must be positive for inequalities: 2x > 6 is 3 < x."""
    if gold.rel_op.replace(">", "<") != answer.rel_op.replace(">", "<"):
        return False
    if isinstance(gold, Eq | Ne):
        one, other = (fraction(together(relation.lhs - relation.rhs))[0] for relation in (gold, answer))
    else:
        one, other = gold.gts - gold.lts, answer.gts - answer.lts
    ratio = simplify(one / other)
    if not ratio.is_number or not ratio.is_finite:
        return False
    return bool(ratio.is_nonzero if isinstance(gold, Eq | Ne) else ratio.is_positive)


@functools.lru_cache(maxsize=1024)  # a group of completions shares its gold
def _parse(latex: str) -> Basic:
    """What Math-Verify's reader makes of plain LaTeX, with fractions for decimals; raises Unreadable if it makes nothing of it."""
    # units are taken off before, and only where they are units
    how = NormalizationConfig(basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none")
    case = ConversionConfig(lowercase_symbols=False)
    text = LETTER.sub(lambda match: LETTERS.get(match[0], match[0]), SIDE_BY_SIDE.sub(r"\1\\cdot ", latex))
    try:
        found = _exact(latex2sympy(text, is_real=True, normalization_config=how, conversion_config=case))
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # whatever the reader raises for text that is no mathematics
        raise Unreadable(str(error)[:80]) from None
    if isinstance(found, BooleanAtom):  # it would be equal to anything else that is true, or false
        raise Unreadable("no unknowns in it")
    return found


def _exact(found: Basic) -> Basic:
    """The same with fractions for decimals, and i for the letter i; equations and inequalities stay as they were written."""
    if isinstance(found, Relational):
        return found.func(_exact(found.lhs), _exact(found.rhs), evaluate=False)
    if isinstance(found, And):
        return found.func(*map(_exact, found.args))
    values = {number: Rational(str(number)) for number in found.atoms(Float)}
    return found.xreplace(values | ({Symbol("i", real=True): I} if isinstance(found, Expr) else {}))
