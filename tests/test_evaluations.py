"""Evaluations as files: kept, resumed, and what their checkpoints are."""

import dataclasses
import json
import shutil

import pandas as pd
import pytest

from lib import evaluate, evaluations, models, results, runs, train
from lib.runs import UsageError

HOW = evaluate.Plan(problems=5, samples=3, chunk=2, batch_size=4, validation_problems=4, validation_samples=2)


def numbers(path):
    """A result file without what the clock says."""
    return {k: v for k, v in runs.read_json(path).items() if k != "seconds"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two steps that kept both of its checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    chosen = train.Settings("many_wordings", "task", train_problems=16, steps=2, prompts_per_step=2, micro_batch=8)
    chosen = dataclasses.replace(chosen, completions_per_prompt=4, save_every=1, keep_checkpoints=2, warmup_steps=0)
    return train.train(folder, chosen)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of an evaluated base."""
    folder = tmp_path_factory.mktemp("base")
    evaluations.of_base("many_wordings", folder, HOW)
    return folder


def test_an_evaluation_keeps_its_samples_and_says_what_it_is_made_of(base):
    folder = base / "evaluations"
    assert {p.name for p in folder.iterdir()} == {
        ".lock",
        "environment.json",
        "arithmetic-test.json",
        "arithmetic-test-sampled.parquet",
        "arithmetic-test-greedy.parquet",
    }
    result = runs.read_json(folder / "arithmetic-test.json")
    sampled, greedy = (pd.read_parquet(folder / f"arithmetic-test-{kind}.parquet") for kind in ("sampled", "greedy"))
    assert len(sampled) == 15 and len(greedy) == 5 and sampled["problem_id"].nunique() == 5
    assert result["accuracy_sampled"] == pytest.approx(sampled["correct"].mean())
    assert result["plan"]["samples"] == 3 and result["model"] == "many_wordings" and result["checkpoint"] == "base"
    assert all(len(result[f"fingerprint_{part}"]) == 16 for part in ("prompts", "sampler", "grader", "model"))


def test_on_a_gpu_an_evaluation_that_does_not_fit_is_refused_before_it_is_loaded(tmp_path, made_up_gpu, monkeypatch):
    """Two hundred million completions at once do not fit into a GiB, but fewer do."""
    monkeypatch.setattr(evaluations.fitting, "of_gpu", lambda: (2**30, 2**34))
    wide = dataclasses.replace(HOW, batch_size=200_000_000)
    with pytest.raises(
        UsageError, match="Evaluating many_wordings is predicted .* the largest setting that fits is batch_size"
    ):
        evaluations.of_base("many_wordings", tmp_path, wide)


def test_an_evaluation_that_stopped_between_chunks_goes_on_there(base, tmp_path, monkeypatch):
    """Killed after its second chunk: the third alone is sampled, and everything ends the same, the Parquet files to the byte."""
    done, kept_chunks = [], evaluations.evaluate.measure

    def counted(*arguments, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return kept_chunks(*arguments, **options)

    monkeypatch.setattr(evaluations.evaluate, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluations.of_base("many_wordings", tmp_path, HOW)
    chunks = tmp_path / "evaluations" / "arithmetic-test-chunks"
    assert sorted(p.name for p in chunks.iterdir()) == ["000000.parquet", "000002.parquet", "of.json"]
    done[:] = [1]
    evaluations.of_base("many_wordings", tmp_path, HOW)
    assert not chunks.exists()
    assert numbers(tmp_path / "evaluations/arithmetic-test.json") == numbers(base / "evaluations/arithmetic-test.json")
    for kind in ("sampled", "greedy"):
        name = f"evaluations/arithmetic-test-{kind}.parquet"
        assert (tmp_path / name).read_bytes() == (base / name).read_bytes()


def test_a_finished_evaluation_is_read_and_its_numbers_are_computed_again(base, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluations.models, "load", lambda *_: pytest.fail("the model was loaded"))
    path = shutil.copytree(base, tmp_path / "copy") / "evaluations" / "arithmetic-test.json"
    before = path.read_bytes()
    path.write_text(json.dumps(runs.read_json(path) | {"accuracy_sampled": 2.0}))
    evaluations.of_base("many_wordings", tmp_path / "copy", HOW)
    assert path.read_bytes() == before


def test_new_samples_never_stand_beside_an_older_result(base, tmp_path, monkeypatch):
    """Killed after new tables and before the new result: the older plan, asked for again, must not take them for its own."""
    copy = shutil.copytree(base, tmp_path / "copy")
    monkeypatch.setattr(evaluations.runs, "environment", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        evaluations.of_base("many_wordings", copy, dataclasses.replace(HOW, seed=1))
    monkeypatch.undo()
    again = evaluations.of_base("many_wordings", copy, HOW)
    assert again == runs.read_json(base / "evaluations" / "arithmetic-test.json") | {"seconds": again["seconds"]}


class Sampled(Exception):
    """Says which chunks were to be sampled."""


def _chunks_to_sample(folder, how, monkeypatch) -> list[int]:
    """The first problems of the chunks that an evaluation does not take from what is there."""

    def stop(*arguments):
        raise Sampled(list(arguments[-1]))

    monkeypatch.setattr(evaluations, "_sample_chunks", stop)
    with pytest.raises(Sampled) as found:
        evaluations.of_base("many_wordings", folder, how)
    return found.value.args[0]


@pytest.mark.parametrize("changed", [{"samples": 2}, {"seed": 1}, {"temperature": 0.5}, {"problems": 6}])
def test_samples_of_another_plan_are_not_kept(base, tmp_path, monkeypatch, changed):
    how = dataclasses.replace(HOW, **changed)
    assert _chunks_to_sample(shutil.copytree(base, tmp_path / "copy"), how, monkeypatch) == [0, 2, 4]


@pytest.mark.parametrize("grader", ["another", None])
def test_only_chunks_of_the_same_grader_are_kept(tmp_path, monkeypatch, grader):
    """One chunk is there; it counts if everything that it was made of is as it would be now."""
    assert _chunks_to_sample(tmp_path, HOW, monkeypatch) == [0, 2, 4]
    folder = tmp_path / "evaluations" / "arithmetic-test-chunks"
    (folder / "000002.parquet").write_text("whole")
    if grader:
        runs.write_json(folder / "of.json", runs.read_json(folder / "of.json") | {"fingerprint_grader": grader})
    assert _chunks_to_sample(tmp_path, HOW, monkeypatch) == ([0, 2, 4] if grader else [0, 4])


def test_the_last_checkpoint_is_the_headline_and_the_best_is_beside_it(run):
    last = evaluations.of_run(run, HOW)
    best = evaluations.of_run(run, HOW, "best")
    assert last["checkpoint"] == "last" and last["regime"] == "task" and last["seed"] == 0
    assert best["checkpoint"] == "best" and set(best["validation"]) == {"checkpoint-1", "checkpoint-2"}
    scores = best["validation"]
    assert scores[f"checkpoint-{best['step']}"] == max(scores.values())
    folder = run / "evaluations"
    assert numbers(folder / "arithmetic-test.json")["checkpoint"] == "last"
    gap = results.difference([folder / "arithmetic-test.json"], [folder / "arithmetic-test-best.json"])
    assert gap.mean == pytest.approx(best["accuracy_sampled"] - last["accuracy_sampled"])
    on_validation = pd.read_parquet(folder / "arithmetic-validation-checkpoint-1-sampled.parquet")
    on_test = pd.read_parquet(folder / "arithmetic-test-sampled.parquet")
    assert len(on_validation) == 8 and not set(on_validation["problem_id"]) & set(on_test["problem_id"])


def test_of_equally_good_checkpoints_the_latest_is_the_best(run, monkeypatch):
    monkeypatch.setattr(evaluations, "evaluate_subject", lambda *_: {"accuracy_sampled": 0.5})
    subject = evaluations.Subject(models.resolve("many_wordings"), True, None, {})
    assert evaluations.best_on_validation(subject, run, HOW)[0].name == "checkpoint-2"


def test_data_without_a_validation_split_has_no_best_checkpoint(run, tmp_path):
    """A file of problems is one split by itself: choosing on it would be choosing on the test set."""
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "1", "prompt": "1+1", "gold": "2"}\n')
    subject = evaluations.Subject(models.resolve("many_wordings"), True, None, {})
    with pytest.raises(UsageError, match="has no validation"):
        evaluations.best_on_validation(subject, run, dataclasses.replace(HOW, data=str(path)))


def test_a_run_that_is_not_there_and_an_unknown_checkpoint_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no finished run in"):
        evaluations.of_run(tmp_path, HOW)
    with pytest.raises(UsageError, match="Unknown checkpoint 'first': choose one of last, best"):
        evaluations.of_run(tmp_path, HOW, "first")


def test_a_run_and_its_base_are_compared_question_by_question(run, base, tmp_path):
    evaluations.of_run(run, HOW)
    paths = [folder / "evaluations" / "arithmetic-test.json" for folder in (base, run)]
    found = results.difference(paths[:1], paths[1:])
    rates = [pd.read_parquet(p.with_name("arithmetic-test-sampled.parquet"))["correct"].mean() for p in paths]
    assert found.mean == pytest.approx(rates[1] - rates[0]) and found.questions == 5
    assert results.difference([paths[0]], [paths[1]] * 2).seeds == 2
    other = evaluations.of_base("many_wordings", tmp_path, dataclasses.replace(HOW, samples=2, problems=2))
    assert other["samples"] == 2
    with pytest.raises(UsageError, match="cannot be compared, because their prompts differ"):
        results.difference([tmp_path / "evaluations" / "arithmetic-test.json"], paths[1:])


def test_a_result_says_who_graded_and_what_was_left_out(tmp_path):
    data = tmp_path / "mine.jsonl"
    rows = [{"prompt": f"{n}+{n}", "gold": 2 * n} for n in range(4)]
    rows += [{"prompt": "1+" * 40 + "1", "gold": 41}, {"id": "bad", "prompt": "5+5", "gold": "\\frac{1}{"}]
    runs.write_lines(data, rows)
    how = evaluate.Plan(data=str(data), problems=10, samples=2, max_completion_tokens=12, chunk=4)
    result = evaluations.of_base("many_wordings", tmp_path, how)
    assert result["problems"] == 4 and result["left_out"] == {"too_long": 1, "unreadable_golds": ["bad"]}
    assert result["verifier"]["variant"] == "lenient" and result["revision"].startswith("local-")
    assert runs.read_json(tmp_path / "evaluations" / "mine-test.json")["left_out"] == result["left_out"]
    with pytest.raises(UsageError, match="raise max_prompt_tokens"):
        evaluations.of_base("many_wordings", tmp_path / "other", dataclasses.replace(how, max_prompt_tokens=1))
