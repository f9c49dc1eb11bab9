"""Growing keys and values hold what transformers' own layer holds, bit for bit."""

from types import SimpleNamespace

import torch
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from lib.models.cache import GrowingLayer, give_room

HEADS, WIDTH = 2, 3


def _states(batch, tokens, seed):
    return torch.randn(2, batch, HEADS, tokens, WIDTH, generator=torch.Generator().manual_seed(seed)).unbind()


def test_tokens_and_rows_come_and_go_as_in_transformers_layer():
    plain, growing, moved = DynamicLayer(), GrowingLayer(), 0
    with torch.no_grad():
        for layer in (plain, growing):
            layer.update(*_states(2, 5, 0))
            layer.batch_select_indices(torch.tensor([0, 0, 1, 1, 1]))
        for step in range(60):  # past the room that there is first, twice
            if step % 20 == 13:
                rows = torch.arange(len(plain.keys))[1:]
                plain.batch_select_indices(rows), growing.batch_select_indices(rows)
            before = growing.keys.data_ptr()
            wanted, found = (layer.update(*_states(len(plain.keys), 1, 1 + step)) for layer in (plain, growing))
            moved += growing.keys.data_ptr() != before
            for a, b in zip(wanted, found, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert moved <= 4  # not at every token
        wanted, found = (layer.update(*_states(2, 7, 99)) for layer in (plain, growing))  # several tokens at once
        torch.testing.assert_close(wanted[0], found[0], rtol=0, atol=0)
        assert growing.get_seq_length() == 5 + 60 + 7


def test_rows_that_transformers_itself_moves_leave_the_room_behind():
    plain, growing = DynamicLayer(), GrowingLayer()
    with torch.no_grad():
        for layer in (plain, growing):
            layer.update(*_states(2, 3, 0)), layer.update(*_states(2, 1, 1))
            layer.reorder_cache(torch.tensor([1, 0])), layer.update(*_states(2, 1, 2))
            layer.batch_repeat_interleave(2), layer.update(*_states(4, 1, 3))
    torch.testing.assert_close(plain.keys, growing.keys, rtol=0, atol=0)


def test_gradients_flow_to_every_token():
    growing, (keys, values) = GrowingLayer(), _states(1, 2, 0)
    growing.update(keys.requires_grad_(), values)
    growing.update(*_states(1, 1, 1))[0].sum().backward()
    assert keys.grad.eq(1).all()


def test_only_plain_layers_get_room():
    cache = SimpleNamespace(layers=[DynamicLayer(), DynamicSlidingWindowLayer(sliding_window=4)])
    cache.layers[0].update(*_states(1, 2, 0))
    held = cache.layers[0].keys
    give_room(cache)
    assert [type(layer) for layer in cache.layers] == [GrowingLayer, DynamicSlidingWindowLayer]
    assert cache.layers[0].keys is held
