"""Answers in words: letters and digits count, case, spaces and styling do not."""

from tests.rewards.verifier.table import rows, status


@rows(
    ("\\text{Evelyn}", "Evelyn", "ok"),
    ("Evelyn", "\\text{evelyn}", "ok"),
    ("Evelyn", "\\textbf{Evelyn}", "ok"),
    ("\\text{Evelyn}", "\\text{Bob}", "wrong"),
    ("\\text{Evelyn}", "\\text{Evelyn or Bob}", "wrong"),
    ("\\text{even}", "\\text{neve}", "wrong"),  # the same letters, were they factors
    ("even", "neve", "wrong"),
    ("\\text{(A)}", "A", "ok"),
    ("A", "\\text{(A)}", "ok"),
    ("(A)", "A", "ok"),
    ("A", "B", "wrong"),
    ("x", "X", "wrong"),  # variables
    ("\\text{No}", "no", "ok"),
    ("\\text{ellipse}", "\\text{hyperbola}", "wrong"),
    ("\\text{June 20}", "June 20", "ok"),
    ("\\text{June 20}", "\\text{June 21}", "wrong"),
    ("Élodie", "\\text{élodie}", "ok"),
    ("7", "\\text{seven}", "wrong"),
    ("7", "\\text{7}", "ok"),
    ("7", "\\text{The answer is 7}", "wrong"),
    ("7", "banana", "wrong"),
)
def test_words(gold, prediction, strict, expected):
    assert status(gold, prediction, strict) == expected
