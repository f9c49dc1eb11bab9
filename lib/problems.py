"""Problems to train and evaluate on: hub data sets, local files, generated sums, and fresh procedural problems.

A problem is a prompt text and a gold answer; grading is `lib.verify`, stored rows are `lib.hub`. Golds are checked here, once:
one that cannot be read is reported and left out, because no answer could ever match it. Generated sums share their splits with
the pre-training corpus of `lib.tiny`, so no model ever saw a test sum.
"""

import hashlib
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lib import hub, tiny, verify
from lib.runs import UsageError

SPLITS = ("train", "validation", "test")
HELD_OUT = 20  # one training problem in so many is held out for validation
INSTRUCTION = "Solve this problem. Think step by step, and put your final answer in \\boxed{}."
CLOSING = "Let's think step-by-step"
QUESTIONS, SOLUTIONS = ("problem", "question"), ("answer", "solution")
IDS = ("id", "unique_id", "problem_idx")
GYM = "reasoning-gym/"
BLOCK = 500  # problems generated at a time; the n-th of a block has the seed of the block plus n
# The tasks of reasoning-gym whose answer is a single number
GYM_TASKS = {
    "arithmetic": "basic_arithmetic chain_sum products gcd lcm gsm_symbolic leg_counting count_bits decimal_chain_sum",
    "algebra": "simple_equations",
    "geometry": "simple_geometry",
    "probability": "coin_flip",
}
CHOICES = "'arithmetic', a hub id such as openai/gsm8k, a folder, the path of a .jsonl or .parquet file, or reasoning-gym/<task>"


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

    @property
    def question(self) -> str:
        """The prompt without the instruction around it."""
        return self.prompt.removeprefix(INSTRUCTION).removesuffix(CLOSING).strip()


@dataclass(frozen=True)
class ProblemSet:
    """Problems of one split, and where they are from.

    `revision` is the hub's commit or a hash of local files, None for generated problems; `unreadable` has the ids of the problems
    that were left out because their gold cannot be read.
    """

    problems: list[Problem]
    revision: str | None = None
    unreadable: tuple[str, ...] = ()


def load(data: str, split: str, count: int, seed: int = 0, revision: str | None = None) -> list[Problem]:
    """The first `count` different problems of a split, in an order fixed by `seed`; see `load_set`."""
    return load_set(data, split, count, seed, revision).problems


def load_set(data: str, split: str, count: int, seed: int = 0, revision: str | None = None) -> ProblemSet:
    """The first `count` different problems of a split, in an order fixed by `seed`, with their origin.

    `data` is `arithmetic` (sums of two numbers of up to four digits), a hub id, a folder in a hub set's schema, the path of a
    .jsonl or .parquet file, which stays in its order and as `test` is given whole, or a task of reasoning-gym. A twentieth of
    train, chosen by a hash of the question, is `validation` and not `train`. `revision` is a hub commit, branch or tag. Raises
    UsageError for anything else.
    """
    if split not in SPLITS:
        raise UsageError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
    if count < 1:
        raise UsageError(f"{count} problems were asked for: ask for at least 1.")
    if data == "arithmetic":
        return ProblemSet(_arithmetic(split, count, seed))
    if data.startswith(GYM):
        return ProblemSet(list(itertools.islice(_gym(data.removeprefix(GYM), split, seed), count)))
    return _stored(data, split, count, seed, revision)


def _stored(data: str, split: str, count: int, seed: int, revision: str | None) -> ProblemSet:
    """The problems of a hub set, a folder or a file."""
    is_file = Path(data).suffix in (".jsonl", ".parquet")
    if not is_file and data.count("/") != 1 and not Path(data).expanduser().is_dir():
        raise UsageError(f"Unknown data set {data!r}: choose {CHOICES}.")
    part = "test" if split == "test" else "train"
    stored = hub.file_rows(Path(data)) if is_file else hub.split_rows(data, part, revision)
    found = [_problem(row, n, data, split, is_file) for n, row in enumerate(stored.rows, 1)]
    if split != "test":
        found = [p for p in found if held_out(p.question) == (split == "validation")]
    if not is_file:
        found.sort(key=lambda p: _hash(f"{seed} {p.id} {p.prompt}"))
    problems, unreadable = _with_readable_golds({p.prompt: p for p in found}.values(), count)
    if not problems:
        raise UsageError(
            f"{data} has no {split} problem with a gold that can be read: choose another data set or split."
        )
    if unreadable:
        some = ", ".join(unreadable[:5]) + (", …" if len(unreadable) > 5 else "")
        print(f"{data}/{split}: left out {len(unreadable)} with a gold that cannot be read ({some}).", file=sys.stderr)
    return ProblemSet(problems, stored.revision, tuple(unreadable))


