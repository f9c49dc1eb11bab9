"""What only a GPU shows: 4-bit bfloat16 scoring, resuming, reloading, and the CPU's own result again. `pytest -m gpu`.

The tolerances are for bfloat16, which keeps 8 bits: a sum over some tens of tokens is good to a few tenths of a nat.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from lib import profiles
from lib.data import problems
from lib.models import loading, sampling, scoring, sources, tokens
from lib.models.engine import ModelEngine
from lib.storage import digests, files, folders
from lib.storage.errors import UsageError
from lib.theory import samplers
from lib.training import train
from tests.bench import gpu
from tests.training.test_train import SMALL, rescored

pytestmark = pytest.mark.gpu

QWEN_SMALL = gpu.CONFIGS[gpu.QWEN] | {
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}
LOGPROB = 0.3  # nats a completion
RATE = 0.1  # of accuracy, between means of ten steps with 64 completions each


@pytest.fixture(scope="module", params=["one_wording", "qwen2"])
def scored(request, tmp_path_factory):
    """(model with a fresh adapter, tokenizer, prompts, completions) in 4 bits, a tiny base or a random model of Qwen's kind."""
    name = request.param
    if name == "qwen2":
        name = str(gpu.build(QWEN_SMALL, tmp_path_factory.mktemp("weights") / "qwen2"))
    model, tokenizer = loading.load(sources.resolve(name), 160)
    model = loading.add_adapter(model, 16, 32, 0)
    prompts = tokens.prompt_ids(tokenizer, [p.messages for p in problems.load("arithmetic", "test", 24)])
    drawn = sampling.sample(model, tokenizer, prompts, sampling.Sampler(max_tokens=64))
    return model, tokenizer, prompts, [completion.ids for completion in drawn]


def scores(scored, reference=False, budget=2048):
    model, tokenizer, prompts, ids = scored
    pad = tokenizer.pad_token_id
    return scoring.sequence_scores(model, prompts, ids, pad, reference=reference, token_budget=budget).logprob


def test_policy_and_reference_are_equal_bit_for_bit_at_step_0(scored):
    assert (scores(scored) == scores(scored, reference=True)).all()
    assert (scores(scored) < 0).all()


def test_padding_and_batching_change_no_more_than_rounding(scored):
    np.testing.assert_allclose(scores(scored, budget=2048), scores(scored, budget=1), atol=LOGPROB)


def test_the_sampler_knows_its_own_log_probability_and_repeats_itself(scored):
    model, tokenizer, prompts, ids = scored
    again = sampling.sample(model, tokenizer, prompts, sampling.Sampler(max_tokens=64))
    assert [c.ids for c in again] == ids
    np.testing.assert_allclose([c.logprob for c in again], scores(scored), atol=LOGPROB)


@pytest.mark.parametrize("chain", [False, True], ids=["draw", "metropolis"])
def test_samplers_without_training_know_their_own_log_probability(scored, chain):
    model, tokenizer, prompts, _ = scored
    engine, rng = ModelEngine(model, tokenizer, prompts), np.random.default_rng(0)
    drawn = samplers.metropolis(engine, 64, 2.0, 2, rng) if chain else samplers.draw(engine, 64, 1.0, rng)
    ids = [row[:length].tolist() for row, length in zip(drawn.rows.tokens, drawn.rows.length, strict=True)]
    np.testing.assert_allclose(drawn.rows.sum_p(), scores((model, tokenizer, prompts, ids)), atol=LOGPROB)


@pytest.mark.parametrize("backend", gpu.BACKENDS)
def test_a_run_trains_and_its_adapter_is_the_policy_that_was_trained(backend, tmp_path):
    """The adapter of the last step but one scores that step's completions as the policy did; `plain` never imports Unsloth."""
    config = SMALL.changed(model="one_wording", backend=backend, steps=12, objective="sharpen", learning_rate=5e-3)
    assert _train(tmp_path / "run", config).wait() == 0
    rows = files.read_lines(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == 12 and rows[0]["kl"] == 0 and np.isfinite([row["grad_norm"] for row in rows]).all()
    again, then = rescored(tmp_path / "run", 11)
    np.testing.assert_allclose(again, then, atol=LOGPROB)
    assert abs(rows[11]["kl"]) > 2 * LOGPROB  # so that the base would not pass for the policy


def _train(folder, config) -> subprocess.Popen:
    code = f"""
import sys
from pathlib import Path
from lib.training.config import TrainConfig
from lib.training.train import prepare, train
if __name__ == "__main__":
    train(prepare(Path({str(folder)!r}), {config!r}))
    imported = [name for name in sys.modules if name.startswith("unsloth")]
    assert bool(imported) == ({config.backend!r} == "unsloth"), imported
"""
    path = folder.with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folders.ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen([sys.executable, path], env=environment)


def test_a_killed_run_goes_on_and_ends_near_one_that_was_not(tmp_path):
    """Kernels may add in another order, so that samples can part: the steps before the kill are the same, the end is near."""
    config = SMALL.changed(model="one_wording", steps=20, save_every=5, prompts_per_step=8, micro_batch=32)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _train(whole, config).wait() == 0
    child, deadline = _train(killed, config), time.monotonic() + 300
    while not (killed / "checkpoints" / "checkpoint-5" / digests.NAME).exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not train.finished(killed) and _train(killed, config).wait() == 0
    one, other = (pd.DataFrame(files.read_lines(folder / "metrics.jsonl")) for folder in (whole, killed))
    assert one["step"].tolist() == other["step"].tolist() == list(range(20))
    assert other["reference_logprob"].iloc[:5].tolist() == pytest.approx(one["reference_logprob"].iloc[:5], abs=LOGPROB)
    assert other["task_accuracy"].mean() == pytest.approx(one["task_accuracy"].mean(), abs=RATE)


def test_the_cpus_run_comes_out_again(tmp_path):
    """`task` on one_wording as in the quick profile, accuracy by ten steps beside the committed CPU run's."""
    config = profiles.load("quick").train_config(model="one_wording", objective="task")
    assert _train(tmp_path / "run", config.changed(save_every=60)).wait() == 0
    found = pd.DataFrame(files.read_lines(tmp_path / "run" / "metrics.jsonl"))["task_accuracy"]
    steps = pd.read_csv(folders.ROOT / "data" / "results" / "quick" / "steps.csv")
    committed = steps.loc[steps["run"] == "one_wording-task-s0", "task_accuracy"].reset_index(drop=True)
    tens = np.arange(len(found)) // 10
    assert found.groupby(tens).mean().tolist() == pytest.approx(committed.groupby(tens).mean().tolist(), abs=1.5 * RATE)


def test_a_step_that_does_not_fit_is_one_sentence(tmp_path):
    """A cap on the process that the model fits into, but not a step's logits."""
    import torch

    before = torch.cuda.get_per_process_memory_fraction()
    try:
        torch.cuda.set_per_process_memory_fraction(2**29 / torch.cuda.mem_get_info()[1])
        wide = SMALL.changed(prompts_per_step=512, micro_batch=2048, train_problems=600, max_completion_tokens=200)
        with pytest.raises(UsageError, match="Memory ran out while .*: set .* The run keeps its last checkpoint"):
            train.train(train.prepare(tmp_path / "run", wide))
    finally:
        torch.cuda.set_per_process_memory_fraction(before)
