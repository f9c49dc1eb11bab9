"""Rows of a data set as they are stored: of the hub, of its local cache, or of a local folder or file. Loads, and changes nothing.

What a row means is `lib.data.problems`. Hub sets are downloaded as a snapshot whose commit is known, and read by `datasets` from
there; offline, the same snapshot comes from the local cache. A local folder in a hub set's own schema is read the same way."""

import hashlib
import json
import logging
from pathlib import Path
from typing import NamedTuple

from lib.data.sets import DataSet
from lib.storage import hub
from lib.storage.errors import UsageError

DATA_FILES = ("*.parquet", "*.jsonl", "*.json", "*.csv")
OFFLINE = "connect and try again, download it once while connected, or give a local folder or .jsonl file"


class Rows(NamedTuple):
    """The rows of one split as they are stored. `revision` names the version: the hub's commit, or a hash of files."""

    rows: list[dict]
    revision: str


def rows(entry: DataSet, split: str, revision: str | None = None) -> Rows:
    """The stored rows behind a split of a data set; a file has no splits. Raises UsageError if there are none."""
    stored = entry.stored_split(split)
    if entry.path is not None and entry.is_file:
        return _of_file(entry.path)
    if entry.path is not None:
        folder = entry.path
        version = _digest(sorted(path for pattern in DATA_FILES for path in folder.rglob(pattern)))
    else:
        folder = hub.snapshot(str(entry.hub_id), "dataset", revision, [*DATA_FILES, "*.md"], OFFLINE)
        version = folder.name
    found = [row for name in entry.configurations for row in _load(folder, name, stored, entry.name)]
    return Rows(found, version)


def _of_file(path: Path) -> Rows:
    """The rows of a .jsonl or .parquet file; raises UsageError if it is not there or a line is no object."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}: give the path of a .jsonl or .parquet file, or 'arithmetic'.")
    if path.suffix == ".parquet":
        from datasets import Dataset

        return Rows(Dataset.from_parquet(str(path), keep_in_memory=True).to_list(), _digest([path]))
    found = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found.append(dict(json.loads(line).items()))
            except (ValueError, AttributeError) as error:
                raise UsageError(f"{path}, line {number}, is not an object with prompt and gold: {error}.") from error
    return Rows(found, _digest([path]))


def _load(folder: Path, configuration: str | None, split: str, data: str) -> list[dict]:
    """One split of a folder by `datasets`; a folder that has no configurations is its own."""
    import datasets

    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a folder needs no card
    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        names = datasets.get_dataset_config_names(str(folder))
        if configuration is None and "default" not in names and len(names) > 1:
            raise UsageError(f"{data} has several configurations, {', '.join(names)}: choose one, as in {data}:{names[0]}.")
        name = configuration if configuration in names else "default" if "default" in names else names[0]
        if configuration not in (None, name) and (name != "default" or data.endswith(f":{configuration}")):
            raise UsageError(f"{data} has no configuration {configuration!r}: it has {', '.join(names)}.")
        splits = datasets.get_dataset_split_names(str(folder), name)
        if split not in splits:
            raise UsageError(f"{data} has no split {split!r}: it has {', '.join(splits)}.")
        return datasets.load_dataset(str(folder), name, split=split).to_list()
    except (FileNotFoundError, datasets.exceptions.DatasetsError, datasets.exceptions.DatasetGenerationError) as error:
        reason = str(error).splitlines()[0][:150]
        raise UsageError(f"{data} holds no {split} split that can be read ({reason}): check its files.") from None
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _digest(files: list[Path]) -> str:
    return f"local-{hashlib.sha256(b''.join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()[:16]}"
