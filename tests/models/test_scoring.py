"""Sequence log-probabilities: a fixed-logit fake that can be summed by hand, then the tiny base."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lib.models import scoring
from lib.models.scoring import micro_batches, scoring_mode, sequence_scores, token_scores

PAD = 0


@pytest.fixture(autouse=True, params=[True, False], ids=["once", "whole"])
def on_cpu(request, monkeypatch):
    """Every test with both kinds of passes: a shared prompt read once, as on a CPU, and whole rows, as on a GPU."""
    monkeypatch.setattr(scoring, "on_cpu", lambda model: request.param)
    return request.param


class FixedLogits(torch.nn.Module):
    """Whatever came before, the next token is 1, 2 or 3 with probabilities 1/2, 1/4 and 1/4."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.log(torch.tensor([1e-30, 0.5, 0.25, 0.25])))
        self.calls = []

    def forward(
        self, input_ids, attention_mask, use_cache, position_ids=None, past_key_values=None, logits_to_keep=0, return_dict=None
    ):
        assert return_dict or not use_cache  # or Unsloth answers a single token with a tuple, on a GPU
        assert use_cache == (position_ids is not None)  # for whole rows a cache would only take memory
        self.calls.append(tuple(input_ids.shape))
        cache = SimpleNamespace(layers=[], batch_select_indices=lambda rows: None)
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1), past_key_values=cache)


def test_sums_by_hand():
    prompts, completions = [[1], [2, 2, 2], [3]], [[1, 2], [1], [3, 2, 1, 1]]
    scores = sequence_scores(FixedLogits(), prompts, completions, PAD)
    np.testing.assert_allclose(scores.logprob, np.log([1 / 8, 1 / 2, 1 / 64]), rtol=1e-6)
    np.testing.assert_allclose(scores.entropy, 1.5 * np.log(2), rtol=1e-6)  # ½·log 2 + 2·¼·log 4


def test_temperature_divides_the_logits():
    """At T = ½ the probabilities are ∝ 1/4, 1/16, 1/16: 2/3, 1/6, 1/6."""
    scores = sequence_scores(FixedLogits(), [[1]], [[1, 2]], PAD, temperature=0.5)
    np.testing.assert_allclose(scores.logprob, np.log([2 / 3 * 1 / 6]), rtol=1e-5)


def test_an_empty_completion_is_certain_and_an_empty_prompt_refused():
    assert sequence_scores(FixedLogits(), [[1, 2]], [[]], PAD).logprob[0] == 0.0
    with pytest.raises(ValueError, match="A prompt is empty"):
        sequence_scores(FixedLogits(), [[]], [[1]], PAD)


def test_completion_tokens_that_equal_the_padding_token_still_count():
    scores = sequence_scores(FixedLogits(), [[1], [1]], [[PAD], [1, 1, 1]], PAD)
    np.testing.assert_allclose(scores.logprob, [np.log(1e-30), 3 * np.log(0.5)], rtol=1e-5)


def test_micro_batches_keep_to_the_budget_and_lose_nothing(on_cpu):
    lengths = [5, 40, 7, 7, 39, 90]
    batches = micro_batches([[1]] * 6, [[1] * (n - 1) for n in lengths], 80)
    assert sorted(i for batch in batches for i in batch) == list(range(6))
    assert batches == [[5], [1, 4], [2, 3, 0]]
    fake = FixedLogits()
    sequence_scores(fake, [[1]] * 6, [[1] * (n - 1) for n in lengths], PAD, token_budget=80)
    once = [(1, 1), (1, 88), (1, 1), (2, 38), (1, 1), (3, 5)]  # the prompt, then all that predicts something
    assert fake.calls == (once if on_cpu else [(1, 90), (2, 40), (3, 7)])


def test_a_prompt_that_a_group_shares_counts_once():
    """Prompts of 10 tokens, completions of 5: three of one prompt read 10 + 15 tokens, and one of another prompt 15 more."""
    prompts, completions = [[1] * 10] * 3 + [[2] * 10], [[1] * 5] * 4
    assert micro_batches(prompts, completions, 40, shared=True) == [[0, 1, 2, 3]]
    assert micro_batches(prompts, completions, 39, shared=True) == [[0, 1, 2], [3]]
    assert micro_batches(prompts, completions, 39) == [[0, 1], [2, 3]]
    assert micro_batches([[1] * 10, [2] * 4], [[1] * 5] * 2, 29, shared=True) == [[0], [1]]  # the shorter one is padded


def test_modes_and_flags_are_restored_when_the_model_raises(monkeypatch):
    monkeypatch.setenv("UNSLOTH_RETURN_HIDDEN_STATES", "1")
    model = FixedLogits().train()
    with pytest.raises(RuntimeError), scoring_mode(model, reference=False):
        assert not model.training and not torch.is_grad_enabled()
        assert os.environ["UNSLOTH_RETURN_HIDDEN_STATES"] == "0"
        raise RuntimeError
    assert model.training and torch.is_grad_enabled()
    assert os.environ["UNSLOTH_RETURN_HIDDEN_STATES"] == "1"


