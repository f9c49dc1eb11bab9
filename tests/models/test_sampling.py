"""Sampling with every setting explicit and a seed of its own for every sample."""

import sys
import types

import numpy as np
import pytest
import torch

from lib.data import problems
from lib.models import loading, sampling, scoring, sources, tiny, tokens
from lib.models.sampling import Progress, Sampler, VllmEngine, sample
from lib.storage.errors import UsageError


def _prompts(tokenizer, count=6):
    return tokens.prompt_ids(tokenizer, [p.messages for p in problems.load("arithmetic", "test", count)])


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


def test_the_batch_size_does_not_change_the_samples(base):
    """64 prompts of different lengths, four samples each: batches of 1, 7 and 64 pad differently and draw the same."""
    model, tokenizer = base
    prompts = [p for p in _prompts(tokenizer, 16) for _ in range(4)]
    assert len({len(p) for p in prompts}) > 1
    found = {size: sample(model, tokenizer, prompts, Sampler(batch_size=size)) for size in (1, 7, 64)}
    ids = {size: [c.ids for c in completions] for size, completions in found.items()}
    assert ids[1] == ids[7] == ids[64]
    logprobs = [[c.logprob for c in completions] for completions in found.values()]
    np.testing.assert_allclose(logprobs[0], logprobs[1], atol=1e-4)
    np.testing.assert_allclose(logprobs[0], logprobs[2], atol=1e-4)


def test_a_sample_does_not_depend_on_the_other_prompts(base):
    """A prompt's second sample is the same among others, after them, and with room for more tokens."""
    model, tokenizer = base
    one, two, three = _prompts(tokenizer, 3)
    alone = sample(model, tokenizer, [one, one], Sampler())
    among = sample(model, tokenizer, [two, one, three, two, one], Sampler(max_tokens=80))
    assert [c.ids for c in alone] == [among[1].ids, among[4].ids] and alone[0].ids != alone[1].ids


def test_a_gpus_way_draws_the_same(policy, monkeypatch):
    """Inside transformers' `generate`, with the adapter beside its base, all rows to the end: the same completions."""
    model, tokenizer = policy
    weights = [p for n, p in model.named_parameters() if "lora_B" in n]
    prompts, found = [prompt for prompt in _prompts(tokenizer) for _ in range(4)], []
    try:
        for weight in weights:
            torch.nn.init.constant_(weight, 0.01)
        for here in (True, False):
            monkeypatch.setattr(sampling, "on_cpu", lambda model, here=here: here)
            found.append(sample(model, tokenizer, prompts, Sampler(temperature=0.8, top_k=9)))
        scores = scoring.sequence_scores(model, prompts, [c.ids for c in found[0]], tokenizer.pad_token_id)
    finally:
        for weight in weights:
            torch.nn.init.zeros_(weight)
    own, other = found
    assert [(c.ids, c.text, c.truncated) for c in own] == [(c.ids, c.text, c.truncated) for c in other]
    np.testing.assert_allclose([c.logprob for c in own], [c.logprob for c in other], atol=1e-4)
    np.testing.assert_allclose([c.logprob for c in own], scores.logprob, atol=1e-4)  # merged for sampling, not for scoring


def test_seeds_are_of_the_prompt_and_its_count_alone():
    first, second = sampling.sample_seeds([[1, 2], [1, 2]], 0)
    assert sampling.sample_seeds([[1], [1, 2], [3], [1, 2]], 0)[1::2] == [first, second]
    assert len({first, second, *sampling.sample_seeds([[1, 2]], 1), *sampling.sample_seeds([[12]], 0)}) == 4


@pytest.mark.parametrize("how", [Sampler(), Sampler(temperature=0.6, top_p=0.9), Sampler(temperature=0)])
def test_the_log_probability_is_the_models_own_at_temperature_1(base, how):
    model, tokenizer = base
    prompts = _prompts(tokenizer, 12)
    completions = sample(model, tokenizer, prompts, how)
    scores = scoring.sequence_scores(model, prompts, [c.ids for c in completions], tokenizer.pad_token_id)
    np.testing.assert_allclose([c.logprob for c in completions], scores.logprob, atol=1e-4)


