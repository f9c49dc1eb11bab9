"""A model that has read rows of tokens, and reads on from there.

What it read is kept as keys and values, so that a prompt which several rows begin with is read once. One token at a time this is
generation; a whole completion at a time it is scoring, also with gradients. Plain forward passes of the model itself."""

from collections.abc import Sequence
from typing import Any

import torch

from lib.models.tokens import Model, padded


def on_cpu(model: Model) -> bool:
    """Whether a model computes on a CPU, where a pass is worth sparing. On a GPU Unsloth puts its own passes in place of the
    model's, and the kit generates and scores by those (that they could read on from keys and values was not tried)."""
    return next(model.parameters()).device.type == "cpu"


def refuse_empty(prompts: Sequence[Sequence[int]]) -> None:
    """Raises ValueError for an empty prompt, after which there is no next token."""
    if any(len(prompt) == 0 for prompt in prompts):
        raise ValueError("A prompt is empty: give every prompt at least one token, such as BOS.")


class Reader:
    """B rows of tokens that a model has read; `logits` [B, V] are those of each row's next token."""

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], pad: int):
        """Reads B prompts, and one that comes several times once. Raises ValueError for an empty one, which has no next token."""
        refuse_empty(prompts)
        self.model = model.get_base_model() if hasattr(model, "get_base_model") else model  # inside PEFT's wrapper
        self.device, self.here, self.pad = next(self.model.parameters()).device, torch.arange(len(prompts)), pad
        self.drops = on_cpu(model)
        different = list(dict.fromkeys(map(tuple, prompts))) if self.drops else list(map(tuple, prompts))
        ids, self.mask = padded(different, pad, "left")
        self.size = self.mask.sum(1)  # tokens that a row has, without padding
        self.cache: Any = None
        self.logits = self._pass(ids, (self.mask.cumsum(1) - 1).clamp(min=0), logits_to_keep=1)[:, -1]
        if self.drops:
            from lib.models.cache import give_room  # by now Unsloth is there, which must come before

            give_room(self.cache)
            place = {row: i for i, row in enumerate(different)}
            self.keep(torch.tensor([place[tuple(prompt)] for prompt in prompts]))

    def keep(self, rows: torch.Tensor) -> None:
        """Goes on with these rows alone: indices in any order, also several times, or which ones as booleans, [B]. On a GPU rows
        can only be left out: the model goes on with padding in their place, since Unsloth's keys and values keep their batch."""
        if rows.dtype == torch.bool:
            rows = rows.nonzero()[:, 0]
        if not self.drops:
            self.here, self.logits = self.here[rows], self.logits[rows.to(self.device)]
            return
        if torch.equal(rows, torch.arange(len(self.mask))):
            return
        self.mask, self.size, self.logits = self.mask[rows], self.size[rows], self.logits[rows.to(self.device)]
        self.cache.batch_select_indices(rows.to(self.device))

    def read(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reads [B, L] tokens that follow, right-padded where `mask` [B, L] is 0; returns the logits after each, [B, L, V]. After
        padding nothing more can be read."""
        if not self.drops:
            ids = torch.full((len(self.mask), ids.shape[1]), self.pad).index_copy(0, self.here, ids)
        steps = torch.arange(ids.shape[1])
        self.mask = torch.cat([self.mask, torch.ones_like(ids) if mask is None else mask], dim=1)
        logits = self._pass(ids, self.size[:, None] + steps)
        logits = logits if self.drops else logits[self.here.to(self.device)]
        self.size, self.logits = self.size + ids.shape[1], logits[:, -1]
        return logits

    def _pass(self, ids: torch.Tensor, positions: torch.Tensor, **options: int) -> torch.Tensor:
        to = {"input_ids": ids, "attention_mask": self.mask, "position_ids": positions}
        moved = {name: tensor.to(self.device) for name, tensor in to.items()}
        # on a GPU Unsloth answers a single token with a tuple unless return_dict is said
        out = self.model(**moved, past_key_values=self.cache, use_cache=True, return_dict=True, **options)
        self.cache = out.past_key_values
        return out.logits
