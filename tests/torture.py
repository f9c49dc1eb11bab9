"""`make torture`: a training run and an evaluation are killed at random moments, each of their files is damaged, and their disk is
filled. What comes out must be that of an undisturbed run, bit for bit, or one sentence must say what is lost: nothing broken is
accepted in silence, and nothing ends in a traceback. `make torture-long` has the quick profile's shape, and kills alone.

Every attempt is a process of its own, forked from this one after one import."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"}

from lib.evaluation import runner
from lib.evaluation.config import EvalConfig
from lib.models import loading
from lib.storage import files
from lib.storage.errors import UsageError
from lib.training import train
from lib.training.config import TrainConfig

loading.import_unsloth()

import lib.reports.figures as figures  # noqa: E402
import lib.training.trainer  # noqa: E402, F401

KILLS = 20
WRONG = ("TRACEBACK", "SILENCE", "REFUSED", "FAILED", "NOT EQUAL", '"equal": false', '"failed"')
SHAPE = {"train_problems": 8, "prompts_per_step": 2, "completions_per_prompt": 4, "micro_batch": 8, "warmup_steps": 0}
SMALL = TrainConfig(model="many_wordings", objective="tilted", steps=12, save_every=1, **SHAPE)  # three epochs of 4 steps
SHORT = SMALL.changed(steps=4, save_every=1)  # for the files, each of which is damaged in four ways
LONG = TrainConfig(model="many_wordings", objective="tilted", steps=150, train_problems=376)  # the quick profile's, in three epochs
EVALUATION = EvalConfig(problems=24, samples=8, chunk=2, max_completion_tokens=48)
FEW = EVALUATION.changed(problems=4, samples=4)
HARMS: dict[str, Callable[[bytes], bytes | None]] = {
    "cut": lambda data: data[: len(data) // 2],
    "one bit flipped": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    "emptied": lambda _: b"",
    "removed": lambda _: None,
}


class Ended(NamedTuple):
    """How an attempt ended: `exit` is 0, 1 for a UsageError, 2 for anything else, negative for a signal; `said` is its stderr."""

    exit: int
    said: str


def training(config: TrainConfig) -> Callable[[Path], object]:
    return lambda folder: train.train(train.prepare(folder, config))


def evaluating(config: EvalConfig) -> Callable[[Path], object]:
    return lambda folder: runner.of_base("many_wordings", folder, config)


def attempt(action: Callable[[Path], object], folder: Path, kill_after: float | None = None) -> Ended:
    """Runs an action in a forked process, which may be killed after so many seconds."""
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os.setsid()
            code = 2
            try:
                action(folder)
                code = 0
            except UsageError as error:
                print(error, file=sys.stderr)
                code = 1
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stderr.flush()
            sys.stdout.flush()
            os._exit(code)
        if kill_after is not None:
            time.sleep(kill_after)
            os.killpg(child, signal.SIGKILL) if os.waitpid(child, os.WNOHANG) == (0, 0) else None
        try:
            status = os.waitpid(child, 0)[1]
        except ChildProcessError:  # it had ended before it was killed
            status = 0
        output.seek(0)
        return Ended(os.waitstatus_to_exitcode(status), output.read())


def worth(folder: Path) -> dict[str, object]:
    """Everything that counts of a run or an evaluation, the clock's numbers apart, as hashes by file name."""
    found: dict[str, object] = {}
    for pattern in ("adapter/*.safetensors", "completions/step-*", "evaluations/*.parquet", "figures/*.png"):
        for path in folder.glob(pattern):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    if (folder / "metrics.jsonl").exists():
        rows = files.read_lines(folder / "metrics.jsonl")
        found["metrics.jsonl"] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    for path in folder.glob("evaluations/*.json"):
        result = files.read_json(path)
        found[path.name] = {k: v for k, v in result.items() if k not in ("seconds", "digest", "environment")}
    return found


def killed_at_random(action: Callable[[Path], object], folder: Path, whole: Path, seconds: float, kills: int) -> dict[str, object]:
    """Kills until it was killed so often, then lets it end. Moments are spread so that it gets on between them."""
    draw, times, so_far = random.Random(kills), 0, []
    while times < kills:
        ended = attempt(action, folder, draw.uniform(0.05, seconds))
        if ended.exit == -signal.SIGKILL:
            times += 1
            so_far.append(len(list(folder.glob("completions/step-*"))) or len(list(folder.glob("evaluations/*-chunks/*.parquet"))))
        elif ended.exit == 0:  # faster than the kill
            shutil.rmtree(folder)
        else:
            return {"kills": times, "failed": ended.said[-2000:]}
    last = attempt(action, folder)
    return {"kills": times, "reached": so_far, "exit": last.exit, "equal": worth(folder) == worth(whole)}


def harmed(action: Callable[[Path], object], whole: Path, unharmed: Path, name: str, harm: str) -> str:
    """What became of one file of a copy of `unharmed`, damaged in one way: how the next attempt ended."""
    with tempfile.TemporaryDirectory() as place:
        folder = shutil.copytree(unharmed, Path(place) / unharmed.name)
        data = HARMS[harm]((folder / name).read_bytes())
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        ended = attempt(action, folder)
        said = [line for line in ended.said.splitlines() if "damaged" in line or "missing" in line or "other settings" in line]
        if ended.exit not in (0, 1) or "Traceback" in ended.said:
            return f"TRACEBACK: {name}, {harm}: {ended.said[-600:]}"
        if ended.exit == 1:
            return "refused in one sentence" if said else f"REFUSED: {name}, {harm}: {ended.said[-300:]}"
        if worth(folder) == worth(whole):
            return "equal, with a sentence" if said else "equal"
        return "a sentence says what is lost" if any("lost" in line for line in said) else f"ACCEPTED IN SILENCE: {name}, {harm}"


