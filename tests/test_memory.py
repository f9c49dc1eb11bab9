"""The memory estimate: every counted part against real objects, which need no GPU."""

import dataclasses

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from lib import memory, models, train
from lib.runs import UsageError

SMALL = {"vocab_size": 64, "num_hidden_layers": 2, "tie_word_embeddings": False, "hidden_size": 64}
SMALL |= {"intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
KINDS = ("llama", "qwen2", "qwen3")
RUN = train.Settings(
    model="x", regime="task", prompts_per_step=8, micro_batch=4, max_prompt_tokens=512, max_completion_tokens=1536,
    token_budget=4096, lora_rank=32,
)  # fmt: skip


def build(config, device="meta"):
    with torch.device(device):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=torch.bfloat16)


def with_adapter(model, rank):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(model, LoraConfig(r=rank, target_modules=models.LORA_TARGETS))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return model


@pytest.mark.parametrize("config", [*memory.SHAPES.values(), *({"model_type": kind} | SMALL for kind in KINDS)])
def test_parameters_are_those_of_the_real_architectures(config):
    model, s = build(config), memory.shape(config)
    assert sum(memory.parameters(s)) == model.num_parameters()
    linear = sum(m.weight.numel() for n, m in model.model.layers.named_modules() if isinstance(m, torch.nn.Linear))
    assert memory.parameters(s)[0] == linear
    assert memory.weight_bytes(s, False) == 2 * model.num_parameters()


def test_the_published_sizes():
    """Billions of parameters as the models' pages say: 3.09, 3.21 and 4.02."""
    sizes = {name: sum(memory.parameters(memory.shape(c))) / 1e9 for name, c in memory.SHAPES.items()}
    assert sizes["Qwen/Qwen2.5-3B-Instruct"] == pytest.approx(3.09, abs=0.005)
    assert sizes["meta-llama/Llama-3.2-3B-Instruct"] == pytest.approx(3.21, abs=0.005)
    assert sizes["Qwen/Qwen3-4B-Instruct-2507"] == pytest.approx(4.02, abs=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_the_adapter_is_pefts(kind):
    config = {"model_type": kind} | SMALL
    model = with_adapter(build(config, "cpu"), 4)
    found = sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)
    assert memory.adapter_parameters(memory.shape(config), 4) == found


def test_nf4_takes_what_bitsandbytes_stores():
    import bitsandbytes.functional as bnb

    packed, state = bnb.quantize_4bit(torch.randn(1024, 2048), quant_type="nf4", compress_statistics=True)
    stored = [packed, state.absmax, state.state2.absmax, state.code, state.state2.code, state.offset]
    real = sum(tensor.numel() * tensor.element_size() for tensor in stored)
    assert pytest.approx(real, abs=8) == 1024 * 2048 * (0.5 + 1 / 64 + 4 / (64 * 256)) + 1088
    s = memory.shape({"model_type": "llama"} | SMALL)
    linear, others = memory.parameters(s)
    assert memory.weight_bytes(s, True) == linear * (0.5 + 1 / 64 + 4 / (64 * 256)) + 1088 * 14 + 2 * others


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_is_that_of_a_real_generation(kind):
    config = {"model_type": kind} | SMALL
    cache = DynamicCache()
    build(config, "cpu")(input_ids=torch.zeros(3, 7, dtype=torch.long), past_key_values=cache)
    tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    real = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert memory.cache_bytes(memory.shape(config), 3 * 7) == real


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [{}, {"hidden_size": 128}, {"intermediate_size": 320}, {"num_key_value_heads": 4}])
def test_a_layer_keeps_what_autograd_saves(kind, change):
    """Storages that a decoder layer's backward pass holds on to, weights aside; the rotation's tables are shared by all layers."""
    config = {"model_type": kind} | SMALL | change
    model, batch, tokens, rank = with_adapter(build(config, "cpu"), 4).base_model.model.model, 2, 64, 4
    weights, kept = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}
    x = torch.randn(batch, tokens, config["hidden_size"], dtype=torch.bfloat16, requires_grad=True)
    rotation = model.rotary_emb(x, torch.arange(tokens)[None])
    weights |= {table.untyped_storage().data_ptr() for table in rotation}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (
                storage.nbytes(),
                tensor,
            )  # the tensor lives on, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _result = model.layers[0](x, position_embeddings=rotation, attention_mask=None)
    real = sum(size for size, _ in kept.values())
    assert memory.activation_bytes(memory.shape(config), rank) * batch * tokens == real


