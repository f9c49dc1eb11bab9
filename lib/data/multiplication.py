"""The multiplication tables from 2 to 12, with one worked example before each question: what a small pretrained model can half do.

There are 119 problems: the example is none. A product and its mirror image, such as 3 times 4 and 4 times 3, are
in the same split."""

import itertools
import random
import zlib
from collections.abc import Iterator

from lib.data.prompts import Problem

FACTORS = range(2, 13)
EXAMPLE = ("What is 7 times 8?", "7 * 8 = 56, so the answer is \\boxed{56}.")


def split_of(a: int, b: int) -> str:
    """The split a product belongs to: by a hash, four in ten products are `test`, one is `validation`, five are `train`."""
    share = zlib.crc32(f"{min(a, b)}*{max(a, b)}".encode()) % 10
    return "test" if share < 4 else "validation" if share == 4 else "train"


def problems(split: str, seed: int = 0) -> Iterator[Problem]:
    """All products of one split but that of the example, in an order fixed by `seed`."""
    pairs = [pair for pair in itertools.product(FACTORS, repeat=2) if split_of(*pair) == split and sorted(pair) != [7, 8]]
    random.Random(f"multiplication {split} {seed}").shuffle(pairs)
    for a, b in pairs:
        yield Problem(f"{a}*{b}", f"What is {a} times {b}?", str(a * b), f"multiplication/{split}", EXAMPLE)
