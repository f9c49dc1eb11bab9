"""Which box is the answer, and what hedging with several of them earns."""

import pytest

from lib.rewards import verifier


@pytest.mark.parametrize(
    ("completion", "gold", "strict", "lenient"),
    [
        ("\\boxed{11217}", "11217", "ok", "ok"),
        ("1+6+0=7;\\boxed{ 7 }", "7", "ok", "ok"),
        ("\\boxed {7}", "7", "ok", "ok"),
        ("\\boxed 7", "7", "ok", "ok"),  # as in some of MATH's solutions
        ("so $\\boxed 7$.", "7", "ok", "ok"),
        ("\\fbox{7}", "7", "ok", "ok"),
        ("What I write in \\boxed form is \\boxed{7}", "7", "ok", "ok"),
        ("\\boxed{\\boxed{7}}", "7", "ok", "ok"),
        ("\\boxed{7", "7", "no_box", "no_box"),
        ("the answer is 7", "7", "no_box", "no_box"),
        ("", "7", "no_box", "no_box"),
        ("\\boxed{}", "7", "unparsable", "unparsable"),
        ("boxed{7}", "7", "no_box", "no_box"),
        ("\\boxed{4} and then \\boxed{5", "4", "ok", "ok"),  # the last one is not closed
        ("\\boxed{\\{1,2\\}}", "\\{2,1\\}", "ok", "ok"),
        ("\\boxed{3 \\boxed{4}}", "4", "unparsable", "unparsable"),
        ("\\boxed{3 \\boxed{4}}", "3", "unparsable", "unparsable"),
        # Several boxes that say the same
        ("\\boxed{4}. The answer is \\boxed{4}", "4", "ok", "ok"),
        ("\\boxed{0.5}. The answer is \\boxed{\\frac12}", "1/2", "ok", "ok"),
        # Several boxes side by side are several bets
        ("\\boxed{3} or \\boxed{4}", "3", "wrong", "wrong"),
        ("\\boxed{3} or \\boxed{4}", "4", "wrong", "wrong"),
        ("$\\boxed{3}$, or maybe $\\boxed{4}$", "4", "wrong", "wrong"),
        ("\\boxed{3}\\boxed{4}", "4", "wrong", "wrong"),
        ("\\boxed{3}\\quad\\text{or}\\quad\\boxed{4}", "4", "wrong", "wrong"),
        ("\\[\\boxed{3}\\]\n\\[\\boxed{4}\\]", "4", "wrong", "wrong"),
        # A correction: the reward wants one answer, the evaluation counts the last
        ("\\boxed{3}. No, that forgets the carry: \\boxed{4}", "4", "wrong", "ok"),
        ("\\boxed{3}. No, that forgets the carry: \\boxed{4}", "3", "wrong", "wrong"),
        ("".join(f"n={n}: \\boxed{{{n}}}, " for n in range(50)), "49", "wrong", "ok"),
    ],
)
def test_boxes(completion, gold, strict, lenient):
    assert (verifier.check(completion, gold, strict=True).status, verifier.check(completion, gold).status) == (strict, lenient)


def test_boxes_are_found_in_order_and_by_balance():
    text = "\\boxed{a} \\boxed{\\frac{1}{2}} \\boxed{ \\boxed{b} \\boxed{c}"
    assert verifier.boxed_answers(text) == ["a", "\\frac{1}{2}", "b", "c"]
    assert verifier.boxed_answers("{\\boxed{a}} } \\boxed{\\left\\{x\\right.}") == ["a", "\\left\\{x\\right."]
    assert verifier.boxed_answers("\\boxed{1 \\\\{2} \\\\}") == ["1 \\\\{2} \\\\"]  # a row's end, then a group


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("\\boxed{8}", True),
        ("\\boxed{8}\\boxed{8}", False),
        ("8", False),
        ("\\boxed{}", False),
        ("\\boxed{x+1}", True),
        ("\\boxed{x+}", False),
        ("\\boxed{\\text{Evelyn}}", True),
        ("\\boxed{(1,x+1)}", True),
        ("\\boxed{\\evil{3}}", False),
        ("\\boxed{" + "9" * 300 + "}", False),
    ],
)
def test_format_wants_one_parsable_box_right_or_wrong(completion, expected):
    assert verifier.have_one_boxed_answer([completion]) == [expected]


@pytest.mark.parametrize(
    ("completion", "expected"),
    [("\\boxed{7}", True), ("\\boxed{7} since 3+4=7", True), ("3+4=\\boxed{7}", False), ("7", False), ("", False)],
)
def test_a_direct_answer_starts_with_the_box(completion, expected):
    assert verifier.is_direct(completion) is expected
