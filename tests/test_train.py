"""Training: every regime, exact RLOO, refusals before loading, and a killed run that ends like one that was not."""

import dataclasses
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from lib import likelihood, models, problems, regimes, runs, train
from lib.runs import UsageError

SMALL = train.Settings(
    model="many_wordings",
    regime="task",
    train_problems=32,
    steps=2,
    prompts_per_step=2,
    completions_per_prompt=4,
    micro_batch=4,
    warmup_steps=0,
    save_every=1,
)
# S_p and S_π of a bad completion can cancel to the last digit only in float64; the trainer's tensors are float32
FLOAT32 = 1e-5


def signals(frame: pd.DataFrame, seed: int, step: int) -> regimes.Signals:
    """The signals of a step, from the completions that the run left behind."""
    return regimes.Signals(
        task_reward=(frame["status"] == "ok").to_numpy(float),
        reference_logprob=frame["reference_logprob"].to_numpy(),
        policy_logprob=frame["policy_logprob"].to_numpy(),
        length=frame["length"].to_numpy(),
        format_reward=(frame["completion"].str.count(r"\\boxed\{.+?\}") == 1).to_numpy(float),
        coin=regimes.coin(seed, step, len(frame)),
    )


@pytest.fixture(scope="module", params=regimes.NAMES)
def run(request, tmp_path_factory):
    """(folder, settings) of a short run of each regime."""
    chosen = dataclasses.replace(SMALL, regime=request.param)
    folder = tmp_path_factory.mktemp("runs") / request.param.replace("+", "-")
    return train.train(folder, chosen), chosen


