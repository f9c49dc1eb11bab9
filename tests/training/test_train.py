"""Training: every objective, exact RLOO, refusals before loading, and a killed run that ends like one that was not."""

import dataclasses
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from lib.data import problems
from lib.models import loading, scoring, sources, tokens
from lib.rewards import objectives
from lib.storage import files, folders
from lib.storage.errors import UsageError
from lib.training import record, train
from lib.training.config import TrainConfig

SMALL = TrainConfig(
    model="many_wordings",
    objective="task",
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


def inputs(frame: pd.DataFrame, seed: int, step: int) -> objectives.RewardInputs:
    """The inputs of a step, from the completions that the run left behind."""
    return objectives.RewardInputs(
        task_reward=(frame["status"] == "ok").to_numpy(float),
        reference_logprob=frame["reference_logprob"].to_numpy(),
        policy_logprob=frame["policy_logprob"].to_numpy(),
        length=frame["length"].to_numpy(),
        format_reward=frame["completion"].str.fullmatch(r"(?:(?!\\boxed).)*\\boxed\{[^{}]+\}(?:(?!\\boxed).)*").to_numpy(float),
        random=objectives.random_reward(seed, step, len(frame)),
    )


@pytest.fixture(scope="module", params=objectives.OBJECTIVES)
def run(request, tmp_path_factory):
    """(folder, settings) of a short run of each objective."""
    config = SMALL.changed(objective=request.param)
    folder = tmp_path_factory.mktemp("runs") / request.param.replace("+", "-")
    return train.train(train.prepare(folder, config)), config


def test_every_objective_trains_and_leaves_its_contract(run):
    folder, config = run
    assert train.finished(folder)
    rows = files.read_lines(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [0, 1]
    wanted = {"task_accuracy", "reward", "reward_std", "reference_logprob", "policy_logprob", "kl", "entropy", "length"}
    wanted |= {"truncated", "seconds", "tokens", "direct_share", "loss", "grad_norm"}
    assert all(wanted <= set(row) for row in rows)
    kept = files.read_json(folder / "config.json")
    assert kept["settings"] == config.model_dump()
    assert kept["objective"]["name"] == config.objective and kept["trainer"]["loss_type"] == "dapo"
    (segment,) = files.read_json(folder / "environment.json")
    assert segment["packages"]["trl"] and segment["engine"] == "huggingface" and segment["first_step"] == 0
    assert len(list((folder / "completions").glob("*.parquet"))) == 2


def test_at_step_0_policy_and_reference_agree_bit_for_bit_and_later_they_do_not(run):
    folder, _ = run
    first, second = (pd.read_parquet(f) for f in sorted((folder / "completions").glob("*.parquet")))
    assert (first["reference_logprob"] == first["policy_logprob"]).all()
    if files.read_lines(folder / "metrics.jsonl")[0]["zero_variance"] < 1:  # else there was nothing to learn
        assert (second["reference_logprob"] != second["policy_logprob"]).any()


def test_the_reward_that_was_trained_on_is_the_objectives(run):
    folder, config = run
    for step, path in enumerate(sorted((folder / "completions").glob("*.parquet"))):
        frame = pd.read_parquet(path)
        expected = config.resolved_objective().reward(inputs(frame, config.seed, step))
        np.testing.assert_allclose(frame["reward"], expected, atol=1e-9)
        row = files.read_lines(folder / "metrics.jsonl")[step]
        assert row["reward"] == pytest.approx(expected.mean()) and row["tokens"] == frame["length"].sum()
        assert row["task_accuracy"] == (frame["status"] == "ok").mean()


def test_the_loss_is_rloos(run):
    """At a ratio of 1 the token-level loss is −Σ A_i T_i / Σ T_i, where A is R less the mean of the OTHERS of its group."""
    folder, config = run
    group = config.completions_per_prompt
    for row, path in zip(files.read_lines(folder / "metrics.jsonl"), sorted((folder / "completions").glob("*.parquet"))):
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
    settings = files.read_json(folder / "config.json")["settings"]
    model, tokenizer = loading.load(sources.resolve(settings["model"]), 96, settings["load_in_4bit"])
    model = loading.load_adapter(model, tokenizer, folder / "checkpoints" / f"checkpoint-{step}")
    frame = pd.read_parquet(folder / "completions" / f"step-{step:05d}.parquet")
    asked = {p.id: p.messages for p in problems.load(settings["data"], "train", settings["train_problems"])}
    prompts = tokens.prompt_ids(tokenizer, [asked[name] for name in frame["problem_id"]])
    texts = tokenizer(frame["completion"].tolist(), add_special_tokens=False)["input_ids"]
    ids = [[*own, tokenizer.eos_token_id][:length] for own, length in zip(texts, frame["length"], strict=True)]
    assert [len(own) for own in ids] == frame["length"].tolist()
    return scoring.sequence_scores(model, prompts, ids, tokenizer.pad_token_id).logprob, frame["policy_logprob"]


def test_a_reloaded_adapter_is_the_policy_that_was_trained(run):
    folder, config = run
    again, then = rescored(folder, 1)
    np.testing.assert_allclose(again, then, atol=1e-4)
    if config.objective == "sharpen":  # one step of it is enough to see
        reference = pd.read_parquet(folder / "completions" / "step-00001.parquet")["reference_logprob"]
        assert np.abs(again - reference).max() > 1e-3


GSM8K = str(folders.ROOT / "tests" / "fixtures" / "hub" / "openai" / "gsm8k")


@pytest.mark.parametrize("data", ["jsonl", GSM8K])
@pytest.mark.parametrize("objective", ["random", "format"])
def test_the_controls_train_on_any_data_set_and_see_no_answer(data, objective, tmp_path):
    """Their rewards do not change when every gold is another; what was trained on and who judged is recorded."""
    if data == "jsonl":
        rows = [{"prompt": f"{n}+{n + 1}", "gold": "\\frac{1}{2}"} for n in range(40)]
        data = str(tmp_path / "mine.jsonl")
        files.write_lines(tmp_path / "mine.jsonl", rows)
    config = SMALL.changed(objective=objective, data=data, max_prompt_tokens=256, max_completion_tokens=32)
    folder = train.train(train.prepare(tmp_path / "run", config))
    for step, path in enumerate(sorted((folder / "completions").glob("*.parquet"))):
        frame = pd.read_parquet(path)
        expected = inputs(frame, config.seed, step)
        np.testing.assert_array_equal(frame["reward"], expected.random if objective == "random" else expected.format_reward)
        assert data == GSM8K or not (frame["status"] == "ok").any()
    kept = files.read_json(folder / "config.json")
    assert kept["verifier"]["variant"] == "strict" and kept["verifier"]["math-verify"]
    assert kept["problems"]["revision"].startswith("local-") and kept["problems"]["train"] > 30


def test_training_problems_that_are_test_problems_are_counted_and_dropped_on_request(policy, tmp_path):
    """A data set whose train split was leaked from the test split: half of its rows are the same."""
    _, tokenizer = policy
    leaked = [{"prompt": f"What is the sum of the two numbers {n} and {n + 1} in the end?", "gold": 2 * n + 1} for n in range(40)]
    files.write_lines(tmp_path / "train.jsonl", leaked)
    files.write_lines(tmp_path / "test.jsonl", leaked[:20])
    config = SMALL.changed(data=str(tmp_path / "train.jsonl"), max_prompt_tokens=256)
    config = config.changed(overlap_with=str(tmp_path / "test.jsonl"))
    rows, about = train._rows(train.prepare(tmp_path / "run", config), tokenizer)
    assert 15 <= len(about["overlap"]) <= 20 and len(rows) == about["train"] >= 30
    without = train.prepare(tmp_path / "run", config.changed(drop_overlap=True))
    dropped, about = train._rows(without, tokenizer)
    assert len(dropped) == len(rows) - len(about["overlap"]) == about["train"]
    assert not {row["problem_id"] for row in dropped} & set(about["overlap"])


def written(folder, config, revision=None, without=()):
    """A folder with the `config.json` of a run, as if it had begun: some settings were not there yet when it did."""
    settings = {name: value for name, value in config.model_dump().items() if name not in without}
    source = dataclasses.asdict(sources.resolve(config.model))
    files.write_json(folder / "config.json", {"settings": settings, "model": source, "problems": {"revision": revision}})
    return folder


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    files.write_lines(tmp_path / "mine.jsonl", [{"prompt": f"{n}+1", "gold": n + 1} for n in range(40)])
    config = SMALL.changed(data=str(tmp_path / "mine.jsonl"))
    revision = train.prepare(tmp_path / "new", config).problems.revision
    train.prepare(written(tmp_path / "same", config, revision), config)
    with pytest.raises(UsageError, match=f"version local-1 of its data, which is now {revision}"):
        train.prepare(written(tmp_path / "other", config, "local-1"), config)


def test_a_run_from_before_a_setting_existed_goes_on(tmp_path):
    """Runs whose `config.json` lacks settings that were added later had their defaults."""
    folder = written(tmp_path, SMALL, without=("revision", "fixed_length", "keep_checkpoints"))
    train.prepare(folder, SMALL)
    with pytest.raises(UsageError, match="fixed_length \\(False there, True here\\)"):
        train.prepare(folder, SMALL.changed(fixed_length=True))
    with pytest.raises(UsageError, match="keep_checkpoints .2 there, 5 here"):
        train.prepare(folder, SMALL.changed(keep_checkpoints=5))


def test_a_run_may_go_on_with_other_settings_of_memory(tmp_path):
    """What the sentence about memory advises must be allowed: such settings change what fits, not what is trained."""
    less = {"micro_batch": 2, "generation_batch": 4, "token_budget": 512, "vllm_memory": 0.3}
    train.prepare(written(tmp_path, SMALL), SMALL.changed(**less))


def test_a_finished_run_is_not_repeated(run, capsys):
    folder, config = run
    before = (folder / "metrics.jsonl").read_bytes()
    train.train(train.prepare(folder, config))
    assert "is finished" in capsys.readouterr().out
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_a_run_killed_before_its_adapter_was_saved_does_not_take_another_step(run, tmp_path):
    """The last checkpoint is whole, the adapter is not there: nothing is left to train. Killed writers left litter."""
    folder, config = run
    copy = shutil.copytree(folder, tmp_path / "run")
    shutil.rmtree(copy / "adapter")
    litter = copy / "completions" / ".step-00001.parquet.123.partial"
    litter.write_text("half")
    train.train(train.prepare(copy, config))
    assert (copy / "metrics.jsonl").read_bytes() == (folder / "metrics.jsonl").read_bytes()
    weights = "adapter/adapter_model.safetensors"
    assert (copy / weights).read_bytes() == (folder / weights).read_bytes()
    assert not litter.exists()


def test_a_run_on_other_weights_is_refused(run, monkeypatch):
    folder, config = run
    monkeypatch.setattr(sources, "fingerprint", lambda _: "other")
    with pytest.raises(UsageError, match="weights \\(.* there, other here\\)"):
        train.train(train.prepare(folder, config))


def test_another_run_in_the_same_folder_is_refused(run):
    folder, config = run
    with pytest.raises(UsageError, match="other settings: steps \\(2 there, 3 here\\)"):
        train.train(train.prepare(folder, config.changed(steps=3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "sharp"}, "Unknown objective"),
        ({"objective": "sharpen", "alpha": -1.0}, "alpha is -1"),
        ({"objective": "tilted", "beta_inv": -1.0}, "beta_inv is -1"),
        ({"objective": "tempered", "beta_inv": 100.0}, "`tempered` does not weigh a task reward"),
        ({"model": "nowhere"}, "There is no model 'nowhere'"),
        ({"model": "owner/name"}, "hub cannot be reached"),
        ({"completions_per_prompt": 1, "micro_batch": 2}, "completions_per_prompt is 1: it must be greater than or equal to 2"),
        ({"micro_batch": 3}, "micro_batch 3 does not divide the 8 completions"),
        ({"steps": 0}, "steps is 0: it must be greater than or equal to 1"),
        ({"prompts_per_step": 0}, "prompts_per_step is 0: it must be greater than or equal to 1"),
        ({"seed": -1}, "seed is -1: it must be greater than or equal to 0"),
        ({"data": "nowhere.jsonl"}, "There is no file nowhere.jsonl"),
        ({"lr_schedule": "cosines"}, "lr_schedule is 'cosines': it must be 'linear' or 'constant_with_warmup'"),
        ({"temperature": 0.0}, "temperature is 0.0: it must be greater than 0"),
        ({"engine": "vllm"}, "engine vllm needs a GPU, requirements-vllm.txt"),
        ({"backend": "plain"}, "backend plain needs a GPU"),
        ({"backend": "axolotl"}, "backend is 'axolotl': it must be 'unsloth' or 'plain'"),
        ({"engine": "hf"}, "engine is 'hf': it must be 'auto', 'huggingface' or 'vllm'"),
        ({"generation_batch": -1}, "generation_batch is -1: it must be greater than or equal to 0"),
        ({"drop_overlap": True}, "drop_overlap needs overlap_with"),
        ({"overlap_with": "nowhere.jsonl"}, "There is no file nowhere.jsonl"),
        ({"seed": "x"}, "seed is 'x': it must be a valid integer"),
        ({"stepps": 3}, "Unknown setting stepps .3.: did you mean steps?"),
        ({"report_to": "tensorbord"}, "Unknown reporter 'tensorbord' in report_to: choose none"),
        ({"report_to": ["tensorboard"]}, "The reporter tensorboard of report_to is not installed"),
        ({"data": "openai/gsm8k"}, "openai/gsm8k is not in the local cache and the hub cannot be reached"),
    ],
)
def test_refusals_come_before_loading(change, message, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(ValueError, match=message):
        train.train(train.prepare(tmp_path / "run", SMALL.changed(**change)))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a short run that nothing happened to."""
    return train.train(train.prepare(tmp_path_factory.mktemp("undisturbed") / "run", SMALL))


OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB."


@pytest.mark.parametrize(
    ("phase", "advice"),
    [
        ("generation", "while completions were generated: set generation_batch to 4 \\(8 now\\)"),
        ("likelihood", "while completions were scored: set token_budget to 512 \\(1024 now\\)"),
        ("loss", "while the loss was taken: set micro_batch to 2 \\(4 now\\)"),
    ],
)
def test_running_out_of_memory_is_one_sentence_and_the_run_goes_on_from_its_checkpoint(
    undisturbed, phase, advice, tmp_path, monkeypatch
):
    """The second step runs out; then the same run with more room ends as if nothing had happened."""
    folder, config = undisturbed, SMALL
    from lib.training import cpu, reward

    def failing(whole, times):
        def step(*arguments, **options):
            times.append(1)
            if len(times) > (3 if phase == "loss" else 1):  # two losses per step, one generation and one scoring
                raise RuntimeError(OUT_OF_MEMORY)
            return whole(*arguments, **options)

        return step

    where, name = {
        "generation": (cpu.CpuTrainer, "_generate_single_turn"),
        "likelihood": (reward.RewardFunction, "_inputs"),
        "loss": (cpu.CpuTrainer, "compute_loss"),
    }[phase]
    with monkeypatch.context() as patch:
        patch.setattr(where, name, failing(getattr(where, name), []))
        with pytest.raises(UsageError, match=f"Memory ran out {advice}. The run keeps its last checkpoint"):
            train.train(train.prepare(tmp_path / "run", config))
    assert [path.name for path in record.checkpoints(tmp_path / "run")] == ["checkpoint-1"]
    train.train(train.prepare(tmp_path / "run", config))
    weights = "adapter/adapter_model.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (folder / weights).read_bytes()


def test_where_a_setting_is_as_small_as_it_can_be_completions_must_be_shorter():
    from lib.training.trainer import smaller

    least = SMALL.changed(micro_batch=1, generation_batch=1, token_budget=96)
    for phase in ("generation", "likelihood", "loss"):
        assert smaller(least, phase) == "max_completion_tokens to 32 (64 now)"


def test_other_errors_of_training_are_not_about_memory(tmp_path):
    from lib.training.trainer import in_one_sentence

    with pytest.raises(RuntimeError, match="something else"), in_one_sentence(SMALL, None):
        raise RuntimeError("something else")


def test_a_step_that_is_generated_in_parts_trains_on_all_of_them_in_order(tmp_path, monkeypatch):
    """Parts of three of eight completions, the last one smaller: every completion answers its own prompt, none is lost."""
    import trl

    from lib.training import trainer

    monkeypatch.setattr(trainer, "_trainer_class", lambda: trl.GRPOTrainer)  # as on a GPU
    asked, whole = [], trainer.generate_in_parts

    def watched(made, size):
        inner = made._generate_single_turn
        made._generate_single_turn = lambda prompts, *rest: asked.append(prompts) or inner(prompts, *rest)
        whole(made, size)

    monkeypatch.setattr(trainer, "generate_in_parts", watched)
    config = SMALL.changed(generation_batch=3)
    run = train.train(train.prepare(tmp_path / "run", config))
    assert [len(prompts) for prompts in asked] == [3, 3, 2] * config.steps
    frame = pd.read_parquet(run / "completions" / "step-00000.parquet")
    _, tokenizer = loading.load(sources.resolve(config.model), 96)
    known = {p.id: p.messages for p in problems.load("arithmetic", "train", 32)}
    prompts = tokens.prompt_ids(tokenizer, [known[name] for name in frame["problem_id"]])
    assert [list(ids) for part in asked[:3] for ids in part] == prompts
    again, then = rescored(run, 1)
    np.testing.assert_allclose(again, then, atol=1e-4)


def test_prompts_that_are_too_long_are_left_out_and_too_few_refused(policy, tmp_path):
    _, tokenizer = policy
    config = SMALL.changed(max_prompt_tokens=11, train_problems=200)  # 9 digits and signs, 3 special tokens
    rows, about = train._rows(train.prepare(tmp_path, config), tokenizer)
    assert about["too_long"] > 100 and len(rows) == about["train"] == 200 - about["too_long"]
    assert all(len(ids) <= 11 for ids in tokens.prompt_ids(tokenizer, list(rows["prompt"])))
    with pytest.raises(UsageError, match="raise max_prompt_tokens"):
        train._rows(train.prepare(tmp_path, config.changed(max_prompt_tokens=2)), tokenizer)


def test_every_field_of_the_trainers_configuration_is_ours(tmp_path):
    """What the kit sets arrives as set, and the rest has the defaults of TRL's own class, whoever changed them since."""
    loading.import_unsloth()
    import trl

    from lib.training.trainer import _fields, grpo_config

    config, ours = grpo_config(SMALL, tmp_path), _fields(SMALL, tmp_path)
    for name, value in ours.items():
        assert getattr(config, name) == ([] if name == "report_to" else value), name
    original = next(c for c in trl.GRPOConfig.__mro__ if c.__module__ == "trl.trainer.grpo_config")
    defaults = {f.name: f.default for f in dataclasses.fields(original) if isinstance(f.default, int | float | str)}
    for name, value in defaults.items():
        if name not in ours and name != "debug":  # resolved from "" to []
            assert getattr(config, name) == value, name


def test_the_defaults_of_trl_that_the_kit_relies_on(tmp_path):
    """They belong to exact RLOO, to sampling from the policy itself, or to the optimiser, and a new TRL could change them."""
    from lib.training.trainer import grpo_config

    config = grpo_config(SMALL, tmp_path)
    rloo = {"num_iterations": 1, "epsilon": 0.2, "mask_truncated_completions": False, "importance_sampling_level": "token"}
    sampling = {"top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0, "shuffle_dataset": True}
    vllm = {"mode": "colocate", "importance_sampling_correction": True}
    vllm |= {"importance_sampling_clip_max": 3.0, "importance_sampling_clip_min": None}
    optimiser = {"optim": "adamw_torch_fused", "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "fp16": False}
    bookkeeping = {"logging_strategy": "steps", "save_strategy": "steps", "log_completions": False, "push_to_hub": False}
    wanted = rloo | sampling | {f"vllm_{name}": value for name, value in vllm.items()} | optimiser | bookkeeping
    assert {name: getattr(config, name) for name in wanted} == wanted
    assert config.epsilon_high in (None, config.epsilon)  # None is TRL's for the same


def test_where_vllm_samples_its_weights_are_truncated(tmp_path, monkeypatch):
    """The configuration alone: vLLM needs a GPU."""
    from lib.training.trainer import grpo_config

    config = SMALL.changed(fixed_length=True)
    assert not grpo_config(config, tmp_path).use_vllm
    monkeypatch.setattr(loading, "vllm_is_there", lambda: True)
    config = grpo_config(config, tmp_path)
    assert config.use_vllm and config.generation_kwargs == {"ignore_eos": True}
    assert config.vllm_importance_sampling_correction and config.vllm_importance_sampling_mode == "token_truncate"
    assert config.vllm_importance_sampling_clip_max == 3
    assert not grpo_config(SMALL.changed(engine="huggingface"), tmp_path).use_vllm


def test_with_a_fixed_length_every_completion_goes_on_and_the_first_answer_counts(tmp_path):
    config = SMALL.changed(objective="sharpen", fixed_length=True, max_completion_tokens=48)
    folder = train.train(train.prepare(tmp_path / "run", config))
    rows = pd.concat([pd.read_parquet(path) for path in (folder / "completions").glob("*.parquet")])
    assert rows["length"].eq(48).all()
    assert rows["completion"].str.count("boxed").le(1).all() and rows["completion"].str.endswith("}").any()
    assert all(row["truncated"] < 1 for row in files.read_lines(folder / "metrics.jsonl"))
    free = train.train(train.prepare(tmp_path / "free", config.changed(fixed_length=False)))
    step = "completions/step-00000.parquet"
    longer, shorter = (pd.read_parquet(at / step)["reference_logprob"].mean() for at in (folder, free))
    assert longer < shorter  # what follows EOS is counted as well


def test_a_run_without_any_signal_stops_with_advice(tmp_path):
    """Completions that are all cut off cannot be graded: ten such steps are enough to know."""
    config = SMALL.changed(max_completion_tokens=2, steps=30)
    with pytest.raises(UsageError, match="raise max_completion_tokens"):
        train.train(train.prepare(tmp_path / "run", config))
    assert len(files.read_lines(tmp_path / "run" / "metrics.jsonl")) == 10


PROGRAM = """
import sys
from pathlib import Path
from lib.training import train
from lib.training.config import TrainConfig
config = TrainConfig(model="many_wordings", objective="tilted", train_problems=32, steps=6, prompts_per_step=2,
                     completions_per_prompt=4, micro_batch=8, warmup_steps=2, save_every=2, seed=5)
train.train(train.prepare(Path(sys.argv[1]), config))
"""


def comparable(folder):
    """The lines of `metrics.jsonl` without what the clock says."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in files.read_lines(folder / "metrics.jsonl")]


def test_a_killed_run_ends_like_one_that_was_not(tmp_path):
    """SIGKILL in the middle, with half a checkpoint lying about; then the same call again."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([sys.executable, "-c", PROGRAM, whole], check=True, capture_output=True)
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(files.read_lines(killed / "metrics.jsonl")) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not train.finished(killed)
    (killed / "checkpoints" / "checkpoint-5").mkdir()
    subprocess.run([sys.executable, "-c", PROGRAM, killed], check=True, capture_output=True)
    assert comparable(killed) == comparable(whole) and len(comparable(whole)) == 6
    weights = "adapter/adapter_model.safetensors"
    assert (killed / weights).read_bytes() == (whole / weights).read_bytes()


def test_a_curriculum_takes_short_problems_first(tmp_path):
    config = SMALL.changed(objective="random", data="four_and_five_digits", train_problems=8, steps=4, order="shortest_first")
    train.train(train.prepare(tmp_path / "run", config))
    asked = [pd.read_parquet(path)["problem_id"] for path in sorted((tmp_path / "run" / "completions").glob("*.parquet"))]
    lengths = [len(name) for step in asked for name in step]
    assert lengths == sorted(lengths) and len({name for step in asked for name in step}) == 8 and lengths[-1] == 11
    shuffled = SMALL.changed(objective="random", data="four_and_five_digits", train_problems=8, steps=4)
    assert train.identity(train.prepare(tmp_path / "other", shuffled)) != train.identity(train.prepare(tmp_path / "run", config))
