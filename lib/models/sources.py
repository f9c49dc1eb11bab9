"""Where a model is loaded from. Names are checked here, with advice, before anything heavy is imported."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lib.models import tiny
from lib.storage import hub
from lib.storage.errors import UsageError

OFFLINE_CHOICE = f"the models of the kit need no hub: {', '.join(tiny.BASES)}"


@dataclass(frozen=True)
class Source:
    """A local folder or a hub id; `revision` is the hub's commit, and `fingerprint` tells local weights apart."""

    name: str
    path: str
    revision: str | None = None
    fingerprint: str | None = None


def resolve(model: str) -> Source:
    """Finds a model: a base of the kit by name, a local folder, or a hub id. Loads nothing. Raises UsageError when there is no such
    model, or when the hub would have to be asked and cannot be reached."""
    folder = tiny.BASES.get(model, Path(model).expanduser())
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"The folder {folder} holds no model (no config.json): give the folder that has it.")
        return Source(model, str(folder), fingerprint=fingerprint(folder))
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise UsageError(f"There is no model {model!r}: give a folder, or a hub id such as owner/name; {OFFLINE_CHOICE}.")
    return Source(model, model, hub.commit(model, otherwise=f"connect and try again, or go on offline; {OFFLINE_CHOICE}"))


def folder_of(source: Source) -> Path:
    """The local folder of a model's files, downloaded if it is on the hub."""
    return Path(source.path) if Path(source.path).is_dir() else hub.snapshot(source.path, revision=source.revision)


def fingerprint(folder: Path) -> str:
    """A hash of the names, sizes and first mebibytes of a folder's weight files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(2**20))
    return digest.hexdigest()[:16]