def test_every_regime_trains_and_leaves_its_contract(run):
    folder, chosen = run
    assert train.finished(folder)
    rows = runs.read_lines(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [0, 1]
    wanted = {"task_accuracy", "reward", "reward_std", "reference_logprob", "policy_logprob", "kl", "entropy", "length"}
    wanted |= {"truncated", "seconds", "tokens", "bare_share", "loss", "grad_norm"}
    assert all(wanted <= set(row) for row in rows)
    config = runs.read_json(folder / "config.json")
    assert config["settings"] == dataclasses.asdict(chosen)
    assert config["regime"]["name"] == chosen.regime and config["trainer"]["loss_type"] == "dapo"
    assert runs.read_json(folder / "environment.json")["packages"]["trl"]
    assert len(list((folder / "completions").glob("*.parquet"))) == 2


def test_at_step_0_policy_and_reference_agree_bit_for_bit_and_later_they_do_not(run):
    folder, _ = run
    first, second = (pd.read_parquet(f) for f in sorted((folder / "completions").glob("*.parquet")))
    assert (first["reference_logprob"] == first["policy_logprob"]).all()
    if runs.read_lines(folder / "metrics.jsonl")[0]["zero_variance"] < 1:  # else there was nothing to learn
        assert (second["reference_logprob"] != second["policy_logprob"]).any()


def test_the_reward_that_was_trained_on_is_the_regimes(run):
    folder, chosen = run
    for step, path in enumerate(sorted((folder / "completions").glob("*.parquet"))):
        frame = pd.read_parquet(path)
        expected = chosen.resolved_regime().reward(signals(frame, chosen.seed, step))
        np.testing.assert_allclose(frame["reward"], expected, atol=1e-9)
        row = runs.read_lines(folder / "metrics.jsonl")[step]
        assert row["reward"] == pytest.approx(expected.mean()) and row["tokens"] == frame["length"].sum()
        assert row["task_accuracy"] == (frame["status"] == "ok").mean()


def test_the_loss_is_rloos(run):
    """At a ratio of 1 the token-level loss is −Σ A_i T_i / Σ T_i, where A is R less the mean of the OTHERS of its group."""
    folder, chosen = run
    group = chosen.completions_per_prompt
    for row, path in zip(runs.read_lines(folder / "metrics.jsonl"), sorted((folder / "completions").glob("*.parquet"))):
        frame = pd.read_parquet(path)
        rewards = frame["reward"].to_numpy().reshape(-1, group)
        others = (rewards.sum(1, keepdims=True) - rewards) / (group - 1)
        advantage, length = (rewards - others).ravel(), frame["length"].to_numpy()
        problems_of_groups = frame["problem_id"].to_numpy().reshape(-1, group)
        assert (problems_of_groups == problems_of_groups[:, :1]).all()
        assert row["loss"] == pytest.approx(-(advantage * length).sum() / length.sum(), rel=FLOAT32, abs=FLOAT32)


def rescored(folder, step: int) -> tuple[np.ndarray, np.ndarray]:
    """(log-probabilities under the reloaded adapter of a step, what the policy had then) of that step's completions.

    A completion is read back from its text: the tiny bases have a character a token, and EOS ends what was not cut off.
    """
    settings = runs.read_json(folder / "config.json")["settings"]
    model, tokenizer = models.load(models.resolve(settings["model"]), 96, settings["load_in_4bit"])
    model = models.load_adapter(model, tokenizer, folder / "checkpoints" / f"checkpoint-{step}")
    frame = pd.read_parquet(folder / "completions" / f"step-{step:05d}.parquet")
    asked = {p.id: p.messages for p in problems.load(settings["data"], "train", settings["train_problems"])}
    prompts = models.prompt_ids(tokenizer, [asked[name] for name in frame["problem_id"]])
    texts = tokenizer(frame["completion"].tolist(), add_special_tokens=False)["input_ids"]
    ids = [[*own, tokenizer.eos_token_id][:length] for own, length in zip(texts, frame["length"], strict=True)]
    assert [len(own) for own in ids] == frame["length"].tolist()
    return likelihood.sequence_scores(model, prompts, ids, tokenizer.pad_token_id).logprob, frame["policy_logprob"]


def test_a_reloaded_adapter_is_the_policy_that_was_trained(run):
    folder, chosen = run
    again, then = rescored(folder, 1)
    np.testing.assert_allclose(again, then, atol=1e-4)
    if chosen.regime == "sharpen":  # one step of it is enough to see
        reference = pd.read_parquet(folder / "completions" / "step-00001.parquet")["reference_logprob"]
        assert np.abs(again - reference).max() > 1e-3


GSM8K = str(runs.ROOT / "tests" / "fixtures" / "hub" / "openai" / "gsm8k")


@pytest.mark.parametrize("data", ["jsonl", GSM8K])
@pytest.mark.parametrize("regime", ["coin", "format"])
def test_the_controls_train_on_any_data_set_and_see_no_answer(data, regime, tmp_path):
    """Their rewards do not change when every gold is another; what was trained on and who judged is recorded."""
    if data == "jsonl":
        rows = [{"prompt": f"{n}+{n + 1}", "gold": "\\frac{1}{2}"} for n in range(40)]
        data = str(tmp_path / "mine.jsonl")
        runs.write_lines(tmp_path / "mine.jsonl", rows)
    chosen = dataclasses.replace(SMALL, regime=regime, data=data, max_prompt_tokens=256, max_completion_tokens=32)
    folder = train.train(tmp_path / "run", chosen)
    for step, path in enumerate(sorted((folder / "completions").glob("*.parquet"))):
        frame = pd.read_parquet(path)
        expected = signals(frame, chosen.seed, step)
        np.testing.assert_array_equal(frame["reward"], expected.coin if regime == "coin" else expected.format_reward)
        assert data == GSM8K or not (frame["status"] == "ok").any()
    config = runs.read_json(folder / "config.json")
    assert config["verifier"]["variant"] == "strict" and config["verifier"]["math-verify"]
    assert config["problems"]["revision"].startswith("local-") and config["problems"]["train"] > 30


def test_training_problems_that_are_test_problems_are_counted_and_dropped_on_request(policy, tmp_path):
    """A data set whose train split was leaked from the test split: half of its rows are the same."""
    _, tokenizer = policy
    leaked = [
        {"prompt": f"What is the sum of the two numbers {n} and {n + 1} in the end?", "gold": 2 * n + 1}
        for n in range(40)
    ]
    runs.write_lines(tmp_path / "train.jsonl", leaked)
    runs.write_lines(tmp_path / "test.jsonl", leaked[:20])
    chosen = dataclasses.replace(SMALL, data=str(tmp_path / "train.jsonl"), max_prompt_tokens=256)
    chosen = dataclasses.replace(chosen, overlap_with=str(tmp_path / "test.jsonl"))
    rows, about = train._rows(chosen, tokenizer)
    assert 15 <= len(about["overlap"]) <= 20 and len(rows) == about["train"] >= 30
    dropped, about = train._rows(dataclasses.replace(chosen, drop_overlap=True), tokenizer)
    assert len(dropped) == len(rows) - len(about["overlap"]) == about["train"]
    assert not {row["problem_id"] for row in dropped} & set(about["overlap"])


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    runs.write_json(tmp_path / "config.json", {"problems": {"revision": "local-1"}})
    train._same_data_or_new(tmp_path, "local-1")
    train._same_data_or_new(tmp_path / "new", "local-2")
    with pytest.raises(UsageError, match="version local-1 of its data, which is now local-2"):
        train._same_data_or_new(tmp_path, "local-2")


def test_a_run_from_before_a_setting_existed_goes_on(tmp_path):
    """Runs whose `config.json` lacks settings that were added later had their defaults."""
    source = models.resolve("many_wordings")
    settings = {k: v for k, v in dataclasses.asdict(SMALL).items() if k not in ("revision", "drop_overlap")}
    runs.write_json(tmp_path / "config.json", {"settings": settings, "model": dataclasses.asdict(source)})
    train._same_settings_or_new(tmp_path, SMALL, source)
    with pytest.raises(UsageError, match="drop_overlap \\(False there, True here\\)"):
        train._same_settings_or_new(tmp_path, dataclasses.replace(SMALL, drop_overlap=True), source)


def test_a_finished_run_is_not_repeated(run, capsys):
    folder, chosen = run
    before = (folder / "metrics.jsonl").read_bytes()
    train.train(folder, chosen)
    assert "is finished" in capsys.readouterr().out
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_a_run_killed_before_its_adapter_was_saved_does_not_take_another_step(run, tmp_path):
    """The last checkpoint is whole, the adapter is not there: nothing is left to train. Killed writers left litter."""
    folder, chosen = run
    copy = shutil.copytree(folder, tmp_path / "run")
    shutil.rmtree(copy / "adapter")
    litter = copy / "completions" / ".step-00001.parquet.123.partial"
    litter.write_text("half")
    train.train(copy, chosen)
    assert (copy / "metrics.jsonl").read_bytes() == (folder / "metrics.jsonl").read_bytes()
    weights = "adapter/adapter_model.safetensors"
    assert (copy / weights).read_bytes() == (folder / weights).read_bytes()
    assert not litter.exists()


def test_a_run_on_other_weights_is_refused(run, monkeypatch):
    folder, chosen = run
    monkeypatch.setattr(models, "_fingerprint", lambda _: "other")
    with pytest.raises(UsageError, match="weights \\(.* there, other here\\)"):
        train.train(folder, chosen)


def test_another_run_in_the_same_folder_is_refused(run):
    folder, chosen = run
    with pytest.raises(UsageError, match="other settings: steps \\(2 there, 3 here\\)"):
        train.train(folder, dataclasses.replace(chosen, steps=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regime": "sharp"}, "Unknown regime"),
        ({"regime": "sharpen", "alpha": -1.0}, "alpha is -1"),
        ({"regime": "tilted", "beta_inv": -1.0}, "beta_inv is -1"),
        ({"regime": "tempered", "beta_inv": 100.0}, "`tempered` has no task reward"),
        ({"model": "nowhere"}, "There is no model 'nowhere'"),
        ({"model": "owner/name"}, "hub cannot be reached"),
        ({"completions_per_prompt": 1, "micro_batch": 2}, "completions_per_prompt is below 2"),
        ({"micro_batch": 3}, "micro_batch 3 does not divide the 8 completions"),
        ({"steps": 0}, "at least 1"),
        ({"prompts_per_step": 0}, "prompts_per_step must be at least 1"),
        ({"seed": -1}, "seed not negative"),
        ({"data": "nowhere.jsonl"}, "There is no file nowhere.jsonl"),
        ({"lr_schedule": "cosines"}, "Unknown lr_schedule 'cosines'"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"engine": "vllm"}, "engine vllm needs a GPU, requirements-vllm.txt"),
        ({"backend": "plain"}, "backend plain needs a GPU"),
        ({"backend": "axolotl"}, "Unknown backend 'axolotl': choose one of unsloth, plain"),
        ({"engine": "hf"}, "Unknown engine 'hf': choose one of auto"),
        ({"generation_batch": -1}, "generation_batch must be at least 1"),
        ({"drop_overlap": True}, "drop_overlap needs overlap_with"),
        ({"overlap_with": "nowhere.jsonl"}, "There is no file nowhere.jsonl"),
        ({"data": "openai/gsm8k"}, "openai/gsm8k is not in the local cache and the hub cannot be reached"),
    ],
)
def test_refusals_come_before_loading(change, message, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(ValueError, match=message):
        train.train(tmp_path / "run", dataclasses.replace(SMALL, **change))
    assert not (tmp_path / "run").exists()


def test_on_a_gpu_what_does_not_fit_is_refused_before_it_is_loaded(tmp_path, made_up_gpu):
    with pytest.raises(UsageError, match="but 0.5 GiB of GPU memory are free: none of its settings makes it fit"):
        train.train(tmp_path / "run", SMALL)


def test_a_step_that_is_generated_in_parts_trains_on_all_of_them_in_order(tmp_path, monkeypatch):
    """Parts of three of eight completions, the last one smaller: every completion answers its own prompt, none is lost."""
    from lib import trainer

    asked, whole = [], trainer.generate_in_parts

    def watched(made, size):
        inner = made._generate_single_turn
        made._generate_single_turn = lambda prompts, *rest: asked.append(prompts) or inner(prompts, *rest)
        whole(made, size)

    monkeypatch.setattr(trainer, "generate_in_parts", watched)
    chosen = dataclasses.replace(SMALL, generation_batch=3)
    run = train.train(tmp_path / "run", chosen)
    assert [len(prompts) for prompts in asked] == [3, 3, 2] * chosen.steps
    frame = pd.read_parquet(run / "completions" / "step-00000.parquet")
    _, tokenizer = models.load(models.resolve(chosen.model), 96)
    known = {p.id: p.messages for p in problems.load("arithmetic", "train", 32)}
    prompts = models.prompt_ids(tokenizer, [known[name] for name in frame["problem_id"]])
    assert [list(ids) for part in asked[:3] for ids in part] == prompts
    again, then = rescored(run, 1)
    np.testing.assert_allclose(again, then, atol=1e-4)


def test_unknown_settings_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="Unknown training settings learning_rat"):
        train.settings("smoke", model="many_wordings", regime="task", learning_rat=1)


