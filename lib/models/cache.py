"""Keys and values with room behind them, so that a token which is read is written beside those before it, and these stay in place.

transformers' own layer copies all of them for every token. Import this after Unsloth."""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

ROOM = 1.25  # times what is there


class GrowingLayer(DynamicLayer):
    """One layer's `keys` and `values`, [B, heads, T, width] each, views of `full`, which has room for more tokens. Where gradients
    are asked for, or several tokens come at once, it does what transformers does."""

    keys: torch.Tensor
    values: torch.Tensor
    full: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds [B, heads, L, width] keys and values; returns all."""
        if torch.is_grad_enabled() or key_states.shape[-2] > 1:
            self.full = None
            return super().update(key_states, value_states)
        there = self.keys.shape[-2]
        if self.full is None or there == self.full[0].shape[-2]:
            self.full = _with_room(self.keys), _with_room(self.values)
        for full, new in zip(self.full, (key_states, value_states), strict=True):
            full[..., there : there + 1, :] = new
        self._see(there + 1)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Goes on with these rows alone."""
        if self.full is None:
            super().batch_select_indices(indices)
            return
        there = self.keys.shape[-2]
        self.full = self.full[0][indices], self.full[1][indices]
        self._see(there)

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """As transformers does it, which leaves the room behind."""
        self.full = None
        super().reorder_cache(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """As transformers does it, which leaves the room behind."""
        self.full = None
        super().batch_repeat_interleave(repeats)

    def _see(self, tokens: int) -> None:
        assert self.full is not None
        self.keys, self.values = (full[..., :tokens, :] for full in self.full)


def _with_room(held: torch.Tensor) -> torch.Tensor:
    batch, heads, tokens, width = held.shape
    full = held.new_empty(batch, heads, int(ROOM * tokens) + 16, width)
    full[..., :tokens, :] = held
    return full


def give_room(cache: Any) -> None:
    """Makes the plain layers of transformers' cache growing ones, with what they hold; others, such as sliding windows, stay."""
    for i, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[i] = GrowingLayer()
            vars(cache.layers[i]).update(vars(layer))
