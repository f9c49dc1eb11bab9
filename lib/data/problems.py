"""Problems to train and evaluate on: hub data sets, local files, generated sums, and fresh procedural problems.

Which sets there are is `lib.data.sets`, their stored rows `lib.data.stored`; grading is `lib.rewards.verifier`. Golds are checked
here, once: one that cannot be read is reported and left out, because no answer could ever match it."""

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lib.data import sets, stored
from lib.data.procedural import hashed
from lib.data.prompts import Problem, instructed
from lib.data.sets import DataSet
from lib.rewards import verifier
from lib.storage.errors import UsageError

HELD_OUT = 20  # one training problem in so many is held out for validation
QUESTIONS, SOLUTIONS = ("problem", "question"), ("answer", "solution")
IDS = ("id", "unique_id", "problem_idx")


class ProblemSet(NamedTuple):
    """Problems of one split. `revision` is the hub's commit or a hash of local files, None for generated problems; `unreadable` has
    the ids of those that were left out because their gold cannot be read."""

    problems: list[Problem]
    revision: str | None = None
    unreadable: tuple[str, ...] = ()


def load(data: str, split: str, count: int, seed: int = 0, revision: str | None = None) -> list[Problem]:
    """The first `count` different problems of a split, in an order fixed by `seed`; see `load_set`."""
    return load_set(data, split, count, seed, revision).problems


def load_set(data: str, split: str, count: int, seed: int = 0, revision: str | None = None) -> ProblemSet:
    """The first `count` different problems of a split, in an order fixed by `seed`, with their origin. `data` is what
    `lib.data.sets.named` takes. A file stays in its order, and as `test` it is given whole. A twentieth of train, chosen by a hash
    of the question, is `validation` and not `train`. `revision` is a hub commit, branch or tag."""
    if split not in sets.SPLITS:
        raise UsageError(f"Unknown split {split!r}: choose one of {', '.join(sets.SPLITS)}.")
    if count < 1:
        raise UsageError(f"{count} problems were asked for: ask for at least 1.")
    entry = sets.named(data)
    if entry.generate is not None:
        return ProblemSet(list(itertools.islice(entry.generate(split, seed), count)))
    return _stored(entry, split, count, seed, revision)


def _stored(entry: DataSet, split: str, count: int, seed: int, revision: str | None) -> ProblemSet:
    """The problems of a hub set, a folder or a file."""
    kept = stored.rows(entry, split, revision)
    found = [_problem(row, number, entry, split) for number, row in enumerate(kept.rows, 1)]
    if split != "test":
        found = [p for p in found if held_out(p.question) == (split == "validation")]
    if not entry.is_file:
        found.sort(key=lambda p: hashed(f"{seed} {p.id} {p.prompt}"))
    problems, left_out = _with_readable_golds({p.prompt: p for p in found}.values(), count)
    counted = Counter(p.id for p in problems)
    if twice := [name for name in counted if counted[name] > 1]:
        what = f"{entry.name} has {len(twice)} ids that several problems share, such as {twice[0]!r}"
        raise UsageError(f"{what}: give each problem an id of its own, or none.")
    unreadable = tuple(p.id for p in left_out)
    if not problems:
        raise UsageError(f"{entry.name} has no {split} problem with a gold that can be read: choose another data set or split.")
    if unreadable:
        some = ", ".join(unreadable[:5]) + (", …" if len(unreadable) > 5 else "")
        print(f"{entry.name}/{split}: left out {len(unreadable)} with a gold that cannot be read ({some}).", file=sys.stderr)
    return ProblemSet(problems, kept.revision, unreadable)


def held_out(question: str) -> bool:
    """Whether a training problem belongs to the validation split: the same question always falls on the same side."""
    return hashed(question) % HELD_OUT == 0


def _problem(row: dict, number: int, entry: DataSet, split: str) -> Problem:
    """A stored row as a problem, by the columns that it has; raises UsageError if it has none of the kit's schemas."""
    source = entry.path.name if entry.path is not None and entry.is_file else f"{entry.name}/{split}"
    identity = str(_first(row, IDS) or number)
    if entry.question is None and row.get("prompt") is not None and row.get("gold") is not None:
        return Problem(identity, str(row["prompt"]), str(row["gold"]), source)
    question = _first(row, [entry.question] if entry.question else QUESTIONS)
    column = next((key for key in ([entry.answer] if entry.answer else SOLUTIONS) if row.get(key) is not None), None)
    if question is None or column is None:
        where = f"{entry.name}, {'line' if entry.is_file else 'row'} {number},"
        wanted = "id, prompt and gold, nor with problem or question and answer or solution"
        wanted = f"{entry.question} and {entry.answer or 'answer'}" if entry.question else wanted
        raise UsageError(f"{where} is not an object with {wanted}: it has {', '.join(map(str, row)) or 'nothing'}.")
    return Problem(identity, instructed(question), gold_of(str(row[column]), column == "solution"), source)


def _first(row: dict, names: Sequence[str]) -> str | None:
    """The first of these columns that has a value, as text."""
    return next((str(row[name]) for name in names if row.get(name) is not None), None)


def gold_of(text: str, is_solution: bool = False) -> str:
    """The final answer in a stored answer or solution: after GSM8K's `####`, else in the last box, else the whole answer. A
    solution without a box has none: the empty text, which no check lets through."""
    if "####" in text:
        return text.rsplit("####", 1)[1].strip()
    boxed = verifier.boxed_answers(text)
    return boxed[-1].strip() if boxed else "" if is_solution else text.strip()


def _with_readable_golds(problems: Iterable[Problem], count: int) -> tuple[list[Problem], list[Problem]]:
    """(the first `count` problems whose gold can be read, those before them whose gold cannot)."""
    kept: list[Problem] = []
    unreadable: list[Problem] = []
    waiting = iter(problems)
    while len(kept) < count and (batch := list(itertools.islice(waiting, count - len(kept)))):
        for problem, readable in zip(batch, verifier.are_readable([p.gold for p in batch]), strict=True):
            (kept if readable else unreadable).append(problem)
    return kept, unreadable