def test_prompts_that_are_too_long_are_left_out_and_too_few_refused(policy):
    _, tokenizer = policy
    chosen = dataclasses.replace(
        SMALL, max_prompt_tokens=11, train_problems=200
    )  # 9 digits and signs, 3 special tokens
    rows, about = train._rows(chosen, tokenizer)
    assert about["too_long"] > 100 and len(rows) == about["train"] == 200 - about["too_long"]
    assert all(len(ids) <= 11 for ids in models.prompt_ids(tokenizer, list(rows["prompt"])))
    with pytest.raises(UsageError, match="raise max_prompt_tokens"):
        train._rows(dataclasses.replace(chosen, max_prompt_tokens=2), tokenizer)


def test_every_field_of_the_trainers_configuration_is_ours(tmp_path):
    """What the kit sets arrives as set, and the rest has the defaults of TRL's own class, whoever changed them since."""
    models.import_unsloth()
    import trl

    from lib.trainer import _fields, grpo_config

    config, ours = grpo_config(SMALL, tmp_path), _fields(SMALL, tmp_path)
    for name, value in ours.items():
        assert getattr(config, name) == ([] if name == "report_to" else value), name
    original = next(c for c in trl.GRPOConfig.__mro__ if c.__module__ == "trl.trainer.grpo_config")
    defaults = {f.name: f.default for f in dataclasses.fields(original) if isinstance(f.default, int | float | str)}
    for name, value in defaults.items():
        if name not in ours and name != "debug":  # resolved from "" to []
            assert getattr(config, name) == value, name


