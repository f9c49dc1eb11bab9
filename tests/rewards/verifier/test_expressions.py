"""Expressions, which Math-Verify decides in a worker; and Python notation, which is translated and never run."""

import pytest

from lib.rewards.verifier import notation
from tests.rewards.verifier.table import rows, status


@rows(
    ("x+1", "1+x", "ok"),
    ("x+1", "y+1", "wrong"),
    ("x^2-1", "(x-1)(x+1)", "ok"),
    ("x^2-1", "(x-1)^2", "wrong"),
    ("2\\sqrt{2}", "\\sqrt{8}", "ok"),
    ("2\\sqrt{2}", "\\sqrt8", "ok"),
    ("\\sqrt{2}", "√2", "ok"),
    ("\\sqrt{2}", "1.41421356", ("wrong", "ok")),
    ("\\sqrt{2}", "1.41", "wrong"),
    ("\\pi", "3.14", "wrong"),
    ("2\\pi", "2π", "ok"),
    ("\\frac{\\sqrt{3}}{2}", "\\frac{\\sqrt3}2", "ok"),
    ("\\frac{\\pi}{2}", "\\frac\\pi2", "ok"),
    ("\\frac{1}{\\sqrt{\\pi}}", "\\frac1{\\sqrt\\pi}", "ok"),
    ("2^{n+1}", "2^(n+1)", "ok"),
    ("10^{12}x", "10^12 x", "ok"),
    ("\\frac{1}{x}", "x^-1", "ok"),
    # The right answer among what is no mathematics: Math-Verify's search would find it
    ("\\frac{1}{2}\\pi", "m\\frac{1}{2}\\pi&", "unparsable"),
    ("\\frac{1}{2}", "x<\\frac{1}{2}-", ("wrong", "unparsable")),
    ("\\frac{1}{2}", "\\cdot\\frac{1}{2}\\le", ("wrong", "unparsable")),
    ("\\frac{1}{2}", "\\frac{1}{2}\\sin", ("wrong", "unparsable")),
    ("0", "\\frac{1}{2}0.5", ("wrong", "wrong")),
    ("x+1", "x=5=x+1=y", "wrong"),
    ("y=2x+1", "2x=1+1=3=2x+1", "unparsable"),
    ("y=2x+1", "2x+1", "ok"),
    ("y=2x+1", "y = 2x + 1", "ok"),
    ("y=2x+1", "2x-y+1=0", "ok"),
    ("y=2x+1", "y=2x+2", "wrong"),
    ("2x+1", "y=2x+1", "ok"),
    ("2x+1", "f(x)=2x+1", "ok"),
    ("x=5", "y=5", "wrong"),
    ("\\binom{5}{2}", "10", "ok"),
    ("2^{100}", "1267650600228229401496703205376", "ok"),
    ("10^{-5}\\sqrt{2}", "1.4142136 \\times 10^{-5}", ("wrong", "ok")),
    ("10^{-9}\\sqrt{2}", "10^{-9}\\sqrt{3}", "wrong"),  # equal at six decimals
    ("\\sin^2 x+\\cos^2 x", "1", "ok"),
    ("\\infty", "∞", "ok"),
    ("n!", "n(n-1)!", "ok"),
    ("(n-1)!", "(n+1)!", "wrong"),
    ("\\infty", "-\\infty", "wrong"),
    ("e^{x^2}", "e^{x^2}+0", "ok"),
    ("x \\le 3", "x<=3", "ok"),
    ("x \\le 3", "x<3", "wrong"),
    ("\\log_2 3", "\\frac{\\ln 3}{\\ln 2}", "ok"),
    ("x", "x'", "unparsable"),  # Math-Verify drops the prime
    ("\\frac{\\hbar}{2}", "\\hbar/2", "ok"),
    ("2\\cos(20^\\circ)", "2\\cos 20^\\circ", "ok"),
    ("4x+3y=12", "y=4-\\frac{4}{3}x", "ok"),
    ("\\frac{-1\\pm\\sqrt5}{2}", "-\\frac12\\pm\\frac{\\sqrt5}{2}", "ok"),
    ("3", "\\textcolor{blue}{\\underline{3}}", "ok"),
    # Python notation, as in Minerva's golds
    ("np.arcsin(10/13)", "\\arcsin(10/13)", "ok"),
    ("np.arcsin(10/13)", "\\arcsin\\left(\\frac{10}{13}\\right)", "ok"),
    ("np.arcsin(10/13)", "\\arccos(10/13)", "wrong"),
    ("np.sqrt(2)/2", "\\frac{1}{\\sqrt{2}}", "ok"),
    ("2*x**2", "2x^2", "ok"),
    ("sqrt(8)", "2\\sqrt{2}", "ok"),
    ("np.pi/2", "\\frac{\\pi}{2}", "ok"),
    ("2**10", "1024", "ok"),
    ("exp(-x)*(1+x)", "e^{-x}(1+x)", "ok"),
)
def test_expressions(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected


@pytest.mark.parametrize(
    ("python", "latex"),
    [
        ("np.arcsin(10/13)", "\\arcsin(\\frac{10}{13})"),
        ("-(1+x)**2", "-(1+x)^{2}"),
        ("2/(3*x) - sqrt(y)", "\\frac{2}{3\\cdot x}-\\sqrt{y}"),
        ("1-(2-3)*np.pi", "1-(2-3)\\cdot \\pi "),
        ("4.5e33*np.pi", "4.5\\cdot 10^{33}\\cdot \\pi "),
    ],
)
def test_python_notation_becomes_latex(python, latex):
    assert notation.from_python(python) == latex


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')",
        "np.load('x')",
        "np.sqrt(open)",
        "sqrt(a.b)",
        "math.factorial(9)",
        "sqrt(lambda: 1)",
        "sqrt(1, 2)",
        "[sqrt(i) for i in x]",
        "sqrt(1 if x else 2)",
        "sqrt(" * 50,
        "sqrt(x" + "**x" * 60,
    ],
)
def test_other_python_is_left_alone(text):
    assert notation.from_python(text) == text
