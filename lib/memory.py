"""GPU memory that a training run will take, predicted from a model's configuration and the run's settings, part by part.

Counted parts (parameters, NF4 blocks, adapter, KV cache, saved activations) are exact formulas, tested against real objects; how
a GPU's allocator rounds and what CUDA itself takes are constants here, assumed and not measured yet. Generation, likelihood and
loss follow one another, so that the peak is what stays plus the largest of the three. Nothing is loaded.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lib import runs
from lib.runs import UsageError

GIB = 2**30
CONTEXT = 0.8 * GIB  # assumed: CUDA's own, kernels, the allocator's slack
POSITIONS = 512  # positions at a time whose logits a scoring pass turns into float32 log-probabilities
KINDS = ("llama", "qwen2", "qwen3")  # types of models whose memory can be predicted
Config = Mapping[str, Any]  # of a model: the values of its config.json

_QWEN = {"vocab_size": 151_936, "num_hidden_layers": 36, "tie_word_embeddings": True, "max_position_embeddings": 32_768}
SHAPES: dict[str, dict] = {  # from the models' published config.json
    "Qwen/Qwen2.5-3B-Instruct": _QWEN
    | {"model_type": "qwen2", "hidden_size": 2048, "intermediate_size": 11_008}
    | {"num_attention_heads": 16, "num_key_value_heads": 2},
    "unsloth/Llama-3.2-3B-Instruct": {
        "model_type": "llama",
        "vocab_size": 128_256,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
        "max_position_embeddings": 131_072,
    },
    "Qwen/Qwen3-4B-Instruct-2507": _QWEN
    | {"model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "head_dim": 128}
    | {"num_attention_heads": 32, "num_key_value_heads": 8},
}
SHAPES["meta-llama/Llama-3.2-3B-Instruct"] = SHAPES["unsloth/Llama-3.2-3B-Instruct"]


class Prediction(NamedTuple):
    """Bytes: what stays (`context`, `weights`, `adapter` with its gradients and AdamW's state, `vllm` beyond the weights that it
    shares), and three phases, each at its peak."""

    context: float
    weights: float
    adapter: float
    vllm: float
    generation: float
    likelihood: float
    loss: float

    @property
    def total(self) -> float:
        """The predicted peak in bytes."""
        return self.context + self.weights + self.adapter + self.vllm + max(self.generation, self.likelihood, self.loss)

    def describe(self) -> str:
        """One line, in GiB."""
        parts = ", ".join(f"{name} {value / GIB:.1f}" for name, value in self._asdict().items())
        return f"{self.total / GIB:.1f} GiB at the peak ({parts})"


class Shape(NamedTuple):
    """The sizes of a decoder that memory depends on; widths are numbers of features."""

    kind: str
    layers: int
    hidden: int
    inner: int
    heads: int
    query: int  # heads × head size
    key: int  # key-value heads × head size
    head: int
    vocabulary: int
    tied: bool


def shape(config: Config) -> Shape:
    """The sizes in a configuration; raises UsageError for an architecture that is none of Llama's kind."""
    kind = str(config.get("model_type"))
    if kind not in KINDS:
        raise UsageError(f"The memory of a model of type {kind!r} cannot be predicted, only of {', '.join(KINDS)}.")
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    head = int(config.get("head_dim") or hidden // heads)
    key = int(config.get("num_key_value_heads") or heads) * head
    layers, inner, vocabulary = (int(config[k]) for k in ("num_hidden_layers", "intermediate_size", "vocab_size"))
    tied = bool(config.get("tie_word_embeddings", False))
    return Shape(kind, layers, hidden, inner, heads, heads * head, key, head, vocabulary, tied)


def linears(s: Shape) -> list[tuple[int, int]]:
    """(inputs, outputs) of each linear layer of one decoder layer: q, k, v, o, gate, up, down."""
    attention = [(s.hidden, s.query), (s.hidden, s.key), (s.hidden, s.key), (s.query, s.hidden)]
    return [*attention, (s.hidden, s.inner), (s.hidden, s.inner), (s.inner, s.hidden)]


def parameters(s: Shape) -> tuple[int, int]:
    """(parameters of the decoder layers' linear layers, all others: embeddings, head, norms, biases)."""
    biases = {"qwen2": s.query + 2 * s.key, "qwen3": 2 * s.head}.get(s.kind, 0)  # qwen3 has norms of queries and keys
    others = (1 if s.tied else 2) * s.vocabulary * s.hidden + s.layers * (2 * s.hidden + biases) + s.hidden
    return s.layers * sum(a * b for a, b in linears(s)), others


def weight_bytes(s: Shape, in_4bit: bool) -> float:
    """Bytes of the weights: bfloat16, or NF4 with double quantisation (Dettmers et al. 2023, arXiv 2305.14314) in linear layers.

    NF4 is 4 bits a parameter, a byte for the scale of 64 of them, and 4 bytes for 256 such scales; 1 KiB a layer for tables.
    """
    linear, others = parameters(s)
    tables = 1088 * len(linears(s)) * s.layers
    return (linear * (0.5 + 1 / 64 + 4 / (64 * 256)) + tables if in_4bit else 2 * linear) + 2 * others


def adapter_parameters(s: Shape, rank: int) -> int:
    """Parameters of a LoRA adapter on every linear layer: rank × (inputs + outputs)."""
    return s.layers * rank * sum(a + b for a, b in linears(s))


def cache_bytes(s: Shape, tokens: int) -> int:
    """Bytes of the keys and values of so many tokens, in bfloat16."""
    return 2 * 2 * s.key * s.layers * tokens


def activation_bytes(s: Shape, rank: int) -> int:
    """Bytes a token that one decoder layer keeps for its backward pass, with a float32 adapter on bfloat16 weights.

    The norms and the adapter's inputs are float32 copies; attention keeps q, k, v, its output and a number a head; the gated
    feed-forward keeps three inner activations. (PEFT's; Unsloth's fused kernels keep less.)
    """
    norms = 2 * 4 * (s.hidden + 1)
    if s.kind == "qwen3":
        norms += 4 * (s.query + s.key + (s.query + s.key) // s.head)
    inputs = 4 * (5 * s.hidden + s.query + s.inner) + 4 * 7 * rank
    attention = 2 * (2 * s.query + 2 * s.key) + 4 * s.heads
    return norms + inputs + attention + 2 * 3 * s.inner


def predict(config: Config, settings, vllm_on: float = 0) -> Prediction:
    """The memory of a run of `lib.train.Settings` on a model of this configuration, every completion at its full length.

    Without vLLM all completions of a step are generated at once. Where vLLM samples, `vllm_on` is the GPU's memory in bytes, of
    which it takes `settings.vllm_memory` and keeps it.
    """
    s = shape(config)
    tokens = settings.max_prompt_tokens + settings.max_completion_tokens
    step = settings.prompts_per_step * settings.completions_per_prompt
    largest = 2 * max(a * b for a, b in linears(s)) if settings.load_in_4bit else 0  # a layer is dequantised to be used
    in_forward = 2 * (4 * s.hidden + 3 * s.inner)  # bytes a token of a layer without gradients
    draw = step * s.vocabulary * (2 + 2 * 4)  # logits of one position, and float32 copies
    scored = max(settings.token_budget, tokens)  # one sequence may be longer than the budget
    pieces = min(POSITIONS, scored) * s.vocabulary * 3 * 4  # log-probabilities, their exponential, the product of both
    rows = settings.micro_batch * settings.max_completion_tokens
    checkpoints = 2 * s.hidden * s.layers  # bytes a token: the input of each layer (Unsloth moves these to the host)
    backward = settings.micro_batch * tokens * (checkpoints + activation_bytes(s, settings.lora_rank))
    weights = weight_bytes(s, settings.load_in_4bit)
    generation = cache_bytes(s, step * tokens) + draw + largest + step * settings.max_prompt_tokens * in_forward
    return Prediction(
        context=CONTEXT,
        weights=weights,
        adapter=16 * adapter_parameters(s, settings.lora_rank),  # float32: weights, gradients, two moments
        vllm=max(0.0, settings.vllm_memory * vllm_on - weights),
        generation=0 if vllm_on else generation,
        likelihood=scored * (2 * s.vocabulary + in_forward) + pieces + largest,
        loss=backward
        + largest
        + rows * s.vocabulary * (2 + 4 + 4),  # logits, float32 log-probabilities, their gradient
    )


def largest_fitting(config: Config, settings, free: float, vllm_on: float = 0) -> str | None:
    """The largest change to the settings that fits into `free` bytes, such as "micro_batch 4", or None if none of them does.

    First a smaller micro_batch, which changes no result but rounding; then a smaller token_budget as well; then shorter
    completions. `vllm_on` is as in `predict`.
    """
    step = settings.prompts_per_step * settings.completions_per_prompt
    for tokens in (settings.max_completion_tokens // part for part in (1, 2, 4, 8)):
        for budget in (settings.token_budget // part for part in (1, 2, 4, 8)):
            for micro in range(settings.micro_batch, 0, -1):
                values = {"micro_batch": micro, "token_budget": budget, "max_completion_tokens": tokens}
                if step % micro or min(values.values()) < 1:
                    continue
                if predict(config, dataclasses.replace(settings, **values), vllm_on).total <= free:
                    changed = [f"{name} {value}" for name, value in values.items() if value != getattr(settings, name)]
                    return ", ".join(changed) or "these settings"
    return None


def of_gpu() -> tuple[int, int]:
    """(free, total) bytes of the GPU for this process, within a cap of `torch.cuda.set_per_process_memory_fraction`.

    What torch's allocator holds without using it counts as free. Needs a GPU.
    """
    import torch

    free, total = torch.cuda.mem_get_info()
    reserved, used = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
    cap = int(total * torch.cuda.get_per_process_memory_fraction())
    return min(free + reserved, cap) - used, cap


def config_of(source) -> Config:
    """The configuration of a model (`models.Source`): local, or fetched alone from the hub or its cache."""
    path = Path(source.path) / "config.json"
    if not path.is_file():
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(source.path, "config.json", revision=source.revision))
    return runs.read_json(path)


def refuse_what_does_not_fit(config: Config, settings, free: float, vllm_on: float = 0) -> Prediction:
    """Raises UsageError if a run is predicted to take more than `free` bytes of GPU memory; else returns the prediction."""
    predicted = predict(config, settings, vllm_on)
    if predicted.total > free:
        fits = largest_fitting(config, settings, free, vllm_on)
        advice = (
            f"the largest setting that fits is {fits}"
            if fits
            else "none of its settings makes it fit: take a smaller model"
        )
        raise UsageError(
            f"{settings.model} is predicted to take {predicted.describe()}, but {free / GIB:.1f} GiB of GPU memory are free: "
            f"{advice}."
        )
    return predicted
