"""Prompts and ends of completions as token ids, by the model's own chat template and configuration, and their padding."""

from collections.abc import Sequence
from typing import Any

from lib.data.prompts import Problem

Model = Any  # a causal language model of transformers, with or without PEFT's wrapper, as Unsloth may have changed it
Tokenizer = Any  # a tokenizer of transformers


def eos_token_ids(model: Model, tokenizer: Tokenizer) -> set[int]:
    """Every id that ends a completion: the generation config's, of which some models have two, and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ids = set(configured if isinstance(configured, list) else [configured])
    return (ids | {tokenizer.eos_token_id}) - {None}


def short_enough(tokenizer: Tokenizer, problems: Sequence[Problem], most: int) -> tuple[list[Problem], int]:
    """(the problems whose prompt has at most `most` tokens, how many have more)."""
    lengths = [len(ids) for ids in prompt_ids(tokenizer, [p.messages for p in problems])]
    kept = [problem for problem, length in zip(problems, lengths, strict=True) if length <= most]
    return kept, len(problems) - len(kept)


def prompt_ids(tokenizer: Tokenizer, messages: Sequence[list[dict[str, str]]]) -> list[list[int]]:
    """Token ids of conversations with the opening of the answer appended, by the model's own chat template."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]


def padded(rows: Sequence[Sequence[int]], value: int, side: str) -> tuple[Any, Any]:
    """(tensor [B, L] of rows that are filled up with `value` on their `left` or `right`, 1 where a row has a token and else 0)."""
    import torch

    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    fill_up = torch.nn.utils.rnn.pad_sequence
    ids = fill_up(tensors, batch_first=True, padding_value=value, padding_side=side)
    return ids, fill_up([torch.ones_like(row) for row in tensors], batch_first=True, padding_side=side)
