"""Sampling completions, with every sampling setting explicit and a seed of its own for every sample.

Tokens are drawn here: the inverse of the cumulative distribution at a uniform number that depends on (seed, prompt, how often that
prompt came before, position) alone, not on the batch. On a CPU the kit passes the tokens on itself: it reads a prompt once for all
of its samples, and no more a completion that has ended. On a GPU transformers does, or vLLM where it is installed (`vllm_engine`;
not run yet). What a completion is worth is `lib.evaluation.grading`."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from lib.models.dense import merged
from lib.models.reader import Reader, on_cpu
from lib.models.scoring import scoring_mode
from lib.models.tokens import Model, Tokenizer, eos_token_ids, padded
from lib.storage.errors import UsageError


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
            allowed = "temperature and top_k from 0, top_p above 0 and up to 1, repetition_penalty above 0, the others from 1"
            raise UsageError(f"{self} makes no sense. Allowed are {allowed}.")


@dataclass(frozen=True)
class Completion:
    """`ids` without padding, EOS included if there is one; `truncated` if there is none. `logprob` is Σ log π(y_t | x, y_<t) over
    `ids` in nats, the model's own whatever it was sampled with: at temperature 1, without filters. It comes from the sampling
    passes, and agrees with `scoring.sequence_scores` up to rounding."""

    ids: list[int]
    text: str
    truncated: bool
    logprob: float


class Progress(tqdm):
    """A progress bar over samples, with tokens a second and the time left; use it as a context."""

    def __init__(self, name: str | None, total: int, done: int = 0):
        super().__init__(total=total, initial=done, desc=name, disable=name is None, unit="sample")
        self.tokens = 0

    def add(self, samples: int, tokens: int) -> None:
        """So many samples ended, and so many tokens were drawn for them and for others."""
        self.tokens += tokens
        rate = self.tokens / max(1e-9, self.format_dict["elapsed"])
        self.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
        self.update(samples)


class VllmEngine(NamedTuple):
    """A vLLM model, and the adapter to sample it with."""

    llm: Any  # vllm.LLM
    lora: Any  # vllm.lora.request.LoRARequest, or None
    ends: set[int]


def sample(
    model: Any,
    tokenizer: Tokenizer,
    prompt_ids: Sequence[Sequence[int]],
    sampler: Sampler,
    progress: str | Progress | None = None,
    first_not: Sequence[int] = (),
    ends: set[int] | None = None,
) -> list[Completion]:
    """One completion for each of N prompts (repeat a prompt for several) by a Hugging Face model, or a `VllmEngine`. On a CPU in
    float32 the same prompt, seed and count lead to the same completions in every batch size: padding moves logits by about 1e-6, so
    that one token in a million may differ, whose uniform number lies that close to the edge of two tokens. `progress` names a
    progress bar, or is one that goes on over several calls; `first_not` bans ids as a first token; `ends` are the ids that end a
    completion, None for those of the model."""
    if not isinstance(progress, Progress):
        with Progress(progress, len(prompt_ids)) as bar:
            return sample(model, tokenizer, prompt_ids, sampler, bar, first_not, ends)
    if isinstance(model, VllmEngine):
        if first_not:
            raise UsageError("vLLM cannot ban first tokens here: sample with the Hugging Face engine instead.")
        return _sample_vllm(model, tokenizer, prompt_ids, sampler, progress)
    seeds, completions = sample_seeds(prompt_ids, sampler.seed), []
    ends = eos_token_ids(model, tokenizer) if ends is None else ends
    generate = _read_on if on_cpu(model) else _generate
    with scoring_mode(model, reference=False), merged(model) if on_cpu(model) else contextlib.nullcontext():
        for start in range(0, len(prompt_ids), sampler.batch_size):
            part = slice(start, start + sampler.batch_size)
            draw = _Draw(sampler, seeds[part], tokenizer.pad_token_id, ends, progress, first_not)
            generate(model, prompt_ids[part], draw)
            completions += draw.completions(tokenizer)
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


def _read_on(model: Model, prompt_ids: Sequence[Sequence[int]], draw: "_Draw") -> None:
    """Draws the completions of one batch; rows that have ended are left out of what follows."""
    reader, seen = Reader(model, prompt_ids, draw.pad), padded(prompt_ids, draw.pad, "left")[0]
    while True:
        token, going = draw.next(seen, reader.logits)
        if not going.any():
            return
        reader.keep(going)
        token = token[going]
        seen = torch.cat([seen[going], token], dim=1)
        reader.read(token)


def _generate(model: Model, prompt_ids: Sequence[Sequence[int]], draw: "_Draw") -> None:
    """Draws the completions of one left-padded batch inside `generate`, which goes on with all rows until the last has ended."""
    from transformers import GenerationConfig

    limit, ends, device = draw.sampler.max_tokens, sorted(draw.ends), next(model.parameters()).device
    config = GenerationConfig(do_sample=False, max_new_tokens=limit, eos_token_id=ends, pad_token_id=draw.pad)
    ids, mask = padded(prompt_ids, draw.pad, "left")
    batch = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    model.generate(**batch, generation_config=config, logits_processor=[draw])


def _completion(tokenizer: Tokenizer, ids: list[int], ends: set[int], logprob: float) -> Completion:
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return Completion(ids, text, ids[-1] not in ends, float(logprob))


class _Draw:
    """Draws the tokens of one batch and keeps them with their log-probabilities, until each row has ended or is full."""

    def __init__(
        self, sampler: Sampler, seeds: Sequence[int], pad: int, ends: set[int], progress: Progress, first_not: Sequence[int]
    ):
        self.sampler, self.pad, self.ends, self.progress, self.first_not = sampler, pad, ends, progress, list(first_not)
        self.warpers = _warpers(sampler)
        self.uniforms = torch.tensor(np.array([np.random.default_rng(seed).random(sampler.max_tokens) for seed in seeds]))
        self.last = torch.tensor(sorted(ends), dtype=torch.long)
        self.ids = torch.full(self.uniforms.shape, pad)
        self.logprobs = torch.zeros(self.uniforms.shape, dtype=torch.float64)
        self.lengths = torch.zeros(len(seeds), dtype=torch.long)
        self.rows = torch.arange(len(seeds))  # those that go on
        self.position = 0

    def next(self, seen: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(the next token of each row that goes on, [B, 1], which of them go on after it, [B]) from their logits [B, V], after
        `seen` [B, prompt + position]."""
        logits = logits.double()
        shaped = self._shaped(logits, seen)
        token, log_total = self._choose(shaped)
        if shaped is not logits or log_total is None:
            log_total = logits.logsumexp(1, keepdim=True)
        logprob = logits.gather(1, token) - log_total
        token, at = token.cpu(), self.position
        self.ids[self.rows, at], self.logprobs[self.rows, at] = token[:, 0], logprob[:, 0].cpu()
        self.position = at + 1
        self.lengths[self.rows] = self.position
        going = ~torch.isin(token[:, 0], self.last) & (self.position < self.sampler.max_tokens)
        self.progress.add(int((~going).sum()), len(going))
        self.rows = self.rows[going]
        return token, going

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As a logits processor of transformers, which passes all rows on: scores [B, V] that are 0 for the token drawn, or for
        padding after the end, and −∞ elsewhere."""
        rows, chosen = self.rows.to(scores.device), torch.full((len(scores), 1), self.pad, device=scores.device)
        chosen[rows] = self.next(input_ids[rows], scores[rows])[0].to(scores.device)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    def completions(self, tokenizer: Tokenizer) -> list[Completion]:
        """What was drawn, in the order of the prompts."""
        rows = zip(self.ids.tolist(), self.lengths.tolist(), self.logprobs, strict=True)
        return [_completion(tokenizer, ids[:length], self.ends, float(logprob.sum())) for ids, length, logprob in rows]

    def _shaped(self, logits: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """The logits [B, V] to draw from."""
        if self.first_not and self.position == 0:
            logits = logits.index_fill(1, torch.tensor(self.first_not, device=logits.device), -torch.inf)
        end_of_prompt = input_ids[:, [-1 - self.position]]  # stands in for padding, which nobody wrote and no penalty is for
        return self.warpers(torch.where(input_ids == self.pad, end_of_prompt, input_ids), logits)

    def _choose(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(the token of each row, [B, 1]: the likeliest if greedy, else where the cumulative distribution passes the uniform; the
        logarithm of Σ exp(logits), [B, 1], where that is known then)."""
        if self.sampler.temperature == 0:
            return logits.argmax(dim=-1, keepdim=True), None
        peak = logits.amax(1, keepdim=True)
        cumulative = (logits - peak).exp_().cumsum(1)  # of what the probabilities are proportional to
        total, uniforms = cumulative[:, -1:], self.uniforms[self.rows, self.position, None].to(logits.device)
        token = torch.searchsorted(cumulative, uniforms * total, right=True).clamp(max=logits.shape[1] - 1)
        return token, peak + total.log()


