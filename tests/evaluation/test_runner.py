"""Evaluations as files: kept, resumed, and what their checkpoints are."""

import functools
import shutil

import pandas as pd
import pytest

from lib.evaluation import runner
from lib.evaluation.config import EvalConfig
from lib.models import sources
from lib.reports import results
from lib.rewards import verifier
from lib.storage import digests, files
from lib.storage.errors import UsageError
from lib.training import train
from lib.training.config import TrainConfig
from tests.training import test_train

CONFIG = EvalConfig(problems=5, samples=3, chunk=2, batch_size=4, validation_problems=4, validation_samples=2)


def numbers(path):
    """A result file without what the clock says."""
    return {k: v for k, v in runner.read(path).items() if k != "seconds"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two steps that kept both of its checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    chosen = test_train.SMALL.changed(train_problems=16, micro_batch=8)
    return train.train(train.prepare(folder, chosen))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of an evaluated base."""
    folder = tmp_path_factory.mktemp("base")
    runner.of_base("many_wordings", folder, CONFIG)
    return folder


def test_an_evaluation_keeps_its_samples_and_says_what_it_is_made_of(base):
    folder = base / "evaluations"
    assert {p.name for p in folder.iterdir()} == {
        ".lock",
        "arithmetic-test.json",
        "arithmetic-test-sampled.parquet",
        "arithmetic-test-greedy.parquet",
    }
    result = files.read_json(folder / "arithmetic-test.json")
    assert result["environment"]["packages"]["torch"] and result["seconds"] > 0
    sampled, greedy = (pd.read_parquet(folder / f"arithmetic-test-{kind}.parquet") for kind in ("sampled", "greedy"))
    assert len(sampled) == 15 and len(greedy) == 5 and sampled["problem_id"].nunique() == 5
    assert result["accuracy_sampled"] == pytest.approx(sampled["correct"].mean())
    assert result["config"]["samples"] == 3 and result["model"] == "many_wordings" and result["checkpoint"] == "base"
    assert all(len(result[f"fingerprint_{part}"]) == 16 for part in ("prompts", "sampler", "grader", "model"))


def test_where_memory_runs_out_batches_are_halved_and_the_samples_are_the_same(base, tmp_path, monkeypatch, capsys):
    """A stand-in for a GPU onto which three completions fit at a time; the size that works is kept for later chunks."""
    sizes, whole = [], runner.grading.measure

    def scarce(loaded, config, *rest):
        sizes.append((config.batch_size, config.token_budget))
        if config.batch_size > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(loaded, config, *rest)

    monkeypatch.setattr(runner.grading, "measure", scarce)
    runner.of_base("many_wordings", tmp_path, CONFIG.changed(batch_size=8, token_budget=1024))
    assert sizes == [(8, 1024), (4, 512), (2, 256), (2, 256), (2, 256)]
    assert "going on with a batch_size of 2 (the profile has 8)" in capsys.readouterr().out
    one, other = (pd.read_parquet(at / "evaluations/arithmetic-test-sampled.parquet")["completion"] for at in (base, tmp_path))
    assert one.tolist() == other.tolist()


def test_where_not_even_one_completion_fits_one_sentence_says_so(tmp_path, monkeypatch):
    def never(*_arguments, **_options):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(runner.grading, "measure", never)
    with pytest.raises(UsageError, match="Memory runs out even for one completion of 64 tokens: lower"):
        runner.of_base("many_wordings", tmp_path, CONFIG)


def test_an_evaluation_that_stopped_between_chunks_goes_on_there(base, tmp_path, monkeypatch):
    """Killed after its second chunk: the third alone is sampled, and everything ends the same, the Parquet files to the byte."""
    done, kept_chunks = [], runner.grading.measure

    def counted(*arguments, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return kept_chunks(*arguments, **options)

    monkeypatch.setattr(runner.grading, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        runner.of_base("many_wordings", tmp_path, CONFIG)
    chunks = tmp_path / "evaluations" / "arithmetic-test-chunks"
    assert sorted(p.name for p in chunks.iterdir()) == ["000000.json", "000000.parquet", "000002.json", "000002.parquet", "of.json"]
    done[:] = [1]
    runner.of_base("many_wordings", tmp_path, CONFIG)
    assert not chunks.exists()
    assert numbers(tmp_path / "evaluations/arithmetic-test.json") == numbers(base / "evaluations/arithmetic-test.json")
    for kind in ("sampled", "greedy"):
        name = f"evaluations/arithmetic-test-{kind}.parquet"
        assert (tmp_path / name).read_bytes() == (base / name).read_bytes()


def test_a_finished_evaluation_is_read_and_its_numbers_are_computed_again(base, tmp_path, monkeypatch):
    monkeypatch.setattr(runner.loading, "load", lambda *_: pytest.fail("the model was loaded"))
    path = shutil.copytree(base, tmp_path / "copy") / "evaluations" / "arithmetic-test.json"
    before = path.read_bytes()
    digests.write_sealed(path, digests.read_sealed(path) | {"accuracy_sampled": 2.0})
    runner.of_base("many_wordings", tmp_path / "copy", CONFIG)
    assert path.read_bytes() == before


def test_new_samples_never_stand_beside_an_older_result(base, tmp_path, monkeypatch):
    """Killed after new tables and before the new result: the older settings, asked for again, must not take them for its own."""
    copy = shutil.copytree(base, tmp_path / "copy")
    monkeypatch.setattr(runner.metrics, "summarise", lambda _: _interrupt())
    with pytest.raises(KeyboardInterrupt):
        runner.of_base("many_wordings", copy, CONFIG.changed(seed=1))
    monkeypatch.undo()
    again = runner.of_base("many_wordings", copy, CONFIG)
    assert again == runner.read(base / "evaluations" / "arithmetic-test.json") | {"seconds": again["seconds"]}


class Sampled(Exception):
    """Says which chunks were to be sampled."""


def _chunks_to_sample(folder, config, monkeypatch) -> list[int]:
    """The first problems of the chunks that an evaluation does not take from what is there."""

    def stop(*arguments):
        raise Sampled(list(arguments[-1]))

    monkeypatch.setattr(runner, "_sample_chunks", stop)
    with pytest.raises(Sampled) as found:
        runner.of_base("many_wordings", folder, config)
    return found.value.args[0]


@pytest.mark.parametrize("changed", [{"samples": 2}, {"seed": 1}, {"temperature": 0.5}, {"problems": 6}])
def test_samples_of_other_settings_are_not_kept(base, tmp_path, monkeypatch, changed):
    config = CONFIG.changed(**changed)
    assert _chunks_to_sample(shutil.copytree(base, tmp_path / "copy"), config, monkeypatch) == [0, 2, 4]


@pytest.mark.parametrize("changed", [None, {"fingerprint_model": "another"}, {"fingerprint_precision": "bfloat16"}, "damaged"])
def test_only_chunks_of_the_same_model_in_the_same_precision_are_kept(tmp_path, monkeypatch, changed):
    """One chunk is there; it counts if it is whole, and all that it was made of is as it would be now. An evaluation that had
    begun in float32 went on in bfloat16."""
    assert _chunks_to_sample(tmp_path, CONFIG, monkeypatch) == [0, 2, 4]
    folder = tmp_path / "evaluations" / "arithmetic-test-chunks"
    chunk = folder / "000002.parquet"
    chunk.write_text("whole")
    digests.write_sealed(chunk.with_suffix(".json"), {chunk.name: digests.of(chunk)})
    if changed == "damaged":
        chunk.write_text("whose")
    elif changed:
        digests.write_sealed(folder / "of.json", digests.read_sealed(folder / "of.json") | changed)
    assert _chunks_to_sample(tmp_path, CONFIG, monkeypatch) == ([0, 4] if changed is None else [0, 2, 4])


@pytest.mark.parametrize("finished", [True, False])
def test_after_a_change_of_the_verifier_stored_completions_are_graded_anew(base, tmp_path, monkeypatch, finished):
    """A finished evaluation kept its old verdicts, and one at work threw all of its samples away. Sampling is what costs."""
    copy, whole = tmp_path / "copy", runner.grading.measure
    if finished:
        shutil.copytree(base, copy)
    else:
        monkeypatch.setattr(runner.grading, "measure", lambda *a: whole(*a) if a[2][0].id != asked[-1].id else _interrupt())
        asked = runner.load_problems(CONFIG).problems
        with pytest.raises(KeyboardInterrupt):
            runner.of_base("many_wordings", copy, CONFIG)
    measured = []
    monkeypatch.setattr(runner.grading, "measure", lambda *a: measured.append(a[2]) or whole(*a))
    monkeypatch.setattr(runner.verifier, "fingerprint", lambda: "another")
    everything_is_right = lambda texts, golds, strict: [verifier.Verdict(True, "ok", gold) for gold in golds]  # noqa: E731
    monkeypatch.setattr(runner.grading, "grade", functools.partial(everything_is_right, strict=False))
    result = runner.of_base("many_wordings", copy, CONFIG)
    assert result["accuracy_sampled"] == 1 and result["fingerprint_grader"] == "another"
    assert len(measured) == (0 if finished else 1)
    before, after = (pd.read_parquet(at / "evaluations" / "arithmetic-test-sampled.parquet") for at in (base, copy))
    graded = ["answer", "vote", "status", "correct"]
    pd.testing.assert_frame_equal(before.drop(columns=graded), after.drop(columns=graded))
    assert numbers(copy / "evaluations" / "arithmetic-test.json")["pass_at_1"] == 1


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["arithmetic-test.json", "arithmetic-test-sampled.parquet", "arithmetic-test-greedy.parquet"])
@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "removed"])
def test_what_is_damaged_is_sampled_anew(base, tmp_path, monkeypatch, capsys, name, harm):
    copy = shutil.copytree(base, tmp_path / "copy")
    path = copy / "evaluations" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"cut": bytes(data[:99]), "flipped": bytes(data)}.get(harm, b""))
    if harm == "removed":
        path.unlink()
    with pytest.raises(UsageError, match="are not there or damaged: run the evaluation once more"):
        runner.read(path.with_name("arithmetic-test.json"))
    assert _chunks_to_sample(copy, CONFIG, monkeypatch) == [0, 2, 4]
    assert "damaged: it is done once more" in capsys.readouterr().err or (name, harm) == ("arithmetic-test.json", "removed")


def test_a_run_is_not_tested_on_the_file_that_it_was_trained_on(tmp_path):
    """95 of 95 training problems were in the test."""
    data = tmp_path / "mine.jsonl"
    files.write_lines(data, [{"id": str(n), "prompt": f"{n}+{n}", "gold": 2 * n} for n in range(40)])
    values = {"train_problems": 16, "steps": 1, "prompts_per_step": 2, "micro_batch": 4, "completions_per_prompt": 2}
    chosen = TrainConfig(model="many_wordings", objective="random", data=str(data), warmup_steps=0, **values)
    folder = train.train(train.prepare(tmp_path / "run", chosen))
    config = CONFIG.changed(data=str(data), max_completion_tokens=12)
    with pytest.raises(UsageError, match="run was trained on .*mine.jsonl: evaluate it on another file, or set on_training_data"):
        runner.of_run(folder, config)
    assert runner.is_training_data(str(data), config.changed(data=f"{tmp_path}/../{tmp_path.name}/mine.jsonl"))
    assert not runner.is_training_data(str(data), config.changed(split="validation"))
    assert runner.of_run(folder, config.changed(on_training_data=True))["problems"] == 5


def test_two_data_sets_whose_names_end_alike_have_files_of_their_own():
    """openai/gsm8k and mine/gsm8k.jsonl shared one."""
    stems = {CONFIG.changed(data=data).stem for data in ("openai/gsm8k", "mine/gsm8k.jsonl", "other/gsm8k.jsonl", "gsm8k.jsonl")}
    assert len(stems) == 4 and all(stem.startswith("gsm8k-") for stem in stems)
    assert CONFIG.stem == "arithmetic-test"


def test_the_last_checkpoint_is_the_headline_and_the_best_is_beside_it(run):
    last = runner.of_run(run, CONFIG)
    best = runner.of_run(run, CONFIG, "best")
    assert last["checkpoint"] == "last" and last["objective"] == "task" and last["seed"] == 0
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
    monkeypatch.setattr(runner, "evaluate_subject", lambda *_: {"accuracy_sampled": 0.5})
    subject = runner.Subject(sources.resolve("many_wordings"), True, None, {})
    assert runner.best_on_validation(subject, run, CONFIG)[0].name == "checkpoint-2"


def test_data_without_a_validation_split_has_no_best_checkpoint(run, tmp_path):
    """A file of problems is one split by itself: choosing on it would be choosing on the test set."""
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "1", "prompt": "1+1", "gold": "2"}\n')
    subject = runner.Subject(sources.resolve("many_wordings"), True, None, {})
    with pytest.raises(UsageError, match="has no validation"):
        runner.best_on_validation(subject, run, CONFIG.changed(data=str(path)))


def test_a_run_that_is_not_there_and_an_unknown_checkpoint_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no finished run in"):
        runner.of_run(tmp_path, CONFIG)
    with pytest.raises(UsageError, match="Unknown checkpoint 'first': choose one of last, best"):
        runner.of_run(tmp_path, CONFIG, "first")


def test_a_run_and_its_base_are_compared_question_by_question(run, base, tmp_path):
    runner.of_run(run, CONFIG)
    paths = [folder / "evaluations" / "arithmetic-test.json" for folder in (base, run)]
    found = results.difference(paths[:1], paths[1:])
    rates = [pd.read_parquet(p.with_name("arithmetic-test-sampled.parquet"))["correct"].mean() for p in paths]
    assert found.mean == pytest.approx(rates[1] - rates[0]) and found.questions == 5
    assert results.difference([paths[0]], [paths[1]] * 2).seeds == 2
    other = runner.of_base("many_wordings", tmp_path, CONFIG.changed(samples=2, problems=2))
    assert other["samples"] == 2
    with pytest.raises(UsageError, match="cannot be compared, because their prompts differ"):
        results.difference([tmp_path / "evaluations" / "arithmetic-test.json"], paths[1:])


def test_a_result_says_who_graded_and_what_was_left_out(tmp_path):
    data = tmp_path / "mine.jsonl"
    rows = [{"prompt": f"{n}+{n}", "gold": 2 * n} for n in range(4)]
    rows += [{"prompt": "1+" * 40 + "1", "gold": 41}, {"id": "bad", "prompt": "5+5", "gold": "\\frac{1}{"}]
    files.write_lines(data, rows)
    config = EvalConfig(data=str(data), problems=10, samples=2, max_completion_tokens=12, chunk=4)
    result = runner.of_base("many_wordings", tmp_path, config)
    assert result["problems"] == 4 and result["left_out"] == {"too_long": 1, "unreadable_golds": ["bad"]}
    assert result["verifier"]["variant"] == "lenient" and result["revision"].startswith("local-")
    assert runner.read(tmp_path / "evaluations" / f"{config.stem}.json")["left_out"] == result["left_out"]
    with pytest.raises(UsageError, match="raise max_prompt_tokens"):
        runner.of_base("many_wordings", tmp_path / "other", config.changed(max_prompt_tokens=1))
