"""The likeliest completions against brute force over every completion of a toy model, and against what a tiny base writes."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.data import problems
from lib.models import search, tokens
from lib.models.sampling import Sampler, sample
from lib.models.scoring import sequence_scores


class Chain(torch.nn.Module):
    """A Markov chain over four tokens, 0 being EOS: the next token depends on the last one alone."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(2 * torch.randn(4, 4, generator=torch.manual_seed(3)))
        self.generation_config = SimpleNamespace(eos_token_id=0)

    def forward(self, input_ids, logits_to_keep=0, **_):
        cache = SimpleNamespace(layers=[], batch_select_indices=lambda rows: None)
        return SimpleNamespace(logits=self.table[input_ids], past_key_values=cache)


TOKENIZER = SimpleNamespace(pad_token_id=3, eos_token_id=0)


def every_completion(model: Chain, longest: int) -> dict[tuple[int, ...], float]:
    """log p of all completions after token 1, those cut off after `longest` tokens included."""
    log_p = torch.log_softmax(model.table, 1).detach().double().numpy()
    ended = [(*begun, 0) for n in range(longest) for begun in itertools.product((1, 2, 3), repeat=n)]
    full = itertools.product((1, 2, 3), repeat=longest)
    return {ids: sum(log_p[a, b] for a, b in zip((1, *ids), ids)) for ids in (*ended, *full)}


@pytest.mark.parametrize("floor", [-1.5, -4.0, -8.0, -9.0, -30.0])  # 18 and 21 completions lie within 0.3 nats above −8 and −9
def test_it_finds_every_completion_above_the_floor_and_no_other(floor):
    model = Chain()
    whole = every_completion(model, 6)
    assert np.exp(list(whole.values())).sum() == pytest.approx(1, abs=1e-6)
    (found,) = search.likely(model, TOKENIZER, [[2, 1]], [floor], 6)
    expected = {ids: logprob for ids, logprob in whole.items() if logprob >= floor}
    assert {tuple(ids): logprob for ids, logprob in zip(found.ids, found.logprob)} == pytest.approx(expected, abs=1e-5)
    assert found.logprob.tolist() == sorted(found.logprob, reverse=True)


@pytest.mark.parametrize("floor", [-1.5, -3.0, -30.0])
def test_the_bounds_of_the_partition_function_hold_it(floor):
    model = Chain()
    exact = np.logaddexp.reduce(4 * np.array(list(every_completion(model, 6).values())))
    (found,) = search.likely(model, TOKENIZER, [[1]], [floor], 6)
    low, high = found.log_partition(4)
    assert low - 1e-5 <= exact <= high + 1e-5
    assert floor > -30 or high - low < 1e-5


def test_nothing_above_the_floor_leaves_the_whole_of_p_in_the_bound():
    low, high = search.Likely([], np.array([]), -2.0).log_partition(3)
    assert low == -np.inf and high == pytest.approx(-4.0)


def test_the_likeliest_completion_of_a_base_is_at_least_what_it_writes_itself(base):
    model, tokenizer = base
    prompts = tokens.prompt_ids(tokenizer, [p.messages for p in problems.load("arithmetic", "test", 6)])
    found = search.likely(model, tokenizer, prompts, [-4.0] * 6, 64)
    for how in (Sampler(temperature=0), Sampler(temperature=0.5)):
        for prompt, drawn, own in zip(prompts, sample(model, tokenizer, prompts, how), found):
            assert own.logprob[0] >= drawn.logprob - 1e-4
            assert drawn.ids in own.ids or drawn.logprob < -4.0 + 1e-3
            scores = sequence_scores(model, [prompt] * len(own.ids), own.ids, tokenizer.pad_token_id)
            np.testing.assert_allclose(scores.logprob, own.logprob, atol=1e-4)
