"""Digests: is a file still what was written? SHA-256 of files, and of JSON that carries its own digest.

A folder's `digests.json` is written last, so that a folder that has one was written to its end. What to do about a file that is
not what it was is the business of whoever wrote it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from lib.storage import files

NAME = "digests.json"


def of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_value(value: object) -> str:
    """The SHA-256 of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def write_sealed(path: Path, value: Mapping[str, object]) -> None:
    """Writes a JSON object with its own digest in it, atomically."""
    whole = json.loads(json.dumps(value, default=str))  # as it will be read again
    files.write_json(path, {**whole, "digest": of_value(whole)})


def read_sealed(path: Path) -> dict | None:
    """A JSON object that has its own digest in it, without that; None if there is none, or if it is not what was written."""
    try:
        value = files.read_json(path)
        return value if value.pop("digest") == of_value(value) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def damaged(folder: Path, known: Mapping[str, str]) -> list[str]:
    """The names of those files of a folder that are missing, or are not what their digest says."""
    return [name for name, digest in known.items() if not (folder / name).is_file() or of(folder / name) != digest]


def set_aside(path: Path) -> Path | None:
    """Renames a damaged file or folder, so that nothing takes it for whole; returns its new path, None if it is not there."""
    aside = path.with_name(f"damaged-{path.name}")
    if not path.exists():
        return None
    files.remove(aside)
    return path.rename(aside)
