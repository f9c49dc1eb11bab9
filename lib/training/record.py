"""What a run leaves in its folder, and what of it is trusted when the run goes on. Training itself is `lib.training.trainer`.

Each checkpoint holds, besides TRL's files, a copy of `metrics.jsonl` up to its step and `digests.json`, written last: the digests
of its files and of the completions up to its step, the run's identity, and its segments. What does not match is set aside under
a name that starts with `damaged-`, with one sentence, and the run goes on from the newest checkpoint that is whole."""

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

from lib.storage import digests, files
from lib.storage.errors import UsageError

METRICS = "metrics.jsonl"
NAME = re.compile(r"checkpoint-\d+")
ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


def finished(folder: Path) -> bool:
    """Whether a run was trained to its end; whether its files are still whole is `Record.mend`."""
    return digests.read_sealed(Path(folder) / digests.NAME) is not None


def check(folder: Path, *names: str) -> None:
    """Raises UsageError if a run is not finished, or if these files of it, or those in these folders, are not what was written."""
    known = digests.read_sealed(folder / digests.NAME) or {"files": {digests.NAME: ""}}
    wanted = {name: digest for name, digest in known["files"].items() if name.startswith((*names, digests.NAME))}
    if lost := digests.damaged(folder, wanted):
        what = f"{folder / lost[0]} is missing or damaged"
        raise UsageError(f"{what}: train the run once more, which mends it from its last checkpoint.")


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run that are whole, the newest last. Sets damaged ones aside; what a killed writer left behind,
    which has not even the last of TRL's files, is removed."""
    there = [path for path in (folder / "checkpoints").glob("checkpoint-*") if path.is_dir() and NAME.fullmatch(path.name)]
    there.sort(key=step_of)
    found = []
    for path in there:
        known = digests.read_sealed(path / digests.NAME)
        if not any((path / name).exists() for name in (digests.NAME, "trainer_state.json")):
            shutil.rmtree(path)
        elif known is None or digests.damaged(path, known["files"]):
            _set_aside(path)
        else:
            found.append(path)
    return found


def step_of(checkpoint: Path) -> int:
    """How many steps had been taken at a checkpoint."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


class Record:
    """The record of one run, in the process that trains it. `segments` says which steps were taken on which machine and with which
    versions; `rows` are those of `metrics.jsonl`; `completions` has the digest of each step's file."""

    def __init__(self, folder: Path, identity: str):
        self.folder, self.identity = folder, identity
        self.segments: list[dict] = []
        self.rows: list[dict] = []
        self.completions: dict[str, str] = {}

    def mend(self) -> bool:
        """Whether a run is finished and all of it is whole. Files of a finished run that are not are set aside, and it counts as
        unfinished: its last checkpoint has most of it."""
        seal = self.folder / digests.NAME
        there = digests.read_sealed(seal)
        if there is None:
            if seal.exists() or (self.folder / "adapter").exists():  # a run of before there were digests has none
                _set_aside(seal, "so the adapter is put aside as well, and the run goes on from what is whole")
                digests.set_aside(self.folder / "adapter")
            return False
        lost = digests.damaged(self.folder, there["files"])
        if lost and there["identity"] != self.identity:
            raise UsageError(f"{self.folder} holds a run with other settings. Name a new run, or delete that folder.")
        for path in dict.fromkeys(self.folder / (name.split("/")[0] if "adapter" in name else name) for name in lost):
            _set_aside(path)
        if lost:
            seal.unlink()
        return not lost

    def resume(self) -> Path | None:
        """The newest whole checkpoint, if there is one; the record is what it was there. UsageError if it is another run's."""
        found = checkpoints(self.folder)
        if not found:
            return None
        newest = found[-1]
        known = digests.read_sealed(newest / digests.NAME) or {}
        if known["identity"] != self.identity:
            what = f"{self.folder} holds checkpoints of a run with other settings"
            raise UsageError(f"{what}. Name a new run, or delete that folder.")
        self.segments, self.completions = known["segments"], known["completions"]
        self.rows = files.read_lines(newest / METRICS)
        for name in digests.damaged(self.folder, self.completions):
            _set_aside(self.folder / name, "the completions of that step are lost, and the run does without them")
            del self.completions[name]
        return newest

    def begin(self, segment: dict) -> None:
        """Adds a segment, which has the `first_step` that is taken in it, if it differs from the last one in anything else."""
        last = self.segments[-1] if self.segments else {}
        if {**last, "first_step": None} != {**segment, "first_step": None}:
            self.segments.append(segment)
        files.write_json(self.folder / "environment.json", self.segments)
        files.write_lines(self.folder / METRICS, self.rows)

    def keep_completions(self, step: int, table: pd.DataFrame) -> None:
        """Writes the completions of a step."""
        name = f"completions/step-{step:05d}.parquet"
        with files.atomic(self.folder / name) as path:
            table.to_parquet(path, index=False)
            self.completions[name] = digests.of(path)

    def keep_row(self, row: dict) -> None:
        """Adds a step's line to `metrics.jsonl`."""
        self.rows.append(row)
        files.write_lines(self.folder / METRICS, self.rows)

    def seal(self, checkpoint: Path, keep: int) -> None:
        """Finishes a checkpoint that TRL has written, and removes the oldest ones but for so many."""
        files.write_lines(checkpoint / METRICS, self.rows)
        known = {str(path.relative_to(checkpoint)): digests.of(path) for path in checkpoint.rglob("*") if path.is_file()}
        about = {"identity": self.identity, "segments": self.segments, "completions": self.completions}
        digests.write_sealed(checkpoint / digests.NAME, {"files": known, **about})
        sealed = sorted((path.parent for path in checkpoint.parent.glob(f"checkpoint-*/{digests.NAME}")), key=step_of)
        for old in sealed[:-keep]:
            shutil.rmtree(old)

    def finish(self, checkpoint: Path) -> None:
        """The adapter of the last checkpoint, which is that of the last step, becomes the run's; the run's digests come last."""
        partial, adapter = self.folder / ".adapter.partial", self.folder / "adapter"
        files.remove(partial)
        with files.room_for(adapter):
            partial.mkdir()
            for name in ADAPTER:
                shutil.copy(checkpoint / name, partial)
        files.remove(adapter)
        partial.rename(adapter)
        names = ["config.json", "environment.json", METRICS, *(f"adapter/{name}" for name in ADAPTER)]
        known = {name: digests.of(self.folder / name) for name in names} | self.completions
        digests.write_sealed(self.folder / digests.NAME, {"files": known, "identity": self.identity})


def _set_aside(path: Path, loss: str = "the run goes on from what is whole") -> None:
    aside = digests.set_aside(path)
    what = f"is damaged and was renamed to {aside.name}" if aside else "is missing"
    print(f"{path} {what}: {loss}.", file=sys.stderr, flush=True)