def test_the_peak_is_what_stays_and_the_largest_phase():
    p = memory.Prediction(1, 2, 3, 4, 10, 30, 20)
    assert p.total == 40
    found = memory.predict(memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"], RUN)
    s = memory.shape(memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"])
    assert found.generation > memory.cache_bytes(s, 64 * 2048) == 64 * 2048 * 36 * 2 * 2 * 128 * 2
    assert found.adapter == 16 * 32 * 36 * sum(a + b for a, b in memory.linears(s))
    assert f"{found.total / 2**30:.1f} GiB at the peak" in found.describe()


@pytest.mark.parametrize("model", memory.SHAPES)
def test_what_is_said_to_fit_fits_and_the_next_larger_does_not(model):
    config = memory.SHAPES[model]
    wide = dataclasses.replace(RUN, micro_batch=64)
    free = memory.predict(config, dataclasses.replace(RUN, micro_batch=4)).total
    assert memory.largest_fitting(config, wide, free) == "micro_batch 4"
    assert memory.predict(config, dataclasses.replace(RUN, micro_batch=8)).total > free
    assert memory.largest_fitting(config, dataclasses.replace(RUN, micro_batch=4), free) == "these settings"
    assert memory.largest_fitting(config, wide, memory.GIB) is None
    with pytest.raises(UsageError, match="are free: the largest setting that fits is micro_batch 4"):
        memory.refuse_what_does_not_fit(config, wide, free)
    with pytest.raises(UsageError, match="take a smaller model"):
        memory.refuse_what_does_not_fit(config, wide, memory.GIB)


def test_a_smaller_budget_is_tried_where_likelihood_is_what_does_not_fit():
    config = memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"]
    wide = dataclasses.replace(RUN, micro_batch=1, token_budget=65_536)
    free = memory.predict(config, dataclasses.replace(wide, token_budget=32_768)).total
    assert memory.largest_fitting(config, wide, free) == "token_budget 32768"


def test_vllm_keeps_its_share_and_generation_needs_no_more():
    config = memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"]
    alone, beside = memory.predict(config, RUN), memory.predict(config, RUN, vllm_on=80 * memory.GIB)
    assert beside.generation == 0 and beside.vllm == 0.5 * 80 * memory.GIB - beside.weights
    stays = alone.context + alone.weights + alone.adapter
    assert beside.total == stays + beside.vllm + max(alone.likelihood, alone.loss)


@pytest.mark.parametrize(
    "used, reserved, other, share, expected",
    [
        (0, 0, 0, 1.0, (80, 80)),
        (10, 15, 0, 1.0, (70, 80)),  # what the allocator holds without using it is free
        (10, 15, 20, 1.0, (50, 80)),  # another process has 20
        (0, 0, 0, 0.3, (24, 24)),
        (10, 15, 0, 0.3, (14, 24)),
        (0, 0, 70, 0.3, (10, 24)),  # less is left than the cap
    ],
)
def test_what_is_free_keeps_to_a_cap(used, reserved, other, share, expected, monkeypatch):
    """A stand-in for a GPU of 80 bytes."""
    import torch

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (80 - reserved - other, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: used)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda: share)
    assert memory.of_gpu() == expected


def test_an_unknown_architecture_is_refused():
    with pytest.raises(UsageError, match="of type 'mamba' cannot be predicted, only of llama, qwen2, qwen3"):
        memory.shape({"model_type": "mamba"})
