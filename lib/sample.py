"""Sampling completions: the Hugging Face engine, with every sampling setting explicit.

What a completion is worth is `lib.evaluate`; its log-probability is `lib.likelihood`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from lib.models import eos_token_ids


@dataclass(frozen=True)
class Sampler:
    """How to sample. `temperature` 0 means greedy; nothing is taken from the model's own generation config but EOS."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int = 64
    batch_size: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """`ids` without padding, EOS included if there is one; `truncated` if there is none."""

    ids: list[int]
    text: str
    truncated: bool


def sample(
    model,
    tokenizer,
    prompt_ids: Sequence[Sequence[int]],
    sampler: Sampler,
    progress: str | None = None,
    first_not: Sequence[int] = (),
) -> list[Completion]:
    """One completion for each of N prompts (repeat a prompt for several). `first_not` bans ids as a first token.

    `progress` names the progress bar; without it there is none. The model's training mode is restored, also after an error.
    """
    from transformers import GenerationConfig

    ends = eos_token_ids(model, tokenizer)
    greedy = {"do_sample": False}
    random = {"do_sample": True, "temperature": sampler.temperature, "top_p": sampler.top_p, "top_k": sampler.top_k}
    config = GenerationConfig(
        **(random if sampler.temperature > 0 else greedy),
        repetition_penalty=sampler.repetition_penalty,
        max_new_tokens=sampler.max_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
        begin_suppress_tokens=list(first_not) or None,
    )
    training, completions = model.training, []
    model.eval()
    torch.manual_seed(sampler.seed)
    try:
        with (
            torch.no_grad(),
            tqdm(total=len(prompt_ids), desc=progress, disable=progress is None, unit="sample") as bar,
        ):
            for start in range(0, len(prompt_ids), sampler.batch_size):
                batch = prompt_ids[start : start + sampler.batch_size]
                completions += _generate(model, tokenizer, batch, config, ends)
                bar.update(len(batch))
    finally:
        model.train(training)
    return completions


def _generate(model, tokenizer, prompt_ids, config, ends: set[int]) -> list[Completion]:
    """Completions of one left-padded batch."""
    width = max(len(ids) for ids in prompt_ids)
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompt_ids])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompt_ids])
    device = next(model.parameters()).device
    output = model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
    completions = []
    for row in output[:, width:].tolist():
        end = next((i for i, token in enumerate(row) if token in ends), None)
        row = row if end is None else row[: end + 1]
        completions.append(Completion(row, tokenizer.decode(row, skip_special_tokens=True), end is None))
    return completions