class FixedLogits(torch.nn.Module):
    """A model whose next token always has the same logits, for whatever came before; `generate` is a plain loop."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))
        self.generation_config = types.SimpleNamespace(eos_token_id=0)

    def forward(self, input_ids, past_key_values, **_):
        cache = types.SimpleNamespace(layers=[], batch_select_indices=lambda rows: None)
        return types.SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1), past_key_values=cache)

    def generate(self, input_ids, attention_mask, generation_config, logits_processor):
        for _ in range(generation_config.max_new_tokens):
            scores = logits_processor[0](input_ids, self.logits.expand(len(input_ids), -1))
            input_ids = torch.cat([input_ids, scores.argmax(1, keepdim=True)], 1)
        return input_ids


class Letters:
    """As much of a tokenizer as sampling needs; 0 is EOS and 4 pads."""

    pad_token_id, eos_token_id = 4, 0

    def decode(self, ids, skip_special_tokens):
        return "".join("·abcd"[i] for i in ids if i)


LOGITS = [np.log(p) for p in (0.1, 0.4, 0.3, 0.15, 0.05)]


@pytest.mark.parametrize("here", [True, False], ids=["cpu", "gpu"])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Sampler(), [0.1, 0.4, 0.3, 0.15, 0.05]),
        (Sampler(temperature=0.5), [0.01, 0.16, 0.09, 0.0225, 0.0025]),  # squares
        (Sampler(top_k=2), [0, 0.4, 0.3, 0, 0]),
        (Sampler(top_p=0.7), [0, 0.4, 0.3, 0, 0]),  # they make 0.7 just so
        (Sampler(top_p=0.71), [0, 0.4, 0.3, 0.15, 0]),
        (Sampler(repetition_penalty=2.0), [0.1, 0.16, 0.3, 0.15, 0.05]),  # the prompt has token 1: a log doubled, a square
        (Sampler(temperature=0), [0, 1, 0, 0, 0]),
    ],
)
def test_shares_by_hand(how, expected, here, monkeypatch):
    """10,000 first tokens against the distribution that a person can sum, within five standard errors."""
    import dataclasses

    monkeypatch.setattr(sampling, "on_cpu", lambda model: here)
    count, expected = 10_000, np.array(expected) / np.sum(expected)
    how = dataclasses.replace(how, max_tokens=1, batch_size=count)
    drawn = sample(FixedLogits(LOGITS), Letters(), [[1]] * count, how)
    shares = np.bincount([c.ids[0] for c in drawn], minlength=5) / count
    assert np.all(np.abs(shares - expected) <= 5 * np.sqrt(expected * (1 - expected) / count))
    assert drawn[0].logprob == pytest.approx(LOGITS[drawn[0].ids[0]])


def test_filters_agree_with_those_of_transformers():
    """Penalty, temperature, top_k and top_p together, on random logits, against the library's own processors."""
    from transformers.generation import logits_process as hf

    logits, ids = torch.randn(8, 40, generator=torch.manual_seed(0)).double() * 3, torch.tensor([[5, 6, 7]] * 8)
    how = Sampler(temperature=0.7, top_p=0.8, top_k=12, repetition_penalty=1.3)
    draw = sampling._Draw(how, [0] * 8, 39, {0}, Progress(None, 8), ())
    expected = hf.RepetitionPenaltyLogitsProcessor(1.3)(ids, logits)
    for warper in (hf.TemperatureLogitsWarper(0.7), hf.TopKLogitsWarper(12), hf.TopPLogitsWarper(0.8)):
        expected = warper(ids, expected)
    assert torch.equal(draw._shaped(logits, ids) == -torch.inf, expected == -torch.inf)
    torch.testing.assert_close(draw._shaped(logits, ids), expected)


def test_padding_is_never_penalised():
    """A shorter prompt is padded; the penalty on the padding token would depend on the batch."""
    how = Sampler(repetition_penalty=1.3)
    draw = sampling._Draw(how, [0], 4, {0}, Progress(None, 1), ())
    logits = torch.tensor([LOGITS])
    assert torch.equal(draw._shaped(logits, torch.tensor([[4, 1]])), draw._shaped(logits, torch.tensor([[1, 1]])))


