"""Where a completion puts its answer: the balanced `\\boxed{…}` in it. What a box says is `lib.rewards.verifier.answers`."""

import re
from typing import NamedTuple

TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\(?:boxed|fbox)\s+([+-]?\d[\d.,]*)|\\\\(?=[{}])|\\[{}]|[{}]")


class Box(NamedTuple):
    """A balanced box: where it starts and ends in the completion, and the text in it."""

    start: int
    end: int
    text: str


def boxes(text: str) -> list[Box]:
    """Every balanced, outermost `\\boxed{…}`, in order, `\\fbox{…}` and TeX's `\\boxed 2` too; an unclosed one counts for nothing.
    One pass, in time and memory linear in the text. Escaped braces, as in `\\boxed{\\{1, 2\\}}`, are text."""
    opened: list[int] = []  # where open boxes start, -1 for a plain brace
    found: list[Box] = []
    for match in TOKEN.finditer(text):
        token = match.group()
        if match[1] is not None:
            found.append(Box(match.start(), match.end(), match[1].rstrip(".,")))
        elif token == "}":
            start = opened.pop() if opened else -1
            if start >= 0:
                while found and found[-1].start > start:  # it lies inside this one
                    found.pop()
                found.append(Box(start, match.end(), text[text.index("{", start) + 1 : match.start()]))
        elif token.endswith("{") and token != r"\{":
            opened.append(-1 if token == "{" else match.start())
    return found


def boxed_answers(text: str) -> list[str]:
    """The contents of every balanced, outermost box, in order."""
    return [box.text for box in boxes(text)]


def is_direct(completion: str) -> bool:
    """Whether a completion starts with the box, that is, shows no work."""
    return completion.startswith("\\boxed{")
