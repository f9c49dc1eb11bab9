"""Problems to train and evaluate on: generated arithmetic, and local JSONL files.

A problem is a prompt text and a gold answer; grading is `lib.verify`. Generated sums share their splits with the
pre-training corpus of `lib.tiny`, so no model ever saw a test sum.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from lib import tiny

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Problem:
    """`prompt` is what the user turn says, `gold` the answer without its box, `source` the data set and split."""

    id: str
    prompt: str
    gold: str
    source: str

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation to complete, for a chat template."""
        return [{"role": "user", "content": self.prompt}]


def load(data: str, split: str, count: int, seed: int = 0) -> list[Problem]:
    """The first `count` different problems of a split, in an order fixed by `seed`.

    `data` is `arithmetic` (sums of two numbers of up to four digits), or the path of a JSONL file with the fields `id`,
    `prompt` and `gold` in the order of the file, which is one split by itself. Raises ValueError for anything else.
    """
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
    if count < 1:
        raise ValueError(f"{count} problems were asked for: ask for at least 1.")
    if data == "arithmetic":
        return _arithmetic(split, count, seed)
    if Path(data).suffix == ".jsonl":
        return _jsonl(Path(data), count)
    raise ValueError(f"Unknown data set {data!r}: choose 'arithmetic' or the path of a .jsonl file.")


def _arithmetic(split: str, count: int, seed: int, digits: int = 4) -> list[Problem]:
    pairs: dict[tuple[int, int], None] = {}
    for pair in tiny.sums(split, digits, seed):
        pairs[pair] = None
        if len(pairs) == count:
            break
    return [Problem(f"{a}+{b}", f"{a}+{b}", str(a + b), f"arithmetic/{split}") for a, b in pairs]


def _jsonl(path: Path, count: int) -> list[Problem]:
    if not path.is_file():
        raise ValueError(f"There is no file {path}: give the path of a .jsonl file, or 'arithmetic'.")
    problems = []
    with path.open(encoding="utf-8") as lines:
        for number, line in zip(range(1, count + 1), lines):
            try:
                row = json.loads(line)
                problems.append(Problem(str(row["id"]), row["prompt"], str(row["gold"]), path.name))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}, is not an object with id, prompt and gold: {error}."
                ) from error
    return problems
