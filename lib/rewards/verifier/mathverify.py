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
from sympy import And, Basic, Eq, Expr, Float, I, Ne, Number, Rational, Set, Symbol, expand, fraction, nan, simplify, together, zoo
from sympy.core.evalf import PrecisionExhausted
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanAtom

from lib.rewards.verifier import answers, equality
from lib.rewards.verifier.answers import Group, Unreadable

MEMORY = 2**30  # bytes of address space per worker
FEW_DIGITS, DIGITS = 30, 400  # to which SymPy may compute a difference: what is smaller is not denied by its value
POINTS = [[Rational(n, d) for n, d in zip(range(a, a + 26 * 4, 4), range(b, b + 26 * 6, 6))] for a, b in ((3, 7), (5, 2), (-9, 11))]
# Math-Verify reads (2)(3), 2(3) and (2)\frac{1}{2} as mixed numbers, that is as sums. Not the 2 of \log_2(8) and \sin^2(x).
SIDE_BY_SIDE = re.compile(r"(\)(?=\s*(?:\(|\\d?frac))|(?<![\^_\d.])\d+(?:\.\d+)?(?=\s*\())\s*")
# Math-Verify reads γ and Γ as Euler's constant or a function, I as the imaginary unit, and drops an exponent T. Here they are
# letters, except in Γ(…), and are given to it as letters that `refuse` lets through in no text.
LETTERS = {r"\gamma": r"\upsilon ", r"\Gamma": r"\Upsilon ", "I": r"\Xi ", "T": r"\Pi "}
DEGREES = re.compile(r"(\d+(?:\.\d+)?) ?\^ ?\{? ?\\circ ?\}?")  # which Math-Verify drops
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
    """`ok`, `wrong`, `undecided` or `unparsable`: an answer against a gold, both as text; `timeout` if memory runs out."""
    try:
        same = equality.equal(gold, answer, strict, functools.partial(_equal, rounding=not strict))
        return "undecided" if same is None else "ok" if same else "wrong"
    except MemoryError:
        return "timeout"
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


def _equal(gold: str, answer: str, rounding: bool = True) -> bool | None:
    """Whether two expressions, equations, inequalities or sets are the same, as far as it is proved; None where nothing is. With
    `rounding` a decimal may stand for a number that it rounds (`equality.rounds`)."""
    left, right = _parse(gold), _parse(answer)
    if isinstance(left, Expr) and isinstance(right, Expr):
        return (rounding and (_rounds(gold, right) or _rounds(answer, left))) or _same_value(left, right)
    golds, rest = (list(found.args) if isinstance(found, And) else [found] for found in (left, right))  # 1 < x < 2 is two
    if all(isinstance(p, Relational) and isinstance(p.lhs, Expr) and isinstance(p.rhs, Expr) for p in [*golds, *rest]):
        return _same_relations(golds, rest)
    one, other = _as_set(left), _as_set(right)
    if one is None or other is None:  # an expression and a set, or so
        return False
    return one == other or one.symmetric_difference(other).is_empty


def _rounds(text: str, value: Expr) -> bool:
    """Whether a text is a decimal that rounds a real number."""
    number, place = answers.plain_number(text)
    value = value.doit()
    if number is None or place is None or value.free_symbols or not value.is_real:
        return False
    if isinstance(value, Rational):
        exact = Fraction(value.p, value.q)
        return not equality.terminates(exact) and equality.rounds(number, place, exact)
    return equality.rounds(number, place, Fraction(str(value.evalf(60))))


def _same_value(left: Expr, right: Expr) -> bool | None:
    """Whether two expressions are equal: True or False where SymPy proves it, None where it cannot tell. A numeric value only
    denies."""
    left, right = left.doit(), right.doit()
    if left.has(nan, zoo) or right.has(nan, zoo):  # divided by zero
        return False
    if left == right:
        return True
    difference = expand(left - right)
    if isinstance(difference, Number):
        return bool(difference == 0)
    if _differs_from_zero(difference, FEW_DIGITS):
        return False
    same = difference.equals(0)
    return False if same is None and _differs_from_zero(difference, DIGITS) else same


def _differs_from_zero(expression: Expr, digits: int) -> bool:
    """Whether an expression is certainly not zero, or with unknowns in it not zero everywhere. SymPy raises where no digit of a
    value is certain."""
    for point in POINTS if expression.free_symbols else POINTS[:1]:
        try:
            at = zip(sorted(expression.free_symbols, key=str), point, strict=False)
            value = complex(expression.subs(list(at)).evalf(5, maxn=digits, strict=True))
        except (PrecisionExhausted, TypeError, ValueError, OverflowError, ZeroDivisionError):
            continue  # it is zero, or has no value there
        if value != 0 and cmath.isfinite(value):
            return True
    return False


def _same_relations(golds: list[Relational], rest: list[Relational]) -> bool | None:
    """Whether equations or inequalities are the same ones, in any order."""
    undecided = len(golds) == len(rest)
    for relation in golds:
        found = [_same_relation(relation, other) for other in rest]
        if True not in found:
            return None if undecided and None in found else False
        del rest[found.index(True)]
    return not rest


def _as_set(found: Basic) -> Set | None:
    """A set, or the numbers for which a condition on one unknown holds; None for anything else."""
    if isinstance(found, Boolean) and len(found.free_symbols) == 1:
        found = found.as_set()
    return found if isinstance(found, Set) else None


def _same_relation(gold: Relational, answer: Relational) -> bool | None:
    """Whether one is the other times a constant, which must be positive for inequalities: 2x > 6 is 3 < x."""
    if gold.rel_op.replace(">", "<") != answer.rel_op.replace(">", "<"):
        return False
    if isinstance(gold, Eq | Ne):
        one, other = (fraction(together(relation.lhs - relation.rhs))[0] for relation in (gold, answer))
    else:
        one, other = gold.gts - gold.lts, answer.gts - answer.lts
    ratio = simplify(one / other)
    if ratio.has(nan, zoo):  # one of them is 0 = 0
        return False
    if not ratio.is_number:
        symbols = sorted(ratio.free_symbols, key=str)
        first, second = (ratio.subs(list(zip(symbols, point, strict=False))) for point in POINTS[:2])
        return False if _differs_from_zero(first - second, DIGITS) else None
    return ratio.is_nonzero if isinstance(gold, Eq | Ne) else ratio.is_positive


@functools.lru_cache(maxsize=1024)  # a group of completions shares its gold
def _parse(latex: str) -> Basic:
    """What Math-Verify's reader makes of plain LaTeX, with fractions for decimals; raises Unreadable if it makes nothing of it."""
    # units are taken off before, and only where they are units
    how = NormalizationConfig(basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none")
    case = ConversionConfig(lowercase_symbols=False)
    latex = DEGREES.sub(r"(\\frac{\1\\pi}{180})", latex)
    if r"\circ" in latex:
        raise Unreadable("degrees of no number")
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
