"""Where things are: the checkout, the runs of a profile, its evaluations and its result tables."""

import hashlib
import os
from pathlib import Path

from lib.storage.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("KIT_HOME", ROOT))  # where runs/, data/results/ and figures/ are written


def run_folder(profile: str, name: str) -> Path:
    """Where a run of a profile lives; a base's evaluation lives in `base-<model>`. UsageError for a name that is a path."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise UsageError(f"{name!r} is no name for a run: it becomes a folder's name, so leave out slashes.")
    return HOME / "runs" / profile / name


def results_folder(profile: str) -> Path:
    """Where a profile's result tables are."""
    return HOME / "data" / "results" / profile


def short_name(model: str) -> str:
    """A model's name without its owner or its folder's path."""
    return model.rstrip("/").split("/")[-1]


def base_name(model: str) -> str:
    """The folder name of a base's own evaluation."""
    return f"base-{short_name(model)}"


def evaluation_stem(data: str, split: str) -> str:
    """The file name of an evaluation's results, less the ending: `arithmetic-test`. What has a folder or an owner in its name gets
    a hash of all of it, since two may end alike."""
    mark = f"-{hashlib.sha256(data.encode()).hexdigest()[:6]}" if Path(data).stem != data else ""
    return f"{Path(data).stem}{mark}-{split}"
