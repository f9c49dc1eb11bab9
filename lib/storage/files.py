"""Files that appear whole: by atomic rename, so that a reader never sees half of one, and a lock on a folder.

What the files contain is the business of whoever writes them."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lib.storage.errors import UsageError

FULL = 2**16  # bytes that are free on a disk that counts as full


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, which becomes `path` if the block ends without an exception. Raises UsageError
    where the disk is full; what was there before is kept."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with room_for(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Inside, an exception that comes of a full disk becomes UsageError, in one sentence. Libraries of compiled code say it in
    their own ways, or not at all: then the free space tells."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        there = next(folder for folder in (path, *path.parents) if folder.is_dir())
        free = shutil.disk_usage(there).free
        if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT) and "No space left" not in str(error) and free >= FULL:
            raise
        what = f"The disk of {path} is full ({free / 2**20:.1f} MiB are free), and it could not be written"
        raise UsageError(f"{what}: make room, and start again; what was finished is kept.") from error


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_table(path: Path, table: Any) -> None:
    """Writes a pandas table atomically as CSV, numbers with six digits."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


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
    """Holds a folder for this process, waiting for one that has it; yields the lock's file descriptor. The kernel drops the lock
    when the process ends, however it ends: there is never a stale one."""
    path = folder / ".lock"
    with room_for(path):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            print(f"Process {holder} is at work in {folder}: waiting for it to finish.", file=sys.stderr, flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):  # on a full disk the lock holds without its number
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def sweep(*folders: Path) -> None:
    """Removes what killed writers left behind in folders that this process holds, but not in the folders in them."""
    for folder in folders:
        for path in folder.glob(".*.partial"):
            remove(path)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
