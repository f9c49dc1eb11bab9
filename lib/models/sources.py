"""Where a model is loaded from. Names are checked here, with advice, before anything heavy is imported."""

from dataclasses import dataclass
from pathlib import Path

from lib.models import built, tiny
from lib.storage import digests, hub
from lib.storage.errors import UsageError

WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
OFFLINE_CHOICE = f"the models of the kit need no hub: {', '.join(tiny.BASES)}"


@dataclass(frozen=True)
class Source:
    """A local folder or a hub id; `revision` is the hub's commit, and `fingerprint` tells local weights apart."""

    name: str
    path: str
    revision: str | None = None
    fingerprint: str | None = None


def resolve(model: str, revision: str | None = None) -> Source:
    """Finds a model: a base of the kit by name, a local folder, or a hub id, of which `revision` may be the commit to take. Loads
    nothing. Raises UsageError when there is no such model, or when the hub would have to be asked and cannot be reached."""
    folder = built.place_of(model) or Path(model).expanduser()
    if model in built.NAMES and not built.is_built(model):
        raise UsageError(f"The model {model} is not built yet: run `python -m lib.reproduce build {model}` first.")
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"The folder {folder} holds no model (no config.json): give the folder that has it.")
        return Source(model, str(folder), fingerprint=fingerprint(folder))
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise UsageError(f"There is no model {model!r}: give a folder, or a hub id such as owner/name; {OFFLINE_CHOICE}.")
    otherwise = f"connect and try again, or go on offline; {OFFLINE_CHOICE}"
    return Source(model, model, hub.commit(model, revision=revision, otherwise=otherwise))


def folder_of(source: Source) -> Path:
    """The local folder of a model's files, downloaded if it is on the hub."""
    return Path(source.path) if Path(source.path).is_dir() else hub.snapshot(source.path, revision=source.revision)


def fingerprint(folder: Path) -> str:
    """A hash of the names and contents of a folder's weight files."""
    weights = sorted(path for kind in WEIGHTS for path in folder.glob(kind))
    return digests.of_value([[path.name, digests.of(path)] for path in weights])[:16]