def _warpers(sampler: Sampler) -> Any:
    """What the settings make of logits, in this order: repetition penalty (Keskar et al. 2019, arXiv 1909.05858), temperature,
    top_k, top_p; all of them are those of transformers."""
    from transformers.generation import logits_process as hf

    found = hf.LogitsProcessorList()
    if sampler.repetition_penalty != 1:
        found.append(hf.RepetitionPenaltyLogitsProcessor(float(sampler.repetition_penalty)))
    if sampler.temperature not in (0, 1):
        found.append(hf.TemperatureLogitsWarper(float(sampler.temperature)))
    if sampler.top_k > 0:
        found.append(hf.TopKLogitsWarper(sampler.top_k))
    if sampler.top_p < 1:
        found.append(hf.TopPLogitsWarper(sampler.top_p))
    return found


def vllm_engine(model: Model, tokenizer: Tokenizer, adapter: Path | None) -> VllmEngine:
    """The vLLM engine of a base that was loaded with one (`models.load`), with a trained adapter if there is one. Not run yet."""
    from vllm.lora.request import LoRARequest

    lora = LoRARequest("run", 1, str(adapter)) if adapter else None
    return VllmEngine(model.vllm_engine, lora, eos_token_ids(model, tokenizer))


def _sample_vllm(
    engine: VllmEngine, tokenizer: Tokenizer, prompt_ids: Sequence[Sequence[int]], sampler: Sampler, progress: Progress
) -> list[Completion]:
    """As `sample`; the seeds are a sample's own, but vLLM's kernels may still depend on the batch in the last bits."""
    import vllm

    shared = {name: getattr(sampler, name) for name in ("temperature", "top_p", "repetition_penalty", "max_tokens")}
    shared |= {"top_k": sampler.top_k or -1, "stop_token_ids": sorted(engine.ends), "detokenize": False}
    shared["logprobs"] = 0  # of the token drawn alone
    seeds = sample_seeds(prompt_ids, sampler.seed)
    settings = [vllm.SamplingParams(seed=seed % 2**63, **shared) for seed in seeds]
    prompts = [{"prompt_token_ids": list(ids)} for ids in prompt_ids]
    outputs = [o.outputs[0] for o in engine.llm.generate(prompts, settings, lora_request=engine.lora, use_tqdm=False)]
    progress.add(len(outputs), sum(len(output.token_ids) for output in outputs))
    return [_completion(tokenizer, list(output.token_ids), engine.ends, output.cumulative_logprob) for output in outputs]
