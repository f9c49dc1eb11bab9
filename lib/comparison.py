"""When do two answers say the same? Structure and plain numbers are compared here, exactly, in microseconds.

Expressions such as `\\sqrt{8}` are probed (`lib.probe`); what that leaves open is decided by a function that the caller passes in
(Math-Verify in a worker process, `lib.equivalence`), or is left undecided.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from lib import probe, units
from lib.answers import Group, Leaf, Node, Unreadable, read, refuse
from lib.notation import MAX_LENGTH, clean
from lib.probe import CLOSE

SET = re.compile(r"[<>]|\\(?:le|ge|ne|mathbb|setminus|cap)(?![A-Za-z])")  # may describe an interval
Decide = Callable[[str, str], bool]  # gold and answer as LaTeX that `refuse` let through


def equal(gold: str, answer: str, strict: bool, decide: Decide | None = None) -> bool | None:
    """Whether two answers say the same; None where only `decide` could tell and there is none.

    Strict: a gold that is a plain number wants a number (not `3+4`), units must be known ones, brackets must be right.
    Lenient: any expression of the same value, any words as a unit, a tuple without its brackets. Raises Unreadable.
    """
    if max(len(gold), len(answer)) > MAX_LENGTH:
        raise Unreadable("too long")
    if clean(gold) == clean(answer) and clean(answer):
        return True
    return _Comparison(strict, decide).nodes(read(gold), read(answer, strict))


@dataclass(frozen=True)
class _Comparison:
    strict: bool
    decide: Decide | None

    def nodes(self, gold: Node, answer: Node) -> bool | None:
        if isinstance(gold, Group) and isinstance(answer, Group):
            return self.groups(gold, answer)
        if isinstance(gold, Leaf) and isinstance(answer, Leaf):
            return self.leaves(gold, answer)
        group, leaf = (gold, answer) if isinstance(gold, Group) else (answer, gold)
        if SET.search(leaf.latex) and group.kind in ("()", "[]", "(]", "[)", "union"):  # x > 3 is (3, ∞)
            return self.ask(gold.latex, answer.latex)
        return False

    def groups(self, gold: Group, answer: Group) -> bool | None:
        kinds = {gold.kind, answer.kind}
        if len(gold.items) != len(answer.items):
            return False
        if len(kinds) == 1 or kinds in ({"list", "set"}, {"list", "union"}):
            in_any_order = gold.kind in ("list", "set", "union")
            return self.any_order(gold, answer) if in_any_order else self.in_order(gold, answer)
        vectors = {"()", "list", f"matrix 1x{len(gold.items)}", f"matrix {len(gold.items)}x1"}
        if self.strict and not (kinds == {"()", "list"} and (_named(gold) or _named(answer))):
            return False
        if not kinds <= vectors or not kinds & {"()", "list"}:
            return False
        return self.in_order(_by_name(gold), _by_name(answer))

    def in_order(self, gold: Group, answer: Group) -> bool | None:
        found = [self.nodes(g, a) for g, a in zip(gold.items, answer.items, strict=True)]
        return False if False in found else None if None in found else True

    def any_order(self, gold: Group, answer: Group) -> bool | None:
        rest, undecided = list(answer.items), False
        for item in gold.items:
            found = [self.nodes(item, other) for other in rest]
            if True in found:
                del rest[found.index(True)]
            elif None in found:
                undecided = True
            else:
                return False
        return None if undecided else True

    def leaves(self, gold: Leaf, answer: Leaf) -> bool | None:
        if gold.words or answer.words:
            return (gold.words or _letter(gold)) == (answer.words or _letter(answer))
        if _letter(gold) and _letter(answer):
            return gold.latex == answer.latex
        if gold.name and answer.name and gold.name != answer.name or units.conflict(gold.unit, answer.unit):
            return False
        if answer.sides and not gold.sides and not gold.name:
            return self.every_side(gold, answer)
        if answer.sides or gold.sides:
            return self.ask(gold.whole, answer.whole)
        if gold.number is not None and answer.number is not None:
            return _same_number(gold, answer)
        if self.strict and gold.number is not None:
            refuse(answer.latex)
            return False
        return True if gold.latex == answer.latex else self.ask(gold.latex, answer.latex)

    def every_side(self, gold: Leaf, answer: Leaf) -> bool | None:
        if self.strict:
            return False
        found = [self.nodes(gold, read(side, self.strict)) for side in answer.sides]
        return False if False in found else None if None in found else True

    def ask(self, gold: str, answer: str) -> bool | None:
        refuse(gold)
        refuse(answer)
        found = probe.same(gold, answer)
        return self.decide(gold, answer) if found is None and self.decide else found


def _letter(leaf: Leaf) -> str | None:
    """The choice that a single letter makes, in lower case: `A` may answer `\\text{(A)}`."""
    return leaf.latex.lower() if re.fullmatch("[A-Za-z]", leaf.latex) else None


def _by_name(group: Group) -> Group:
    """A list such as `y=2, x=1` in the order of its names; any other group as it is."""
    return replace(group, items=tuple(sorted(group.items, key=lambda item: item.name))) if _named(group) else group


def _named(group: Group) -> bool:
    return all(isinstance(item, Leaf) and item.name for item in group.items)


def _same_number(gold: Leaf, answer: Leaf) -> bool:
    """Exact equality; a decimal of at least six digits may stand for a fraction that no decimal can say."""
    if gold.number == answer.number or gold.is_decimal == answer.is_decimal:
        return gold.number == answer.number
    fraction = answer.number if gold.is_decimal else gold.number
    below = fraction.denominator
    for prime in (2, 5):
        while below % prime == 0:
            below //= prime
    return below > 1 and abs(gold.number - answer.number) <= CLOSE * abs(fraction)