def test_a_reference_needs_an_adapter():
    with pytest.raises(ValueError, match="has no adapter"):
        sequence_scores(FixedLogits(), [[1]], [[1]], PAD, reference=True)


def _pairs(tokenizer):
    problems = ["1+2", "4821+6396", "77+5", "9999+9999", "0+10"]
    texts = ["\\boxed{3}", "1+6+0=7;2+9+0=11;8+3+1=12;4+6+1=11;\\boxed{11217}", "\\boxed{82}", "\\boxed{19998}", ";;"]
    prompts = [tokenizer(f"<bos><user>{p}<assistant>", add_special_tokens=False)["input_ids"] for p in problems]
    return prompts, [tokenizer(f"{t}<eos>", add_special_tokens=False)["input_ids"] for t in texts]


def test_padding_and_batching_change_nothing(base):
    model, tokenizer = base
    prompts, completions = _pairs(tokenizer)
    together = sequence_scores(model, prompts, completions, tokenizer.pad_token_id)
    apart = sequence_scores(model, prompts, completions, tokenizer.pad_token_id, token_budget=1)
    alone = [sequence_scores(model, [p], [c], tokenizer.pad_token_id).logprob[0] for p, c in zip(prompts, completions)]
    np.testing.assert_allclose(together.logprob, apart.logprob, atol=1e-3, rtol=1e-5)
    np.testing.assert_allclose(together.entropy, apart.entropy, atol=1e-4)
    np.testing.assert_array_equal(apart.logprob, alone)


def test_a_prompt_read_once_for_its_group_scores_as_whole_rows_do(base, monkeypatch):
    """Two prompts of different length, with completions of 1 to 30 tokens, in several micro-batches: per token to 1e-5 nats."""
    model, tokenizer = base
    (short, long, *_), (one, worked, *_) = _pairs(tokenizer)
    prompts, completions = [short, short, long, long, short], [one, worked, worked, worked[:9], worked[:1]]
    found = []
    for once in (True, False):
        monkeypatch.setattr(scoring, "on_cpu", lambda model, once=once: once)
        found.append(token_scores(model, prompts, completions, tokenizer.pad_token_id, token_budget=100))
    for read_once, whole in zip(*found):
        torch.testing.assert_close(read_once, whole, atol=1e-5, rtol=1e-5)
    assert found[0].lengths.tolist() == list(map(len, completions))
    assert all((row[len(ids) :] == 0).all() for row, ids in zip(found[0].logprob, completions))


def test_gradients_are_those_of_the_librarys_loss(policy):
    """d/dθ of a sum over tokens with weights, against transformers' cross-entropy of whole rows."""
    model, tokenizer = policy
    prompts, completions = _pairs(tokenizer)
    prompts, completions = prompts[:2] * 2, [completions[0], completions[1], completions[1], completions[0]]
    weights = [p for n, p in model.named_parameters() if "lora_B" in n]
    scores = token_scores(model, prompts, completions, tokenizer.pad_token_id, token_budget=80, gradient=True)
    factor = torch.arange(1, 5, dtype=torch.float64)[:, None]
    ours = torch.autograd.grad((scores.logprob * factor).sum(), weights)
    loss = 0.0
    for i, (prompt, completion) in enumerate(zip(prompts, completions)):
        labels = torch.tensor([[-100] * len(prompt) + completion])
        loss = loss - (i + 1) * len(completion) * model(input_ids=torch.tensor([prompt + completion]), labels=labels).loss
    for mine, theirs in zip(ours, torch.autograd.grad(loss, weights)):
        torch.testing.assert_close(mine, theirs, atol=1e-5 * theirs.abs().max().item(), rtol=1e-4)


def test_the_loss_of_the_library_agrees(base):
    """The mean cross-entropy that transformers computes from labels, times the tokens, is −S."""
    model, tokenizer = base
    (prompt, *_), (completion, *_) = _pairs(tokenizer)
    ids = torch.tensor([prompt + completion])
    labels = torch.tensor([[-100] * len(prompt) + completion])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=labels).loss.item()
    score = sequence_scores(model, [prompt], [completion], tokenizer.pad_token_id).logprob[0]
    np.testing.assert_allclose(score, -loss * len(completion), rtol=1e-4)


def test_policy_and_reference_are_equal_bit_for_bit_before_training(policy):
    model, tokenizer = policy
    batch = *_pairs(tokenizer), tokenizer.pad_token_id
    ours, reference = sequence_scores(model, *batch), sequence_scores(model, *batch, reference=True)
    np.testing.assert_array_equal(ours.logprob, reference.logprob)


def test_a_changed_adapter_changes_the_policy_and_not_the_reference(policy):
    model, tokenizer = policy
    batch = *_pairs(tokenizer), tokenizer.pad_token_id
    before = sequence_scores(model, *batch, reference=True)
    weights = [p for n, p in model.named_parameters() if "lora_B" in n]
    try:
        for weight in weights:
            torch.nn.init.constant_(weight, 0.01)
        assert (sequence_scores(model, *batch).logprob != before.logprob).all()
        np.testing.assert_array_equal(sequence_scores(model, *batch, reference=True).logprob, before.logprob)
    finally:
        for weight in weights:
            torch.nn.init.zeros_(weight)
