"""Access to the hub, once for everybody: is a model or a data set there, at which commit, and where are its files?

Offline, the local cache answers. Every failure is one sentence that says what to do. What the files hold is not read here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pebble import concurrent

from lib.storage.errors import UsageError

ANSWER_WITHIN = 10  # seconds that the hub has to answer
NOUNS = {"model": "model", "dataset": "data set"}
LOGIN = "accept its terms on its hub page and log in with `hf auth login`"


class Found(NamedTuple):
    """`place` is hub, cached, gated, missing or unreachable; `commit` is what the name stands for now, None if the hub did not
    say; `reason` names the failure, if there is one."""

    place: str
    commit: str | None = None
    reason: str = ""


def find(name: str, kind: str = "model", revision: str | None = None) -> Found:
    """Asks the hub for a `model` or a `dataset`, and where it gives no answer in time, the local cache."""
    from huggingface_hub import HfApi, auth_check
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    @concurrent.thread(daemon=True)  # name look-ups alone can take longer than any time-out set
    def ask() -> Any:
        info = HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=ANSWER_WITHIN)
        auth_check(name, repo_type=kind)  # what describes a gated repository is there for everybody
        return info

    try:
        return Found("hub", ask().result(ANSWER_WITHIN).sha)
    except GatedRepoError:
        return Found("gated")
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return Found("missing")
    except Exception as error:  # whatever the network stack raises
        folder = _cached(name, kind, revision)
        return Found("cached", folder.name) if folder else Found("unreachable", reason=type(error).__name__)


def commit(name: str, kind: str = "model", revision: str | None = None, otherwise: str = "connect and try again") -> str:
    """The commit that a name stands for; UsageError, in one sentence that ends with `otherwise`, if it cannot be had."""
    return _known(name, kind, revision, otherwise)[1]


def snapshot(
    name: str,
    kind: str = "model",
    revision: str | None = None,
    patterns: Sequence[str] | None = None,
    otherwise: str = "connect and try again",
) -> Path:
    """The local folder of a model's or a data set's files, downloaded where they are not cached; its name is the commit."""
    from huggingface_hub import snapshot_download

    place, known = _known(name, kind, revision, otherwise)
    try:
        folder = snapshot_download(
            name,
            repo_type=kind,
            revision=known,
            allow_patterns=list(patterns) if patterns else None,
            local_files_only=place == "cached",
            etag_timeout=ANSWER_WITHIN,
        )
    except Exception as error:
        raise UsageError(f"The download of {name} failed ({type(error).__name__}): {otherwise}.") from None
    return Path(folder)


def _known(name: str, kind: str, revision: str | None, otherwise: str) -> tuple[str, str]:
    """(place, commit) of a name; UsageError if it has no commit that can be had."""
    found = find(name, kind, revision)
    if found.commit is not None:
        return found.place, found.commit
    if found.place == "gated":
        raise UsageError(f"{name} is gated: {LOGIN}.")
    if found.place == "missing":
        at = f" at revision {revision!r}" if revision else ""
        raise UsageError(f"There is no {NOUNS[kind]} {name!r}{at} on the hub (or it is private): check the name; {otherwise}.")
    raise UsageError(f"{name} is not in the local cache and the hub cannot be reached ({found.reason}): {otherwise}.")


def _cached(name: str, kind: str, revision: str | None) -> Path | None:
    """The newest cached snapshot of a name at a revision; None if there is none, or no more than one file of it."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, repo_type=kind, revision=revision, local_files_only=True))
    except Exception:  # not there, or not at that revision
        return None
    return folder if sum(path.is_file() for path in folder.rglob("*")) > 1 else None
