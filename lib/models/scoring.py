"""Log-probabilities of whole completions, under the policy (adapter on) and the reference (adapter off).

A plain forward pass of its own, independent of any trainer. What a reward makes of the numbers is `lib.rewards.objectives`."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from lib.models.tokens import Model, padded

POSITIONS = 512  # positions at a time whose logits become float32 log-probabilities


class SequenceScores(NamedTuple):
    """Per completion, [N] float64: `logprob`, the sum over its tokens in nats, and `entropy`, the mean over its positions
    of the next-token distribution's entropy in nats."""

    logprob: np.ndarray
    entropy: np.ndarray


def micro_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Groups indices, longest first, so that no group's padded size exceeds `token_budget` tokens (one sequence may)."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


@contextlib.contextmanager
def scoring_mode(model: Model, reference: bool) -> Iterator[None]:
    """Inside: evaluation mode, no gradients, real logits from Unsloth, and the adapter off for `reference`. Restored after."""
    from accelerate.utils import patch_environment  # by now Unsloth is there, which must come before

    if reference and not hasattr(model, "disable_adapter"):
        raise ValueError("The reference is the model with its adapter off, but this model has no adapter: load it with one.")
    training, adapter = model.training, model.disable_adapter() if reference else contextlib.nullcontext()
    try:
        model.eval()
        with torch.no_grad(), adapter, patch_environment(UNSLOTH_RETURN_HIDDEN_STATES=0):
            yield
    finally:
        model.train(training)


def sequence_scores(
    model: Model,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pad_token_id: int,
    reference: bool = False,
    temperature: float = 1.0,
    token_budget: int = 16_384,
) -> SequenceScores:
    """log p(y|x) of N completions: S = Σ_t log p(y_t | x, y_<t), over every token of `completion_ids`, EOS included. Token ids come
    without padding; logits are divided by `temperature`. The same arguments lead to the same micro-batches, so that policy and
    reference are equal to the last bit when the adapter changes nothing. Raises ValueError for an empty prompt, which has no logits
    for the first token."""
    if any(len(prompt) == 0 for prompt in prompt_ids):
        raise ValueError("A prompt is empty: give every prompt at least one token, such as BOS.")
    rows = [[*prompt, *completion] for prompt, completion in zip(prompt_ids, completion_ids, strict=True)]
    scores = SequenceScores(np.zeros(len(rows)), np.zeros(len(rows)))
    with scoring_mode(model, reference):
        for batch in micro_batches([len(row) for row in rows], token_budget):
            starts = [len(prompt_ids[i]) for i in batch]
            found = _score(model, [rows[i] for i in batch], starts, pad_token_id, temperature)
            scores.logprob[batch], scores.entropy[batch] = found
    return scores


def _logits(model: Model, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The logits [B, L, V] in the model's own type: from inside PEFT's wrapper, which a trainer makes cast them all to float32."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = next(inner.parameters()).device
    return inner(input_ids=ids.to(device), attention_mask=attention_mask.to(device), use_cache=False).logits


def token_logprobs(model: Model, prompt: Sequence[int], completion: Sequence[int], reference: bool = False) -> np.ndarray:
    """log p(y_t | x, y_<t) of each token of one completion in nats, [T]; their sum is that of `sequence_scores`."""
    with scoring_mode(model, reference):
        logprobs, _, _ = _token_scores(model, [[*prompt, *completion]], [len(prompt)], 0, 1.0)
    return logprobs[0, len(prompt) - 1 :].numpy()


def _score(
    model: Model, rows: list[list[int]], starts: list[int], pad_token_id: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probabilities, mean entropies), [B] each, of one micro-batch, whose completions begin at `starts`."""
    token_log_probs, token_entropies, is_completion = _token_scores(model, rows, starts, pad_token_id, temperature)
    return token_log_probs.sum(1), token_entropies.sum(1) / is_completion.sum(1).clamp(min=1)


def _token_scores(
    model: Model, rows: list[list[int]], starts: list[int], pad_token_id: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(log-probabilities, entropies, which positions are a completion's), [B, L − 1] each; the first two are 0 elsewhere."""
    ids, attention_mask = padded(rows, pad_token_id, "right")
    started = torch.arange(ids.shape[1]) >= torch.tensor(starts)[:, None]
    is_completion = (started & attention_mask.bool())[:, 1:]
    logits = _logits(model, ids, attention_mask)[:, :-1]
    token_log_probs, token_entropies = torch.zeros(2, *is_completion.shape, dtype=torch.float64)
    scored, columns = is_completion.nonzero(as_tuple=True)
    for part in torch.arange(len(scored)).split(POSITIONS):  # only completion positions ever become float32
        at = scored[part], columns[part]
        log_probs = torch.log_softmax(logits[at].float() / temperature, dim=-1)
        targets = ids[:, 1:][at][:, None].to(logits.device)
        token_log_probs[at] = log_probs.gather(-1, targets).squeeze(-1).cpu().double()
        token_entropies[at] = -(log_probs.exp() * log_probs).nansum(-1).cpu().double()
    return token_log_probs, token_entropies, is_completion
