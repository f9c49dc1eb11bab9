"""The data sets that the kit knows by name: where each one is, its splits, its columns. `SETS` is the one registry, read by
`lib.data.problems`, by the refusals and by the doctor. A hub id, a file or a folder that has no entry may be named as well."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lib.data import arithmetic, multiplication, procedural
from lib.data.prompts import Problem
from lib.storage.errors import UsageError
from lib.storage.folders import ROOT

SPLITS = ("train", "validation", "test")
FILES = (".jsonl", ".parquet")
OTHERS = "a hub id such as openai/gsm8k or owner/name:configuration, a folder, a .jsonl or .parquet file, or reasoning-gym/<task>"


@dataclass(frozen=True)
class DataSet:
    """A data set by its `name`, for `data` in a profile. `where` is a hub id, a file or a folder; without it the name says where.
    `train` and `test` are what its splits are called there, None if it has none; a file has no splits, and as `test` it is given
    whole. `question` and `answer` name its columns, where they have none of the usual names. `generate` makes problems of a split
    from a seed instead: then there is no `where`."""

    name: str
    where: str = ""
    train: str | None = "train"
    test: str | None = "test"
    configurations: tuple[str | None, ...] = (None,)
    question: str | None = None
    answer: str | None = None
    generate: Callable[[str, int], Iterator[Problem]] | None = None

    @property
    def path(self) -> Path | None:
        """The local file or folder that it is in; None for one on the hub, and for a generated one."""
        if self.generate is not None:
            return None
        given = Path(self.where or self.name).expanduser()
        found = next((path for path in (given, ROOT / given) if path.exists()), None)
        return found or (given if given.suffix in FILES else None)

    @property
    def is_file(self) -> bool:
        """Whether it is one local file."""
        return self.path is not None and self.path.suffix in FILES

    @property
    def hub_id(self) -> str | None:
        """Its id on the hub, if that is where it is."""
        return None if self.generate is not None or self.path is not None else self.where or self.name

    def stored_split(self, split: str) -> str:
        """What the split is called that `train`, `validation` or `test` comes from; UsageError if there is none."""
        stored = self.test if split == "test" else self.train
        if stored is None:
            other = "train: evaluate on another data set" if split == "test" else "test: train on another data set"
            raise UsageError(f"{self.name} has no {'test' if split == 'test' else 'train'} split, it is there to {other}.")
        return stored


SETS: dict[str, DataSet] = {}


def register(entry: DataSet) -> None:
    """Adds a data set to the registry; ValueError for a name that is taken."""
    if entry.name in SETS:
        raise ValueError(f"There is a data set {entry.name!r} already: choose another name.")
    SETS[entry.name] = entry


register(DataSet("arithmetic", generate=arithmetic.problems))
register(DataSet("five_digits", generate=arithmetic.five_digits))
register(DataSet("four_and_five_digits", generate=arithmetic.four_and_five_digits))
register(DataSet("multiplication", generate=multiplication.problems))
register(DataSet("DigitalLearningGmbH/MATH-lighteval"))
register(DataSet("HuggingFaceH4/MATH-500", train=None))
register(DataSet("math-ai/minervamath", train=None))
register(DataSet("openai/gsm8k", configurations=("main",)))
register(DataSet("agentica-org/DeepScaleR-Preview-Dataset", test=None))
register(DataSet("HuggingFaceH4/aime_2024", train=None, test="train"))
register(DataSet("opencompass/AIME2025", train=None, configurations=("AIME2025-I", "AIME2025-II")))
register(DataSet("MathArena/hmmt_feb_2025", train=None, test="train"))


def named(data: str) -> DataSet:
    """A data set by its name, a hub id, a file, a folder, or `reasoning-gym/<task>`; UsageError for anything else. A folder may be
    named by the last two parts of its path like the hub set that it is a copy of; `:` and a configuration may follow."""
    if data in SETS:
        return SETS[data]
    if data.startswith(procedural.PREFIX):
        if (task := data.removeprefix(procedural.PREFIX)) not in procedural.TASKS:
            raise UsageError(f"Unknown reasoning-gym task {task!r}: choose one of {', '.join(sorted(procedural.TASKS))}.")
        return DataSet(data, generate=functools.partial(procedural.problems, task))
    if Path(data).suffix in FILES:
        return DataSet(data)
    where, _, configuration = data.rpartition(":")
    folder = Path(data).expanduser()
    if where and not folder.is_dir():
        entry = named(where)
        if entry.generate is not None or entry.is_file or not configuration:
            raise UsageError(f"{where} has no configurations: leave out what follows it in {data!r}.")
        return replace(entry, name=data, where=where, configurations=(configuration,))
    if folder.is_dir():
        known = SETS.get("/".join(folder.resolve().parts[-2:]), DataSet(data))
        return replace(known, name=data, where=data)
    if data.count("/") != 1:
        names = [name for name in SETS if "/" not in name]
        raise UsageError(f"Unknown data set {data!r}: choose {', '.join([*names, OTHERS])}.")
    return DataSet(data)
