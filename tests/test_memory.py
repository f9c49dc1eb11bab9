"""The memory estimate: every counted part against real objects, which need no GPU."""

import dataclasses
import re
from pathlib import Path

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
    """Storages that a decoder layer's backward pass holds on to, weights aside; the rotation's tables are shared by all layers.

    Autocast makes a bfloat16 copy of the adapter, whatever the number of tokens.
    """
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

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16):
        _result = model.layers[0](x, position_embeddings=rotation, attention_mask=None)
    s, real = memory.shape(config), sum(size for size, _ in kept.values())
    adapter = 2 * memory.adapter_parameters(s, rank) // s.layers
    assert memory.activation_bytes(s, rank, "plain") * batch * tokens + adapter == real


@pytest.mark.parametrize("kind", KINDS)
def test_unsloth_keeps_less_than_peft(kind):
    """By hand for a layer of 64 features, 160 inner ones, 4 heads and 2 key-value heads of 16; q, k and v have 64, 32 and 32."""
    s = memory.shape({"model_type": kind} | SMALL)
    norms = 64 + 32 if kind == "qwen3" else 0
    by_hand = 2 * (64 + 64 + 64 + 32 + 32 + 64 + 64 + 64 + 160 + 160 + norms) + 4 * 4
    assert memory.activation_bytes(s, 4) == by_hand < memory.activation_bytes(s, 4, "plain")


@pytest.mark.parametrize("rows", [1, 700, 8000, 20_000, 500_000])
@pytest.mark.parametrize("model", memory.SHAPES)
def test_the_tiles_of_the_losses_are_those_of_the_libraries(model, rows):
    models.import_unsloth()
    import trl.trainer.utils
    from unsloth_zoo.fused_losses.fused_linear import fused_linear_rows

    s = memory.shape(memory.SHAPES[model])
    tile = fused_linear_rows(rows, s.hidden, s.vocabulary, 4, torch.device("cpu"))
    assert memory.tile_rows(rows, s.hidden, s.vocabulary) == tile
    assert memory.head_bytes(s, rows) == 8 * tile * s.vocabulary + 6 * rows * s.hidden
    source = (Path(trl.__file__).parent / "kernels" / "chunked_logprob.py").read_text()  # it needs Triton
    positions = int(re.search(r"^TOKEN_CHUNK_SIZE = (\d+)$", source, re.MULTILINE)[1])
    width = trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE
    logits = 2 * min(positions, rows) * width
    assert memory.head_bytes(s, rows, "plain") == logits + 8 * rows * s.hidden


@pytest.mark.parametrize("backend", train.BACKENDS)
def test_the_loss_by_hand(backend):
    """Two completions of 30 tokens after 10: what a layer keeps, its gradients, and layers' inputs where they stay on the GPU."""
    s = memory.shape({"model_type": "llama"} | SMALL)
    run = dataclasses.replace(RUN, backend=backend, micro_batch=2, max_prompt_tokens=10, max_completion_tokens=30)
    kept = memory.activation_bytes(s, 32, backend) + 2 * (160 + 160 + 64 + 64)
    kept += 2 * 64 * 2 if backend == "plain" else 0
    head = {"plain": 2 * 60 * 64 + 60 * 64 * (2 + 4 + 2), "unsloth": 60 * 64 * (4 + 2 + 2) + 60 * 64 * (2 + 2 + 2)}
    assert memory.loss_bytes(s, run) == 2 * 40 * kept + head[backend]


def test_the_peak_is_what_stays_and_the_largest_phase():
    p = memory.Prediction(1, 2, 3, 4, 10, 30, 20)
    assert p.total == 40
    found = memory.predict(memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"], RUN)
    s = memory.shape(memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"])
    assert found.generation > memory.cache_bytes(s, 64 * 2048) == 64 * 2048 * 36 * 2 * 2 * 128 * 2
    assert found.adapter == 16 * 32 * 36 * sum(a + b for a, b in memory.linears(s))
    assert f"{found.total / 2**30:.1f} GiB at the peak" in found.describe()


def test_vllm_keeps_its_share_and_generation_needs_no_more():
    config = memory.SHAPES["Qwen/Qwen2.5-3B-Instruct"]
    alone, beside = memory.predict(config, RUN), memory.predict(config, RUN, vllm_on=80 * memory.GIB)
    weights = memory.weight_bytes(memory.shape(config), True)
    assert beside.generation == 0 and beside.vllm == 0.5 * 80 * memory.GIB - weights
    assert beside.total == alone.stays + beside.vllm + max(alone.likelihood, alone.loss)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(UsageError, match="of type 'mamba' cannot be predicted, only of llama, qwen2, qwen3"):
        memory.shape({"model_type": "mamba"})
