"""Log-probabilities of whole completions, under the policy (adapter on) and the reference (adapter off).

A plain forward pass of its own, independent of any trainer. What a reward makes of the numbers is `lib.regimes`.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lib import fitting
from lib.memory import POSITIONS
from lib.runs import UsageError

LOGIT_SHARE = 0.15  # of a GPU's memory that logits may take, these float32 copies included


@dataclass(frozen=True)
class SequenceScores:
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


def token_limit(vocabulary: int, device_bytes: int) -> int:
    """The most padded tokens of a pass whose logits stay within LOGIT_SHARE of a GPU's memory.

    Two bytes a logit in bfloat16 at every token, and three times four bytes at POSITIONS of them: log-probabilities, their
    exponential, and the product of both.
    """
    return int((LOGIT_SHARE * device_bytes / vocabulary - 12 * POSITIONS) // 2)


def _device_bytes(model) -> int | None:
    """The memory that there is on the GPU that a model is on; None on a CPU."""
    return fitting.of_gpu()[1] if next(model.parameters()).is_cuda else None


@contextlib.contextmanager
def scoring_mode(model, reference: bool):
    """Inside: evaluation mode, no gradients, real logits from Unsloth, and the adapter off for `reference`. Restored after."""
    training, flag = model.training, os.environ.get("UNSLOTH_RETURN_HIDDEN_STATES")
    if reference and not hasattr(model, "disable_adapter"):
        raise ValueError(
            "The reference is the model with its adapter off, but this model has no adapter: load it with one."
        )
    os.environ["UNSLOTH_RETURN_HIDDEN_STATES"] = "0"
    try:
        model.eval()
        with torch.no_grad(), model.disable_adapter() if reference else contextlib.nullcontext():
            yield
    finally:
        model.train(training)
        if flag is None:
            os.environ.pop("UNSLOTH_RETURN_HIDDEN_STATES", None)
        else:
            os.environ["UNSLOTH_RETURN_HIDDEN_STATES"] = flag


def sequence_scores(
    model,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    pad_token_id: int,
    reference: bool = False,
    temperature: float = 1.0,
    token_budget: int = 16_384,
) -> SequenceScores:
    """log p(y|x) of N completions: S = Σ_t log p(y_t | x, y_<t), over every token of `completion_ids`, EOS included.

    `prompt_ids` and `completion_ids` are N lists of token ids without padding; logits are divided by `temperature`. The
    same arguments lead to the same micro-batches, so that policy and reference are equal to the last bit when the adapter
    changes nothing. Raises ValueError for an empty prompt, which has no logits for the first token. On a GPU the budget is
    lowered to `token_limit`, and a sequence that is longer than that raises UsageError.
    """
    if any(len(prompt) == 0 for prompt in prompt_ids):
        raise ValueError("A prompt is empty: give every prompt at least one token, such as BOS.")
    count = len(completion_ids)
    logprob, entropy = np.zeros(count), np.zeros(count)
    lengths = [len(p) + len(c) for p, c in zip(prompt_ids, completion_ids, strict=True)]
    if device_bytes := _device_bytes(model):
        most = token_limit(model.config.vocab_size, device_bytes)
        if max(lengths, default=0) > most:
            raise UsageError(
                f"The logits of {max(lengths)} tokens take more than {LOGIT_SHARE:.0%} of the GPU's memory: at most {most} "
                "tokens fit, prompt included; lower max_completion_tokens."
            )
        token_budget = min(token_budget, most)
    with scoring_mode(model, reference):
        for batch in micro_batches(lengths, token_budget):
            for i, score in zip(batch, _score(model, prompt_ids, completion_ids, batch, pad_token_id, temperature)):
                logprob[i], entropy[i] = score
    return SequenceScores(logprob, entropy)


def _logits(model, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The logits [B, L, V] of a padded batch, in the model's own type.

    The model inside the adapter's wrapper is called, whose layers hold the adapter, because a trainer makes the wrapper cast
    every logit to float32.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = next(inner.parameters()).device
    return inner(input_ids=ids.to(device), attention_mask=attention_mask.to(device), use_cache=False).logits


def _score(model, prompt_ids, completion_ids, batch, pad_token_id, temperature) -> list[tuple[float, float]]:
    """(log-probability, mean entropy) of each sequence of one right-padded micro-batch."""
    rows = [torch.tensor([*prompt_ids[i], *completion_ids[i]], dtype=torch.long) for i in batch]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_token_id)
    lengths = torch.tensor([len(row) for row in rows])
    positions = torch.arange(ids.shape[1])
    attention_mask = (positions < lengths[:, None]).long()
    starts = torch.tensor([len(prompt_ids[i]) for i in batch])
    is_completion = ((positions >= starts[:, None]) & (positions < lengths[:, None]))[:, 1:]
    logits = _logits(model, ids, attention_mask)[:, :-1]
    token_log_probs, token_entropies = (
        torch.zeros(is_completion.shape).double(),
        torch.zeros(is_completion.shape).double(),
    )
    scored, columns = is_completion.nonzero(as_tuple=True)
    for part in torch.arange(len(scored)).split(POSITIONS):  # only completion positions ever become float32
        at = scored[part], columns[part]
        log_probs = torch.log_softmax(logits[at].float() / temperature, dim=-1)
        targets = ids[:, 1:][at][:, None].to(logits.device)
        token_log_probs[at] = log_probs.gather(-1, targets).squeeze(-1).cpu().double()
        token_entropies[at] = -(log_probs.exp() * log_probs).nansum(-1).cpu().double()
    sums = token_log_probs.sum(1)
    entropies = token_entropies.sum(1) / is_completion.sum(1).clamp(min=1)
    return list(zip(sums.tolist(), entropies.tolist(), strict=True))
