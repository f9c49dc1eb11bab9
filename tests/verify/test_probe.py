"""The probe against SymPy, and what it leaves to Math-Verify."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Rational

from lib import equivalence, probe

atoms = st.sampled_from(["x", "y", "2", "3", "\\pi ", "5", "0.5", "a"])
FORMS = [
    "({0})+({1})",
    "({0})({1})",
    "\\frac{{{0}}}{{{1}}}",
    "\\sqrt{{{0}}}",
    "({0})^{{2}}",
    "{0}-({1})",
    "\\sin({0})",
    "e^{{{0}}}",
]
expressions = st.recursive(
    atoms,
    lambda inner: st.builds(lambda form, a, b: form.format(a, b), st.sampled_from(FORMS), inner, inner),
    max_leaves=4,
)
REWRITTEN = ["({0})+0", "\\frac{{2({0})}}{{2}}", "0-(-({0}))", "({0})+1", "-({0})", "{0}"]


@settings(max_examples=60, deadline=None)
@given(expressions, expressions, st.sampled_from(REWRITTEN), st.booleans())
def test_it_agrees_with_sympy(one, other, form, related):
    """Where the probe decides, SymPy's difference at another point, to thirty digits, says the same."""
    answer = form.format(one) if related else other
    found = probe.same(one, answer)
    if found is None:
        return
    left, right = equivalence._parse(one), equivalence._parse(answer)
    point = {
        symbol: Rational(17 + 3 * n, 19)
        for n, symbol in enumerate(sorted(left.free_symbols | right.free_symbols, key=str))
    }
    difference = abs((left - right).subs(point).evalf(30, strict=False))
    assert found == bool(difference < 1e-12)


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("2\\sqrt{2}", "\\sqrt{8}", True),
        ("2\\sqrt{2}", "\\sqrt{7}", False),
        ("x^2-1", "(x-1)(x+1)", True),
        ("\\sqrt{x}\\sqrt{y}", "\\sqrt{xy}", None),  # equal where both are positive
        ("\\sqrt{x^2}", "x", None),
        ("0", "\\sqrt{2}\\sqrt{2}-2", None),  # rounding leaves 4e-16
        ("0.3", "10^{15}+0.3-10^{15}", None),
        ("e^{e^{e^{99}}}", "x", None),
        ("\\frac{1}{x-x}", "x", None),
        ("\\sqrt[3]{8}", "2", True),
        ("\\frac{1}{3}", "0.333333", True),
        ("1/2x", "\\frac{x}{2}", None),
        ("2^34", "2^{34}", None),
        ("f(x)", "fx", None),
        ("1+i", "i+1", True),
        ("(1+i)^2", "2i", True),
        ("(1+i)^2", "2", False),
        ("\\log 10", "1", None),
        ("x_1", "x", None),
        ("|x|", "x", None),
        ("3!", "6", None),
        ("", "", None),
        ("(" * 300, "x", None),
    ],
)
def test_what_it_decides_and_what_it_leaves(gold, answer, expected):
    assert probe.same(gold, answer) is expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(2)(3)", 6),
        ("(2) (3)", 6),
        ("2(3)", 6),
        ("1.5 (4)", 6),
        ("(4)\\frac{3}{2}", 6),
        ("\\frac{2((2)(3))}{2}", 6),
        ("5\\frac{1}{2}", 5.5),  # a mixed number all the same
        ("\\log_2(8)", 3),
        ("\\log_{10}(100)", 2),
    ],
)
def test_brackets_side_by_side_are_a_product(text, value):
    """Found by hypothesis: Math-Verify alone reads (2)(3) as the mixed number 2 + 3."""
    assert complex(equivalence._parse(text).evalf()) == pytest.approx(value)
