"""A base that is made to show its work: the conditioned distribution, and how far it is from the base."""

import numpy as np
import pytest

from lib.data import problems
from lib.evaluation import elicitation
from lib.evaluation.config import EvalConfig
from lib.models import loading, scoring, sources, tokens


@pytest.fixture(scope="module")
def base():
    return loading.load(sources.resolve("one_wording"), 128)


def test_no_completion_starts_with_the_box_and_kl_is_what_that_costs(base):
    """log p of a worked completion given that it is worked is its log p plus −log P(worked): the mean over its samples is KL."""
    model, tokenizer = base
    config, asked = EvalConfig(samples=8), problems.load("arithmetic", "test", 12)
    found = elicitation.made_to_work(model, tokenizer, asked, config)
    assert len(found.sampled) == 96 and len(found.greedy) == 12
    assert not found.sampled["direct"].any() and not found.greedy["direct"].any()
    prompts = tokens.prompt_ids(tokenizer, [p.messages for p in asked])
    firsts = [i for i in range(len(tokenizer)) if i != tokenizer.convert_tokens_to_ids(elicitation.BOX)]
    worked = [scoring.sequence_scores(model, [prompt] * len(firsts), [[one] for one in firsts], 0).logprob for prompt in prompts]
    np.testing.assert_allclose(found.kl, [-np.log(np.exp(one).sum()) for one in worked], atol=1e-4)
    assert 0.6 < found.kl.mean() < 1.2  # four completions in ten are worked


def test_what_it_writes_is_what_the_base_writes_when_it_works(base):
    """Its samples have the base's own log-probabilities, and are right far more often than the base."""
    model, tokenizer = base
    asked = problems.load("arithmetic", "test", 12)
    sampled = elicitation.made_to_work(model, tokenizer, asked, EvalConfig(samples=8)).sampled
    prompts = tokens.prompt_ids(tokenizer, [p.messages for p in asked for _ in range(8)])
    scores = scoring.sequence_scores(model, prompts, sampled["ids"].tolist(), tokenizer.pad_token_id)
    np.testing.assert_allclose(sampled["policy_logprob"], scores.logprob, atol=1e-4)
    assert sampled["correct"].mean() > 0.75
