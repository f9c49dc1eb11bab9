"""Fresh problems of reasoning-gym: generated anew from a seed, so that nobody's training data has them."""

import hashlib
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Iterator

from lib.data.prompts import Problem, instructed
from lib.rewards import verifier
from lib.storage.errors import UsageError

PREFIX = "reasoning-gym/"
BLOCK = 500  # problems generated at a time; the n-th of a block has the seed of the block plus n
SHARES = 20  # a hash of the question puts one in so many into `test`, and one into `validation`
ARITHMETIC = "basic_arithmetic chain_sum products gcd lcm gsm_symbolic leg_counting count_bits decimal_chain_sum"
TASKS = dict.fromkeys(ARITHMETIC.split(), "arithmetic")  # the family of each task whose answer is a single number
TASKS |= {"simple_equations": "algebra", "simple_geometry": "geometry", "coin_flip": "probability"}


def problems(task: str, split: str, seed: int = 0) -> Iterator[Problem]:
    """Different problems of a task without end; a task with few different questions has no more at some point."""
    _import(TASKS[task])
    from reasoning_gym.factory import create_dataset

    shares = {"test": (0,), "validation": (1,), "train": range(2, SHARES)}[split]
    seen: set[str] = set()
    for block in itertools.count():
        fresh = 0
        for row in create_dataset(task, size=BLOCK, seed=seed * 10**9 + block * BLOCK):
            question = row["question"]
            mine = hashed(question) % SHARES in shares and question not in seen
            if mine and verifier.are_readable([row["answer"]])[0]:
                seen.add(question)
                fresh += 1
                identity = f"{task}-{seed}-{len(seen)}"
                yield Problem(identity, instructed(question), row["answer"], f"{PREFIX}{task}/{split}")
        if not fresh:
            return


def hashed(text: str) -> int:
    """A number of 64 bits that is the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _import(family: str) -> None:
    """Imports one family of reasoning-gym. Importing the whole package needs a C extension that only its logic puzzles use."""
    spec = importlib.util.find_spec("reasoning_gym")
    if spec is None:
        raise UsageError("reasoning-gym is not installed: run `make` once more, which installs it.")
    sys.modules.setdefault("reasoning_gym", importlib.util.module_from_spec(spec))
    importlib.import_module(f"reasoning_gym.{family}")
