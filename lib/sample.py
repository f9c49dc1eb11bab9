"""Sampling completions, with every sampling setting explicit and a seed of its own for every sample.

The Hugging Face engine generates, and draws its tokens here: the inverse of the cumulative distribution at a uniform number that
depends on (seed, prompt, how often that prompt came before, position) alone, not on the batch. vLLM does the same work where
it is installed and a GPU is there (`vllm_engine`; not run yet). What a completion is worth is `lib.evaluate`; its
log-probability under a policy and a reference, in equal batches, is `lib.likelihood`.
"""

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from lib.models import eos_token_ids
from lib.runs import UsageError


@dataclass(frozen=True)
class Sampler:
    """How to sample. `temperature` 0 means greedy; nothing is taken from the model's own generation config but EOS."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all tokens
    repetition_penalty: float = 1.0
    max_tokens: int = 64
    batch_size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        fits = self.temperature >= 0 and 0 < self.top_p <= 1 and self.top_k >= 0 and self.repetition_penalty > 0
        if not fits or self.max_tokens < 1 or self.batch_size < 1:
            raise UsageError(
                f"{self} makes no sense: temperature and top_k are at least 0, top_p is in (0, 1], repetition_penalty "
                "above 0, max_tokens and batch_size at least 1."
            )


@dataclass(frozen=True)
class Completion:
    """`ids` without padding, EOS included if there is one; `truncated` if there is none.

    `logprob` is Σ log π(y_t | x, y_<t) over `ids` in nats: the model's own, at temperature 1 and before top_p, top_k, the
    penalty and banned tokens, whatever it was sampled with. It comes from the sampling passes and agrees with
    `likelihood.sequence_scores` up to rounding.
    """

    ids: list[int]
    text: str
    truncated: bool
    logprob: float


class Progress:
    """A progress bar over samples, with tokens a second and the time left; use it as a context."""

    def __init__(self, name: str | None, total: int, done: int = 0):
        self.bar = tqdm(total=total, initial=done, desc=name, disable=name is None, unit="sample")
        self.started, self.tokens = time.perf_counter(), 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_error) -> None:
        self.bar.close()

    def add(self, samples: int, tokens: int) -> None:
        """So many samples ended, and so many tokens were drawn for them and for others."""
        self.tokens += tokens
        rate = self.tokens / max(1e-9, time.perf_counter() - self.started)
        self.bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
        self.bar.update(samples)


class VllmEngine(NamedTuple):
    """A vLLM model, and the adapter to sample it with."""

    llm: Any  # vllm.LLM
    lora: Any  # vllm.lora.request.LoRARequest, or None
    ends: set[int]


def sample(
    model,
    tokenizer,
    prompt_ids: Sequence[Sequence[int]],
    sampler: Sampler,
    progress: str | Progress | None = None,
    first_not: Sequence[int] = (),
) -> list[Completion]:
    """One completion for each of N prompts (repeat a prompt for several). `first_not` bans ids as a first token.

    `model` is a Hugging Face model, or a `VllmEngine`. On a CPU in float32 the same prompt, seed and count lead to the same
    completions in every batch size: padding moves logits by about 1e-6, so a token differs only if its uniform number lies that
    close to the edge of two tokens, about one token in a million. `progress` names a progress bar, or is one that goes on over
    several calls. The model's training mode is restored, also after an error.
    """
    ended = Progress(progress, len(prompt_ids)) if not isinstance(progress, Progress) else progress
    with ended if ended is not progress else contextlib.nullcontext():
        if isinstance(model, VllmEngine):
            return _sample_vllm(model, tokenizer, prompt_ids, sampler, ended, first_not)
        training, completions = model.training, []
        seeds = sample_seeds(prompt_ids, sampler.seed)
        model.eval()
        try:
            with torch.no_grad():
                for start in range(0, len(prompt_ids), sampler.batch_size):
                    part = slice(start, start + sampler.batch_size)
                    completions += _generate(model, tokenizer, prompt_ids[part], seeds[part], sampler, ended, first_not)
        finally:
            model.train(training)
        return completions


def sample_seeds(prompt_ids: Sequence[Sequence[int]], seed: int) -> list[int]:
    """A seed of 64 bits for each prompt: of `seed`, the prompt's ids, and how often the same prompt came before."""
    before: Counter[tuple[int, ...]] = Counter()
    seeds = []
    for ids in map(tuple, prompt_ids):
        key = f"{seed} {before[ids]} {ids}".encode()
        seeds.append(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))
        before[ids] += 1
    return seeds


def _generate(model, tokenizer, prompt_ids, seeds, sampler, progress, first_not) -> list[Completion]:
    """Completions of one left-padded batch."""
    from transformers import GenerationConfig

    width, pad = max(len(ids) for ids in prompt_ids), tokenizer.pad_token_id
    device = next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompt_ids], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompt_ids], device=device)
    ends = eos_token_ids(model, tokenizer)
    draw = _Draw(sampler, seeds, width, pad, ends, progress, first_not, device)
    config = GenerationConfig(
        do_sample=False,  # what is to be the next token is settled by `draw`
        max_new_tokens=sampler.max_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=pad,
    )
    output = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, logits_processor=[draw])
    logprobs = torch.stack(draw.logprobs, dim=1).cpu().numpy()
    completions = []
    for row, logprob in zip(output[:, width:].tolist(), logprobs, strict=True):
        end = next((i for i, token in enumerate(row) if token in ends), None)
        row = row if end is None else row[: end + 1]
        text = tokenizer.decode(row, skip_special_tokens=True)
        completions.append(Completion(row, text, end is None, float(logprob[: len(row)].sum())))
    return completions


