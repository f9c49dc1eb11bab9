"""Runs that start from another run's policy, which is then their reference."""

import shutil

import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.storage import digests, files, folders
from lib.storage.errors import UsageError
from lib.training import train
from tests.training.test_train import SMALL, rescored

FIRST = SMALL.changed(objective="tempered", alpha=2, learning_rate=1e-2, train_problems=16)
SECOND = FIRST.changed(start="first", seed=1)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of a run called `first`, and of `second`, which starts from its policy."""
    folder = tmp_path_factory.mktemp("runs")
    for name, config in (("first", FIRST), ("second", SECOND)):
        train.train(train.prepare(folder / name, config))
    return folder


def completions(run, step: int) -> pd.DataFrame:
    return pd.read_parquet(run / "completions" / f"step-{step:05d}.parquet")


def test_it_starts_from_the_others_policy_which_stays_its_reference(both, tmp_path):
    second = both / "second"
    first_step, second_step = (completions(second, step) for step in (0, 1))
    assert (first_step["reference_logprob"] == first_step["policy_logprob"]).all()
    assert (second_step["reference_logprob"] - second_step["policy_logprob"]).abs().max() > 1e-3
    judge = shutil.copytree(second, tmp_path / "judge")  # what the first run's policy says of the second's completions
    for step in (1, 2):
        shutil.rmtree(judge / "checkpoints" / f"checkpoint-{step}")
        shutil.copytree(both / "first" / "adapter", judge / "checkpoints" / f"checkpoint-{step}")
    np.testing.assert_allclose(rescored(judge, 1)[0], second_step["reference_logprob"], atol=1e-4)


def test_what_it_keeps_is_its_whole_change_from_the_base(both):
    """Its last checkpoint, put on the base as any other, is its policy."""
    again, then = rescored(both / "second", 1)
    np.testing.assert_allclose(again, then, atol=1e-4)


def test_it_goes_on_from_its_checkpoint_as_if_nothing_had_happened(both, tmp_path):
    shutil.copytree(both / "first", tmp_path / "first")
    copy = shutil.copytree(both / "second", tmp_path / "second")
    for lost in (copy / "adapter", copy / "checkpoints" / "checkpoint-2"):
        shutil.rmtree(lost)
    (copy / digests.NAME).unlink()
    (copy / "completions" / "step-00001.parquet").unlink()
    train.train(train.prepare(copy, SECOND))
    weights = "adapter/adapter_model.safetensors"
    assert (copy / weights).read_bytes() == (both / "second" / weights).read_bytes()
    pd.testing.assert_frame_equal(completions(copy, 1), completions(both / "second", 1))


def test_another_start_is_another_run(both, tmp_path):
    copy = shutil.copytree(both, tmp_path / "runs")
    shutil.rmtree(copy / "first")
    train.train(train.prepare(copy / "second", SECOND))  # it is finished, and does not need the first one any more
    train.train(train.prepare(copy / "first", FIRST.changed(seed=7)))
    with pytest.raises(UsageError, match="second started from first, which has been trained anew since: delete that folder"):
        train.prepare(copy / "second", SECOND)
    shutil.rmtree(copy / "second")
    assert train.identity(train.prepare(copy / "second", SECOND)) != train.identity(train.prepare(both / "second", SECOND))


def test_a_run_that_starts_from_the_base_is_known_as_before_there_were_others(both):
    run = train.prepare(both / "first", FIRST)
    settings = {k: v for k, v in run.config.model_dump().items() if k not in (*train.FREE, *train.YOUNG)}
    known = digests.of_value([settings, run.source.revision, run.source.fingerprint, run.problems.revision])
    assert train.identity(run) == known == digests.read_sealed(both / "first" / digests.NAME)["identity"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"start": "firts"}, "third starts from firts, which is not trained: train that first, in "),
        ({"lora_rank": 8}, "first has lora_rank 16, and third 8: they must be the same"),
        ({"model": "one_wording"}, "first has model many_wordings, and third one_wording: they must be the same"),
    ],
)
def test_what_does_not_fit_is_refused_before_loading(both, change, message, monkeypatch):
    monkeypatch.setattr("lib.models.loading.load", None)
    with pytest.raises(UsageError, match=message):
        train.prepare(both / "third", SECOND.changed(**change))


def test_a_damaged_start_is_refused(both, tmp_path):
    copy = shutil.copytree(both, tmp_path / "runs")
    (copy / "first" / "adapter" / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="adapter_model.safetensors is missing or damaged"):
        train.prepare(copy / "second", SECOND)


def test_a_line_of_a_profile_may_have_rounds(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "ROOT", tmp_path)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.yaml").write_text(
        "title: x\nseeds: [0, 1]\ntrain: {}\nevaluate: {}\n"
        "runs: [{model: many_wordings, objective: tempered, alpha: 2, rounds: 3}]\n"
    )
    profile = profiles.load("mine")
    stem = "many_wordings-tempered-a2-s"
    assert list(profile.rows) == [f"{stem}{s}{end}" for s in (0, 1) for end in ("", "-round2", "-round3")]
    starts = [profile.train_config(**row).start for row in profile.rows.values()]
    assert starts == [None, f"{stem}0", f"{stem}0-round2", None, f"{stem}1", f"{stem}1-round2"]


def test_the_folder_says_where_a_run_started(both):
    assert files.read_json(both / "second" / "config.json")["settings"]["start"] == "first"
