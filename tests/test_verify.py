"""Verdicts as a table: completion, gold, status."""

import pytest

from lib import verify


@pytest.mark.parametrize(
    ("completion", "gold", "status"),
    [
        ("\\boxed{11217}", "11217", "ok"),
        ("1+6+0=7;\\boxed{ 7 }", "7", "ok"),
        ("\\boxed{007}", "7", "ok"),
        ("\\boxed{7.0}", "7", "ok"),
        ("\\boxed{-7}", "7", "wrong"),
        ("\\boxed{8}", "7", "wrong"),
        ("\\boxed{123456789012345678901}", "123456789012345678902", "wrong"),  # equal as floats
        ("\\boxed{3} or \\boxed{4}", "3", "wrong"),  # the last box counts
        ("\\boxed{3} or \\boxed{4}", "4", "ok"),
        ("\\boxed{4} and then \\boxed{5", "4", "ok"),  # the last one is not closed
        ("\\boxed{\\frac{1}{2}}", "0.5", "ok"),
        ("\\boxed{1,234}", "1234", "ok"),
        ("\\boxed{}", "7", "unparsable"),
        ("\\boxed{7", "7", "no_box"),
        ("the answer is 7", "7", "no_box"),
        ("", "7", "no_box"),
        ("\\boxed{10^{10^{10}}}", "7", "unparsable"),
        ("\\boxed{(10^8)!}", "7", "unparsable"),
        ("\\boxed{7^{123456789}}", "7", "unparsable"),
        ("\\boxed{" + "9" * 300 + "}", "7", "unparsable"),
        ("\\boxed{__import__('os').getcwd()}", "7", "wrong"),
    ],
)
def test_verdicts(completion, gold, status):
    verdict = verify.check(completion, gold)
    assert (verdict.status, verdict.correct) == (status, status == "ok")


def test_boxes_are_found_in_order_and_by_balance():
    text = "\\boxed{a} \\boxed{\\frac{1}{2}} \\boxed{ \\boxed{b} \\boxed{c}"
    assert verify.boxed_answers(text) == ["a", "\\frac{1}{2}", "b", "c"]


@pytest.mark.parametrize(
    ("completion", "expected"),
    [("\\boxed{8}", True), ("\\boxed{8}\\boxed{8}", False), ("8", False), ("\\boxed{}", False), ("\\boxed{x+1}", True)],
)
def test_format_wants_one_parsable_box_right_or_wrong(completion, expected):
    assert verify.has_one_boxed_answer(completion) is expected


def test_what_math_verify_raises_becomes_a_status(monkeypatch):
    """Its own timeout is not an Exception, so that `except Exception` would let it end a night's training."""
    import math_verify

    class TimeoutException(BaseException):
        pass

    for raised, status in ((TimeoutException, "timeout"), (RecursionError, "unparsable"), (GeneratorExit, "crash")):

        def parse(*_arguments, _raised=raised, **_keywords):
            raise _raised

        monkeypatch.setattr(math_verify, "parse", parse)
        verify._compare.cache_clear()
        assert verify.check("\\boxed{x}", "y").status == status
    verify._compare.cache_clear()
