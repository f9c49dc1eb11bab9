"""Run folders, profiles and result tables: everything that is read from or written to disk.

A run is a folder `runs/<profile>/<name>/`. Files appear by atomic rename, so a reader never sees half of one, and a killed
job leaves the last whole state behind. What the files contain is the business of `lib.train` and `lib.evaluate`.
"""

import ast
import contextlib
import difflib
import fcntl
import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("KIT_HOME", ROOT))  # where runs/, data/results/ and figures/ are written
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets", "unsloth", "math-verify")
RUN_KEYS = ("model", "regime", "alpha", "beta_inv", "normalization", "weight", "fixed_length")
PROFILE_KEYS = {"title", "seeds", "train", "evaluate", "runs"}
DEFAULTS = {"memory_mb": 1500, "notebooks": [], "without_training": {}, "by_model": {}}


class UsageError(ValueError):
    """Something that the user asked for cannot be done; the message says what to do instead."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which becomes `path` if the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """Reads a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_lines(path: Path, rows: list[dict]) -> None:
    """Writes a JSONL file atomically, as a whole."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_lines(path: Path) -> list[dict]:
    """The rows of a JSONL file; none if it does not exist yet."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[int]:
    """Holds a folder for this process, waiting for one that has it; yields the lock's file descriptor.

    The kernel drops the lock when the process ends, however it ends: there is never a stale one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            print(
                f"Process {handle.read().strip()} is at work in {folder}: waiting for it to finish.",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield handle.fileno()


def environment() -> dict:
    """Versions, hardware and the git commit, for `environment.json`."""
    import torch

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed_code": _git(
            "status", "--porcelain", "--untracked-files=no", "lib", "notebooks", "profiles", "data/tiny"
        ),
    }


def _git(*command: str) -> str | None:
    """What git prints about this checkout; None without git, without a checkout, or if it prints nothing."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *command], capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def check_parameters(notebook: str, namespace: dict) -> None:
    """Refuses names in `namespace` that are a parameter misspelt: upper case and not set by the notebook's cell tagged
    `parameters`, or set there in upper case.

    papermill only warns about a misspelt parameter and then runs with the default; this raises UsageError instead.
    """
    cells = read_json(ROOT / "notebooks" / f"{notebook}.ipynb")["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    known = {t.id for node in ast.parse(source).body if isinstance(node, ast.Assign) for t in node.targets}
    names = [n for n in namespace if not n.startswith("_") and n not in {*known, "In", "Out"}]  # In, Out: IPython's own
    for name in sorted(n for n in names if n.isupper() or n.upper() in known):
        close = difflib.get_close_matches(name.upper(), known, 1)
        advice = f"did you mean {close[0]}?" if close else f"this notebook has {', '.join(sorted(known))}."
        raise UsageError(f"Unknown parameter {name}: {advice}")


def load_profile(name: str) -> dict:
    """`profiles/<name>.yaml`, checked, with its defaults.

    `title`; `seeds`, for each of `runs`; `train` and `evaluate`, settings that all models share, and `by_model`, what one of them
    has instead; `without_training`, parameters of notebook 08; `notebooks`, names of those that need no run; `memory_mb` of a
    job, for Snakemake. A list as a run's value stands for a run for each of its values.
    """
    import yaml

    path = ROOT / "profiles" / f"{name}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise UsageError(f"There is no profile {name!r}: choose one of {', '.join(names)}.")
    profile = DEFAULTS | yaml.safe_load(path.read_text(encoding="utf-8"))
    if wrong := (PROFILE_KEYS | set(DEFAULTS)) ^ set(profile):
        raise UsageError(
            f"{path.name} must have title, seeds, train, evaluate and runs, and beside them only {', '.join(DEFAULTS)}: "
            f"see {', '.join(sorted(wrong))}."
        )
    if unknown := {n for n in profile["notebooks"] if not (ROOT / "notebooks" / f"{n}.ipynb").is_file()}:
        raise UsageError(f"{path.name} lists notebooks that are not there: {', '.join(sorted(unknown))}.")
    for run in profile["runs"]:
        if unknown := set(run) - set(RUN_KEYS):
            raise UsageError(f"{path.name}: a run has the unknown keys {sorted(unknown)}: choose from {RUN_KEYS}.")
    if unknown := set(profile["by_model"]) - set(profile_models(profile)):
        raise UsageError(f"{path.name}: by_model has {', '.join(sorted(unknown))}, which no run has.")
    return profile


def profile_models(profile: dict) -> list[str]:
    """The models of a profile's runs, in their order."""
    return list(dict.fromkeys(row["model"] for row in profile_runs(profile).values()))


def needs_gpu(profile: dict) -> bool:
    """Whether a profile is for a GPU: a model of it is none of the tiny bases."""
    from lib import tiny

    return not set(profile_models(profile)) <= set(tiny.BASES)


def profile_runs(profile: dict) -> dict[str, dict]:
    """Every run of a profile by name: lists multiplied out, and a copy for each seed."""
    rows = {}
    for run in profile["runs"]:
        lists = [value if isinstance(value, list) else [value] for value in run.values()]
        for values in itertools.product(*lists):
            chosen = dict(zip(run, values, strict=True))
            rows |= {run_name(**chosen, seed=seed): chosen | {"seed": seed} for seed in profile["seeds"]}
    return rows


def section(profile: dict, name: str, model: str) -> dict:
    """A profile's `train` or `evaluate` settings for one of its models."""
    return profile[name] | profile["by_model"].get(model, {}).get(name, {})


def evaluated_on(profile: dict, model: str) -> list[tuple[str, str]]:
    """(data, split) of each evaluation of a model in a profile; the first is the headline."""
    settings = section(profile, "evaluate", model)
    data, split = settings.get("data", "arithmetic"), settings.get("split", "test")
    return [(name, split) for name in (data if isinstance(data, list) else [data])]


def base_name(model: str) -> str:
    """The folder name of a base's own evaluation."""
    return f"base-{model.rstrip('/').split('/')[-1]}"


def evaluation_stem(data: str, split: str) -> str:
    """The file name of an evaluation's results, less the ending: `arithmetic-test`."""
    return f"{Path(data).stem}-{split}"


def sweep(folder: Path) -> None:
    """Removes what killed writers left behind in a folder that this process holds."""
    for path in folder.rglob(".*.partial"):
        path.unlink()


def run_folder(profile: str, name: str) -> Path:
    """Where a run of a profile lives; a base's evaluation lives in `base-<model>`. UsageError for a name that is a path."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise UsageError(f"{name!r} is no name for a run: it becomes a folder's name, so leave out slashes.")
    return HOME / "runs" / profile / name


def run_name(
    model: str,
    regime: str,
    seed: int,
    alpha: float | None = None,
    beta_inv: float | None = None,
    normalization: str = "sum",
    weight: float | None = None,
    fixed_length: bool | None = None,
) -> str:
    """A run's folder name: what was asked for, in file-name letters, such as `many_wordings-tempered-a4-s0`."""
    parts = [model.rstrip("/").split("/")[-1], regime]
    parts += [f"{letter}{value:g}" for letter, value in (("a", alpha), ("b", beta_inv)) if value is not None]
    parts += [normalization] if normalization != "sum" else []
    parts += [f"w{weight:g}"] if weight is not None else []
    parts += ["fixed"] if fixed_length else []
    return "-".join([*parts, f"s{seed}"])