def held_out(question: str) -> bool:
    """Whether a training problem belongs to the validation split: the same question always falls on the same side."""
    return _hash(question) % HELD_OUT == 0


def _problem(row: dict, number: int, data: str, split: str, is_file: bool) -> Problem:
    """A stored row as a problem, by the columns that it has; raises UsageError if it has none of the kit's schemas."""
    name = Path(data).name if is_file else f"{data}/{split}"
    identity = str(next((row[key] for key in IDS if row.get(key) is not None), number))
    if row.get("prompt") is not None and row.get("gold") is not None:
        return Problem(identity, str(row["prompt"]), str(row["gold"]), name)
    question = next((str(row[key]) for key in QUESTIONS if row.get(key) is not None), None)
    gold = next((gold_of(str(row[key]), key == "solution") for key in SOLUTIONS if row.get(key) is not None), None)
    if question is None or gold is None:
        where = f"{data}, line {number}," if is_file else f"{data}, row {number},"
        raise UsageError(
            f"{where} is not an object with id, prompt and gold, nor with problem or question and answer or solution: "
            f"it has {', '.join(map(str, row)) or 'nothing'}."
        )
    return Problem(identity, f"{INSTRUCTION}\n\n{question}\n\n{CLOSING}", gold, name)


def gold_of(text: str, is_solution: bool = False) -> str:
    """The final answer in a stored answer or solution: after GSM8K's `####`, else in the last box, else the whole answer.

    A solution without a box has none: the empty text, which no check lets through.
    """
    if "####" in text:
        return text.rsplit("####", 1)[1].strip()
    boxed = verify.boxed_answers(text)
    return boxed[-1].strip() if boxed else "" if is_solution else text.strip()


def _with_readable_golds(problems: Iterable[Problem], count: int) -> tuple[list[Problem], list[str]]:
    """(the first `count` problems whose gold can be read, ids of those before them whose gold cannot)."""
    kept, unreadable, waiting = [], [], iter(problems)
    while len(kept) < count and (batch := list(itertools.islice(waiting, count - len(kept)))):
        for problem, readable in zip(batch, verify.are_readable([p.gold for p in batch]), strict=True):
            if readable:
                kept.append(problem)
            else:
                unreadable.append(problem.id)
    return kept, unreadable


def _arithmetic(split: str, count: int, seed: int, digits: int = 4) -> list[Problem]:
    pairs: dict[tuple[int, int], None] = {}
    for pair in tiny.sums(split, digits, seed):
        pairs[pair] = None
        if len(pairs) == count:
            break
    return [Problem(f"{a}+{b}", f"{a}+{b}", str(a + b), f"arithmetic/{split}") for a, b in pairs]


def _gym(task: str, split: str, seed: int) -> Iterator[Problem]:
    """Different problems of a task of reasoning-gym without end, generated anew; a hash of the question says whose split it is."""
    family = next((family for family, tasks in GYM_TASKS.items() if task in tasks.split()), None)
    if family is None:
        names = ", ".join(sorted(" ".join(GYM_TASKS.values()).split()))
        raise UsageError(f"Unknown reasoning-gym task {task!r}: choose one of {names}.")
    _import_gym(family)
    from reasoning_gym.factory import create_dataset

    shares = {"test": (0,), "validation": (1,), "train": range(2, HELD_OUT)}[split]
    seen: set[str] = set()
    for block in itertools.count():
        fresh = 0
        for row in create_dataset(task, size=BLOCK, seed=seed * 10**9 + block * BLOCK):
            question = row["question"]
            if (
                _hash(question) % HELD_OUT in shares
                and question not in seen
                and verify.are_readable([row["answer"]])[0]
            ):
                seen.add(question)
                fresh += 1
                prompt = f"{INSTRUCTION}\n\n{question}\n\n{CLOSING}"
                yield Problem(f"{task}-{seed}-{len(seen)}", prompt, row["answer"], f"{GYM}{task}/{split}")
        if not fresh:
            return  # a task with few different questions has no more


def _import_gym(family: str) -> None:
    """Imports one family of reasoning-gym. Importing the whole package needs a C extension that only its logic puzzles use."""
    spec = importlib.util.find_spec("reasoning_gym")
    if spec is None:
        raise UsageError("reasoning-gym is not installed: run `make` once more, which installs it.")
    sys.modules.setdefault("reasoning_gym", importlib.util.module_from_spec(spec))
    importlib.import_module(f"reasoning_gym.{family}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
