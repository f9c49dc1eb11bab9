"""Access to the hub: where a name is, by what its client and the cache say. The hub itself is replaced."""

import types

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.errors
import pytest

from lib.storage import hub
from lib.storage.errors import UsageError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a way to put files of a model into it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))

    def put(*names: str) -> None:
        snapshot = tmp_path / "models--owner--name" / "snapshots" / COMMIT
        snapshot.mkdir(parents=True, exist_ok=True)
        for name in names:
            (snapshot / name).write_text("x")
        (tmp_path / "models--owner--name" / "refs").mkdir(exist_ok=True)
        (tmp_path / "models--owner--name" / "refs" / "main").write_text(COMMIT)

    return put


def says(monkeypatch, info=None, auth=None) -> None:
    """Lets the client say these things, or raise them."""

    def answer(outcome):
        def call(*_arguments, **_keywords):
            if isinstance(outcome, type) and issubclass(outcome, Exception):
                raise outcome.__new__(outcome)
            return outcome

        return call

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", answer(info))
    monkeypatch.setattr(huggingface_hub, "auth_check", answer(auth))


def test_a_gated_model_is_told_by_whether_it_may_be_had(cache, monkeypatch):
    """The hub describes a gated model to everybody: asking for the description is not enough."""
    described = types.SimpleNamespace(sha=COMMIT)
    says(monkeypatch, described)
    assert hub.find("owner/name") == hub.Found("hub", COMMIT)
    says(monkeypatch, described, huggingface_hub.errors.GatedRepoError)
    assert hub.find("owner/name").place == "gated"
    with pytest.raises(UsageError, match="owner/name is gated: accept its terms on its hub page and log in"):
        hub.commit("owner/name")
    says(monkeypatch, huggingface_hub.errors.RepositoryNotFoundError)
    with pytest.raises(UsageError, match="There is no data set 'owner/name' at revision 'v2' on the hub"):
        hub.commit("owner/name", "dataset", "v2")


def test_without_an_answer_the_cache_counts_if_it_has_more_than_a_description(cache, monkeypatch):
    says(monkeypatch, ConnectionError)
    assert hub.find("owner/name") == hub.Found("unreachable", reason="ConnectionError")
    with pytest.raises(UsageError, match="not in the local cache and the hub cannot be reached .ConnectionError.: go on"):
        hub.commit("owner/name", otherwise="go on offline")
    cache("config.json")
    assert hub.find("owner/name").place == "unreachable"
    cache("config.json", "model.safetensors")
    assert hub.find("owner/name") == hub.Found("cached", COMMIT) and hub.commit("owner/name") == COMMIT
    assert hub.snapshot("owner/name").name == COMMIT