def test_the_bar_shows_tokens_a_second_and_the_time_left(base, capsys):
    model, tokenizer = base
    completions = sample(model, tokenizer, _prompts(tokenizer, 6), Sampler(batch_size=3), progress="drawing")
    shown = capsys.readouterr().err
    assert "drawing: 100%" in shown and "6/6" in shown and "tokens/s" in shown and "<" in shown
    with Progress("two calls", 12) as progress:
        for _ in range(2):
            sample(model, tokenizer, _prompts(tokenizer, 6), Sampler(), progress)
        assert progress.n == 12 and progress.tokens == 2 * sum(len(c.ids) for c in completions)


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"max_tokens": 0}, {"batch_size": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match="makes no sense"):
        Sampler(**wrong)


def test_vllm_gets_every_setting_and_a_seed_a_sample(monkeypatch):
    """Against a stand-in for vLLM, which cannot run here: what it is asked for, and what is made of its answers."""
    asked = {}

    def generate(prompts, settings, lora_request, use_tqdm):
        asked.update(prompts=prompts, settings=settings, lora=lora_request)
        ends = [[1, 2, 0], [1, 2]]
        outputs = [types.SimpleNamespace(token_ids=ids, cumulative_logprob=-float(len(ids))) for ids in ends]
        return [types.SimpleNamespace(outputs=[output]) for output in outputs]

    monkeypatch.setitem(sys.modules, "vllm", types.SimpleNamespace(SamplingParams=lambda **settings: settings))
    engine = VllmEngine(types.SimpleNamespace(generate=generate), "adapter", {0})
    found = sample(engine, Letters(), [[7], [7]], Sampler(temperature=0.5, top_p=0.9, repetition_penalty=1.1, max_tokens=2))
    assert [c.text for c in found] == ["ab", "ab"] and [c.truncated for c in found] == [False, True]
    assert [c.logprob for c in found] == [-3.0, -2.0] and asked["lora"] == "adapter"
    first, second = asked["settings"]
    assert first.pop("seed") != second.pop("seed") and first == second
    assert first == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": -1,
        "repetition_penalty": 1.1,
        "max_tokens": 2,
        "stop_token_ids": [0],
        "logprobs": 0,
        "detokenize": False,
    }
    with pytest.raises(UsageError, match="cannot ban first tokens"):
        sample(engine, Letters(), [[7]], Sampler(), first_not=[1])


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
    exact = np.exp(scoring.sequence_scores(model, [prompt], [[box]], tokenizer.pad_token_id).logprob[0])
    assert abs(share - exact) < 4 * np.sqrt(exact * (1 - exact) / count)


def test_nothing_comes_from_the_models_own_generation_config(tmp_path):
    """Some instruct models ship a repetition penalty or a top_k; neither may reach training or evaluation."""
    model, tokenizer = tiny.build_model(), tiny.build_tokenizer()
    model.generation_config.update(do_sample=True, repetition_penalty=1.5, min_p=0.9, top_k=1, temperature=0.1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, tokenizer = loading.load(sources.resolve(str(tmp_path)), 64)
    kept = {k: v for k, v in loaded.generation_config.to_diff_dict().items() if v is not None}
    assert set(kept) <= {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config"}
    drawn = sample(loaded, tokenizer, [[1, 4, 7, 5]] * 300, Sampler(max_tokens=1))
    assert len({c.ids[0] for c in drawn}) > 20  # near uniform over 30 tokens, which any of the four would prevent


def test_training_mode_is_restored(base):
    model, tokenizer = base
    model.train()
    sample(model, tokenizer, _prompts(tokenizer, 1), Sampler(max_tokens=2))
    assert model.training
    with pytest.raises(ValueError, match="A prompt is empty"):  # inside generation
        sample(model, tokenizer, [[]], Sampler(max_tokens=2))
    assert model.training
    model.eval()
