"""How a table of verdicts is checked: each row is (gold, prediction, expected), the prediction being what is in the box.

Expected is a status, or a pair of statuses, strict and lenient, where the two differ.
"""

import pytest

from lib.rewards import verifier


def rows(*table: tuple[str, str, str | tuple[str, str]]):
    """A parametrisation over the rows of a table, each for both variants."""
    cases = []
    for gold, prediction, expected in table:
        strict, lenient = (expected, expected) if isinstance(expected, str) else expected
        cases += [(gold, prediction, True, strict), (gold, prediction, False, lenient)]
    names = [f"{verifier.VARIANTS[s]}: {g!r} {p!r}" for g, p, s, _ in cases]
    return pytest.mark.parametrize(("gold", "prediction", "strict", "expected"), cases, ids=names)


def status(gold: str, prediction: str, strict: bool) -> str:
    """The status of a boxed prediction; `correct` must agree with it."""
    verdict = verifier.check(f"So the answer is $\\boxed{{{prediction}}}$.", gold, strict)
    assert verdict.correct == (verdict.status == "ok") and verdict.status in verifier.STATUSES
    return verdict.status
