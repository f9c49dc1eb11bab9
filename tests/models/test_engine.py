"""The language model as an engine, against the likelihood and the sampler that the rest of the kit uses."""

import numpy as np
import pytest

from lib.data import problems
from lib.models import reader, tokens
from lib.models.engine import ModelEngine
from lib.models.sampling import Sampler, sample
from lib.models.scoring import sequence_scores
from lib.theory import samplers


@pytest.fixture(scope="module")
def prompts(base):
    return tokens.prompt_ids(base[1], [p.messages for p in problems.load("arithmetic", "test", 12)])


def completions(rows: samplers.Rows) -> list[list[int]]:
    return [row[:length].tolist() for row, length in zip(rows.tokens, rows.length)]


@pytest.mark.parametrize("drops", [True, False], ids=["cpu", "gpu"])
@pytest.mark.parametrize("batch", [5, 512])
def test_log_p_is_the_likelihood_that_is_scored(base, prompts, batch, drops, monkeypatch):
    """Also where rows that have ended stay in the batch, as on a GPU."""
    monkeypatch.setattr(reader, "on_cpu", lambda model: drops)
    model, tokenizer = base
    model.train()
    rows = samplers.draw(ModelEngine(model, tokenizer, prompts, batch), 64, 1.0, np.random.default_rng(0)).rows
    assert model.training
    model.eval()
    scores = sequence_scores(model, prompts, completions(rows), tokenizer.pad_token_id)
    assert rows.sum_p() == pytest.approx(scores.logprob, abs=1e-4)
    assert rows.log_p == pytest.approx(rows.log_q, abs=1e-6)
    assert all((ids[-1] == tokenizer.eos_token_id) == ended for ids, ended in zip(completions(rows), rows.ended))


def test_greedy_is_the_samplers_greedy(base, prompts):
    rows = samplers.draw(ModelEngine(*base, prompts, 5), 64, np.inf, np.random.default_rng(0)).rows
    greedy = sample(*base, prompts, Sampler(temperature=0.0))
    assert completions(rows) == [c.ids for c in greedy]


def test_a_suffix_is_scored_as_a_whole_completion_is(base, prompts):
    engine, rng = ModelEngine(*base, prompts), np.random.default_rng(0)
    drawn = samplers.metropolis(engine, 32, 2.0, 3, rng, block=12)
    scores = sequence_scores(base[0], prompts, completions(drawn.rows), base[1].pad_token_id)
    assert drawn.rows.sum_p() == pytest.approx(scores.logprob, abs=1e-4)
    particles = ModelEngine(*base, [p for p in prompts for _ in range(3)])
    rows = samplers.sequential(particles, 32, 2.0, 3, rng, block=8).rows
    scores = sequence_scores(base[0], prompts, completions(rows), base[1].pad_token_id)
    assert rows.sum_p() == pytest.approx(scores.logprob, abs=1e-4)