def test_where_vllm_samples_its_weights_are_truncated(tmp_path, monkeypatch):
    """The configuration alone: vLLM needs a GPU."""
    from lib.trainer import grpo_config

    chosen = dataclasses.replace(SMALL, fixed_length=True)
    assert not grpo_config(chosen, tmp_path).use_vllm
    monkeypatch.setattr(models, "vllm_is_there", lambda: True)
    config = grpo_config(chosen, tmp_path)
    assert config.use_vllm and config.generation_kwargs == {"ignore_eos": True}
    assert config.vllm_importance_sampling_correction and config.vllm_importance_sampling_mode == "token_truncate"
    assert config.vllm_importance_sampling_clip_max == 3
    assert not grpo_config(dataclasses.replace(SMALL, engine="huggingface"), tmp_path).use_vllm


def test_with_a_fixed_length_every_completion_goes_on_and_the_first_answer_counts(tmp_path):
    chosen = dataclasses.replace(SMALL, regime="sharpen", fixed_length=True, max_completion_tokens=48)
    folder = train.train(tmp_path / "run", chosen)
    rows = pd.concat([pd.read_parquet(path) for path in (folder / "completions").glob("*.parquet")])
    assert rows["length"].eq(48).all()
    assert rows["completion"].str.count("boxed").le(1).all() and rows["completion"].str.endswith("}").any()
    assert all(row["truncated"] < 1 for row in runs.read_lines(folder / "metrics.jsonl"))
    free = train.train(tmp_path / "free", dataclasses.replace(chosen, fixed_length=False))
    step = "completions/step-00000.parquet"
    longer, shorter = (pd.read_parquet(at / step)["reference_logprob"].mean() for at in (folder, free))
    assert longer < shorter  # what follows EOS is counted as well


