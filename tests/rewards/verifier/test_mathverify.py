"""The comparison of expressions in a worker: against SymPy at points, and what no proof and no rounding may pay for."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr, Rational, nan, zoo

from lib.rewards.verifier import answers, equality, mathverify
from lib.rewards.verifier.answers import Unreadable
from tests.rewards.verifier.table import rows, status

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
    atoms, lambda inner: st.builds(lambda form, a, b: form.format(a, b), st.sampled_from(FORMS), inner, inner), max_leaves=4
)
SAME = ["({0})+0", "\\frac{{2({0})}}{{2}}", "0-(-({0}))", "{0}"]
OTHER = ["({0})+1", "-({0})"]


def equal(gold: str, answer: str) -> bool | None:
    """What the lenient comparison says; None for a tower of powers, which it refuses."""
    try:
        return equality.equal(gold, answer, False, mathverify._equal)
    except Unreadable:
        return None


def difference(one: str, other: str, sign: int) -> Expr:
    """One minus the other to thirty digits, where the variables have values of this sign."""
    left, right = mathverify._parse(one), mathverify._parse(other)
    names = sorted(left.free_symbols | right.free_symbols, key=str)
    point = {name: sign * Rational(17 + 3 * n, 19) for n, name in enumerate(names)}
    return abs((left - right).subs(point).evalf(30, strict=False))


@settings(max_examples=60, deadline=None)
@given(expressions, expressions, st.sampled_from([*SAME, *OTHER]), st.booleans())
def test_it_agrees_with_sympy(one, other, form, related):
    """What is paid has the same value at two points, to thirty digits; what only adds 0 or so is paid."""
    answer = form.format(one) if related else other
    paid = equal(one, answer)
    if paid:
        assert all(not difference(one, answer, sign) > 1e-25 for sign in (1, -1))
    elif paid is False and related and form in SAME:
        assert mathverify._parse(answer).doit().has(nan, zoo)  # divided by zero: nothing equals it


@rows(
    ("2\\sqrt{2}", "\\sqrt{8}", "ok"),
    ("2\\sqrt{2}", "\\sqrt{7}", "wrong"),
    ("x^2-1", "(x-1)(x+1)", "ok"),
    ("\\sqrt{x}\\sqrt{y}", "\\sqrt{xy}", "wrong"),  # equal where both are positive
    ("\\sqrt{x^2}", "x", "wrong"),
    ("0", "\\sqrt{2}\\sqrt{2}-2", ("wrong", "ok")),  # in floating point 4e-16
    ("0.3", "10^{15}+0.3-10^{15}", ("wrong", "ok")),
    ("e^{e^{e^{99}}}", "x", "timeout"),
    ("\\frac{1}{x-x}", "x", "wrong"),
    ("\\sqrt[3]{8}", "2", "ok"),
    ("\\frac{1}{3}", "0.333333", ("wrong", "ok")),
    ("1/2x", "\\frac{x}{2}", "wrong"),  # read as 1/(2x)
    ("1/2x", "\\frac{1}{2x}", "ok"),
    ("2^34", "2^{34}", "ok"),
    ("f(x)", "fx", "undecided"),  # a function's value and a product
    ("\\pi", "\\arctan(1)+\\arctan(2)+\\arctan(3)", "undecided"),  # true, but SymPy has no proof
    ("\\pi", "16\\arctan(\\frac{1}{5})-4\\arctan(\\frac{1}{239})+0", "undecided"),
    ("\\frac{n!}{(n-1)!}", "n", "ok"),
    ("(n+1)!", "(n+1)n!", "ok"),
    ("r(1+\\sqrt{2})", "r+r\\sqrt{2}", "ok"),
    ("x(1+\\pi)", "x+\\pi x", "ok"),
    ("f(\\sqrt{2})", "f\\sqrt{2}", "unparsable"),
    ("\\sin 1", "\\sin(1^\\circ)", "wrong"),
    ("\\sin(1^\\circ)", "\\sin 1", "wrong"),
    ("\\cos 2", "\\cos 2^\\circ", "wrong"),
    ("\\cos 60^\\circ", "\\frac{1}{2}\\pi^0", "ok"),
    ("2\\sin(x^\\circ)", "2\\sin x", "unparsable"),
    ("\\emptyset", "\\{\\emptyset\\}", "unparsable"),
    ("f(0)", "0", "unparsable"),
    ("0", "I(0)", "unparsable"),
    ("I(0)", "0", "unparsable"),
    ("1+i", "i+1", "ok"),
    ("(1+i)^2", "2i", "ok"),
    ("(1+i)^2", "2", "wrong"),
    ("\\log 10", "1", "ok"),
    ("x_1", "x", "wrong"),
    ("|x|", "x", "wrong"),
    ("3!", "6", "ok"),
    ("", "", "unparsable"),
    ("(" * 300, "x", "unparsable"),
)
def test_expressions_that_are_hard_to_compare(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected


@rows(
    # Almost equal
    ("\\sqrt{2}", "\\sqrt{2}+10^{-11}", "wrong"),
    ("\\sqrt{2}", "\\sqrt{2}+10^{-30}", "wrong"),
    ("x+1", "x+1+10^{-20}", "wrong"),
    ("x", "x+10^{-20}", "wrong"),
    ("10^{-20}\\sqrt{2}", "10^{-20}\\sqrt{3}", "wrong"),
    ("10^{-20}x", "10^{-21}x", "wrong"),
    ("\\pi", "\\frac{245850922}{78256779}", "wrong"),  # equal to 16 digits
    ("\\sqrt{163}", "\\frac{\\ln(262537412640768744)}{\\pi}", "wrong"),  # equal to 31
    ("\\frac{1}{2}\\pi^0", "0.5000001", "wrong"),  # a decimal says 1/2 exactly
    ("7", "7.000001\\cdot 1", "wrong"),
    ("\\frac{1}{3}\\pi^0", "0.333333", ("wrong", "ok")),
    ("\\frac{\\pi}{2}", "1.570796", ("wrong", "ok")),
    ("\\frac{\\pi}{2}", "1.570797", "wrong"),
    ("\\frac{\\pi}{2}", "1.5708", "wrong"),
    ("0.333333x", "\\frac{x}{3}", "wrong"),
    ("0.1x+0.2x", "0.3x", "ok"),
    ("(\\sqrt{2},\\infty)", "x>\\sqrt{2}+10^{-30}", "wrong"),
    ("(1.5,\\infty)", "x>1.5000001", "wrong"),
    # Values without digits: what cannot be computed equals nothing
    ("\\sqrt{2}", "\\sin(10^{400})", "wrong"),
    ("\\infty", "10^{400}", "wrong"),
    ("\\frac{1}{x-x}", "\\frac{2}{x-x}", "wrong"),
    # Names in capitals are others, as in every equation of physics
    ("xy", "XY", "wrong"),
    ("\\frac{mV^2}{2}", "\\frac{mv^2}{2}", "wrong"),
    ("\\frac{mV^2}{2}", "\\frac{MV^2}{2}", "wrong"),
    ("\\Delta x", "\\delta x", "wrong"),
    ("xy=1", "XY=1", "wrong"),
    ("x<y", "X<Y", "wrong"),
    # Letters that Math-Verify reads as something else
    ("\\gamma m", "m\\gamma", "ok"),
    ("\\gamma^2 m", "\\frac{\\gamma^3 m}{\\gamma}", "ok"),
    ("\\gamma_1+1", "1", "wrong"),
    ("\\gamma+0", "0.5772157", "wrong"),
    ("\\gamma m", "\\Gamma m", "wrong"),
    ("\\Gamma(n+1)", "n!", "ok"),
    ("2I", "2i", "wrong"),
    ("I_1+1", "I_2+1", "wrong"),
    ("I^2+1", "0", "wrong"),
    ("\\frac{I}{2}", "0.5I", "ok"),
    ("2^T", "2", "wrong"),
    ("P(1+r)^T", "P(1+r)", "wrong"),
    ("P(1+r)^T", "P(r+1)^{T}", "ok"),
    ("\\Theta T", "T\\Theta", "ok"),
    # Imaginary numbers
    ("e^{i\\pi}+0i", "-1", "ok"),
    ("3-i", "3-1i", "ok"),
    ("2i", "2", "wrong"),
)
def test_what_is_almost_right_is_wrong(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected


@rows(
    ("4x+3y=12", "8x=24-6y", "ok"),
    ("4x+3y=12", "0=0", "wrong"),
    ("y=\\frac{1}{x}", "xy=1", "ok"),
    ("x^2=-1", "x^2=-2", "wrong"),  # neither has a solution among the reals
    ("x^2=4", "x^3=8", "wrong"),
    ("x^2+y^2=25", "y=\\sqrt{25-x^2}", "wrong"),
    ("x+y=10^{-19}", "x+y=10^{-20}", "wrong"),
    ("2x>6", "3<x", "ok"),
    ("-2x>6", "x<-3", "ok"),
    ("-2x>6", "x>-3", "wrong"),
    ("x>3", "y>3", "wrong"),
    ("x>0", "x>10^{-20}", "wrong"),
    ("x^2<0", "x^2+1<0", "wrong"),
    ("x^2+1.5<0", "x^2+2.5<0", "wrong"),  # false, both of them
    ("x^2+1.0<0", "x^2+1<0", "ok"),
    ("z^2=2i", "z^2=3i", "wrong"),
    ("z^2=2i", "z^2=(1+i)^2", "ok"),
    ("x\\ne 2", "2\\ne x", "ok"),
    ("x\\ne 2", "x\\ne 3", "wrong"),
    ("x\\ne 2", "x=2", "wrong"),
    ("1<x<2", "2>x>1", "ok"),
    ("1<x<2", "1<x<3", "wrong"),
    ("1<x<2", "1<x", "wrong"),
    ("1<x<2", "1\\le x<2", "wrong"),
    ("(2\\sqrt{2},\\infty)", "x>\\sqrt{8}", "ok"),
    ("(-\\infty,2)\\cup(2,\\infty)", "x\\ne 2", "ok"),
)
def test_equations_and_inequalities(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected


COMMANDS = "alpha beta gamma delta epsilon theta lambda mu nu rho sigma tau phi psi omega Delta Gamma Omega Theta Phi Sigma varphi "
COMMANDS += "hbar ell eta kappa xi zeta chi varepsilon Lambda Psi pi"


@pytest.mark.parametrize(
    "form",
    ["2{}x", "{}+1", "x^{{{}}}", "2^{{{}}}", "\\frac{{{}}}{{3}}", "{}^2+5", "\\sin({})", "{}x", "{}(x+1)", "x{}^{{2}}", "{}!"]
    + ["x_{{{}}}+1", "\\int_{{0}}^{{{}}} x dx", "y={}+1", "z<{}"],
)
def test_no_letter_is_taken_for_another_or_dropped(form):
    letters = [*string.ascii_letters, *(f"\\{name} " for name in COMMANDS.split())]
    texts = [form.format(letter) for letter in letters]
    assert not any(answers.refuse(text) for text in texts)
    assert len({mathverify._parse(text) for text in texts}) == len(letters)


def test_a_text_that_the_reader_does_not_know_is_unreadable():
    for text in ("x+", "\\frac{1}", "\\sqrt", "^2", "(x"):
        with pytest.raises(Unreadable):
            mathverify._parse(text)


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
    assert complex(mathverify._parse(text).evalf()) == pytest.approx(value)
