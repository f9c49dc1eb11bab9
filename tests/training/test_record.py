"""What of a run is trusted when it goes on: the order of problems, every file that is damaged, a full disk, numbers that are not
finite. Each test tells what was once accepted in silence, or ended in a traceback."""

import shutil

import numpy as np
import pandas as pd
import pytest

from lib.models import sources
from lib.storage import digests, files
from lib.storage.errors import UsageError
from lib.training import record, reward, train
from tests.training import test_train

# three epochs of four problems, a checkpoint per step
SMALL = test_train.SMALL.changed(
    objective="tilted", train_problems=4, steps=6, completions_per_prompt=2, keep_checkpoints=4, max_completion_tokens=32
)


def trained(folder, config=SMALL):
    """The folder of a run, trained to its end."""
    return train.train(train.prepare(folder, config))


def contents(folder):
    """Everything that a run is worth: adapter, metrics without seconds, completions."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in files.read_lines(folder / "metrics.jsonl")]
    completions = {path.name: path.read_bytes() for path in (folder / "completions").glob("step-*.parquet")}
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes(), rows, completions


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run that nothing happened to."""
    return trained(tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.fixture
def unfinished(undisturbed, tmp_path):
    """A copy of the run as if it had been killed after its last checkpoint but one."""
    copy = shutil.copytree(undisturbed, tmp_path / "run")
    for path in ("adapter", "digests.json", "checkpoints/checkpoint-6"):
        files.remove(copy / path)
    return copy


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_the_order_of_problems_depends_on_seed_and_step_alone(step, undisturbed, tmp_path, monkeypatch):
    """A run that was resumed in its second or third epoch took the first one's problems once more."""

    def killed(self, batch, *rest):
        if batch.step == step:
            raise KeyboardInterrupt
        return whole(self, batch, *rest)

    whole = reward.RewardFunction._row
    with monkeypatch.context() as patch:
        patch.setattr(reward.RewardFunction, "_row", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "run")
    assert contents(trained(tmp_path / "run")) == contents(undisturbed)
    asked = [pd.read_parquet(path)["problem_id"].unique() for path in sorted((undisturbed / "completions").glob("*"))]
    epochs = [np.concatenate(asked[at : at + 2]) for at in (0, 2, 4)]
    assert all(len(set(epoch)) == 4 for epoch in epochs) and len({tuple(epoch) for epoch in epochs}) == 3


def cut(path):
    path.write_bytes(path.read_bytes()[:1000][:-1])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def emptied(path):
    path.write_bytes(b"")


def removed(path):
    path.unlink()


@pytest.mark.parametrize("harm", [cut, flipped, emptied, removed])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_taken(harm, undisturbed, unfinished, capfd):
    """An adapter cut to 1,000 bytes became the run's final one, and garbage in optimizer.pt was a wall about weights_only."""
    last = unfinished / "checkpoints" / "checkpoint-5"
    harm(last / "adapter_model.safetensors")
    harm(unfinished / "checkpoints" / "checkpoint-4" / "optimizer.pt")
    assert contents(trained(unfinished)) == contents(undisturbed)
    said = capfd.readouterr().err
    assert "checkpoint-5 is damaged and was renamed to damaged-checkpoint-5: the run goes on from what is whole." in said
    assert "checkpoint-4 is damaged" in said and "checkpoint-3" not in said
    assert (unfinished / "checkpoints" / "damaged-checkpoint-5").is_dir()


@pytest.mark.parametrize("name", ["config.json", "environment.json", "metrics.jsonl", "completions/step-00005.parquet"])
@pytest.mark.parametrize("harm", [cut, flipped, emptied, removed])
def test_what_an_unfinished_run_left_beside_its_checkpoints_is_made_again(harm, name, undisturbed, unfinished):
    before = files.read_json(unfinished / "config.json")["settings"]
    harm(unfinished / name)
    assert contents(trained(unfinished)) == contents(undisturbed)
    assert files.read_json(unfinished / "config.json")["settings"] == before
    assert len(files.read_json(unfinished / "environment.json")) == 1


@pytest.mark.parametrize("harm", [cut, flipped, emptied, removed])
def test_a_finished_run_is_mended_from_its_last_checkpoint(harm, undisturbed, tmp_path, capfd):
    """Each file in turn: the result is equal, or one sentence says what is lost."""
    names = [str(path.relative_to(undisturbed)) for path in undisturbed.rglob("*") if path.is_file() and path.name != ".lock"]
    names = [name for name in names if not name.startswith("checkpoints")]
    assert len(names) == 4 + 2 + SMALL.steps
    for number, name in enumerate(names):
        copy = shutil.copytree(undisturbed, tmp_path / str(number) / "run")
        harm(copy / name)
        trained(copy)
        said = capfd.readouterr().err
        part = "adapter" if name.startswith("adapter") else name  # which is set aside as a whole
        assert f"{copy / part} is " in said, name
        mended, whole = contents(copy), contents(undisturbed)
        if name.startswith("completions"):
            assert "the completions of that step are lost" in said
            assert mended[:2] == whole[:2] and len(mended[2]) == SMALL.steps - 1
        else:
            assert mended == whole
        record.check(copy, "adapter", "config.json", "metrics.jsonl", "completions")


def test_a_run_without_digests_loses_nothing(undisturbed, tmp_path, capfd):
    """As runs had none before: what cannot be trusted is renamed, and a sentence says so, but nothing is removed."""
    copy = shutil.copytree(undisturbed, tmp_path / "run")
    for path in list(copy.rglob(digests.NAME)):
        path.unlink()
    (copy / "checkpoints" / "checkpoint-5-mine").mkdir()
    adapter = (copy / "adapter" / "adapter_model.safetensors").read_bytes()
    assert contents(trained(copy)) == contents(undisturbed)
    assert (copy / "damaged-adapter" / "adapter_model.safetensors").read_bytes() == adapter
    aside = sorted(path.name for path in (copy / "checkpoints").glob("damaged-*"))
    assert aside == [f"damaged-checkpoint-{n}" for n in (3, 4, 5)] + ["damaged-checkpoint-6"]
    assert "digests.json is missing: so the adapter is put aside" in capfd.readouterr().err


def test_nothing_takes_a_damaged_run_for_a_whole_one(undisturbed, tmp_path):
    copy = shutil.copytree(undisturbed, tmp_path / "run")
    record.check(copy, "adapter", "metrics.jsonl")
    flipped(copy / "metrics.jsonl")
    record.check(copy, "adapter")
    with pytest.raises(UsageError, match=r"metrics.jsonl is missing or damaged: train the run once more"):
        record.check(copy, "adapter", "metrics.jsonl")
    flipped(copy / digests.NAME)
    with pytest.raises(UsageError, match=r"digests.json is missing or damaged: train the run once more"):
        record.check(copy, "adapter")


def test_checkpoints_of_a_run_with_other_settings_are_refused(unfinished):
    """Without its config.json the folder does not say whose it is, but each checkpoint does."""
    removed(unfinished / "config.json")
    with pytest.raises(UsageError, match="holds checkpoints of a run with other settings. Name a new run"):
        trained(unfinished, SMALL.changed(seed=1))


def test_a_switch_of_machine_or_versions_leaves_a_trace(undisturbed, unfinished, monkeypatch):
    """A resume overwrote environment.json: nothing said that half of a run had been trained with another version."""
    (segment,) = files.read_json(undisturbed / "environment.json")
    monkeypatch.setattr(train.environment, "describe", lambda: {"packages": {"torch": "9"}})
    first, second = files.read_json(trained(unfinished) / "environment.json")
    assert first == segment and second["first_step"] == 5 and second["packages"] == {"torch": "9"}


def test_a_hub_models_commit_is_pinned(tmp_path, monkeypatch):
    """A run is on the commit that it began with, wherever the name points to now; another commit is another run."""
    asked = []

    def commit(name, kind="model", revision=None, otherwise=""):
        asked.append(revision)
        return revision or "newest"

    monkeypatch.setattr(sources.hub, "commit", commit)
    monkeypatch.setattr(train, "_refuse_this_machine", lambda _: None)
    config = SMALL.changed(model="owner/name")
    settings = {"settings": config.model_dump(), "problems": {"revision": None}}
    files.write_json(tmp_path / "config.json", settings | {"model": {"revision": "first", "fingerprint": None}})
    assert train.prepare(tmp_path, config).source.revision == "first" and asked == ["first"]
    assert train.prepare(tmp_path / "new", config).source.revision == "newest"
    one, other = (train.prepare(folder, config) for folder in (tmp_path, tmp_path / "new"))
    assert train.identity(one) != train.identity(other)


@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_local_weights_count_whole(kind, tmp_path):
    """Two different folders of .bin files had the same fingerprint, as had two whose first mebibyte is the same."""
    for name, last in (("a", b"1"), ("b", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"model.{kind}").write_bytes(bytes(2**21) + last)
    assert sources.fingerprint(tmp_path / "a") != sources.fingerprint(tmp_path / "b")


@pytest.mark.parametrize("name", ["R", "log p", "log π"])
def test_a_number_that_is_not_finite_stops_the_step_and_shows_the_completion(name):
    """TRL leaves a reward of nan out of the baseline, while G/(G − 1) still counts it."""
    batch = reward.Batch(3, [], [], ["one", "two"], [], [])
    reward.refuse_not_finite(batch, {"R": np.array([1.0, 2.0])})
    with pytest.raises(UsageError, match=f"In step 3 {name} is inf for the completion 'two': look at the reward's terms"):
        reward.refuse_not_finite(batch, {name: np.array([1.0, np.inf])})


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("No space left (os error 28)")])
def test_a_full_disk_is_one_sentence(error, tmp_path):
    full = r"The disk of .*x\.json is full \(.* MiB are free\), and it could not be written: make room"
    with pytest.raises(UsageError, match=full), files.atomic(tmp_path / "x.json"):
        raise error
    with pytest.raises(RuntimeError, match="else"), files.room_for(tmp_path / "x.json"):
        raise RuntimeError("else")
    assert not list(tmp_path.iterdir())
