"""Do training problems contain test problems? Word n-grams that both share. Reports; who drops what is `lib.training`."""

import re
from collections.abc import Iterable, Sequence

from lib.data.prompts import Problem

WORDS = 10  # an n-gram; a shorter question counts as one


def shared(train: Sequence[Problem], test: Iterable[Problem], words: int = WORDS) -> list[str]:
    """The ids of the training problems that share at least one n-gram of their question with a test problem's."""
    known = {gram for problem in test for gram in ngrams(problem.question, words)}
    return [problem.id for problem in train if not known.isdisjoint(ngrams(problem.question, words))]


def ngrams(text: str, words: int = WORDS) -> set[tuple[str, ...]]:
    """The n-grams of a text's words, numbers and signs in lower case; all of it if it is shorter."""
    tokens = re.findall(r"\w+|[^\w\s]", text.casefold())
    return {tuple(tokens[i : i + words]) for i in range(max(1, len(tokens) - words + 1))}
