"""Sampling with every setting explicit."""

import numpy as np
import pytest
import torch

from lib import likelihood, models, problems, tiny
from lib.sample import Sampler, sample


def _prompts(tokenizer, count=6):
    return models.prompt_ids(tokenizer, [p.messages for p in problems.load("arithmetic", "test", count)])


def test_greedy_does_not_depend_on_the_batch_and_ends_with_eos(base):
    model, tokenizer = base
    prompts = _prompts(tokenizer)
    together = sample(model, tokenizer, prompts, Sampler(temperature=0))
    apart = sample(model, tokenizer, prompts, Sampler(temperature=0, batch_size=1))
    assert [c.ids for c in together] == [c.ids for c in apart]
    assert all(c.ids[-1] == tokenizer.eos_token_id and not c.truncated for c in together)
    assert all(tokenizer.eos_token_id not in c.ids[:-1] and tokenizer.pad_token_id not in c.ids for c in together)


def test_the_first_greedy_token_is_the_argmax(base):
    model, tokenizer = base
    for prompt in _prompts(tokenizer, 3):
        with torch.no_grad():
            best = model(torch.tensor([prompt])).logits[0, -1].argmax().item()
        assert sample(model, tokenizer, [prompt], Sampler(temperature=0))[0].ids[0] == best


def test_a_seed_repeats_and_another_differs(base):
    model, tokenizer = base
    prompts = _prompts(tokenizer)
    first, again, other = (sample(model, tokenizer, prompts, Sampler(seed=s)) for s in (1, 1, 2))
    assert [c.ids for c in first] == [c.ids for c in again] != [c.ids for c in other]


def test_a_cut_off_completion_is_truncated(base):
    model, tokenizer = base
    short = sample(model, tokenizer, _prompts(tokenizer), Sampler(temperature=0, max_tokens=3))
    assert all(c.truncated and len(c.ids) == 3 for c in short)


def test_banned_first_tokens_are_not_first_but_may_follow(base):
    model, tokenizer = base
    box = tokenizer.convert_tokens_to_ids("\\boxed{")
    worked = sample(model, tokenizer, _prompts(tokenizer), Sampler(temperature=0), first_not=[box])
    assert all(c.ids[0] != box and box in c.ids for c in worked)


def test_samples_come_from_the_model_at_temperature_1(base):
    """How often a first token is drawn, against the model's own probability of it, within four standard errors."""
    model, tokenizer = base
    prompt, count = _prompts(tokenizer, 1)[0], 2000
    drawn = sample(model, tokenizer, [prompt] * count, Sampler(max_tokens=1, batch_size=count))
    box = tokenizer.convert_tokens_to_ids("\\boxed{")
    share = np.mean([c.ids[0] == box for c in drawn])
    exact = np.exp(likelihood.sequence_scores(model, [prompt], [[box]], tokenizer.pad_token_id).logprob[0])
    assert abs(share - exact) < 4 * np.sqrt(exact * (1 - exact) / count)


def test_nothing_comes_from_the_models_own_generation_config(tmp_path):
    """Some instruct models ship a repetition penalty or a top_k; neither may reach training or evaluation."""
    model, tokenizer = tiny.build_model(), tiny.build_tokenizer()
    model.generation_config.update(do_sample=True, repetition_penalty=1.5, min_p=0.9, top_k=1, temperature=0.1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, tokenizer = models.load(models.resolve(str(tmp_path)), 64)
    kept = {k: v for k, v in loaded.generation_config.to_diff_dict().items() if v is not None}
    assert set(kept) <= {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config"}
    drawn = sample(loaded, tokenizer, [[1, 4, 7, 5]] * 300, Sampler(max_tokens=1))
    assert len({c.ids[0] for c in drawn}) > 20  # near uniform over 30 tokens, which any of the four would prevent


def test_training_mode_is_restored(base):
    model, tokenizer = base
    model.train()
    sample(model, tokenizer, _prompts(tokenizer, 1), Sampler(max_tokens=2))
    assert model.training
    with pytest.raises(RuntimeError):  # an empty prompt, inside generation
        sample(model, tokenizer, [[]], Sampler(max_tokens=2))
    assert model.training
    model.eval()
