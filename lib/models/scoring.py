"""Log-probabilities of completions, under the policy (adapter on) and the reference (adapter off, or as the run started).

A plain forward pass of its own, independent of any trainer. What a reward makes of the numbers is `lib.rewards.objectives`."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from lib.models.reader import Reader, on_cpu, refuse_empty
from lib.models.tokens import Model, padded

POSITIONS = 512  # positions at a time whose logits become float32 log-probabilities


class SequenceScores(NamedTuple):
    """Per completion, [N] float64: `logprob`, the sum over its tokens in nats, and `entropy`, the mean over its positions
    of the next-token distribution's entropy in nats; NaN for a reference, whose entropy nobody reads."""

    logprob: np.ndarray
    entropy: np.ndarray


class TokenScores(NamedTuple):
    """Per token of N completions, [N, T] float64, with 0 after a completion's end: `logprob`, log p(y_t | x, y_<t), and `entropy`,
    that of the next-token distribution, both in nats; NaN for a reference. `lengths` [N] says where the ends are."""

    logprob: torch.Tensor
    entropy: torch.Tensor
    lengths: torch.Tensor

    def sums(self) -> SequenceScores:
        """What whole completions have."""
        entropy = self.entropy.sum(1) / self.lengths.clamp(min=1)
        return SequenceScores(self.logprob.detach().sum(1).numpy(), entropy.numpy())


def micro_batches(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], token_budget: int, shared: bool = False
) -> list[list[int]]:
    """Groups indices, longest first, so that no group reads more than `token_budget` tokens, padding included (one sequence may).
    Where prompts are `shared`, one that several completions of a group have is read once."""
    lengths = [len(c) + (0 if shared else len(p)) for p, c in zip(prompts, completions, strict=True)]
    batches: list[list[int]] = []
    asked: set[tuple[int, ...]] = set()  # the different prompts of the last group
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        prompt = {tuple(prompts[index])} if shared else set()
        if batches and _padded(asked | prompt) + (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= token_budget:
            batches[-1].append(index)
            asked |= prompt
        else:
            batches.append([index])
            asked = prompt
    return batches


def _padded(rows: set[tuple[int, ...]]) -> int:
    """The size of rows that are filled up to the longest."""
    return len(rows) * max(map(len, rows), default=0)


@contextlib.contextmanager
def scoring_mode(model: Model, reference: bool, gradient: bool = False) -> Iterator[None]:
    """Inside: evaluation mode, real logits from Unsloth, gradients only if asked for, and for `reference` the adapter off, or with
    the weights of `loading.start_from`. Restored after."""
    from accelerate.utils import patch_environment  # by now Unsloth is there, which must come before

    if reference and not hasattr(model, "disable_adapter"):
        raise ValueError("The reference is the model with its adapter off, but this model has no adapter: load it with one.")
    training, adapter = model.training, _reference(model) if reference else contextlib.nullcontext()
    try:
        model.eval()
        with torch.set_grad_enabled(gradient), adapter, patch_environment(UNSLOTH_RETURN_HIDDEN_STATES=0):
            yield
    finally:
        model.train(training)


@contextlib.contextmanager
def _reference(model: Model) -> Iterator[None]:
    """Inside, the adapter is off, or has the weights that it started from."""
    start = getattr(model, "start_weights", None)
    if start is None:
        with model.disable_adapter():
            yield
        return
    own = [(parameter, parameter.data, start[name]) for name, parameter in model.named_parameters() if name in start]
    try:
        for parameter, _, weights in own:
            parameter.data = weights
        yield
    finally:
        for parameter, weights, _ in own:
            parameter.data = weights


def sequence_scores(
    model: Model,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pad_token_id: int,
    reference: bool = False,
    temperature: float = 1.0,
    token_budget: int = 16_384,
) -> SequenceScores:
    """log p(y|x) of N completions: S = Σ_t log p(y_t | x, y_<t), over every token of `completion_ids`, EOS included: the sums of
    `token_scores`, which takes the same arguments."""
    return token_scores(model, prompt_ids, completion_ids, pad_token_id, reference, temperature, token_budget).sums()


def token_scores(
    model: Model,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pad_token_id: int,
    reference: bool = False,
    temperature: float = 1.0,
    token_budget: int = 16_384,
    gradient: bool = False,
) -> TokenScores:
    """log p(y_t | x, y_<t) of every token of N completions. Token ids come without padding; logits are divided by `temperature`.
    The same arguments lead to the same micro-batches, so that policy and reference are equal to the last bit when the adapter
    changes nothing. With `gradient` the log-probabilities can be differentiated, and all micro-batches are held until then. Raises
    ValueError for an empty prompt, which has no logits for the first token."""
    refuse_empty(prompt_ids)
    sizes, once = [len(completion) for completion in completion_ids], on_cpu(model)
    passes = _read_once if once else _read_whole
    logprobs: list[torch.Tensor] = [torch.empty(0)] * len(sizes)
    entropies = list(logprobs)
    with scoring_mode(model, reference, gradient):
        for batch in micro_batches(prompt_ids, completion_ids, token_budget, once):
            prompts, completions = [prompt_ids[i] for i in batch], [completion_ids[i] for i in batch]
            logits, at = passes(model, prompts, completions, pad_token_id)
            targets = torch.tensor([token for completion in completions for token in completion], dtype=torch.long)
            found = (values.split([sizes[i] for i in batch]) for values in _at(logits, at, targets, temperature, not reference))
            for i, logprob, entropy in zip(batch, *found, strict=True):
                logprobs[i], entropies[i] = logprob, entropy
    logprob, entropy = (pad_sequence(values, batch_first=True) for values in (logprobs, entropies))
    return TokenScores(logprob, entropy, torch.tensor(sizes))


def token_logprobs(model: Model, prompt: Sequence[int], completion: Sequence[int], reference: bool = False) -> np.ndarray:
    """log p(y_t | x, y_<t) of each token of one completion in nats, [T]; their sum is that of `sequence_scores`."""
    return token_scores(model, [prompt], [completion], 0, reference).logprob[0].numpy()


Logits = tuple[torch.Tensor, tuple[torch.Tensor, ...]]  # [B, L, V], and where in [B, L] the completions' tokens are predicted


def _read_once(model: Model, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], pad: int) -> Logits:
    """Logits in the model's own type; a prompt that several completions share is read once."""
    ids, mask = padded(completions, pad, "right")
    reader = Reader(model, prompts, pad)
    logits = reader.logits[:, None]
    if ids.shape[1] > 1:  # nothing is asked after the last token
        logits = torch.cat([logits, reader.read(ids[:, :-1], mask[:, :-1])], dim=1)
    return logits, mask.nonzero(as_tuple=True)