class _Draw:
    """A logits processor that draws the next token itself and leaves no other one possible; it keeps log-probabilities."""

    def __init__(self, sampler, seeds, width, pad, ends, progress, first_not, device):
        self.sampler, self.width, self.pad, self.first_not = sampler, width, pad, list(first_not)
        self.progress, self.ends = progress, torch.tensor(sorted(ends), device=device)
        uniforms = [np.random.default_rng(seed).random(sampler.max_tokens) for seed in seeds]
        self.uniforms = torch.from_numpy(np.array(uniforms)).to(device)
        self.alive = torch.ones(len(seeds), dtype=torch.bool, device=device)
        self.logprobs: list[torch.Tensor] = []  # of each position, [B] float64

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [B, V] that are 0 for the token drawn and −∞ elsewhere, after `input_ids` [B, width + position]."""
        position = input_ids.shape[1] - self.width
        logits = scores.double()
        chosen = self._choose(self._shaped(logits, input_ids, position), position)
        self.logprobs.append((logits.gather(1, chosen) - logits.logsumexp(1, keepdim=True)).squeeze(1))
        running = int(self.alive.sum())
        self.alive &= ~torch.isin(chosen.squeeze(1), self.ends)
        still = int(self.alive.sum()) if position + 1 < self.sampler.max_tokens else 0
        self.progress.add(running - still, running)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    def _shaped(self, logits: torch.Tensor, input_ids: torch.Tensor, position: int) -> torch.Tensor:
        """The logits [B, V] to draw from: the penalty first, then banned tokens out, temperature, top_k, top_p."""
        sampler = self.sampler
        if sampler.repetition_penalty != 1:
            logits = self._penalised(logits, input_ids)
        if self.first_not and position == 0:
            logits = logits.index_fill(1, torch.tensor(self.first_not, device=logits.device), -torch.inf)
        if sampler.temperature > 0:
            logits = logits / sampler.temperature
        if 0 < sampler.top_k < logits.shape[1]:
            least = logits.topk(sampler.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if sampler.top_p < 1:
            probs, order = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True, stable=True)
            over = probs.cumsum(-1) - probs >= sampler.top_p  # the likelier ones reach top_p without it
            logits = logits.masked_fill(torch.zeros_like(over).scatter(1, order, over), -torch.inf)
        return logits

    def _penalised(self, logits: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Logits of tokens that were there before, prompt included and padding not, made smaller by the penalty.

        Positive ones divided by it, negative ones times it (Keskar et al. 2019, arXiv 1909.05858).
        """
        seen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, input_ids, True)
        seen[:, self.pad] = False
        penalty = self.sampler.repetition_penalty
        return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    def _choose(self, scores: torch.Tensor, position: int) -> torch.Tensor:
        """The token of each row, [B, 1]: the likeliest if greedy, else where the cumulative distribution passes the uniform."""
        if self.sampler.temperature == 0:
            return scores.argmax(dim=-1, keepdim=True)
        cumulative = torch.softmax(scores, dim=-1).cumsum(-1)
        target = self.uniforms[:, position, None] * cumulative[:, -1:]
        return torch.searchsorted(cumulative, target, right=True).clamp(max=scores.shape[1] - 1)


def vllm_engine(model, tokenizer, adapter: Path | None) -> VllmEngine:
    """The vLLM engine of a base that was loaded with one (`models.load`), with a trained adapter if there is one. Not run yet."""
    from vllm.lora.request import LoRARequest

    lora = LoRARequest("run", 1, str(adapter)) if adapter else None
    return VllmEngine(model.vllm_engine, lora, eos_token_ids(model, tokenizer))


def _sample_vllm(engine: VllmEngine, tokenizer, prompt_ids, sampler, progress, first_not) -> list[Completion]:
    """As `sample`; the seeds are a sample's own, but vLLM's kernels may still depend on the batch in the last bits."""
    import vllm

    if first_not:
        raise UsageError("vLLM cannot ban first tokens here: sample with the Hugging Face engine instead.")
    settings = [
        vllm.SamplingParams(
            temperature=sampler.temperature,
            top_p=sampler.top_p,
            top_k=sampler.top_k or -1,
            repetition_penalty=sampler.repetition_penalty,
            max_tokens=sampler.max_tokens,
            seed=seed % 2**63,
            stop_token_ids=sorted(engine.ends),
            logprobs=0,  # of the token drawn alone
            detokenize=False,
        )
        for seed in sample_seeds(prompt_ids, sampler.seed)
    ]
    prompts = [{"prompt_token_ids": list(ids)} for ids in prompt_ids]
    outputs = [o.outputs[0] for o in engine.llm.generate(prompts, settings, lora_request=engine.lora, use_tqdm=False)]
    completions = []
    for output in outputs:
        ids = list(output.token_ids)
        text = tokenizer.decode(ids, skip_special_tokens=True)
        completions.append(Completion(ids, text, ids[-1] not in engine.ends, float(output.cumulative_logprob)))
        progress.add(1, len(ids))
    return completions