def every_file(cases: list[tuple[Callable[[Path], object], Path, Path]]) -> dict[str, object]:
    """Each file of each folder damaged in each way, two at a time."""
    jobs = [
        (action, whole, folder, str(path.relative_to(folder)), harm)
        for action, whole, folder in cases
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
        for harm in HARMS
    ]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda job: harmed(*job), jobs))
    return {"files": len(jobs) // len(HARMS), "damages": len(jobs), "outcomes": dict(Counter(found))}


def on_a_full_disk(action: Callable[[Path], object], whole: Path, room: list[int]) -> list[str]:
    """The action on a disk of 20 MB with so many KiB left; then again with room."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], check=True)
        try:
            for kib in room:
                folder, ballast = Path(place) / "run", Path(place) / "ballast"
                ballast.write_bytes(bytes(shutil.disk_usage(place).free - kib * 1024))
                full = attempt(action, folder)
                ballast.unlink()
                sentence = full.exit == 1 and "Traceback" not in full.said and "is full" in full.said
                again = attempt(action, folder)
                equal = again.exit == 0 and worth(folder) == worth(whole)
                first = "one sentence" if sentence else "had room" if full.exit == 0 else f"FAILED: {full.said[-800:]}"
                found.append(f"{kib} KiB: {first}; then {'equal' if equal else 'NOT EQUAL: ' + again.said[-800:]}")
                shutil.rmtree(folder)
        finally:
            subprocess.run(["umount", place], check=True)
    return found


def draw(folder: Path) -> None:
    """A figure in a folder, for the full disk."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, ax = plt.subplots()
    ax.imshow(np.random.default_rng(0).random((300, 300)))
    figures.save(figure, "torture", folder / "figures")


def timed(action: Callable[[Path], object], folder: Path) -> float:
    started = time.monotonic()
    ended = attempt(action, folder)
    assert ended.exit == 0, ended.said
    return time.monotonic() - started


def half_done(action: Callable[[Path], object], folder: Path, pattern: str, count: int) -> Path:
    """A copy of a folder as a killed attempt leaves it, once so many files are there."""
    child = multiprocessing.get_context("fork").Process(target=attempt, args=(action, folder))
    child.start()
    while len(list(folder.glob(pattern))) < count:
        time.sleep(0.005)
    holder = int((folder / ".lock").read_text() if (folder / ".lock").exists() else (folder / "evaluations" / ".lock").read_text())
    os.kill(holder, signal.SIGKILL)
    child.join()
    return folder


def kill(home: Path, config: TrainConfig, kills: int, share: float) -> Iterator[tuple[str, object]]:
    """Training and an evaluation, killed so often, each time within this share of what they take undisturbed."""
    seconds = timed(training(config), home / "whole")
    whole = home / "whole"
    yield "training, killed", killed_at_random(training(config), home / "killed", whole, seconds * share, kills)
    seconds = timed(evaluating(EVALUATION), home / "evaluated")
    whole = home / "evaluated"
    yield "evaluation, killed", killed_at_random(evaluating(EVALUATION), home / "again", whole, seconds * 0.9, KILLS)


def harm_files(home: Path) -> Iterator[tuple[str, object]]:
    """Each file of a finished and of a half-done run, and of evaluations."""
    train_it, evaluate_it = training(SHORT), evaluating(FEW)
    for name, action, pattern, count in (
        ("run", train_it, "checkpoints/checkpoint-*/digests.json", 2),
        ("evaluation", evaluate_it, "evaluations/*-chunks/*.parquet", 1),
    ):
        timed(action, home / name)
        half = half_done(action, home / f"half-{name}", pattern, count)
        yield f"files of the {name}", every_file([(action, home / name, folder) for folder in (half, home / name)])


def fill_disk(home: Path) -> Iterator[tuple[str, object]]:
    """A disk of 20 MB with more and more room, so that another file is the first that does not fit."""
    yield "training, full disk", on_a_full_disk(training(SHORT), home / "run", [0, 4, 60, 300, 900, 2000, 3000, 4500])
    yield "evaluation, full disk", on_a_full_disk(evaluating(FEW), home / "evaluation", [0, 4, 12, 24, 40, 60])
    timed(draw, home / "drawn")
    yield "figures, full disk", on_a_full_disk(draw, home / "drawn", [0, 4, 60, 200])


def main(long: bool) -> None:
    started, found = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as place:
        parts = [kill(Path(place), LONG, 12, 0.3)] if long else [kill(Path(place), SMALL, KILLS, 0.9), harm_files(Path(place))]
        if not long and os.geteuid() == 0:  # who may mount a disk
            parts.append(fill_disk(Path(place)))
        for part in parts:
            for name, value in part:
                found[name] = value
                print(f"{time.monotonic() - started:5.0f} s  {name}: {json.dumps(value, ensure_ascii=False)}", flush=True)
    bad = [word for word in WRONG if word in json.dumps(found)]
    print(f"{time.monotonic() - started:.0f} s. {'Found: ' + ', '.join(bad) if bad else 'Nothing was lost.'}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main("long" in sys.argv[1:])
