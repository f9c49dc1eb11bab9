"""Rows of a data set as they are stored: of the hub, of its local cache, or of a local folder or file. Loads, and changes nothing.

What a row means is `lib.problems`. Hub sets are downloaded as a snapshot whose commit is known, and read by `datasets` from
there; offline, the same snapshot comes from the local cache. A local folder in a hub set's own schema is read the same way.
"""

import functools
import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.runs import UsageError

ANSWER_WITHIN = 10  # seconds that the hub has to answer
DATA_FILES = ("*.parquet", "*.jsonl", "*.json", "*.csv")
OFFLINE = "connect and try again, download it once while connected, or give a local folder or .jsonl file"


@dataclass(frozen=True)
class HubSet:
    """A hub data set that the kit knows: what its train and its test split are called, and its configurations."""

    train: str | None
    test: str | None
    configurations: tuple[str | None, ...] = (None,)


KNOWN = {
    "DigitalLearningGmbH/MATH-lighteval": HubSet("train", "test"),
    "HuggingFaceH4/MATH-500": HubSet(None, "test"),
    "math-ai/minervamath": HubSet(None, "test"),
    "openai/gsm8k": HubSet("train", "test", ("main",)),
    "agentica-org/DeepScaleR-Preview-Dataset": HubSet("train", None),
    "HuggingFaceH4/aime_2024": HubSet(None, "train"),
    "opencompass/AIME2025": HubSet(None, "test", ("AIME2025-I", "AIME2025-II")),
    "MathArena/hmmt_feb_2025": HubSet(None, "train"),
}


@dataclass(frozen=True)
class Rows:
    """The rows of one split in the order in which they are stored, and what tells this version of them from any other.

    `revision` is the hub's commit, or for local files a hash of their bytes.
    """

    rows: list[dict]
    revision: str


def file_rows(path: Path) -> Rows:
    """The rows of a .jsonl or .parquet file; raises UsageError if it is not there or a line is no object."""
    if not path.is_file():
        raise UsageError(f"There is no file {path}: give the path of a .jsonl or .parquet file, or 'arithmetic'.")
    if path.suffix == ".parquet":
        from datasets import Dataset

        return Rows(Dataset.from_parquet(str(path), keep_in_memory=True).to_list(), _digest([path]))
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                rows.append(dict(json.loads(line).items()))
            except (ValueError, AttributeError) as error:
                raise UsageError(
                    f"{path}, line {number}, is not an object with id, prompt and gold: {error}."
                ) from error
    return Rows(rows, _digest([path]))


def split_rows(data: str, split: str, revision: str | None = None) -> Rows:
    """The stored rows behind `train` or `test` of a hub set or of a local folder; raises UsageError if there are none.

    A folder may be named by the last two parts of its path like the hub set that it is a copy of.
    """
    folder = Path(data).expanduser()
    is_local = folder.is_dir()
    known = KNOWN.get("/".join(folder.resolve().parts[-2:]) if is_local else data, HubSet("train", "test"))
    stored = known.train if split == "train" else known.test
    if stored is None:
        other = "test: train on another data set" if split == "train" else "train: evaluate on another data set"
        raise UsageError(f"{data} has no {split} split, it is there to {other}.")
    if is_local:
        files = sorted(path for pattern in DATA_FILES for path in folder.rglob(pattern))
        version = _digest(files)
    else:
        folder, version = _snapshot(data, revision)
    rows = [row for name in known.configurations for row in _load(folder, name, stored, data)]
    return Rows(rows, version)


def _load(folder: Path, configuration: str | None, split: str, data: str) -> list[dict]:
    """One split of a folder by `datasets`; a folder that has no configurations is its own."""
    import datasets

    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a folder needs no card
    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        names = datasets.get_dataset_config_names(str(folder))
        name = configuration if configuration in names else "default" if "default" in names else names[0]
        if configuration not in (None, name) and name != "default":
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


@functools.lru_cache
def _snapshot(data: str, revision: str | None) -> tuple[Path, str]:
    """(folder, commit) of a hub data set, downloaded, or from the local cache if the hub does not answer in time."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    commit, failure = None, "no answer"
    try:
        commit = _within(
            ANSWER_WITHIN, lambda: HfApi().dataset_info(data, revision=revision, timeout=ANSWER_WITHIN).sha
        )
    except GatedRepoError:
        raise UsageError(
            f"{data} is gated: accept its terms on its hub page and log in with `hf auth login`."
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError):
        at = f" at revision {revision!r}" if revision else ""
        raise UsageError(f"There is no data set {data!r}{at} on the hub (or it is private): check the name.") from None
    except Exception as error:  # whatever the network stack raises
        failure = type(error).__name__
    try:
        folder = snapshot_download(
            data,
            repo_type="dataset",
            revision=commit or revision,
            allow_patterns=[*DATA_FILES, "*.md"],
            local_files_only=commit is None,
            etag_timeout=ANSWER_WITHIN,
        )
    except Exception as error:
        where = "and the hub cannot be reached" if commit is None else "and its download failed"
        failure = failure if commit is None else type(error).__name__
        raise UsageError(f"{data} is not in the local cache {where} ({failure}): {OFFLINE}.") from None
    return Path(folder), Path(folder).name


def _within(seconds: float, action: Callable[[], str]) -> str:
    """What an action returns or raises, if it does so in time; name look-ups alone can take longer than any time-out set."""
    outcome: list[tuple[bool, object]] = []

    def work() -> None:
        try:
            outcome.append((True, action()))
        except Exception as error:
            outcome.append((False, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError
    good, value = outcome[0]
    if not good:
        raise value
    return value


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return f"local-{digest.hexdigest()[:16]}"