def test_a_run_without_any_signal_stops_with_advice(tmp_path):
    """Completions that are all cut off cannot be graded: ten such steps are enough to know."""
    chosen = dataclasses.replace(SMALL, max_completion_tokens=2, steps=30)
    with pytest.raises(UsageError, match="raise max_completion_tokens"):
        train.train(tmp_path / "run", chosen)
    assert len(runs.read_lines(tmp_path / "run" / "metrics.jsonl")) == 10


PROGRAM = """
import sys
from lib import train
from pathlib import Path
train.train(Path(sys.argv[1]), train.Settings(model="many_wordings", regime="tilted", train_problems=32, steps=6,
            prompts_per_step=2, completions_per_prompt=4, micro_batch=8, warmup_steps=2, save_every=2, seed=5))
"""


def comparable(folder):
    """The lines of `metrics.jsonl` without what the clock says."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in runs.read_lines(folder / "metrics.jsonl")]


def test_a_killed_run_ends_like_one_that_was_not(tmp_path):
    """SIGKILL in the middle, with half a checkpoint lying about; then the same call again."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([sys.executable, "-c", PROGRAM, whole], check=True, capture_output=True)
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(runs.read_lines(killed / "metrics.jsonl")) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not train.finished(killed)
    (killed / "checkpoints" / "checkpoint-5").mkdir()
    subprocess.run([sys.executable, "-c", PROGRAM, killed], check=True, capture_output=True)
    assert comparable(killed) == comparable(whole) and len(comparable(whole)) == 6
    weights = "adapter/adapter_model.safetensors"
    assert (killed / weights).read_bytes() == (whole / weights).read_bytes()


def test_a_run_from_before_a_setting_was_there_had_its_default(tmp_path):
    """`keep_checkpoints` came later: runs that do not mention it are still the same run, and another value is another run."""
    source = SMALL.check()
    settings = {k: v for k, v in dataclasses.asdict(SMALL).items() if k != "keep_checkpoints"}
    runs.write_json(tmp_path / "config.json", {"settings": settings, "model": dataclasses.asdict(source)})
    train._same_settings_or_new(tmp_path, SMALL, source)
    with pytest.raises(UsageError, match="keep_checkpoints .2 there, 5 here"):
        train._same_settings_or_new(tmp_path, dataclasses.replace(SMALL, keep_checkpoints=5), source)
