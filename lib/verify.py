"""Is a completion's final answer right? The last balanced `\\boxed{…}` against the gold answer.

Cheap comparisons first, Math-Verify for what they leave open. Nothing that a model wrote is executed, and no text raises.
"""

import functools
import re
from dataclasses import dataclass

STATUSES = ("ok", "wrong", "no_box", "unparsable", "timeout", "crash")
BOX = "\\boxed{"
MAX_ANSWER = 256  # characters; a longer answer is not worth parsing
PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
TOWER = re.compile(r"\^\{?[^}]*(\^|\d{3})|!")  # towers of powers, large exponents and factorials never end to evaluate


@dataclass(frozen=True)
class Verdict:
    """`status` is ok, wrong, no_box, unparsable, timeout or crash; `answer` is the text in the last box, or None."""

    correct: bool
    status: str
    answer: str | None


def check(completion: str, gold: str) -> Verdict:
    """Whether the last balanced box of `completion` equals `gold`; never raises, whatever the text."""
    answers = boxed_answers(completion)
    if not answers:
        return Verdict(False, "no_box", None)
    status = "unparsable" if len(answers[-1]) > MAX_ANSWER else _compare(answers[-1].strip(), gold.strip())
    return Verdict(status == "ok", status, answers[-1])


def has_one_boxed_answer(completion: str) -> bool:
    """The `format` control's reward: exactly one box, and it parses as an answer, right or wrong."""
    answers = boxed_answers(completion)
    return len(answers) == 1 and len(answers[0]) <= MAX_ANSWER and _parsable(answers[0].strip())


def boxed_answers(text: str) -> list[str]:
    """The contents of every balanced, outermost `\\boxed{…}`, in order; an unclosed box counts for nothing.

    One pass from the end, in time linear in the text: braces that close are stacked, and one that opens takes the last.
    """
    closing, answers = [], []
    for match in reversed(list(re.finditer(r"\\boxed\{|[{}]", text))):
        if match.group() == "}":
            closing.append(match.start())
        elif closing:
            end = closing.pop()
            if match.group() == BOX:
                while answers and answers[-1][0] < end:  # it lies inside this one
                    answers.pop()
                answers.append((match.start(), text[match.end() : end]))
    return [answer for _, answer in reversed(answers)]


@functools.lru_cache(maxsize=100_000)
def _compare(answer: str, gold: str) -> str:
    """The status of one answer against one gold, both stripped."""
    if answer == gold and answer:
        return "ok"
    if PLAIN_NUMBER.fullmatch(answer) and PLAIN_NUMBER.fullmatch(gold):
        return "ok" if float(answer) == float(gold) and _digits(answer) == _digits(gold) else "wrong"
    parsed = _parse(answer)
    if isinstance(parsed, str):
        return parsed
    try:
        from math_verify import verify

        return "ok" if verify(_parse(gold), parsed) else "wrong"
    except BaseException as error:  # Math-Verify's own timeout is not an Exception
        return _status_of(error)


def _digits(number: str) -> str:
    """A plain decimal without sign, leading zeros and trailing fractional zeros: exact where float would round."""
    whole, _, fraction = number.lstrip("+-").partition(".")
    return f"{whole.lstrip('0')}.{fraction.rstrip('0')}"


@functools.lru_cache(maxsize=100_000)
def _parsable(answer: str) -> bool:
    return bool(PLAIN_NUMBER.fullmatch(answer)) or not isinstance(_parse(answer), str)


def _parse(answer: str) -> list | str:
    """What Math-Verify makes of an answer, or the status that says why there is nothing."""
    if not answer or TOWER.search(answer):
        return "unparsable"
    try:
        from math_verify import parse

        return parse(f"{BOX}{answer}}}", raise_on_error=True) or "unparsable"
    except BaseException as error:
        return _status_of(error)


def _status_of(error: BaseException) -> str:
    """The status for what Math-Verify raised; an interrupt from the user goes through."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
    return "timeout" if "Timeout" in type(error).__name__ else "unparsable" if isinstance(error, Exception) else "crash"