def _read_whole(model: Model, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], pad: int) -> Logits:
    """Logits in the model's own type of whole rows, [B, L, V]: from inside PEFT's wrapper, which a trainer makes cast them all to
    float32."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = next(inner.parameters()).device
    ids, mask = padded([[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)], pad, "right")
    logits = inner(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
    started = torch.arange(ids.shape[1]) >= torch.tensor([len(prompt) for prompt in prompts])[:, None]
    return logits, (started & mask.bool())[:, 1:].nonzero(as_tuple=True)


def _at(
    logits: torch.Tensor, at: tuple[torch.Tensor, ...], targets: torch.Tensor, temperature: float, with_entropy: bool
) -> list[torch.Tensor]:
    """(log-probabilities of the M targets, entropies, or NaN), [M] float64 each, at the places `at`; only these ever become
    float32, and the others are never copied."""
    logprobs, entropies = [torch.zeros(0, dtype=torch.float64)], [torch.zeros(0, dtype=torch.float64)]
    rows = (at[0] * logits.shape[1] + at[1]).to(logits.device)
    for part in torch.arange(len(targets)).split(POSITIONS) if len(targets) else ():
        chosen = logits.flatten(0, 1).index_select(0, rows[part]).float()
        log_probs = torch.log_softmax(chosen if temperature == 1 else chosen / temperature, dim=-1)
        target = targets[part].to(logits.device)[:, None]
        logprobs.append(log_probs.gather(-1, target).squeeze(-1).cpu().double())
        if with_entropy:
            with torch.no_grad():
                entropies.append(-log_probs.exp().mul_(log_probs).nansum(-1).cpu().double())
    logprob = torch.cat(logprobs)
    return [logprob, torch.cat(entropies) if with_entropy else torch.full_like(logprob, torch.nan)]
