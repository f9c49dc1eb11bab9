"""Every known hub set, in its own schema: rows that the kit's authors wrote, read by the code that reads the hub's."""

import os
import shutil
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.errors
import pytest

from lib.data import problems, prompts, sets, stored
from lib.data.prompts import Problem
from lib.rewards import verifier
from lib.storage import folders
from lib.storage.errors import UsageError

FIXTURES = folders.ROOT / "tests" / "fixtures" / "hub"
GSM8K = folders.ROOT.parent / "shared" / "data" / "gsm8k"
COUNTS = {  # (train and validation together, test), less the rows whose gold cannot be read
    "DigitalLearningGmbH/MATH-lighteval": (33, 13),
    "HuggingFaceH4/MATH-500": (None, 4),
    "math-ai/minervamath": (None, 4),
    "openai/gsm8k": (40, 2),
    "agentica-org/DeepScaleR-Preview-Dataset": (40, None),
    "HuggingFaceH4/aime_2024": (None, 2),
    "opencompass/AIME2025": (None, 2),
    "MathArena/hmmt_feb_2025": (None, 2),
}


def folder(name: str) -> str:
    return str(FIXTURES / name)


def everything(name: str) -> list[Problem]:
    """The problems of every split that a set has."""
    train, test = COUNTS[name]
    splits = [s for s, there in (("train", train), ("validation", train), ("test", test)) if there]
    return [p for split in splits for p in problems.load(folder(name), split, 10**6)]


@pytest.mark.parametrize("name", COUNTS)
def test_every_schema_is_read(name):
    assert set(COUNTS) == {name for name, entry in sets.SETS.items() if entry.hub_id}
    train, test = COUNTS[name]
    assert len(everything(name)) == (train or 0) + (test or 0)
    for p in everything(name):
        assert p.prompt.startswith(prompts.INSTRUCTION) and p.prompt.endswith("Let's think step-by-step")
        assert p.question in p.prompt and p.question and "\\boxed" not in p.gold and "####" not in p.gold


@pytest.mark.parametrize("name", COUNTS)
def test_golds_match_themselves_and_no_other(name):
    golds = [p.gold for p in everything(name)]
    for strict in (True, False):
        assert all(v.correct for v in verifier.check_all([f"\\boxed{{{g}}}" for g in golds], golds, strict))
        for shift in range(1, min(len(golds), 5)):
            rotated = golds[shift:] + golds[:shift]
            verdicts = verifier.check_all([f"\\boxed{{{g}}}" for g in golds], rotated, strict)
            assert [v.correct for v in verdicts] == [a == b for a, b in zip(golds, rotated)]


def test_golds_match_their_own_full_solutions():
    """MATH's, among them `\\boxed 7` and a solution with a box for a step on the way, which only the lenient variant forgives."""
    name = folder("DigitalLearningGmbH/MATH-lighteval")
    rows = {r["problem"]: r for split in ("train", "test") for r in stored.rows(sets.named(name), split).rows}
    found = everything("DigitalLearningGmbH/MATH-lighteval")
    strict, lenient = ([verifier.check(rows[p.question]["solution"], p.gold, s).correct for p in found] for s in (True, False))
    assert all(lenient) and strict.count(False) == 1


def test_golds_that_cannot_be_read_are_reported_and_left_out(capsys):
    found = problems.load_set(folder("DigitalLearningGmbH/MATH-lighteval"), "train", 10**6)
    ids = set(found.unreadable)
    ids |= set(problems.load_set(folder("DigitalLearningGmbH/MATH-lighteval"), "validation", 10**6).unreadable)
    assert ids == {"32", "35"}  # an empty box, and no box at all
    assert "left out" in capsys.readouterr().err


