"""Weights as they are multiplied on a CPU: 4-bit layers as the numbers that they stand for, and an adapter added to its base."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from lib.models.tokens import Model

SHARE = 1 / 4  # of the machine's memory that the numbers of all layers may take; sampling takes as much again for a moment


def dequantised(model: Model) -> Model:
    """A 4-bit model with every layer as the float32 numbers that its 4 bits stand for, if these fit: the values, and what comes
    out, are the same, but nothing is unpacked at every multiplication. A model that does not fit stays as it is."""
    packed = sum(4 * p.quant_state.shape.numel() for p in model.parameters() if hasattr(p, "quant_state"))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return model.dequantize() if 0 < packed <= SHARE * there else model


def _is_plain(layer: Any) -> bool:
    """Whether a module is PEFT's plain LoRA on a matrix of numbers, and on."""
    from peft.tuners.lora import Linear

    if type(layer) is not Linear or layer.disable_adapters or layer.merged or layer.fan_in_fan_out:
        return False
    return not any(name in layer.lora_variant or layer.lora_bias[name] for name in layer.active_adapters)


@contextlib.contextmanager
def merged(model: Model) -> Iterator[None]:
    """Inside, a layer with an adapter that is on is one matrix, W + scaling·B·A, and no gradient flows. W itself is not touched, so
    that nothing is left of the rounding. A layer in 4 bits, or with more than plain LoRA (DoRA, a bias), stays as it is."""
    import torch

    layers: list[Any] = [layer for layer in model.modules() if _is_plain(layer)]
    with torch.no_grad():
        for layer in layers:
            base = layer.get_base_layer()
            weight = sum((layer.get_delta_weight(name) for name in layer.active_adapters), base.weight).to(base.weight.dtype)
            layer.forward = partial(torch.nn.functional.linear, weight=weight, bias=base.bias)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
