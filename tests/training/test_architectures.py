"""The paper's three architectures at toy width, with templates and special tokens of their kind: trained, evaluated, audited."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from lib.audit import decomposition
from lib.data import problems
from lib.evaluation import pairs, runner
from lib.evaluation.config import EvalConfig
from lib.models import loading, scoring, sources, tokens
from lib.storage import files
from lib.training import train
from lib.training.config import TrainConfig
from tests.models import toys

SHORT = {"steps": 2, "prompts_per_step": 2, "completions_per_prompt": 4, "micro_batch": 8, "warmup_steps": 0, "save_every": 1}
SHORT |= {"max_prompt_tokens": 120, "max_completion_tokens": 10, "train_problems": 16, "learning_rate": 1e-2, "lora_rank": 4}
CONFIG = EvalConfig(problems=4, samples=4, max_prompt_tokens=120, max_completion_tokens=10)


@pytest.fixture(scope="module", params=toys.ARCHITECTURES)
def folder(request, tmp_path_factory):
    return toys.ARCHITECTURES[request.param].save(tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module", params=["task", "tempered"])
def run(request, folder, tmp_path_factory):
    config = TrainConfig(model=str(folder), objective=request.param, **SHORT)
    return train.train(train.prepare(tmp_path_factory.mktemp("runs") / request.param, config))


def test_prompts_begin_once_and_every_end_is_known(folder):
    """Llama's template writes the beginning-of-text token itself: it must not be there twice. Every end of a turn counts."""
    model, tokenizer = loading.load(sources.resolve(str(folder)), 256)
    (prompt,) = tokens.prompt_ids(tokenizer, [problems.load("arithmetic", "train", 1)[0].messages])
    if tokenizer.bos_token_id is not None:
        assert prompt.count(tokenizer.bos_token_id) == 1 and prompt[0] == tokenizer.bos_token_id
    toy = toys.ARCHITECTURES[folder.name]
    ends = {tokenizer.convert_tokens_to_ids(name) for name in (toy.eos, *toy.ends)}
    assert tokens.eos_token_ids(model, tokenizer) == ends and tokenizer.pad_token_id not in ends


def test_two_steps_are_taken(run):
    first, second = (pd.read_parquet(path) for path in sorted((run / "completions").glob("*.parquet")))
    assert (first["reference_logprob"] == first["policy_logprob"]).all() and (first["reference_logprob"] < 0).all()
    if files.read_lines(run / "metrics.jsonl")[0]["zero_variance"] < 1:
        assert (second["reference_logprob"] != second["policy_logprob"]).any()
    kept = files.read_json(run / "config.json")
    toy = toys.ARCHITECTURES[files.read_json(run / "config.json")["settings"]["model"].rsplit("/", 1)[1]]
    assert len(kept["eos_token_ids"]) == 1 + len(toy.ends)


def test_a_policy_in_bfloat16_takes_two_steps(tmp_path, monkeypatch):
    """What a GPU computes with, as far as a CPU can: S_p = S_π at step 0 still holds bit for bit, and the adapter stays float32."""
    monkeypatch.setattr(loading, "compute_dtype", lambda: torch.bfloat16)
    model = toys.QWEN2.save(tmp_path / "Qwen2")
    config = TrainConfig(model=str(model), objective="tempered", **SHORT)
    test_two_steps_are_taken(run := train.train(train.prepare(tmp_path / "run", config)))
    assert {weight.dtype for weight in load_file(run / "adapter" / "adapter_model.safetensors").values()} == {torch.float32}
    loaded, _ = loading.load(sources.resolve(str(model)), 256)
    assert loaded.lm_head.weight.dtype == torch.bfloat16


def test_it_is_evaluated_and_audited(run, tmp_path):
    pair = pairs.of_run(run, tmp_path / "base", CONFIG)
    table, greedy = pairs.samples(pair, CONFIG)
    assert table.groupby("source").size().to_dict() == {"base": 16, "trained": 16} and len(greedy) == 8
    own = runner.graded(run / "evaluations" / f"{CONFIG.stem}.json").sampled
    np.testing.assert_allclose(own["reference_logprob"], table.query("source == 'trained'")["base_logprob"], rtol=1e-4)
    subject = pair.trained.subject
    model, tokenizer = loading.load(subject.source, 256)
    model = loading.load_adapter(model, tokenizer, subject.adapter)
    asked = {problem.id: problem.messages for problem in runner.load_problems(CONFIG).problems}
    prompts = tokens.prompt_ids(tokenizer, [asked[name] for name in table["problem_id"]])
    ids = [list(map(int, one)) for one in table["ids"]]
    again = scoring.sequence_scores(model, prompts, ids, tokenizer.pad_token_id).logprob
    np.testing.assert_allclose(table["trained_logprob"], again, atol=1e-3)
    found = decomposition.audit(table, greedy=greedy)
    assert np.isfinite(found.kl.mean) and (found.shares or found.refusals)