def test_train_and_validation_share_nothing_and_the_seed_fixes_the_order():
    name = folder("openai/gsm8k")
    train, validation = (problems.load(name, split, 100) for split in ("train", "validation"))
    assert {p.question for p in train}.isdisjoint(p.question for p in validation) and train and validation
    assert problems.load(name, "train", 5) == train[:5]
    assert problems.load(name, "train", 5, seed=1) != train[:5]
    assert {p.prompt for p in problems.load(name, "train", 100, seed=1)} == {p.prompt for p in train}


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("HuggingFaceH4/MATH-500", "train", "has no train split, it is there to test"),
        ("HuggingFaceH4/aime_2024", "validation", "has no train split, it is there to test"),
        ("agentica-org/DeepScaleR-Preview-Dataset", "test", "has no test split, it is there to train"),
    ],
)
def test_a_test_set_is_not_trained_on(name, split, message):
    with pytest.raises(UsageError, match=message):
        problems.load(folder(name), split, 1)


def test_a_folder_without_data_and_one_with_other_columns(tmp_path):
    with pytest.raises(UsageError, match="holds no test split that can be read"):
        problems.load(str(tmp_path), "test", 1)
    (tmp_path / "test.jsonl").write_text('{"text": "1+1", "label": 2}\n')
    with pytest.raises(UsageError, match="row 1, is not an object with id, prompt and gold.*it has text, label"):
        problems.load(str(tmp_path), "test", 1)


@pytest.mark.skipif(not GSM8K.is_dir(), reason="GSM8K's test split is not beside this checkout")
def test_all_of_gsm8k():
    """All 1,319 golds match themselves and their own full solutions, and rotated ones only where the answers are equal."""
    found = problems.load_set("../shared/data/gsm8k", "test", 10**6)
    assert len(found.problems) == 1319 and found.unreadable == ()
    golds = [p.gold for p in found.problems]
    values = [int(g.replace(",", "")) for g in golds]
    solutions = {r["question"]: r["answer"] for r in stored.rows(sets.named("../shared/data/gsm8k"), "test").rows}
    boxed = [solutions[p.question].replace(f"#### {p.gold}", f"\\boxed{{{p.gold}}}") for p in found.problems]
    for strict in (True, False):
        assert all(v.status == "ok" for v in verifier.check_all([f"\\boxed{{{g}}}" for g in golds], golds, strict))
        assert all(v.status == "ok" for v in verifier.check_all(boxed, golds, strict))
        for shift in (1, 7, 100):
            verdicts = verifier.check_all(boxed, golds[shift:] + golds[:shift], strict)
            assert [v.correct for v in verdicts] == [a == b for a, b in zip(values, values[shift:] + values[:shift])]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A local hub cache that holds one data set, as the hub's own client lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "datasets--openai--gsm8k"
    blobs, snapshot = shutil.copytree(folder("openai/gsm8k"), home / "blobs"), home / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for number, blob in enumerate(sorted(blobs.iterdir())):
        (snapshot / blob.name).symlink_to(Path("../../blobs") / blob.rename(blobs / f"hash{number}").name)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return commit


def test_offline_the_cache_serves_by_hub_id_and_the_commit_is_recorded(cache):
    found = problems.load_set("openai/gsm8k", "test", 10)
    assert len(found.problems) == 2 and found.revision == cache
    assert problems.load_set("openai/gsm8k", "test", 10, revision=cache).revision == cache
    with pytest.raises(UsageError, match="not in the local cache"):
        problems.load("openai/gsm8k", "test", 10, revision="another")


