"""When do two answers say the same? Structure and plain numbers are compared here, exactly, in microseconds. Expressions such as
`\\sqrt{8}` are left undecided, or to a function of the caller's (SymPy in a worker, `lib.rewards.verifier.mathverify`)."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lib.rewards.verifier.answers import Group, Leaf, Node, Unreadable, read, refuse
from lib.rewards.verifier.notation import MAX_LENGTH, clean

DIGITS = 6  # significant ones, which a decimal needs at least to stand for a number that no decimal can say
SET = re.compile(r"[<>]|\\(?:le|ge|ne|mathbb|setminus|cap)(?![A-Za-z])")  # may describe an interval
Decide = Callable[[str, str], bool | None]  # of gold and answer as LaTeX that `refuse` let through; None: cannot be told


def equal(gold: str, answer: str, strict: bool, decide: Decide | None = None) -> bool | None:
    """Whether two answers say the same; None where only `decide` could tell, and there is none or it cannot. Raises Unreadable.
    Strict: a gold that is a plain number wants a number (not `3+4`), in the same base, units must be known ones, brackets must
    be right. Lenient: any expression of the same value, a rounded decimal (`rounds`), any words as a unit, a tuple without its
    brackets."""
    if max(len(gold), len(answer)) > MAX_LENGTH:
        raise Unreadable("too long")
    if clean(gold) == clean(answer) and clean(answer):
        return True
    return _Comparison(strict, decide).nodes(read(gold), read(answer, strict))


def rounds(decimal: Fraction, place: Fraction, number: Fraction) -> bool:
    """Whether a decimal is a number rounded, or cut off, in its last place, to six significant digits or more."""
    long_enough = abs(decimal) >= place * 10 ** (DIGITS - 1)
    return long_enough and decimal * number > 0 and -place / 2 <= abs(number) - abs(decimal) < place


def terminates(number: Fraction) -> bool:
    """Whether a decimal can say a number exactly, as it can 1/8 but not 1/3: then no other decimal may stand for it."""
    return pow(10, number.denominator.bit_length(), number.denominator) == 0


@dataclass(frozen=True)
class _Comparison:
    """One gold against one answer, part by part; each method says True, False, or None for undecided."""

    strict: bool
    decide: Decide | None

    def nodes(self, gold: Node, answer: Node) -> bool | None:
        """Two values, or two groups of values; a value is a group only where it describes an interval."""
        if isinstance(gold, Group) and isinstance(answer, Group):
            return self.groups(gold, answer)
        if isinstance(gold, Leaf) and isinstance(answer, Leaf):
            return self.leaves(gold, answer)
        group, leaf = (gold, answer) if isinstance(gold, Group) else (answer, gold)
        if SET.search(leaf.latex) and isinstance(group, Group) and group.kind in ("()", "[]", "(]", "[)", "union"):
            return self.ask(gold.latex, answer.latex)  # x > 3 is (3, ∞)
        return False

    def groups(self, gold: Group, answer: Group) -> bool | None:
        """Two groups of the same kind, or of kinds that may stand for each other."""
        kinds, size = {gold.kind, answer.kind}, len(gold.items)
        if size != len(answer.items) or (gold.name and answer.name and gold.name != answer.name):
            return False
        if kinds in ({"list"}, {"set"}, {"union"}, {"list", "set"}, {"list", "union"}):
            return self.any_order(gold.items, answer.items)
        named = any(all(isinstance(item, Leaf) and item.name for item in group.items) for group in (gold, answer))
        may_be_vectors = kinds <= {"()", "list", f"matrix 1x{size}", f"matrix {size}x1"} and kinds & {"()", "list"}
        if len(kinds) == 1:
            golds, answers = list(gold.items), list(answer.items)
        elif may_be_vectors and (not self.strict or (kinds == {"()", "list"} and named)):
            golds, answers = _by_name(gold), _by_name(answer)
        else:
            return False
        return _all(self.nodes(g, a) for g, a in zip(golds, answers, strict=True))

    def any_order(self, golds: Sequence[Node], answers: Sequence[Node]) -> bool | None:
        """Each value of the gold against those of the answer that are left."""
        rest, undecided = list(answers), False
        for gold in golds:
            found = [self.nodes(gold, other) for other in rest]
            if True in found:
                del rest[found.index(True)]
            elif None in found:
                undecided = True
            else:
                return False
        return None if undecided else True

    def leaves(self, gold: Leaf, answer: Leaf) -> bool | None:
        """Two values: words, letters, names, units, equations, numbers, and at last expressions."""
        if gold.words or answer.words:
            return (gold.words or _letter(gold)) == (answer.words or _letter(answer))
        if _letter(gold) and _letter(answer):
            return gold.latex == answer.latex
        if gold.name and answer.name and gold.name != answer.name:
            return False
        if gold.unit and answer.unit and gold.unit != answer.unit and "?" not in gold.unit + answer.unit:
            return False  # words that are no known unit exclude nothing
        if answer.sides and not gold.sides and not gold.name:
            # lenient alone, and each side must be the value
            return False if self.strict else _all(self.nodes(gold, read(side)) for side in answer.sides)
        if answer.sides or gold.sides:
            return self.ask(*(f"{leaf.name}={leaf.latex}" if leaf.name else leaf.latex for leaf in (gold, answer)))
        if gold.number is not None and answer.number is not None:
            if self.strict:
                return gold.number == answer.number and gold.base == answer.base
            sides = ((gold, answer.number), (answer, gold.number))
            rounded = (not terminates(n) and leaf.number and leaf.place and rounds(leaf.number, leaf.place, n) for leaf, n in sides)
            return gold.number == answer.number or any(rounded)
        if self.strict and gold.number is not None:
            refuse(answer.latex)
            return False
        return True if gold.latex == answer.latex else self.ask(gold.latex, answer.latex)

    def ask(self, gold: str, answer: str) -> bool | None:
        """What `decide` says about two expressions that it may be given."""
        refuse(gold)
        refuse(answer)
        return self.decide(gold, answer) if self.decide else None


def _all(found: Iterable[bool | None]) -> bool | None:
    """False if any is False, else None if any is None, else True. Each one is looked at, because it may raise Unreadable."""
    values = set(found)
    return False if False in values else None if None in values else True


def _letter(leaf: Leaf) -> str | None:
    """The choice that a single letter makes, in lower case: `A` may answer `\\text{(A)}`."""
    return leaf.latex.lower() if re.fullmatch("[A-Za-z]", leaf.latex) else None


def _by_name(group: Group) -> list[Node]:
    """The values of a group, as `y=2, x=1` in the order of their names if each has one."""
    names = [item.name for item in group.items if isinstance(item, Leaf) and item.name]
    if len(names) < len(group.items):
        return list(group.items)
    return [group.items[i] for i in sorted(range(len(names)), key=names.__getitem__)]