@pytest.mark.parametrize(("revision", "asked"), [(None, None), ("v2", "v2")])
def test_online_the_commit_is_asked_for_and_that_commit_is_downloaded(cache, revision, asked, monkeypatch):
    """The hub's client is replaced by one that hands out the fixture; what it was asked is checked."""
    calls = {}

    def info(self, name, revision, timeout, repo_type):
        calls["info"] = (name, revision)
        assert repo_type == "dataset"
        return types.SimpleNamespace(sha=cache)

    def download(name, revision, local_files_only, **_others):
        calls["download"] = (name, revision, local_files_only)
        return shutil.copytree(folder("openai/gsm8k"), calls["target"] / revision)

    calls["target"] = Path(huggingface_hub.constants.HF_HUB_CACHE)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", info)
    monkeypatch.setattr(huggingface_hub, "auth_check", lambda *_, **_keywords: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert problems.load_set("openai/gsm8k", "test", 10, revision=revision).revision == cache
    assert calls["info"] == ("openai/gsm8k", asked) and calls["download"] == ("openai/gsm8k", cache, False)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("GatedRepoError", "openai/gsm8k is gated: accept its terms"),
        ("RepositoryNotFoundError", "There is no data set 'openai/gsm8k' on the hub"),
        ("RevisionNotFoundError", "There is no data set 'openai/gsm8k' on the hub"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_sentence(error, message, monkeypatch):
    kind = getattr(huggingface_hub.errors, error)

    def info(self, name, revision, timeout, repo_type):
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", info)
    with pytest.raises(UsageError, match=message):
        problems.load("openai/gsm8k", "test", 1)


PROGRAM = "from lib.data import problems\nproblems.load('HuggingFaceH4/MATH-500', 'test', 5)"


def unreachable(endpoint: str, home: Path) -> tuple[str, float]:
    """The last line of what a program says that asks for MATH-500, and the seconds it took."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")}
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folders.ROOT,
    )
    assert result.returncode == 1
    return result.stderr.strip().splitlines()[-1], time.perf_counter() - started


def test_with_the_hub_unreachable_one_sentence_says_what_to_do(tmp_path):
    """A server that takes the connection and never answers is the slowest way of being unreachable."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        silent = f"http://127.0.0.1:{server.getsockname()[1]}"
        for endpoint in (silent, "http://127.0.0.1:9", "http://hub.invalid"):
            message, seconds = unreachable(endpoint, tmp_path)
            assert "HuggingFaceH4/MATH-500 is not in the local cache and the hub cannot be reached" in message
            assert "give a local folder" in message and seconds < 20


@pytest.fixture
def two_configurations(tmp_path):
    """A folder in the form of a hub set of the configurations `main` and `hard`, neither being the default."""
    configs = "\n".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}.jsonl" for name in ("main", "hard")
    )
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}\n---\n")
    for number, name in enumerate(("main", "hard")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"question": "{number}+1", "answer": "{number + 1}"}}\n')
    return str(tmp_path)


def test_of_several_configurations_one_must_be_chosen(two_configurations):
    """The first one was taken, and nothing said so."""
    with pytest.raises(UsageError, match="has several configurations, .*: choose one, as in .*:(main|hard)"):
        problems.load(two_configurations, "test", 5)
    assert [p.gold for p in problems.load(f"{two_configurations}:hard", "test", 5)] == ["2"]
    assert [p.gold for p in problems.load(f"{two_configurations}:main", "test", 5)] == ["1"]
    with pytest.raises(UsageError, match="has no configuration 'easy': it has"):
        problems.load(f"{two_configurations}:easy", "test", 5)


def test_an_unknown_hub_sets_configuration_is_part_of_its_name():
    entry = sets.named("owner/name:hard")
    assert (entry.hub_id, entry.configurations, entry.name) == ("owner/name", ("hard",), "owner/name:hard")
    for mistake in ("arithmetic:hard", "mine.jsonl:hard", "owner/name:"):
        with pytest.raises(UsageError, match="has no configurations: leave out what follows it"):
            sets.named(mistake)


def test_problems_that_share_an_id_are_refused(tmp_path):
    """Their samples were taken for those of one problem."""
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "1", "prompt": "1+1", "gold": "2"}\n{"id": "1", "prompt": "1+2", "gold": "3"}\n')
    with pytest.raises(UsageError, match="mine.jsonl has 1 ids that several problems share, such as '1': give each"):
        problems.load(str(path), "test", 5)
